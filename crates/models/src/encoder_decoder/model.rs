use super::stack::Stack;
use super::{Encoded, EncoderDecoderConfig};
use crate::parameter::parameter_methods;
use crate::{Batch, Error, Parameter, ParameterVisitor};
use afterthought_kernels as kernels;
use burn::tensor::Tensor;
use std::sync::Arc;

/// A transformer that reads a source with its encoder and predicts a target with its decoder.
///
/// There is no dropout.
#[derive(Clone, Debug)]
pub struct EncoderDecoder {
    pub(super) config: EncoderDecoderConfig,
    /// Of encoder and decoder.
    pub(super) embedding: Parameter<2>,
    pub(super) encoder: Stack,
    pub(super) decoder: Stack,
    /// Absent when tied to the embedding.
    pub(super) head: Option<Parameter<2>>,
}

impl EncoderDecoder {
    /// The settings.
    pub fn config(&self) -> &EncoderDecoderConfig {
        &self.config
    }

    parameter_methods!();

    /// Visits every parameter, in a fixed order.
    pub fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.embedding);
        self.encoder.visit(visitor);
        self.decoder.visit(visitor);
        if let Some(head) = &mut self.head {
            visitor.visit(head);
        }
    }

    /// Runs the encoder.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::TokenId`] if the batch does not fit the model or a source is
    /// empty.
    pub fn encode(&self, sources: &Batch) -> Result<Encoded, Error> {
        self.check(sources)?;
        if let Some(row) = sources.lengths().iter().position(|length| *length == 0) {
            return Err(Error::Batch(format!("source {row} is empty")));
        }
        let x = self.embed(sources);
        let hidden = self.encoder.forward(x, sources, &self.config, None, None);
        Ok(Encoded::new(hidden, sources.lengths().clone()))
    }

    /// The decoder's inputs for `targets`: the start token, then each target without its last token
    /// (shift to the right), so that the output at a position predicts the target's token there.
    ///
    /// # Errors
    /// [`Error::Batch`] if there is no target or all are empty.
    pub fn decoder_inputs(&self, targets: &[Vec<u32>]) -> Result<Batch, Error> {
        let start = self.config.decoder_start_token_id;
        let shifted: Vec<Vec<u32>> = targets
            .iter()
            .map(|target| std::iter::once(start).chain(target.iter().copied()).take(target.len()))
            .map(Iterator::collect)
            .collect();
        Batch::from_rows(&shifted, self.config.pad_token_id.unwrap_or(start))
    }

    /// Final hidden states of the decoder, `[positions.len(), d_model]`, at flat positions (`row *
    /// width + column`) of `inputs`, a row for each source; scaled as the head takes them.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::TokenId`] if the inputs do not fit the model or the sources.
    pub fn hidden_at(
        &self,
        encoded: &Encoded,
        inputs: &Batch,
        positions: Arc<[u32]>,
    ) -> Result<Tensor<2>, Error> {
        self.check(inputs)?;
        if inputs.rows() != encoded.rows() {
            let problem = format!("{} targets for {} sources", inputs.rows(), encoded.rows());
            return Err(Error::Batch(problem));
        }
        if positions.is_empty() || positions.iter().any(|p| *p as usize >= inputs.ids().len()) {
            return Err(Error::Batch("no position asked for, or one outside the batch".into()));
        }
        let x = self.embed(inputs);
        let hidden = self.decoder.forward(x, inputs, &self.config, Some(encoded), Some(positions));
        match self.config.scale_decoder_outputs {
            true => Ok(hidden * self.config.output_scale()),
            false => Ok(hidden),
        }
    }

    /// Logits, `[positions.len(), vocab]`, at flat positions of the decoder's inputs.
    ///
    /// # Errors
    /// Those of [`Self::hidden_at`].
    pub fn logits_at(
        &self,
        encoded: &Encoded,
        inputs: &Batch,
        positions: Arc<[u32]>,
    ) -> Result<Tensor<2>, Error> {
        Ok(kernels::linear(self.hidden_at(encoded, inputs, positions)?, self.head()))
    }

    /// Log-probabilities, `[positions.len()]`, of one target token at each flat position of the
    /// decoder's inputs.
    ///
    /// # Errors
    /// Those of [`Self::hidden_at`], and [`Error::Batch`] if targets and positions differ in number
    /// or a target is not in the vocabulary.
    pub fn log_probs_at(
        &self,
        encoded: &Encoded,
        inputs: &Batch,
        positions: Arc<[u32]>,
        targets: Arc<[u32]>,
    ) -> Result<Tensor<1>, Error> {
        if targets.len() != positions.len() {
            let problem = format!("{} targets for {} positions", targets.len(), positions.len());
            return Err(Error::Batch(problem));
        }
        let vocab_size = self.config.vocab_size;
        if let Some(target) = targets.iter().find(|target| **target as usize >= vocab_size) {
            return Err(Error::Batch(format!("target {target} is not in the vocabulary")));
        }
        let hidden = self.hidden_at(encoded, inputs, positions)?;
        Ok(kernels::token_log_prob(hidden, self.head(), targets, Arc::new([])))
    }

    fn embed(&self, batch: &Batch) -> Tensor<2> {
        kernels::embedding(self.embedding.value.clone(), batch.ids().clone())
    }

    /// The output head, `[vocab, d_model]`.
    fn head(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.embedding).value.clone()
    }

    fn check(&self, batch: &Batch) -> Result<(), Error> {
        let (width, vocab_size) = (batch.width(), self.config.vocab_size);
        let most = EncoderDecoderConfig::MAX_POSITIONS;
        if width > most {
            return Err(Error::Batch(format!("sequences of {width} tokens exceed {most}")));
        }
        match batch.ids().iter().position(|id| *id as usize >= vocab_size) {
            Some(at) => Err(Error::TokenId {
                row: at / width,
                position: at % width,
                id: batch.ids()[at],
                vocab_size,
            }),
            None => Ok(()),
        }
    }
}
