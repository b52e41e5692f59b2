//! `--show-steps`: the canvas of a masked-diffusion model as it fills.
//!
//! On a terminal the canvas is redrawn in place; elsewhere each step is a line.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use afterthought_sampling::diffusion::{DiffusionParams, RowView, StepEvent};
use afterthought_text::{Error, Tokenizer};

use crate::commands::canvas_lines::{Cells, Style, around, columns, lines};
use crate::console::{Console, printable, stderr_width};

/// The least time that a frame stays on a terminal: small models are faster than the eye.
const FRAME: Duration = Duration::from_millis(70);
/// Most lines of the canvas on a terminal.
const LINES: usize = 16;
/// Columns of the bar in the header.
const BAR: usize = 20;

/// Draws on stderr. The cursor is hidden while it lives.
pub(crate) struct StepsView<'a> {
    cells: Cells<'a>,
    tokenizer: &'a Tokenizer,
    /// Steps of a row, where a schedule fixes them.
    steps: Option<usize>,
    block_length: usize,
    mask: u32,
    rows: usize,
    style: Style,
    live: bool,
    /// The row on screen.
    row: Option<usize>,
    /// Lines of the frame on screen.
    drawn: usize,
    last: Instant,
}

impl<'a> StepsView<'a> {
    /// A view of the decoding of `rows` prompts, one at a time.
    ///
    /// # Errors
    /// The end-of-sequence id is no token.
    pub(crate) fn new(
        console: &Console,
        tokenizer: &'a Tokenizer,
        params: &DiffusionParams,
        rows: usize,
    ) -> Result<Self, Error> {
        let view = Self {
            cells: Cells::new(tokenizer, params.mask_id, params.eos_id)?,
            tokenizer,
            steps: params.commit.steps(),
            block_length: params.block_length,
            mask: params.mask_id,
            rows,
            style: match console.color() {
                true => Style::Color,
                false => Style::Plain,
            },
            live: console.live(),
            row: None,
            drawn: 0,
            last: Instant::now(),
        };
        if view.live {
            put("\x1b[?25l");
        }
        Ok(view)
    }

    /// Shows what a step did.
    pub(crate) fn show(&mut self, event: &StepEvent<'_>) {
        for row in &event.rows {
            if self.row != Some(row.row) {
                self.begin(row);
            }
            match self.live {
                true => self.draw(row),
                false => put(&format!("{}\n", self.line(row))),
            }
        }
    }

    /// The prompt, which stays, and on a terminal the canvas before the first step.
    fn begin(&mut self, row: &RowView<'_>) {
        self.row = Some(row.row);
        self.drawn = 0;
        let prompt = self.tokenizer.decode(row.prompt, true).unwrap_or_default();
        let number = match self.rows {
            1 => String::new(),
            rows => format!("[{}/{rows}] ", row.row + 1),
        };
        put(&format!("{}\n", self.dim(&format!("{number}{}", printable(&prompt)))));
        if self.live {
            let blank = vec![self.mask; row.completion.len()];
            let canvas = self.canvas(&blank, &[], 0..self.block_length);
            let header = self.header(0, &blank, 0);
            self.redraw(header, canvas);
        }
    }

    fn draw(&mut self, row: &RowView<'_>) {
        let canvas = self.canvas(row.completion, &row.committed, self.active(row));
        let header = self.header(row.step + 1, row.completion, row.committed.len());
        self.redraw(header, canvas);
    }

    /// The block that the step worked on, or the next one if it is complete.
    fn active(&self, row: &RowView<'_>) -> std::ops::Range<usize> {
        let first = row.completion.iter().position(|id| *id == self.mask);
        let start = first.unwrap_or(0) / self.block_length * self.block_length;
        start..start + self.block_length
    }

    fn canvas(
        &self,
        completion: &[u32],
        new: &[usize],
        active: std::ops::Range<usize>,
    ) -> Vec<String> {
        let cells = self.cells.of(completion, new, active);
        let (lines, newest) = lines(&cells, self.cells.spaced, Some(stderr_width()), self.style);
        around(lines, newest, LINES)
    }

    /// `step  5/16 ━━━━━━╸───────  10/32 tokens  +2`.
    fn header(&self, step: u32, completion: &[u32], new: usize) -> String {
        let (done, all) = (self.done(completion), completion.len());
        let filled = BAR * done / all.max(1);
        let (full, rest) = ("━".repeat(filled), "─".repeat(BAR - filled));
        let bar = match self.style {
            Style::Color => format!("\x1b[36m{full}\x1b[0m{}", self.dim(&rest)),
            Style::Plain => format!("{full}{rest}"),
        };
        let label = self.label(step);
        let label = match self.style {
            Style::Color => format!("\x1b[1m{label}\x1b[0m"),
            Style::Plain => label,
        };
        format!("{label} {bar} {}", self.dim(&format!("{done}/{all} tokens  +{new}")))
    }

    /// One step as one line.
    fn line(&self, row: &RowView<'_>) -> String {
        let cells = self.cells.of(row.completion, &row.committed, self.active(row));
        let (text, _) = lines(&cells, self.cells.spaced, None, self.style);
        let (done, all) = (self.done(row.completion), row.completion.len());
        format!("{} {done:>3}/{all} tokens  {}", self.label(row.step + 1), text.concat())
    }

    fn label(&self, step: u32) -> String {
        match self.steps {
            Some(steps) => {
                format!("step {step:>width$}/{steps}", width = columns(&steps.to_string()))
            }
            None => format!("step {step:>3}"),
        }
    }

    fn done(&self, completion: &[u32]) -> usize {
        completion.iter().filter(|id| **id != self.mask).count()
    }

    /// Puts a frame in the place of the one before.
    fn redraw(&mut self, header: String, canvas: Vec<String>) {
        thread::sleep(FRAME.saturating_sub(self.last.elapsed()));
        self.last = Instant::now();
        // Without automatic wrapping, a width that a terminal counts otherwise cannot shift lines.
        let mut frame = String::from("\x1b[?7l");
        if self.drawn > 0 {
            frame += &format!("\x1b[{}A\r", self.drawn);
        }
        self.drawn = 1 + canvas.len();
        for line in std::iter::once(header).chain(canvas) {
            // Cleared first: at the end of a full line that would take its last character.
            frame += &format!("\x1b[2K{line}\n");
        }
        put(&(frame + "\x1b[J\x1b[?7h"));
    }

    fn dim(&self, text: &str) -> String {
        match self.style {
            Style::Color => format!("\x1b[2m{text}\x1b[0m"),
            Style::Plain => text.to_owned(),
        }
    }
}

impl Drop for StepsView<'_> {
    fn drop(&mut self) {
        if self.live {
            put("\x1b[?25h");
        }
    }
}

/// Writes to stderr; a closed stream leaves nobody to show anything to.
fn put(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
