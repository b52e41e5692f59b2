use super::activations::Activations;
use super::cache::DecoderRow;
use super::layer::{Cross, Layer};
use super::model::Seq2SeqModel;
use crate::inference::pass::{gather, resized};
use afterthought_kernels::inference::{
    CachedAttention, CachedQueries, Epilogue, KvBlocks, RelativeBias, rms_norm_rows,
};
use std::ops::Range;

/// One pass of the decoder.
pub(super) struct Decode<'a, 'b, 'c> {
    model: &'a Seq2SeqModel,
    rows: &'a mut [DecoderRow<'c>],
    buffers: &'b mut Activations,
    /// The tokens of each row among those of all.
    ranges: Vec<Range<usize>>,
    /// Position of each row's first token.
    starts: Vec<usize>,
}

impl<'a, 'b, 'c> Decode<'a, 'b, 'c> {
    pub(super) fn new(
        model: &'a Seq2SeqModel,
        rows: &'a mut [DecoderRow<'c>],
        buffers: &'b mut Activations,
    ) -> Self {
        let (mut ranges, mut starts) = (Vec::new(), Vec::new());
        let mut tokens = 0;
        for row in rows.iter_mut() {
            let start = row.cache.own.len();
            row.cache.own.make_own(start);
            row.cache.own.written_to(start + row.tokens.len(), true);
            ranges.push(tokens..tokens + row.tokens.len());
            starts.push(start);
            tokens += row.tokens.len();
        }
        Self { model, rows, buffers, ranges, starts }
    }

    /// Writes the wanted logits.
    pub(super) fn run(mut self, logits: &mut Vec<f32>) {
        let (model, config) = (self.model, &self.model.config);
        let ids: Vec<u32> = self.rows.iter().flat_map(|row| row.tokens).copied().collect();
        self.buffers.embed(model, &ids);
        let bias = self.bias();
        // Nothing of another sequence: what follows the source's blocks in each row's list of pieces,
        // so that rows with the same source are seen to share them.
        let nothing = KvBlocks::new(model.geometry(config.num_decoder_layers), 0);
        for (index, layer) in model.decoder.layers.iter().enumerate() {
            self.attend(index, layer, &bias);
            if let Some(cross) = &layer.cross {
                self.attend_to_source(index, cross, &nothing);
            }
            self.buffers.feed_forward(&layer.feed_forward, config);
        }
        self.buffers.bias = Some(bias);
        let wanted: Vec<usize> = (self.rows.iter().zip(&self.ranges))
            .flat_map(|(row, range)| row.wanted.iter().map(|wanted| range.start + wanted))
            .collect();
        let Activations { x, h, qkv, operand, .. } = self.buffers;
        let len = wanted.len() * config.d_model;
        // `qkv` is free now.
        gather(qkv, x, &wanted, config.d_model);
        let h = resized(h, len);
        rms_norm_rows(h, &qkv[..len], &model.decoder.norm, config.layer_norm_epsilon);
        // No logit is left as it was, so the buffer need not be cleared.
        logits.resize(wanted.len() * model.head.outputs(), 0.0);
        model.head.forward(h, Epilogue::Store, logits, operand);
    }

    /// Biases for the furthest position of the pass, those of an earlier pass if they suffice.
    fn bias(&mut self) -> RelativeBias {
        let lengths = self.rows.iter().map(|row| row.cache.own.len());
        let furthest = lengths.max().unwrap_or(1) - 1;
        match self.buffers.bias.take().filter(|bias| bias.covers(furthest, 0)) {
            Some(bias) => bias,
            None => self.model.decoder.relative_bias(furthest.next_power_of_two().max(128), 0),
        }
    }

    /// Writes keys and values to the caches and adds the self-attention.
    fn attend(&mut self, index: usize, layer: &Layer, bias: &RelativeBias) {
        let (config, inner) = (&self.model.config, self.model.config.inner_width());
        self.buffers.project(&layer.norm, &layer.qkv, config.layer_norm_epsilon);
        for ((row, range), start) in self.rows.iter_mut().zip(&self.ranges).zip(&self.starts) {
            let qkv = &self.buffers.qkv[range.start * 3 * inner..range.end * 3 * inner];
            for (position, qkv) in (*start..).zip(qkv.chunks_exact(3 * inner)) {
                let (keys, values) = qkv[inner..].split_at(inner);
                row.cache.own.write(index, position, keys, values);
            }
        }
        let sequences: Vec<CachedQueries<'_>> = (self.rows.iter().zip(&self.ranges))
            .zip(&self.starts)
            .map(|((row, range), start)| CachedQueries {
                tokens: range.clone(),
                position: *start,
                visible: start + 1,
                causal: true,
                rotary: None,
                pieces: row.cache.own.pieces(row.cache.own.len()),
            })
            .collect();
        let attention = CachedAttention {
            layer: index,
            heads: config.num_heads,
            scale: 1.0,
            window: None,
            bias: Some(bias),
        };
        self.buffers.attend(&sequences, attention, 3 * inner, &layer.o);
    }

    /// Adds the cross-attention.
    fn attend_to_source(&mut self, index: usize, cross: &Cross, nothing: &KvBlocks) {
        let config = &self.model.config;
        self.buffers.project(&cross.norm, &cross.q, config.layer_norm_epsilon);
        let sequences: Vec<CachedQueries<'_>> = (self.rows.iter().zip(&self.ranges))
            .map(|(row, range)| {
                let source = &row.cache.source;
                let blocks = source.len.div_ceil(KvBlocks::POSITIONS);
                CachedQueries {
                    tokens: range.clone(),
                    position: 0,
                    visible: source.len,
                    causal: false,
                    rotary: None,
                    pieces: vec![(&*source.blocks, blocks), (nothing, 0)],
                }
            })
            .collect();
        let attention = CachedAttention {
            layer: index,
            heads: config.num_heads,
            scale: 1.0,
            window: None,
            bias: None,
        };
        self.buffers.attend(&sequences, attention, config.inner_width(), &cross.o);
    }
}
