use crate::layer::Layer;
use crate::parameter::{Count, SetTrainable, Track};
use crate::{Batch, DecoderConfig, Error, Linear, Parameter, ParameterVisitor};
use afterthought_kernels as kernels;
use afterthought_kernels::{AttentionSpec, HeadLayout, RotaryTable};
use afterthought_random::Stream;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Gives the values of a tensor by its name and shape.
pub type WeightSource<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, Error> + 'a;

/// A transformer that turns token ids into logits: embedding, pre-norm blocks, final norm, head.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: DecoderConfig,
    embedding: Parameter<2>,
    layers: Vec<Layer>,
    norm: Parameter<1>,
    /// Absent when tied to the embedding.
    head: Option<Parameter<2>>,
    rotary: Arc<RotaryTable>,
}

impl Decoder {
    /// Builds a decoder, asking `weight` for each tensor by name and shape (`[out, in]`, or
    /// `[width]` for norms and biases). Names are those of Hugging Face's Llama and Qwen classes.
    ///
    /// # Errors
    /// Those of [`DecoderConfig::validate`] and of `weight`.
    pub fn build(
        config: DecoderConfig,
        device: &Device,
        weight: &mut WeightSource<'_>,
    ) -> Result<Self, Error> {
        config.validate()?;
        let mut loader = Loader { weight, device };
        let hidden = config.hidden_size;
        let embedding = loader.matrix("model.embed_tokens.weight", config.vocab_size, hidden)?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| loader.layer(&format!("model.layers.{index}"), &config))
            .collect::<Result<_, _>>()?;
        let norm = loader.vector("model.norm.weight", hidden)?;
        let head = if config.tie_word_embeddings {
            None
        } else {
            Some(loader.matrix("lm_head.weight", config.vocab_size, hidden)?)
        };
        let rotary = Arc::new(RotaryTable::standard(
            config.rope_theta,
            config.head_dim,
            config.max_position_embeddings,
        ));
        Ok(Self { config, embedding, layers, norm, head, rotary })
    }

    /// A decoder with freshly drawn weights: normal with standard deviation
    /// `initializer_range`, divided by `sqrt(2 layers)` for projections into the residual stream
    /// (Radford et al. 2019); norms are one and biases zero.
    ///
    /// # Errors
    /// Those of [`DecoderConfig::validate`].
    pub fn random(config: DecoderConfig, seed: u64, device: &Device) -> Result<Self, Error> {
        let std = config.initializer_range;
        let residual = std / (2.0 * config.num_hidden_layers as f64).sqrt();
        let mut index = 0;
        Self::build(config, device, &mut |name, shape| {
            index += 1;
            let count = shape.iter().product();
            if name.ends_with("norm.weight") {
                return Ok(vec![1.0; count]);
            }
            if name.ends_with(".bias") {
                return Ok(vec![0.0; count]);
            }
            let into_residual =
                name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let std = if into_residual { residual } else { std };
            let mut stream = Stream::new(seed, "initial weights", index, 0);
            Ok((0..count).map(|_| (stream.normal() * std) as f32).collect())
        })
    }

    /// The settings.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The device that holds the weights, without autodiff.
    pub fn device(&self) -> Device {
        self.embedding.value.device().inner()
    }

    /// A copy whose trainable parameters are leaves of the autodiff graph: run the forward pass on
    /// it, take gradients from it, drop it before updating the original.
    pub fn tracked(&self) -> Self {
        let mut copy = self.clone();
        copy.visit(&mut Track);
        copy
    }

    /// Lets training change exactly the parameters whose name satisfies `trainable`.
    pub fn set_trainable(&mut self, trainable: &dyn Fn(&str) -> bool) {
        self.visit(&mut SetTrainable(trainable));
    }

    /// Number of weights and how many of them are trainable.
    pub fn parameter_counts(&self) -> (usize, usize) {
        let mut count = Count::default();
        self.clone().visit(&mut count);
        (count.total, count.trainable)
    }

    /// Visits every parameter, in a fixed order.
    pub fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.embedding);
        for layer in &mut self.layers {
            layer.visit(visitor);
        }
        visitor.visit(&mut self.norm);
        if let Some(head) = &mut self.head {
            visitor.visit(head);
        }
    }

    /// Final hidden states, `[positions.len(), hidden]`, at flat positions (`row * width +
    /// column`) of the batch.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::TokenId`] if the batch does not fit the model.
    pub fn hidden_at(&self, batch: &Batch, positions: Arc<[u32]>) -> Result<Tensor<2>, Error> {
        self.check(batch, &positions)?;
        let config = &self.config;
        let spec = AttentionSpec {
            layout: HeadLayout {
                heads: config.num_attention_heads,
                kv_heads: config.num_key_value_heads,
                head_dim: config.head_dim,
            },
            causal: config.causal,
            rotary: Some(self.rotary.clone()),
            lengths: batch.lengths().clone(),
        };
        let mut x = kernels::embedding(self.embedding.value.clone(), batch.ids().clone());
        for (index, layer) in self.layers.iter().enumerate() {
            let last = index + 1 == self.layers.len();
            x = layer.forward(x, spec.clone(), config, last.then(|| positions.clone()));
        }
        Ok(kernels::rms_norm(x, self.norm.value.clone(), config.rms_norm_eps))
    }

    /// Logits, `[positions.len(), vocab]`, at flat positions of the batch.
    ///
    /// # Errors
    /// Those of [`Self::hidden_at`].
    pub fn logits_at(&self, batch: &Batch, positions: Arc<[u32]>) -> Result<Tensor<2>, Error> {
        Ok(kernels::linear(self.hidden_at(batch, positions)?, self.head()))
    }

    /// Log-probabilities, `[positions.len()]`, of one target token at each flat position. The mask
    /// token, if the model has one, is never a prediction: its probability is zero (Sahoo et al.
    /// 2024, section 3.2.3), as in decoding.
    ///
    /// # Errors
    /// Those of [`Self::hidden_at`], and [`Error::Batch`] if targets and positions differ in
    /// number or a target is not a token that can be predicted.
    pub fn log_probs_at(
        &self,
        batch: &Batch,
        positions: Arc<[u32]>,
        targets: Arc<[u32]>,
    ) -> Result<Tensor<1>, Error> {
        if targets.len() != positions.len() {
            let problem = format!("{} targets for {} positions", targets.len(), positions.len());
            return Err(Error::Batch(problem));
        }
        let (vocab_size, mask) = (self.config.vocab_size, self.config.mask_token_id);
        if let Some(target) =
            targets.iter().find(|t| **t as usize >= vocab_size || Some(**t) == mask)
        {
            let problem = format!("target {target} is the mask token or not in the vocabulary");
            return Err(Error::Batch(problem));
        }
        let hidden = self.hidden_at(batch, positions)?;
        let excluded = mask.into_iter().collect();
        Ok(kernels::token_log_prob(hidden, self.head(), targets, excluded))
    }

    /// The output head, `[vocab, hidden]`.
    fn head(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.embedding).value.clone()
    }

    fn check(&self, batch: &Batch, positions: &[u32]) -> Result<(), Error> {
        let (width, vocab_size) = (batch.width(), self.config.vocab_size);
        if width > self.config.max_position_embeddings {
            return Err(Error::Batch(format!(
                "sequences of {width} tokens exceed the model's {} positions",
                self.config.max_position_embeddings
            )));
        }
        if positions.is_empty() || positions.iter().any(|p| *p as usize >= batch.ids().len()) {
            return Err(Error::Batch("no position asked for, or one outside the batch".into()));
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

/// Turns named weights into parameters.
struct Loader<'a> {
    weight: &'a mut WeightSource<'a>,
    device: &'a Device,
}

impl Loader<'_> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Parameter<2>, Error> {
        let values = (self.weight)(name, &[rows, cols])?;
        let data = TensorData::new(values, [rows, cols]);
        Ok(Parameter::new(name, Tensor::from_data(data, self.device)))
    }

    fn vector(&mut self, name: &str, width: usize) -> Result<Parameter<1>, Error> {
        let values = (self.weight)(name, &[width])?;
        Ok(Parameter::new(name, Tensor::from_data(TensorData::new(values, [width]), self.device)))
    }

    fn linear(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> Result<Linear, Error> {
        Ok(Linear {
            weight: self.matrix(&format!("{name}.weight"), outputs, inputs)?,
            bias: match bias {
                true => Some(self.vector(&format!("{name}.bias"), outputs)?),
                false => None,
            },
        })
    }

    fn layer(&mut self, prefix: &str, config: &DecoderConfig) -> Result<Layer, Error> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let q_width = config.num_attention_heads * config.head_dim;
        let kv_width = config.num_key_value_heads * config.head_dim;
        let attention = format!("{prefix}.self_attn");
        let bias = config.attention_bias;
        Ok(Layer {
            input_norm: self.vector(&format!("{prefix}.input_layernorm.weight"), hidden)?,
            q: self.linear(&format!("{attention}.q_proj"), hidden, q_width, bias)?,
            k: self.linear(&format!("{attention}.k_proj"), hidden, kv_width, bias)?,
            v: self.linear(&format!("{attention}.v_proj"), hidden, kv_width, bias)?,
            o: self.linear(&format!("{attention}.o_proj"), q_width, hidden, false)?,
            qk_norm: match config.qk_norm {
                true => Some([
                    self.vector(&format!("{attention}.q_norm.weight"), config.head_dim)?,
                    self.vector(&format!("{attention}.k_norm.weight"), config.head_dim)?,
                ]),
                false => None,
            },
            feed_forward_norm: self
                .vector(&format!("{prefix}.post_attention_layernorm.weight"), hidden)?,
            gate: self.linear(&format!("{prefix}.mlp.gate_proj"), hidden, inner, false)?,
            up: self.linear(&format!("{prefix}.mlp.up_proj"), hidden, inner, false)?,
            down: self.linear(&format!("{prefix}.mlp.down_proj"), inner, hidden, false)?,
        })
    }
}
