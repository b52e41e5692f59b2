use super::model::{InferenceModel, Layer};
use super::{CachedRow, KvCache};
use afterthought_kernels::inference::{
    CachedQueries, Epilogue, Operand, cached_attention, normalise_heads, rms_norm_rows, rotate,
};
use rayon::prelude::*;
use std::ops::Range;

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
        for row in rows.iter_mut() {
            row.cache.make_own(row.start);
            row.cache.written_to(row.start + row.tokens.len(), model.config.causal);
            ranges.push(tokens..tokens + row.tokens.len());
            tokens += row.tokens.len();
        }
        Self { model, rows, buffers, ranges, tokens }
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
        for (row, range) in self.rows.iter_mut().zip(&self.ranges) {
            let (own, others) = rest.split_at_mut(range.len() * width);
            parts.push((row, own));
            rest = others;
        }
        let write = |(row, own): &mut (&mut CachedRow<'_>, &mut [f32])| {
            for (position, qkv) in (row.start..).zip(own.chunks_exact_mut(width)) {
                let (q, kv) = qkv.split_at_mut(q_width);
                let (k, v) = kv.split_at_mut(kv_width);
                if let Some([q_norm, k_norm]) = &layer.qk_norm {
                    normalise_heads(q, q_norm, config.rms_norm_eps);
                    normalise_heads(k, k_norm, config.rms_norm_eps);
                }
                rotate(k, &self.model.rotary, position);
                row.cache.write(index, position, k, v);
            }
        };
        if self.tokens >= WORTH_THREADS {
            parts.par_iter_mut().for_each(write);
        } else {
            parts.iter_mut().for_each(write);
        }
        drop(parts);

        let sequences: Vec<CachedQueries<'_>> = (self.rows.iter().zip(&self.ranges))
            .filter_map(|(row, range)| queries(row, range, config.causal, last))
            .collect();
        let attended = resized(attended, self.tokens * q_width);
        let slot = self.rows[0].cache.slot(index);
        let (heads, rotary) = (config.num_attention_heads, &self.model.rotary);
        cached_attention(&sequences, slot, heads, rotary, (qkv, width), attended);
        if !last {
            layer.o.forward(attended, Epilogue::Add, x, operand);
        }
    }

    /// Drops all tokens whose logits are not wanted from the residual stream and the attention.
    fn keep_wanted(&mut self) {
        let wanted: Vec<usize> = (self.rows.iter().zip(&self.ranges))
            .flat_map(|(row, range)| row.wanted.iter().map(|wanted| range.start + wanted))
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
    }

    fn feed_forward(&mut self, layer: &Layer) {
        let config = &self.model.config;
        let Buffers { x, h, inner, operand, .. } = &mut *self.buffers;
        let h = resized(h, x.len());
        rms_norm_rows(h, x, &layer.feed_forward_norm, config.rms_norm_eps);
        let inner = resized(inner, self.tokens * config.intermediate_size);
        layer.gate_up.forward(h, Epilogue::SwiGlu, inner, operand);
        layer.down.forward(inner, Epilogue::Add, x, operand);
    }
}

fn attended_width(model: &InferenceModel) -> usize {
    model.config.num_attention_heads * model.config.head_dim
}

/// What a row's tokens attend to; with `last`, from the first wanted token on.
fn queries<'a>(
    row: &'a CachedRow<'_>,
    range: &Range<usize>,
    causal: bool,
    last: bool,
) -> Option<CachedQueries<'a>> {
    let skipped = if last { row.wanted.iter().copied().min()? } else { 0 };
    let position = row.start + skipped;
    let visible = if causal { position + 1 } else { row.visible };
    let furthest = if causal { row.start + row.tokens.len() } else { row.visible };
    Some(CachedQueries {
        tokens: range.start + skipped..range.end,
        position,
        visible,
        causal,
        pieces: row.cache.pieces(furthest),
    })
}

/// The first `len` values of a buffer that grows as needed and never shrinks.
fn resized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// The rows of `from` at `indices`.
fn gather(to: &mut Vec<f32>, from: &[f32], indices: &[usize], width: usize) {
    let to = resized(to, indices.len() * width);
    for (to, index) in to.chunks_exact_mut(width).zip(indices) {
        to.copy_from_slice(&from[index * width..(index + 1) * width]);
    }
}
