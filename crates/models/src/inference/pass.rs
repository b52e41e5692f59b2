use super::model::{InferenceModel, Layer};
use super::{CachedRow, KvCache};
use afterthought_kernels::inference::{
    CachedAttention, CachedQueries, Epilogue, Operand, cached_attention, normalise_heads,
    rms_norm_rows, rotate,
};
use afterthought_kernels::{Activation, RotaryTable};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Activations, kept from pass to pass: memory that a process gets anew costs more than a small
/// layer.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// The residual stream, `[tokens, hidden]`.
    x: Vec<f32>,
    /// Its norm.
    h: Vec<f32>,
    /// Queries, keys and values of a layer.
    qkv: Vec<f32>,
    attended: Vec<f32>,
    inner: Vec<f32>,
    operand: Operand,
    /// Caches for one layer, for passes that keep nothing.
    pub(super) caches: Vec<KvCache>,
}

/// One forward pass.
pub(super) struct Pass<'a, 'b, 'c> {
    model: &'a InferenceModel,
    rows: &'a mut [CachedRow<'c>],
    buffers: &'b mut Buffers,
    /// The tokens of each row among those of all.
    ranges: Vec<Range<usize>>,
    /// Those of each row whose outputs are wanted.
    outputs: Vec<Vec<usize>>,
    /// The rotary table of each row.
    rotary: Vec<Arc<RotaryTable>>,
    /// Number of tokens of all rows.
    tokens: usize,
}

/// Tokens from which the rows' caches are written by several threads.
const WORTH_THREADS: usize = 32;

impl<'a, 'b, 'c> Pass<'a, 'b, 'c> {
    pub(super) fn new(
        model: &'a InferenceModel,
        rows: &'a mut [CachedRow<'c>],
        buffers: &'b mut Buffers,
    ) -> Self {
        let mut tokens = 0;
        let mut ranges = Vec::with_capacity(rows.len());
        let shift = usize::from(model.config.shifted_logits);
        let outputs = rows
            .iter()
            .map(|row| row.wanted.iter().map(|wanted| wanted.saturating_sub(shift)).collect());
        let outputs = outputs.collect();
        let rotary = rows.iter().map(|row| {
            let end = row.start + row.tokens.len();
            model.rotary.table(if model.config.causal { end } else { end.max(row.visible) })
        });
        let rotary = rotary.collect();
        for row in rows.iter_mut() {
            row.cache.make_own(row.start);
            row.cache.written_to(row.start + row.tokens.len(), model.config.causal);
            ranges.push(tokens..tokens + row.tokens.len());
            tokens += row.tokens.len();
        }
        Self { model, rows, buffers, ranges, outputs, rotary, tokens }
    }

    /// Writes the wanted logits.
    pub(super) fn run(mut self, logits: &mut Vec<f32>) {
        let (model, hidden) = (self.model, self.model.config.hidden_size);
        self.embed();
        let (last, layers) = match model.layers.split_last() {
            Some((last, layers)) => (last, layers),
            None => return,
        };
        for (index, layer) in layers.iter().enumerate() {
            self.attend(index, layer, false);
            self.feed_forward(layer);
        }
        self.attend(layers.len(), last, true);
        self.keep_wanted();
        self.project_attended(last);
        self.feed_forward(last);
        let Buffers { x, h, operand, .. } = self.buffers;
        let h = resized(h, x.len());
        rms_norm_rows(h, x, &model.norm, model.config.rms_norm_eps);
        let vocab = model.head.outputs();
        // No logit is left as it was, so the buffer need not be cleared.
        logits.resize(x.len() / hidden * vocab, 0.0);
        model.head.forward(h, Epilogue::Store, logits, operand);
    }

    fn embed(&mut self) {
        let model = self.model;
        let hidden = model.config.hidden_size;
        let x = &mut self.buffers.x;
        x.resize(self.tokens * hidden, 0.0);
        let ids: Vec<u32> = self.rows.iter().flat_map(|row| row.tokens).copied().collect();
        x.par_chunks_exact_mut(hidden)
            .zip(ids)
            .with_min_len(16)
            .for_each(|(x, id)| model.embedding.row(id, &model.head, x));
    }

    /// Writes keys and values to the caches and adds the attention to the residual stream; in the
    /// last layer, only for tokens that are wanted and without the projection, which follows once
    /// the others are dropped.
    fn attend(&mut self, index: usize, layer: &Layer, last: bool) {
        let config = &self.model.config;
        let q_width = config.num_attention_heads * config.head_dim;
        let kv_width = config.num_key_value_heads * config.head_dim;
        let width = q_width + 2 * kv_width;
        let Buffers { x, h, qkv, attended, operand, .. } = &mut *self.buffers;
        let h = resized(h, x.len());
        rms_norm_rows(h, x, &layer.input_norm, config.rms_norm_eps);
        let qkv = resized(qkv, self.tokens * width);
        let epilogue = layer.bias.as_deref().map_or(Epilogue::Store, Epilogue::Bias);
        layer.qkv.forward(h, epilogue, qkv, operand);

        let mut parts = Vec::with_capacity(self.rows.len());
        let mut rest = &mut qkv[..];
        let rows = self.rows.iter_mut().zip(&self.ranges).zip(&self.rotary);
        for ((row, range), rotary) in rows {
            let (own, others) = rest.split_at_mut(range.len() * width);
            parts.push((row, own, &**rotary));
            rest = others;
        }
        let write = |(row, own, rotary): &mut (&mut CachedRow<'_>, &mut [f32], &RotaryTable)| {
            for (position, qkv) in (row.start..).zip(own.chunks_exact_mut(width)) {
                let (q, kv) = qkv.split_at_mut(q_width);
                let (k, v) = kv.split_at_mut(kv_width);
                if let Some([q_norm, k_norm]) = &layer.qk_norm {
                    normalise_heads(q, q_norm, config.rms_norm_eps);
                    normalise_heads(k, k_norm, config.rms_norm_eps);
                }
                rotate(k, rotary, position);
                row.cache.write(index, position, k, v);
            }
        };
        if self.tokens >= WORTH_THREADS {
            parts.par_iter_mut().for_each(write);
        } else {
            parts.iter_mut().for_each(write);
        }
        drop(parts);

        let reach = Reach { causal: config.causal, last };
        let places = self.ranges.iter().zip(&self.outputs).zip(&self.rotary);
        let sequences: Vec<CachedQueries<'_>> = (self.rows.iter().zip(places))
            .filter_map(|(row, ((range, outputs), rotary))| {
                reach.queries(row, range, outputs, rotary)
            })
            .collect();
        let attended = resized(attended, self.tokens * q_width);
        let slot = self.rows[0].cache.slot(index);
        let attention = CachedAttention {
            layer: slot,
            heads: config.num_attention_heads,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
            window: config.window(index),
            bias: None,
        };
        cached_attention(&sequences, attention, (qkv, width), attended);
        if !last {
            layer.o.forward(attended, Epilogue::Add, x, operand);
            add_bias(x, layer.o_bias.as_deref());
        }
    }

    /// Drops all tokens whose logits are not wanted from the residual stream and the attention.
    fn keep_wanted(&mut self) {
        let wanted: Vec<usize> = (self.outputs.iter().zip(&self.ranges))
            .flat_map(|(outputs, range)| outputs.iter().map(|output| range.start + output))
            .collect();
        let Buffers { x, h, qkv, attended, .. } = &mut *self.buffers;
        let hidden = self.model.config.hidden_size;
        let q_width = attended_width(self.model);
        // `h` and `qkv` are free now.
        gather(h, x, &wanted, hidden);
        gather(qkv, attended, &wanted, q_width);
        std::mem::swap(x, h);
        x.truncate(wanted.len() * hidden);
        std::mem::swap(qkv, attended);
        self.tokens = wanted.len();
    }

    fn project_attended(&mut self, layer: &Layer) {
        let Buffers { x, attended, operand, .. } = &mut *self.buffers;
        let attended = &attended[..self.tokens * attended_width(self.model)];
        layer.o.forward(attended, Epilogue::Add, x, operand);
        add_bias(x, layer.o_bias.as_deref());
    }

    fn feed_forward(&mut self, layer: &Layer) {
        let config = &self.model.config;
        let Buffers { x, h, qkv, inner, operand, .. } = &mut *self.buffers;
        let h = resized(h, x.len());
        rms_norm_rows(h, x, &layer.feed_forward_norm, config.rms_norm_eps);
        let width = config.intermediate_size;
        let inner = match &layer.gate_up_bias {
            None => {
                let inner = resized(inner, self.tokens * width);
                layer.gate_up.forward(h, Epilogue::Gated(Activation::Silu), inner, operand);
                inner
            }
            Some(bias) => {
                let gate_up = resized(qkv, self.tokens * 2 * width);
                layer.gate_up.forward(h, Epilogue::Bias(bias), gate_up, operand);
                let inner = resized(inner, self.tokens * width);
                swiglu(inner, gate_up, width);
                inner
            }
        };
        layer.down.forward(inner, Epilogue::Add, x, operand);
        add_bias(x, layer.down_bias.as_deref());
    }
}

