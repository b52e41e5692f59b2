//! `y = x W^T` with a weight that is packed once.

use super::epilogue::{Place, finish};
use super::panels;
use super::parallel::{self, Scattered};
use super::tiles::{self, Block, PANEL, STRIP, Unit};
use crate::cpu::bf16::amx;
use crate::cpu::bf16::{Tile, depth, round_rows, rows_transposed, unfilled_tiles};
use crate::cpu::buffer::unfilled;
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
    /// `silu(gate) * up`, for weights of [`PackedLinear::gated`] and for those only.
    SwiGlu,
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
    F32(Vec<f32>),
    Bf16(Vec<Tile>),
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
    /// The precision in which packed weights serve a process that computes in `precision`: the same,
    /// but f32 for bf16 where the processor has no tiles, for which alone the bf16 form is written.
    pub fn supported(precision: Precision) -> Precision {
        if amx::available() { precision } else { Precision::F32 }
    }

    /// Packs a weight, given as rows of `inputs` values.
    ///
    /// # Panics
    /// If the values are not whole rows, or `precision` is not [`Self::supported`].
    pub fn new(weight: &[f32], inputs: usize, precision: Precision) -> Self {
        assert!(inputs > 0 && weight.len().is_multiple_of(inputs), "ragged weight");
        let outputs = weight.len() / inputs;
        Self::pack(inputs, outputs, false, precision, &|output| {
            let start = output * inputs;
            (output < outputs).then(|| &weight[start..start + inputs])
        })
    }

    /// Packs the two weights of a gated layer, so that the product gives `silu(gate) * up`.
    ///
    /// # Panics
    /// As [`Self::new`], and if the weights differ in size.
    pub fn gated(gate: &[f32], up: &[f32], inputs: usize, precision: Precision) -> Self {
        assert!(inputs > 0 && gate.len().is_multiple_of(inputs), "ragged weight");
        assert_eq!(gate.len(), up.len(), "gate and up");
        let outputs = gate.len() / inputs;
        Self::pack(inputs, outputs, true, precision, &|place| {
            let (pair, within) = (place / PANEL, place % PANEL);
            let output = pair * STRIP + within % STRIP;
            let weight = if within < STRIP { gate } else { up };
            (output < outputs).then(|| &weight[output * inputs..][..inputs])
        })
    }

    /// `row` gives the weights of each place in the panels.
    fn pack<'a>(
        inputs: usize,
        outputs: usize,
        gated: bool,
        precision: Precision,
        row: &(dyn Fn(usize) -> Option<&'a [f32]> + Sync),
    ) -> Self {
        let panels = if gated { outputs.div_ceil(STRIP) } else { outputs.div_ceil(PANEL) };
        let rows_of = |panel: usize| -> Vec<&[f32]> {
            // Gated panels may lack gates while they have none of the ups either.
            let rows = (panel * PANEL..(panel + 1) * PANEL).map(row);
            rows.map(|row| row.unwrap_or(&[])).collect()
        };
        let weight = match precision {
            Precision::F32 => {
                let mut packed = unfilled(panels * PANEL * inputs);
                tiles::ask_for_large_pages(&packed);
                packed.par_chunks_exact_mut(PANEL * inputs).enumerate().for_each(|(at, panel)| {
                    panels::pack(panel, &rows_of(at));
                });
                Weight::F32(packed)
            }
            Precision::Bf16 => {
                assert!(amx::available(), "packed bf16 weights need tiles");
                let depth = depth(inputs);
                let mut packed = unfilled_tiles(panels * 2 * depth);
                tiles::ask_for_large_pages(&packed);
                packed.par_chunks_exact_mut(2 * depth).enumerate().for_each_init(
                    || (vec![0.0; PANEL * inputs], unfilled_tiles(2 * depth)),
                    |(values, strips), (at, panel)| {
                        for (to, from) in values.chunks_exact_mut(inputs).zip(rows_of(at)) {
                            match from.is_empty() {
                                true => to.fill(0.0),
                                false => to.copy_from_slice(from),
                            }
                        }
                        rows_transposed(strips, values, inputs, inputs);
                        tiles::interleave(panel, strips);
                    },
                );
                Weight::Bf16(packed)
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
            Weight::F32(_) => Precision::F32,
            Weight::Bf16(_) => Precision::Bf16,
        }
    }

    /// Bytes of the packed weight.
    pub fn bytes(&self) -> usize {
        match &self.weight {
            Weight::F32(packed) => size_of_val(&packed[..]),
            Weight::Bf16(packed) => size_of_val(&packed[..]),
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
            Weight::F32(packed) => {
                let panel = packed[panel * PANEL * self.inputs..].chunks_exact(PANEL);
                for (value, line) in values.iter_mut().zip(panel) {
                    *value = line[within];
                }
            }
            Weight::Bf16(packed) => {
                let len = 2 * depth(self.inputs);
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
        assert_eq!(self.gated, matches!(epilogue, Epilogue::SwiGlu), "wrong epilogue");
        if let Epilogue::Bias(bias) = epilogue {
            assert_eq!(bias.len(), self.outputs, "bias of a wrong length");
        }
        if y.is_empty() {
            return;
        }
        let y = Scattered::new(y);
        match &self.weight {
            Weight::F32(packed) => self.forward_f32(packed, x, rows, epilogue, &y),
            Weight::Bf16(packed) => {
                let len = rows.div_ceil(STRIP) * depth(self.inputs);
                if operand.0.len() < len {
                    operand.0 = (0..len).map(|_| Tile::ZERO).collect();
                }
                let operand = &mut operand.0[..len];
                pack_operand(operand, x, self.inputs);
                self.forward_bf16(packed, operand, rows, epilogue, &y);
            }
        }
    }

    /// Where a block of sums goes.
    fn place(&self, panel: usize, rows: Range<usize>) -> Place {
        let width = if self.gated { STRIP } else { PANEL };
        let cols = panel * width..((panel + 1) * width).min(self.outputs);
        Place { rows, cols, stride: self.outputs }
    }

    fn forward_f32(
        &self,
        packed: &[f32],
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
                        panels::multiply(block, x, weights);
                        // SAFETY: a panel belongs to one thread.
                        unsafe { finish(y, &self.place(panel, rows), block, epilogue) };
                    }
                }
            }
        });
    }

    fn forward_bf16(
        &self,
        packed: &[Tile],
        operand: &[Tile],
        rows: usize,
        epilogue: Epilogue<'_>,
        y: &Scattered<'_>,
    ) {
        let depth = depth(self.inputs);
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

/// Rounds rows of activations into strips, one thread a strip if there is enough to do.
fn pack_operand(operand: &mut [Tile], x: &[f32], inputs: usize) {
    const WORTH_THREADS: usize = 1 << 15;
    let depth = depth(inputs);
    if x.len() < WORTH_THREADS {
        for (strip, x) in operand.chunks_exact_mut(depth).zip(x.chunks(STRIP * inputs)) {
            round_rows(strip, x, inputs);
        }
        return;
    }
    operand
        .par_chunks_exact_mut(depth)
        .zip(x.par_chunks(STRIP * inputs))
        .for_each(|(strip, x)| round_rows(strip, x, inputs));
}
