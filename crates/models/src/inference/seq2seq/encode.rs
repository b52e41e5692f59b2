use super::activations::Activations;
use super::cache::EncodedSource;
use super::model::Seq2SeqModel;
use crate::inference::pass::resized;
use afterthought_kernels::inference::{
    CachedAttention, CachedQueries, Epilogue, KvBlocks, rms_norm_rows,
};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Runs the encoder and computes the keys and values of every decoder block's cross-attention.
pub(super) fn run(
    model: &Seq2SeqModel,
    sources: &[&[u32]],
    buffers: &mut Activations,
) -> Vec<EncodedSource> {
    let mut tokens = 0;
    let ranges: Vec<Range<usize>> = sources
        .iter()
        .map(|source| {
            tokens += source.len();
            tokens - source.len()..tokens
        })
        .collect();
    buffers.embed(model, &sources.concat());
    encode(model, &ranges, buffers);
    let (config, x) = (&model.config, &buffers.x);
    let encoded = resized(&mut buffers.h, x.len());
    rms_norm_rows(encoded, x, &model.encoder.norm, config.layer_norm_epsilon);

    let geometry = model.geometry(config.num_decoder_layers);
    let mut caches = new_blocks(&ranges, geometry);
    let inner = config.inner_width();
    for (index, layer) in model.decoder.layers.iter().enumerate() {
        // Every decoder block has cross-attention.
        let Some(cross) = &layer.cross else { continue };
        let kv = resized(&mut buffers.qkv, tokens * 2 * inner);
        cross.kv.forward(encoded, Epilogue::Store, kv, &mut buffers.operand);
        write(&mut caches, &ranges, index, kv, 2 * inner, 0);
    }
    let lengths = ranges.iter().map(ExactSizeIterator::len);
    let sources = caches.into_iter().zip(lengths);
    sources.map(|(blocks, len)| EncodedSource { blocks: Arc::new(blocks), len }).collect()
}

/// The blocks of the encoder, on the residual stream.
fn encode(model: &Seq2SeqModel, ranges: &[Range<usize>], buffers: &mut Activations) {
    let (config, inner) = (&model.config, model.config.inner_width());
    let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(1) - 1;
    let bias = model.encoder.relative_bias(longest, longest);
    // One layer's keys and values serve each layer in turn.
    let mut caches = new_blocks(ranges, model.geometry(1));
    for layer in &model.encoder.layers {
        buffers.project(&layer.norm, &layer.qkv, config.layer_norm_epsilon);
        write(&mut caches, ranges, 0, &buffers.qkv, 3 * inner, inner);
        let sequences: Vec<CachedQueries<'_>> = ranges
            .iter()
            .zip(&caches)
            .map(|(range, blocks)| CachedQueries {
                tokens: range.clone(),
                position: 0,
                visible: range.len(),
                causal: false,
                rotary: None,
                pieces: vec![(blocks, range.len().div_ceil(KvBlocks::POSITIONS))],
            })
            .collect();
        let attention = CachedAttention {
            layer: 0,
            heads: config.num_heads,
            scale: 1.0,
            window: None,
            bias: Some(&bias),
        };
        buffers.attend(&sequences, attention, 3 * inner, &layer.o);
        buffers.feed_forward(&layer.feed_forward, config);
    }
}

fn new_blocks(
    ranges: &[Range<usize>],
    geometry: afterthought_kernels::inference::KvGeometry,
) -> Vec<KvBlocks> {
    let blocks = |range: &Range<usize>| range.len().div_ceil(KvBlocks::POSITIONS);
    ranges.iter().map(|range| KvBlocks::new(geometry, blocks(range))).collect()
}

/// Writes a layer's keys and values, which stand from `first` on in rows of `stride` values.
fn write(
    caches: &mut [KvBlocks],
    ranges: &[Range<usize>],
    layer: usize,
    rows: &[f32],
    stride: usize,
    first: usize,
) {
    let width = (stride - first) / 2;
    caches.par_iter_mut().zip(ranges).for_each(|(blocks, range)| {
        let rows = &rows[range.start * stride..range.end * stride];
        for (position, row) in rows.chunks_exact(stride).enumerate() {
            let (keys, values) = row[first..].split_at(width);
            blocks.write(layer, position, keys, values);
        }
    });
}
