use crate::layer::Layer;
use crate::parameter::{Narrow, parameter_methods};
use crate::rotary::RotaryTables;
use crate::{Batch, DecoderConfig, Error, Linear, Parameter, ParameterVisitor, WeightValues};
use afterthought_kernels as kernels;
use afterthought_kernels::{AttentionSpec, HeadLayout};
use afterthought_random::Stream;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Gives the values of a tensor by its name and shape.
pub type WeightSource<'a> = dyn FnMut(&str, &[usize]) -> Result<WeightValues<'a>, Error> + 'a;

/// A transformer that turns token ids into logits: embedding, pre-norm blocks, final norm, head.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: DecoderConfig,
    embedding: Parameter<2>,
    layers: Vec<Layer>,
    norm: Parameter<1>,
    /// Absent when tied to the embedding.
    head: Option<Parameter<2>>,
    rotary: Arc<RotaryTables>,
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
        Self::build_with(config, Loader { weight, device, frozen: false })
    }

    /// [`Self::build`] for a model that is not trained, as a whole or but for adapters: every
    /// parameter is frozen, and matrices are stored as [`Self::narrow_frozen`] stores them, one at a
    /// time, so that no copy of the whole model in f32 is ever held.
    ///
    /// # Errors
    /// Those of [`Self::build`].
    pub fn build_frozen(
        config: DecoderConfig,
        device: &Device,
        weight: &mut WeightSource<'_>,
    ) -> Result<Self, Error> {
        Self::build_with(config, Loader { weight, device, frozen: true })
    }

    fn build_with(config: DecoderConfig, mut loader: Loader<'_, '_>) -> Result<Self, Error> {
        config.validate()?;
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
        let rotary = Arc::new(RotaryTables::new(&config));
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
                return Ok(vec![1.0; count].into());
            }
            if name.ends_with(".bias") {
                return Ok(vec![0.0; count].into());
            }
            let into_residual =
                name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
            let std = if into_residual { residual } else { std };
            let mut stream = Stream::new(seed, "initial weights", index, 0);
            let drawn: Vec<f32> = (0..count).map(|_| (stream.normal() * std) as f32).collect();
            Ok(drawn.into())
        })
    }

    /// The settings.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    parameter_methods!();

    /// Stores frozen matrices in bf16 where that changes no value: those of a checkpoint that came
    /// in bf16. Devices whose operations take only f32 keep it.
    pub fn narrow_frozen(&mut self) {
        self.visit(&mut Narrow);
    }

    /// Every linear layer, which an adapter may wrap, in a fixed order. The head is not among them.
    pub fn linears_mut(&mut self) -> Vec<&mut Linear> {
        self.layers.iter_mut().flat_map(Layer::linears_mut).collect()
    }

    /// Whether a linear layer has an adapter.
    pub fn has_adapters(&self) -> bool {
        self.clone().linears_mut().iter().any(|linear| linear.low_rank.is_some())
    }

    /// The same model with its adapters disabled. It shares the weights, so it costs nothing.
    pub fn without_adapters(&self) -> Self {
        let mut base = self.clone();
        for linear in base.linears_mut() {
            linear.low_rank = None;
        }
        base
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
    /// column`) of the batch; those that come out there, also where logits are shifted.
    ///
    /// # Errors
    /// [`Error::Batch`] or [`Error::TokenId`] if the batch does not fit the model.
    pub fn hidden_at(&self, batch: &Batch, positions: Arc<[u32]>) -> Result<Tensor<2>, Error> {
        self.check(batch, &positions)?;
        let config = &self.config;
        let layout = HeadLayout {
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
        };
        let spec = AttentionSpec {
            layout,
            causal: config.causal,
            window: None,
            scale: layout.scale(),
            rotary: Some(self.rotary.of_rows(batch.lengths(), batch.width())),
            lengths: batch.lengths().clone(),
        };
        let mut x = kernels::embedding(self.embedding.value.clone(), batch.ids().clone());
        for (index, layer) in self.layers.iter().enumerate() {
            let last = index + 1 == self.layers.len();
            let spec = AttentionSpec { window: config.window(index), ..spec.clone() };
            let at = last.then(|| positions.clone());
            x = layer.forward(x, spec, config, at, batch.dropout());
        }
        Ok(kernels::rms_norm(x, self.norm.value.clone(), config.rms_norm_eps))
    }

    /// Logits, `[positions.len(), vocab]`, of the predictions for flat positions of the batch
    /// (of a causal model: for what follows them).
    ///
    /// # Errors
    /// Those of [`Self::hidden_at`].
    pub fn logits_at(&self, batch: &Batch, positions: Arc<[u32]>) -> Result<Tensor<2>, Error> {
        let outputs = self.outputs_of(batch, positions);
        Ok(kernels::linear(self.hidden_at(batch, outputs)?, self.head()))
    }

    /// Where the predictions for positions come out.
    fn outputs_of(&self, batch: &Batch, positions: Arc<[u32]>) -> Arc<[u32]> {
        if !self.config.shifted_logits {
            return positions;
        }
        let width = batch.width();
        let before = |position: &u32| match (*position as usize).is_multiple_of(width) {
            true => *position,
            false => position - 1,
        };
        positions.iter().map(before).collect()
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
        let hidden = self.hidden_at(batch, self.outputs_of(batch, positions))?;
        let excluded = mask.into_iter().collect();
        Ok(kernels::token_log_prob(hidden, self.head(), targets, excluded))
    }

    /// The output head, `[vocab, hidden]`.
    fn head(&self) -> Tensor<2> {
        self.head.as_ref().unwrap_or(&self.embedding).value.clone()
    }

    fn check(&self, batch: &Batch, positions: &[u32]) -> Result<(), Error> {
        let (width, vocab_size) = (batch.width(), self.config.vocab_size);
        let positions_of_model = self.config.max_positions();
        if width > positions_of_model {
            return Err(Error::Batch(format!(
                "sequences of {width} tokens exceed the model's {positions_of_model} positions"
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
struct Loader<'a, 'b> {
    weight: &'a mut WeightSource<'b>,
    device: &'a Device,
    frozen: bool,
}

impl Loader<'_, '_> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Parameter<2>, Error> {
        let values = (self.weight)(name, &[rows, cols])?.into_f32();
        let value = Tensor::from_data(TensorData::new(values, [rows, cols]), self.device);
        let value = if self.frozen { kernels::narrowed(value) } else { value };
        Ok(self.parameter(name, value))
    }

    fn vector(&mut self, name: &str, width: usize) -> Result<Parameter<1>, Error> {
        let values = (self.weight)(name, &[width])?.into_f32();
        let value = Tensor::from_data(TensorData::new(values, [width]), self.device);
        Ok(self.parameter(name, value))
    }

    fn parameter<const D: usize>(&self, name: &str, value: Tensor<D>) -> Parameter<D> {
        Parameter { trainable: !self.frozen, ..Parameter::new(name, value) }
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
            low_rank: None,
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
            o: self.linear(&format!("{attention}.o_proj"), q_width, hidden, config.output_bias)?,
            qk_norm: match config.qk_norm {
                true => Some([
                    self.vector(&format!("{attention}.q_norm.weight"), config.head_dim)?,
                    self.vector(&format!("{attention}.k_norm.weight"), config.head_dim)?,
                ]),
                false => None,
            },
            feed_forward_norm: self
                .vector(&format!("{prefix}.post_attention_layernorm.weight"), hidden)?,
            gate: self.linear(
                &format!("{prefix}.mlp.gate_proj"),
                hidden,
                inner,
                config.mlp_bias,
            )?,
            up: self.linear(&format!("{prefix}.mlp.up_proj"), hidden, inner, config.mlp_bias)?,
            down: self.linear(
                &format!("{prefix}.mlp.down_proj"),
                inner,
                hidden,
                config.mlp_bias,
            )?,
        })
    }
}
