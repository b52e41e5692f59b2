//! `y = x W^T` with a weight that is packed once.

use super::epilogue::{Place, finish};
use super::panels::{self, Bits, Storage};
use super::parallel::{self, Scattered};
use super::stored::{Row, StoredWeight};
use super::tiles::{self, Block, PANEL, STRIP, Unit};
use crate::activation::Activation;
use crate::cpu::buffer::unfilled;
use crate::cpu::tiled::{self, Bf16, Tile, depth, round_rows, rows_transposed, unfilled_tiles};
use crate::precision::Precision;
use rayon::prelude::*;
use std::ops::Range;

/// Bytes of activations that a thread goes through for each panel of the weight: they should stay
/// in its second-level cache.
const CHUNK_BYTES: usize = 3 << 18;

/// What is done with the sums of a product.
#[derive(Clone, Copy, Debug)]
pub enum Epilogue<'a> {
    /// They are the output.
    Store,
    /// A bias, `[outputs]`, is added.
    Bias(&'a [f32]),
    /// They are added to what stands in the output.
    Add,
    /// The activation of the sums.
    Activation(Activation),
    /// `activation(gate) * up`, for weights of [`PackedLinear::gated`] and for those only.
    Gated(Activation),
}

/// The weight `[outputs, inputs]` of a linear layer, laid out for products with any number of
/// rows.
pub struct PackedLinear {
    inputs: usize,
    outputs: usize,
    gated: bool,
    weight: Weight,
}

enum Weight {
    /// Panels, multiplied in f32.
    F32(Vec<f32>),
    /// The same, stored in bf16.
    Half(Vec<Bits>),
    /// Tiles, multiplied in bf16.
    Tiles(Vec<Tile>),
}

/// Room for activations as the tile unit reads them, kept from call to call.
#[derive(Default)]
pub struct Operand(Vec<Tile>);

impl std::fmt::Debug for PackedLinear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let &Self { inputs, outputs, gated, .. } = self;
        write!(f, "PackedLinear {{ {outputs} x {inputs}, {}, gated: {gated} }}", self.precision())
    }
}

impl std::fmt::Debug for Operand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operand({} tiles)", self.0.len())
    }
}

