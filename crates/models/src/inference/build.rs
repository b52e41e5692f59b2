use super::embedding::Embedding;
use super::model::{InferenceModel, Layer};
use crate::{Decoder, DecoderConfig, Error, Parameter, ParameterVisitor, WeightSource};
use afterthought_kernels::inference::PackedLinear;
use afterthought_kernels::{Precision, RotaryTable, precision};
use burn::tensor::Tensor;
use std::collections::HashMap;
use std::sync::Mutex;

impl InferenceModel {
    /// Packs the weights of a decoder as they are now, in the process's [`precision`] as far as
    /// [`PackedLinear::supported`].
    ///
    /// # Errors
    /// [`Error::Batch`] if the decoder's weights cannot be read from its device.
    pub fn from_decoder(decoder: &Decoder) -> Result<Self, Error> {
        let mut tensors = Tensors::default();
        decoder.clone().visit(&mut tensors);
        Self::build(decoder.config().clone(), &mut |name, _| {
            let tensor = tensors.0.remove(name);
            let values = tensor.and_then(|tensor| tensor.into_data().try_to_vec().ok());
            values.ok_or_else(|| Error::Batch(format!("{name} cannot be read from the device")))
        })
    }

    /// Packs weights that `weight` gives by name and shape, one at a time and in the process's
    /// [`precision`] as far as [`PackedLinear::supported`]: names and shapes are those of [`Decoder::build`].
    ///
    /// # Errors
    /// Those of [`DecoderConfig::validate`] and of `weight`.
    pub fn build(config: DecoderConfig, weight: &mut WeightSource<'_>) -> Result<Self, Error> {
        config.validate()?;
        let precision = PackedLinear::supported(precision());
        let hidden = config.hidden_size;
        let mut packer = Packer { weight, precision };
        let table = packer.values("model.embed_tokens.weight", &[config.vocab_size, hidden])?;
        let mut head =
            config.tie_word_embeddings.then(|| PackedLinear::new(&table, hidden, precision));
        let embedding = Embedding::new(table, config.tie_word_embeddings, precision);
        let layers = (0..config.num_hidden_layers)
            .map(|index| packer.layer(&format!("model.layers.{index}"), &config))
            .collect::<Result<_, _>>()?;
        let norm = packer.values("model.norm.weight", &[hidden])?;
        let head = match head.take() {
            Some(head) => head,
            None => packer.linear(&["lm_head.weight"], hidden, &[config.vocab_size])?,
        };
        let positions = config.max_position_embeddings;
        let rotary = RotaryTable::standard(config.rope_theta, config.head_dim, positions);
        let buffers = Mutex::default();
        Ok(Self { config, embedding, layers, norm, head, rotary, buffers })
    }
}

/// The decoder's tensors by name, flat.
#[derive(Default)]
struct Tensors(HashMap<String, Tensor<1>>);

impl ParameterVisitor for Tensors {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let count = parameter.value.shape().num_elements();
        let value = parameter.value.clone().reshape([count]);
        self.0.insert(parameter.name.clone(), value);
    }
}

struct Packer<'a, 'b> {
    weight: &'a mut WeightSource<'b>,
    precision: Precision,
}

impl Packer<'_, '_> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        (self.weight)(name, shape)
    }

    /// Weights with the same input, one below the other.
    fn linear(
        &mut self,
        names: &[&str],
        inputs: usize,
        outputs: &[usize],
    ) -> Result<PackedLinear, Error> {
        let mut weight = Vec::new();
        for (name, outputs) in names.iter().zip(outputs) {
            let values = self.values(name, &[*outputs, inputs])?;
            if weight.is_empty() {
                weight = values;
            } else {
                weight.extend(values);
            }
        }
        Ok(PackedLinear::new(&weight, inputs, self.precision))
    }

    fn layer(&mut self, prefix: &str, config: &DecoderConfig) -> Result<Layer, Error> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let q_width = config.num_attention_heads * config.head_dim;
        let kv_width = config.num_key_value_heads * config.head_dim;
        let attention = format!("{prefix}.self_attn");
        let projections = ["q", "k", "v"].map(|name| format!("{attention}.{name}_proj"));
        let widths = [q_width, kv_width, kv_width];
        let weights = projections.each_ref().map(|name| format!("{name}.weight"));
        let bias = match config.attention_bias {
            true => {
                let mut bias = Vec::new();
                for (name, width) in projections.iter().zip(widths) {
                    bias.extend(self.values(&format!("{name}.bias"), &[width])?);
                }
                Some(bias)
            }
            false => None,
        };
        let head_norm = |packer: &mut Self, name: &str| {
            packer.values(&format!("{attention}.{name}.weight"), &[config.head_dim])
        };
        let o = format!("{attention}.o_proj.weight");
        let gate = self.values(&format!("{prefix}.mlp.gate_proj.weight"), &[inner, hidden])?;
        let up = self.values(&format!("{prefix}.mlp.up_proj.weight"), &[inner, hidden])?;
        let down = format!("{prefix}.mlp.down_proj.weight");
        let norm = format!("{prefix}.input_layernorm.weight");
        let feed_forward_norm = format!("{prefix}.post_attention_layernorm.weight");
        Ok(Layer {
            input_norm: self.values(&norm, &[hidden])?,
            qkv: self.linear(&weights.each_ref().map(String::as_str), hidden, &widths)?,
            bias,
            qk_norm: match config.qk_norm {
                true => Some([head_norm(self, "q_norm")?, head_norm(self, "k_norm")?]),
                false => None,
            },
            o: self.linear(&[&o], q_width, &[hidden])?,
            feed_forward_norm: self.values(&feed_forward_norm, &[hidden])?,
            gate_up: PackedLinear::gated(&gate, &up, hidden, self.precision),
            down: self.linear(&[&down], inner, &[hidden])?,
        })
    }
}