/// What the tokens of a layer see.
struct Reach {
    causal: bool,
    /// Whether only the tokens from the first one on whose output is wanted have queries.
    last: bool,
}

impl Reach {
    /// What a row's tokens attend to.
    fn queries<'a>(
        &self,
        row: &'a CachedRow<'_>,
        range: &Range<usize>,
        outputs: &[usize],
        rotary: &'a RotaryTable,
    ) -> Option<CachedQueries<'a>> {
        let skipped = if self.last { outputs.iter().copied().min()? } else { 0 };
        let position = row.start + skipped;
        let visible = if self.causal { position + 1 } else { row.visible };
        let furthest = if self.causal { row.start + row.tokens.len() } else { row.visible };
        Some(CachedQueries {
            tokens: range.start + skipped..range.end,
            position,
            visible,
            causal: self.causal,
            rotary: Some(rotary),
            pieces: row.cache.pieces(furthest),
        })
    }
}

/// Adds a bias to every row.
fn add_bias(x: &mut [f32], bias: Option<&[f32]>) {
    let Some(bias) = bias else { return };
    for row in x.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
    }
}

/// `silu(gate) * up`, for layers whose biases keep it out of the product.
fn swiglu(output: &mut [f32], gate_up: &[f32], width: usize) {
    for (output, row) in output.chunks_exact_mut(width).zip(gate_up.chunks_exact(2 * width)) {
        let (gate, up) = row.split_at(width);
        for ((output, gate), up) in output.iter_mut().zip(gate).zip(up) {
            *output = gate / (1.0 + (-gate).exp()) * up;
        }
    }
}

fn attended_width(model: &InferenceModel) -> usize {
    model.config.num_attention_heads * model.config.head_dim
}

/// The first `len` values of a buffer that grows as needed and never shrinks.
pub(super) fn resized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// The rows of `from` at `indices`.
pub(super) fn gather(to: &mut Vec<f32>, from: &[f32], indices: &[usize], width: usize) {
    let to = resized(to, indices.len() * width);
    for (to, index) in to.chunks_exact_mut(width).zip(indices) {
        to.copy_from_slice(&from[index * width..(index + 1) * width]);
    }
}