impl PackedLinear {
    /// Packs a weight, given as rows of `inputs` values.
    ///
    /// In bf16 it multiplies bf16 values where the processor has instructions for that. Elsewhere,
    /// and in f32, it multiplies in f32; a weight that is stored in bf16, or rounded to it, keeps
    /// two bytes a value all the same.
    ///
    /// # Panics
    /// If the values are not whole rows.
    pub fn new<'a>(
        weight: impl Into<StoredWeight<'a>>,
        inputs: usize,
        precision: Precision,
    ) -> Self {
        Self::stacked(&[weight.into()], inputs, precision)
    }

    /// [`Self::new`] for several weights with the same input, one below the other.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn stacked(weights: &[StoredWeight<'_>], inputs: usize, precision: Precision) -> Self {
        let rows: Vec<Row<'_>> = weights.iter().flat_map(|weight| rows(weight, inputs)).collect();
        Self::pack(inputs, rows.len(), false, storage(weights, precision), &|output| {
            rows.get(output).copied()
        })
    }

    /// Packs the two weights of a gated layer, so that the product gives `activation(gate) * up`.
    ///
    /// # Panics
    /// As [`Self::new`], and if the weights differ in size.
    pub fn gated<'a>(
        gate: impl Into<StoredWeight<'a>>,
        up: impl Into<StoredWeight<'a>>,
        inputs: usize,
        precision: Precision,
    ) -> Self {
        let weights = [gate.into(), up.into()];
        let [gates, ups] = weights.each_ref().map(|weight| rows(weight, inputs));
        assert_eq!(gates.len(), ups.len(), "gate and up");
        Self::pack(inputs, gates.len(), true, storage(&weights, precision), &|place| {
            let (pair, within) = (place / PANEL, place % PANEL);
            let rows = if within < STRIP { &gates } else { &ups };
            rows.get(pair * STRIP + within % STRIP).copied()
        })
    }

    /// `row` gives the weights of each place in the panels.
    fn pack<'a>(
        inputs: usize,
        outputs: usize,
        gated: bool,
        stored: Stored,
        row: &(dyn Fn(usize) -> Option<Row<'a>> + Sync),
    ) -> Self {
        let panels = if gated { outputs.div_ceil(STRIP) } else { outputs.div_ceil(PANEL) };
        let rows_of = |panel: usize| -> Vec<Row<'a>> {
            // Gated panels may lack gates while they have none of the ups either.
            let rows = (panel * PANEL..(panel + 1) * PANEL).map(row);
            rows.map(|row| row.unwrap_or(Row::F32(&[]))).collect()
        };
        let weight = match stored {
            Stored::F32 => Weight::F32(pack_panels(panels, inputs, &rows_of)),
            Stored::Half => Weight::Half(pack_panels(panels, inputs, &rows_of)),
            Stored::Tiles => {
                let depth = depth::<Bf16>(inputs);
                let mut packed = unfilled_tiles(panels * 2 * depth);
                tiles::ask_for_large_pages(&packed);
                packed.par_chunks_exact_mut(2 * depth).enumerate().for_each_init(
                    || (vec![0.0; PANEL * inputs], unfilled_tiles(2 * depth)),
                    |(values, strips), (at, panel)| {
                        for (to, from) in values.chunks_exact_mut(inputs).zip(rows_of(at)) {
                            from.copy_to(to);
                        }
                        rows_transposed::<Bf16>(strips, values, inputs, inputs);
                        tiles::interleave(panel, strips);
                    },
                );
                Weight::Tiles(packed)
            }
        };
        Self { inputs, outputs, gated, weight }
    }

    /// Values of an input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values of an output row.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// In which precision it multiplies.
    pub fn precision(&self) -> Precision {
        match self.weight {
            Weight::F32(_) | Weight::Half(_) => Precision::F32,
            Weight::Tiles(_) => Precision::Bf16,
        }
    }

    /// Bytes of the packed weight.
    pub fn bytes(&self) -> usize {
        match &self.weight {
            Weight::F32(packed) => size_of_val(&packed[..]),
            Weight::Half(packed) => size_of_val(&packed[..]),
            Weight::Tiles(packed) => size_of_val(&packed[..]),
        }
    }

    /// Reads row `output` of the weight back, as it was rounded.
    ///
    /// # Panics
    /// If there is no such row, `values` has another length, or the weight is gated.
    pub fn row(&self, output: usize, values: &mut [f32]) {
        assert!(output < self.outputs && values.len() == self.inputs && !self.gated, "no such row");
        let (panel, within) = (output / PANEL, output % PANEL);
        match &self.weight {
            Weight::F32(packed) => read_row(values, &packed[panel * PANEL * self.inputs..], within),
            Weight::Half(packed) => {
                read_row(values, &packed[panel * PANEL * self.inputs..], within);
            }
            Weight::Tiles(packed) => {
                let len = 2 * depth::<Bf16>(self.inputs);
                tiles::unpack(values, &packed[panel * len..][..len], within);
            }
        }
    }

    /// Multiplies rows of [`inputs`](Self::inputs) values; `y` has as many rows of
    /// [`outputs`](Self::outputs) values.
    ///
    /// # Panics
    /// If the lengths are not those of whole rows, or the epilogue is not one for this weight.
    pub fn forward(&self, x: &[f32], epilogue: Epilogue<'_>, y: &mut [f32], operand: &mut Operand) {
        let rows = x.len() / self.inputs;
        assert_eq!(x.len(), rows * self.inputs, "input of a wrong length");
        assert_eq!(y.len(), rows * self.outputs, "output of a wrong length");
        assert_eq!(self.gated, matches!(epilogue, Epilogue::Gated(_)), "wrong epilogue");
        if let Epilogue::Bias(bias) = epilogue {
            assert_eq!(bias.len(), self.outputs, "bias of a wrong length");
        }
        if y.is_empty() {
            return;
        }
        let y = Scattered::new(y);
        match &self.weight {
            Weight::F32(packed) => {
                self.forward_panels(packed, panels::multiply, x, rows, epilogue, &y);
            }
            Weight::Half(packed) => {
                self.forward_panels(packed, panels::multiply_bf16, x, rows, epilogue, &y);
            }
            Weight::Tiles(packed) => {
                let len = rows.div_ceil(STRIP) * depth::<Bf16>(self.inputs);
                if operand.0.len() < len {
                    operand.0 = (0..len).map(|_| Tile::ZERO).collect();
                }
                let operand = &mut operand.0[..len];
                pack_operand(operand, x, self.inputs);
                self.forward_tiles(packed, operand, rows, epilogue, &y);
            }
        }
    }

    /// Where a block of sums goes.
    fn place(&self, panel: usize, rows: Range<usize>) -> Place {
        let width = if self.gated { STRIP } else { PANEL };
        let cols = panel * width..((panel + 1) * width).min(self.outputs);
        Place { rows, cols, stride: self.outputs }
    }

    fn forward_panels<S: Storage>(
        &self,
        packed: &[S],
        multiply: fn(&mut [f32], &[f32], &[S]),
        x: &[f32],
        rows: usize,
        epilogue: Epilogue<'_>,
        y: &Scattered<'_>,
    ) {
        let inputs = self.inputs;
        let len = PANEL * inputs;
        // As equal as possible: a block of few rows uses the processor badly.
        let height = rows.div_ceil(rows.div_ceil(panels::ROWS));
        let chunk = (CHUNK_BYTES / (size_of::<f32>() * inputs * height)).max(2) * height;
        parallel::ranges(packed.len() / len, packed.len() * rows, |range| {
            let mut block = [0.0; panels::ROWS * PANEL];
            for first in (0..rows).step_by(chunk) {
                let last = (first + chunk).min(rows);
                for panel in range.clone() {
                    let weights = &packed[panel * len..][..len];
                    for row in (first..last).step_by(height) {
                        let rows = row..(row + height).min(last);
                        let block = &mut block[..rows.len() * PANEL];
                        let x = &x[rows.start * inputs..rows.end * inputs];
                        multiply(block, x, weights);
                        // SAFETY: a panel belongs to one thread.
                        unsafe { finish(y, &self.place(panel, rows), block, epilogue) };
                    }
                }
            }
        });
    }

    fn forward_tiles(
        &self,
        packed: &[Tile],
        operand: &[Tile],
        rows: usize,
        epilogue: Epilogue<'_>,
        y: &Scattered<'_>,
    ) {
        let depth = depth::<Bf16>(self.inputs);
        let len = 2 * depth;
        let chunk = (CHUNK_BYTES / (len * size_of::<Tile>())).max(2) * len;
        let strips = rows.div_ceil(STRIP);
        parallel::ranges(packed.len() / len, size_of_val(packed) * strips, |range| {
            let unit = Unit::configure(rows.min(STRIP));
            let mut block = Block([0.0; 2 * STRIP * PANEL]);
            for (operand, first) in operand.chunks(chunk).zip((0..).step_by(chunk / depth * STRIP))
            {
                // The next panel arrives while this one is used.
                let parts = match operand.len() / len {
                    0 | 1 => 1,
                    2 | 3 => 2,
                    _ => 4,
                };
                for panel in range.clone() {
                    let weights = &packed[panel * len..][..len];
                    for (x, row) in operand.chunks(len).zip((first..).step_by(2 * STRIP)) {
                        if x.len() == len {
                            let part = (row - first) / (2 * STRIP);
                            unit.multiply_strips(&mut block, x, weights, (part, parts));
                        } else {
                            unit.multiply_strip(&mut block, x, weights);
                        }
                        let rows = row..(row + 2 * STRIP).min(rows);
                        // SAFETY: a panel belongs to one thread.
                        unsafe { finish(y, &self.place(panel, rows), &block.0, epilogue) };
                    }
                }
            }
        });
    }
}

