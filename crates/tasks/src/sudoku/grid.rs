/// Sixteen cells row by row: 1-4, or 0 for an empty cell.
pub type Grid = [u8; 16];

/// All 288 complete grids, in ascending order.
pub fn all_grids() -> Vec<Grid> {
    solutions(&[0; 16], usize::MAX)
}

/// How many complete grids extend `givens`, counting no further than `limit`. A conflict among the
/// givens, or a digit above 4, leaves none.
pub fn count_solutions(givens: &Grid, limit: usize) -> usize {
    solutions(givens, limit).len()
}

/// Whether all cells are filled and no rule is broken.
pub fn is_solved(grid: &Grid) -> bool {
    grid.iter().all(|&digit| digit != 0) && Search::new(grid).is_some()
}

/// Whether `grid` is complete, valid and keeps all `givens`.
pub(super) fn solves(grid: &Grid, givens: &Grid) -> bool {
    is_solved(grid) && givens.iter().zip(grid).all(|(&given, &digit)| given == 0 || given == digit)
}

/// The sixteen digits as text.
pub(super) fn digits(grid: &Grid) -> String {
    grid.iter().map(|digit| char::from(b'0' + digit)).collect()
}

/// Sixteen digits 0-4, nothing else.
pub(super) fn parse_digits(text: &str) -> Option<Grid> {
    let cells: Grid = text.as_bytes().try_into().ok()?;
    let cells = cells.map(|byte| byte.wrapping_sub(b'0'));
    cells.iter().all(|&digit| digit <= 4).then_some(cells)
}

fn solutions(givens: &Grid, limit: usize) -> Vec<Grid> {
    let mut found = Vec::new();
    if let Some(mut search) = Search::new(givens) {
        search.fill(0, limit, &mut found);
    }
    found
}

/// Depth-first search over the cells; bit `d` of a unit's mask says that digit `d` is used in it.
struct Search {
    cells: Grid,
    rows: [u8; 4],
    columns: [u8; 4],
    boxes: [u8; 4],
}

impl Search {
    /// `None` if the givens break a rule.
    fn new(givens: &Grid) -> Option<Self> {
        let mut search = Self { cells: [0; 16], rows: [0; 4], columns: [0; 4], boxes: [0; 4] };
        for (cell, &digit) in givens.iter().enumerate().filter(|(_, digit)| **digit != 0) {
            if digit > 4 || !search.place(cell, digit) {
                return None;
            }
        }
        Some(search)
    }

    fn place(&mut self, cell: usize, digit: u8) -> bool {
        let (row, column, square) = units(cell);
        let bit = 1 << digit;
        if (self.rows[row] | self.columns[column] | self.boxes[square]) & bit != 0 {
            return false;
        }
        self.rows[row] |= bit;
        self.columns[column] |= bit;
        self.boxes[square] |= bit;
        self.cells[cell] = digit;
        true
    }

    fn remove(&mut self, cell: usize) {
        let (row, column, square) = units(cell);
        let bit = 1 << self.cells[cell];
        self.rows[row] &= !bit;
        self.columns[column] &= !bit;
        self.boxes[square] &= !bit;
        self.cells[cell] = 0;
    }

    fn fill(&mut self, from: usize, limit: usize, found: &mut Vec<Grid>) {
        if found.len() >= limit {
            return;
        }
        let Some(cell) = (from..16).find(|&cell| self.cells[cell] == 0) else {
            found.push(self.cells);
            return;
        };
        for digit in 1..=4 {
            if self.place(cell, digit) {
                self.fill(cell + 1, limit, found);
                self.remove(cell);
            }
        }
    }
}

fn units(cell: usize) -> (usize, usize, usize) {
    let (row, column) = (cell / 4, cell % 4);
    (row, column, row / 2 * 2 + column / 2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn there_are_288_grids() {
        let grids = all_grids();
        assert_eq!(grids.len(), 288);
        assert!(grids.is_sorted() && grids.iter().all(is_solved));
        // Independent of the search: every unit of every grid holds 1, 2, 3 and 4.
        for grid in &grids {
            for unit in 0..4 {
                let row: u8 = (0..4).map(|i| 1 << grid[unit * 4 + i]).sum();
                let column: u8 = (0..4).map(|i| 1 << grid[i * 4 + unit]).sum();
                let corner = unit / 2 * 8 + unit % 2 * 2;
                let square: u8 = [0, 1, 4, 5].iter().map(|i| 1 << grid[corner + i]).sum();
                assert_eq!((row, column, square), (30, 30, 30));
            }
        }
    }

    #[test]
    fn counting_stops_at_the_limit_and_sees_conflicts() {
        assert_eq!(count_solutions(&[0; 16], 5), 5);
        let mut givens = [0; 16];
        givens[0] = 1;
        assert_eq!(count_solutions(&givens, 1000), 72);
        givens[3] = 1;
        assert_eq!(count_solutions(&givens, 1000), 0);
        givens[3] = 7;
        assert_eq!(count_solutions(&givens, 1000), 0);
    }

    #[test]
    fn digits_round_trip() {
        let grid = parse_digits("3102200002100320").unwrap();
        assert_eq!(digits(&grid), "3102200002100320");
        for bad in ["310220000210032", "31022000021003200", "3102200002100325", "31022000021003é"]
        {
            assert_eq!(parse_digits(bad), None);
        }
    }
}
