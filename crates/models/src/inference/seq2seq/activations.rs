use super::layer::FeedForward;
use super::model::Seq2SeqModel;
use crate::encoder_decoder::EncoderDecoderConfig;
use crate::inference::pass::resized;
use afterthought_kernels::inference::{
    CachedAttention, CachedQueries, Epilogue, Operand, PackedLinear, RelativeBias,
    cached_attention, rms_norm_rows,
};
use rayon::prelude::*;

/// The buffers of a pass, kept from pass to pass, and the steps that encoder and decoder share.
#[derive(Debug, Default)]
pub(super) struct Activations {
    /// The residual stream, `[tokens, d_model]`.
    pub(super) x: Vec<f32>,
    /// Its norm.
    pub(super) h: Vec<f32>,
    /// Queries, keys and values of a layer.
    pub(super) qkv: Vec<f32>,
    attended: Vec<f32>,
    inner: Vec<f32>,
    pub(super) operand: Operand,
    /// Biases of the decoder, for as many positions as a pass has needed.
    pub(super) bias: Option<RelativeBias>,
}

impl Activations {
    /// Fills the residual stream with the vectors of the tokens.
    pub(super) fn embed(&mut self, model: &Seq2SeqModel, ids: &[u32]) {
        let width = model.config.d_model;
        self.x.resize(ids.len() * width, 0.0);
        self.x
            .par_chunks_exact_mut(width)
            .zip(ids)
            .with_min_len(16)
            .for_each(|(x, id)| model.embedding.row(*id, &model.head, x));
    }

    /// A product of the normalised residual stream, into `qkv`.
    pub(super) fn project(&mut self, norm: &[f32], weight: &PackedLinear, eps: f32) {
        let h = resized(&mut self.h, self.x.len());
        rms_norm_rows(h, &self.x, norm, eps);
        let tokens = self.x.len() / norm.len();
        let qkv = resized(&mut self.qkv, tokens * weight.outputs());
        weight.forward(h, Epilogue::Store, qkv, &mut self.operand);
    }

    /// Adds attention by the queries at the beginning of rows of `stride` values in `qkv`.
    pub(super) fn attend(
        &mut self,
        sequences: &[CachedQueries<'_>],
        attention: CachedAttention<'_>,
        stride: usize,
        o: &PackedLinear,
    ) {
        let tokens = self.x.len() / o.outputs();
        let attended = resized(&mut self.attended, tokens * o.inputs());
        cached_attention(sequences, attention, (&self.qkv, stride), attended);
        o.forward(attended, Epilogue::Add, &mut self.x, &mut self.operand);
    }

    /// Adds the feed-forward layer.
    pub(super) fn feed_forward(&mut self, layer: &FeedForward, config: &EncoderDecoderConfig) {
        let h = resized(&mut self.h, self.x.len());
        rms_norm_rows(h, &self.x, &layer.norm, config.layer_norm_epsilon);
        let tokens = self.x.len() / config.d_model;
        let inner = resized(&mut self.inner, tokens * config.d_ff);
        let epilogue = match config.is_gated_act {
            true => Epilogue::Gated(config.activation),
            false => Epilogue::Activation(config.activation),
        };
        layer.wi.forward(h, epilogue, inner, &mut self.operand);
        layer.wo.forward(inner, Epilogue::Add, &mut self.x, &mut self.operand);
    }
}