/// How a weight is kept.
#[derive(Clone, Copy)]
enum Stored {
    F32,
    Half,
    Tiles,
}

/// What serves weights in a precision on this processor.
fn storage(weights: &[StoredWeight<'_>], precision: Precision) -> Stored {
    match precision {
        Precision::Bf16 if tiled::bf16_supported() => Stored::Tiles,
        Precision::Bf16 => Stored::Half,
        Precision::F32 if weights.iter().all(|w| matches!(w, StoredWeight::Bf16(_))) => {
            Stored::Half
        }
        Precision::F32 => Stored::F32,
    }
}

/// The rows of a weight.
fn rows<'a>(weight: &StoredWeight<'a>, inputs: usize) -> Vec<Row<'a>> {
    assert!(inputs > 0 && weight.len().is_multiple_of(inputs), "ragged weight");
    (0..weight.len() / inputs).map(|output| weight.row(output, inputs)).collect()
}

/// `count` panels, each of the rows that `rows_of` gives.
fn pack_panels<'a, S: Storage>(
    count: usize,
    inputs: usize,
    rows_of: &(dyn Fn(usize) -> Vec<Row<'a>> + Sync),
) -> Vec<S> {
    let mut packed = unfilled(count * PANEL * inputs);
    tiles::ask_for_large_pages(&packed);
    packed
        .par_chunks_exact_mut(PANEL * inputs)
        .enumerate()
        .for_each(|(at, panel): (usize, &mut [S])| panels::pack(panel, &rows_of(at)));
    packed
}

/// Reads an output's weights back from the panel at the beginning of `packed`.
fn read_row<S: Storage>(values: &mut [f32], packed: &[S], output: usize) {
    for (value, line) in values.iter_mut().zip(packed.chunks_exact(PANEL)) {
        *value = line[output].to_f32();
    }
}

/// Rounds rows of activations into strips, one thread a strip if there is enough to do.
fn pack_operand(operand: &mut [Tile], x: &[f32], inputs: usize) {
    const WORTH_THREADS: usize = 1 << 15;
    let depth = depth::<Bf16>(inputs);
    if x.len() < WORTH_THREADS {
        for (strip, x) in operand.chunks_exact_mut(depth).zip(x.chunks(STRIP * inputs)) {
            round_rows::<Bf16>(strip, x, inputs);
        }
        return;
    }
    operand
        .par_chunks_exact_mut(depth)
        .zip(x.par_chunks(STRIP * inputs))
        .for_each(|(strip, x)| round_rows::<Bf16>(strip, x, inputs));
}
