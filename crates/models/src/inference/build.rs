use super::embedding::Embedding;
use super::model::{InferenceModel, Layer};
use crate::family::t5;
use crate::rotary::RotaryTables;
use crate::tensors::{EMBEDDING, HEAD};
use crate::weights::Packable;
use crate::{
    Decoder, DecoderConfig, Error, Linear, Parameter, ParameterVisitor, WeightSource, WeightValues,
};
use afterthought_kernels::inference::PackedLinear;
use afterthought_kernels::{Precision, precision};
use burn::tensor::{DType, Tensor};
use half::bf16;
use std::collections::HashMap;
use std::sync::Mutex;

impl InferenceModel {
    /// Packs the weights of a decoder as they are now, adapters merged into them, in the process's
    /// [`precision`].
    ///
    /// # Errors
    /// [`Error::Batch`] if the decoder's weights cannot be read from its device.
    pub fn from_decoder(decoder: &Decoder) -> Result<Self, Error> {
        let mut tensors = Tensors::default();
        decoder.without_adapters().visit(&mut tensors);
        let mut decoder = decoder.clone();
        let adapted: HashMap<String, Linear> = (decoder.linears_mut().into_iter())
            .filter(|linear| linear.low_rank.is_some())
            .map(|linear| (linear.weight.name.clone(), linear.clone()))
            .collect();
        Self::build(decoder.config().clone(), &mut |name, _| match adapted.get(name) {
            Some(linear) => values(name, linear.merged_weight().flatten(0, 1)),
            None => tensors.values(name),
        })
    }

    /// Packs weights that `weight` gives by name and shape, one at a time and in the process's
    /// [`precision`], as they are stored where that is possible: names and shapes are those of [`Decoder::build`].
    ///
    /// # Errors
    /// Those of [`DecoderConfig::validate`] and of `weight`.
    pub fn build(config: DecoderConfig, weight: &mut WeightSource<'_>) -> Result<Self, Error> {
        config.validate()?;
        let precision = precision();
        let hidden = config.hidden_size;
        let mut packer = Packer { weight, precision };
        // The largest weights first, while nothing else takes memory.
        let tied = config.tie_word_embeddings;
        let head = if tied { EMBEDDING } else { HEAD };
        let head = packer.linear(&[head], hidden, &[config.vocab_size])?;
        let table = (packer.weight)(EMBEDDING, &[config.vocab_size, hidden])?;
        let embedding = Embedding::new(table, tied, precision);
        let layers = (0..config.num_hidden_layers)
            .map(|index| packer.layer(&format!("model.layers.{index}"), &config))
            .collect::<Result<_, _>>()?;
        let norm = packer.values("model.norm.weight", &[hidden])?;
        let rotary = RotaryTables::new(&config);
        let buffers = Mutex::default();
        Ok(Self { config, embedding, layers, norm, head, rotary, buffers })
    }
}

/// A model's tensors by name, flat.
#[derive(Default)]
pub(super) struct Tensors(HashMap<String, Tensor<1>>);

impl Tensors {
    /// The values of a tensor. The embedding may be asked for twice, all others once.
    pub(super) fn values(&mut self, name: &str) -> Result<WeightValues<'static>, Error> {
        let tensor = match [EMBEDDING, t5::EMBEDDING].contains(&name) {
            true => self.0.get(name).cloned(),
            false => self.0.remove(name),
        };
        tensor.map_or_else(|| Err(unreadable(name)), |tensor| values(name, tensor))
    }
}

/// The values of a tensor, in bf16 if they are kept so and in f32 otherwise.
fn values(name: &str, tensor: Tensor<1>) -> Result<WeightValues<'static>, Error> {
    let data = tensor.into_data();
    if data.dtype() == DType::BF16 {
        let values = data.try_to_vec::<bf16>();
        return values
            .map(|values| WeightValues::Bf16(values.into()))
            .map_err(|_| unreadable(name));
    }
    let values = data.convert::<f32>().try_to_vec::<f32>();
    values.map(WeightValues::from).map_err(|_| unreadable(name))
}

fn unreadable(name: &str) -> Error {
    Error::Batch(format!("{name} cannot be read from the device"))
}

impl ParameterVisitor for Tensors {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let count = parameter.value.shape().num_elements();
        let value = parameter.value.clone().reshape([count]);
        self.0.insert(parameter.name.clone(), value);
    }
}

/// Weights with the same input, one below the other. Those that are mapped from a file take no
/// memory beside the packed ones.
pub(super) fn stacked(
    weight: &mut WeightSource<'_>,
    names: &[&str],
    inputs: usize,
    outputs: &[usize],
    precision: Precision,
) -> Result<PackedLinear, Error> {
    let weights = names
        .iter()
        .zip(outputs)
        .map(|(name, outputs)| Ok(weight(name, &[*outputs, inputs])?.packable()))
        .collect::<Result<Vec<_>, Error>>()?;
    let weights: Vec<_> = weights.iter().map(Packable::stored).collect();
    Ok(PackedLinear::stacked(&weights, inputs, precision))
}

struct Packer<'a, 'b> {
    weight: &'a mut WeightSource<'b>,
    precision: Precision,
}

impl Packer<'_, '_> {
    fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        Ok((self.weight)(name, shape)?.into_f32())
    }

    /// Weights with the same input, one below the other.
    fn linear(
        &mut self,
        names: &[&str],
        inputs: usize,
        outputs: &[usize],
    ) -> Result<PackedLinear, Error> {
        stacked(self.weight, names, inputs, outputs, self.precision)
    }

    /// Biases of modules, one after the other, if there are any.
    fn biases(
        &mut self,
        wanted: bool,
        prefix: &str,
        modules: &[(&str, usize)],
    ) -> Result<Option<Vec<f32>>, Error> {
        let mut biases = Vec::new();
        for (module, width) in modules.iter().filter(|_| wanted) {
            (self.weight)(&format!("{prefix}.{module}.bias"), &[*width])?.append_to(&mut biases);
        }
        Ok(wanted.then_some(biases))
    }

    fn layer(&mut self, prefix: &str, config: &DecoderConfig) -> Result<Layer, Error> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let q_width = config.num_attention_heads * config.head_dim;
        let kv_width = config.num_key_value_heads * config.head_dim;
        let attention = format!("{prefix}.self_attn");
        let projections = ["q_proj", "k_proj", "v_proj"];
        let widths = [q_width, kv_width, kv_width];
        let weights = projections.map(|name| format!("{attention}.{name}.weight"));
        let [q, k, v] = projections;
        let modules = [(q, q_width), (k, kv_width), (v, kv_width)];
        let head_norm = |packer: &mut Self, name: &str| {
            packer.values(&format!("{attention}.{name}.weight"), &[config.head_dim])
        };
        let o = format!("{attention}.o_proj.weight");
        let down = format!("{prefix}.mlp.down_proj.weight");
        let norm = format!("{prefix}.input_layernorm.weight");
        let feed_forward_norm = format!("{prefix}.post_attention_layernorm.weight");
        let mlp = format!("{prefix}.mlp");
        Ok(Layer {
            input_norm: self.values(&norm, &[hidden])?,
            qkv: self.linear(&weights.each_ref().map(String::as_str), hidden, &widths)?,
            bias: self.biases(config.attention_bias, &attention, &modules)?,
            qk_norm: match config.qk_norm {
                true => Some([head_norm(self, "q_norm")?, head_norm(self, "k_norm")?]),
                false => None,
            },
            o: self.linear(&[&o], q_width, &[hidden])?,
            o_bias: self.biases(config.output_bias, &attention, &[("o_proj", hidden)])?,
            feed_forward_norm: self.values(&feed_forward_norm, &[hidden])?,
            gate_up: self.gate_up(&mlp, config)?,
            gate_up_bias: self.biases(
                config.mlp_bias,
                &mlp,
                &[("gate_proj", inner), ("up_proj", inner)],
            )?,
            down: self.linear(&[&down], inner, &[hidden])?,
            down_bias: self.biases(config.mlp_bias, &mlp, &[("down_proj", hidden)])?,
        })
    }

    /// Packed so that the product is `silu(gate) * up`, unless biases come between.
    fn gate_up(&mut self, prefix: &str, config: &DecoderConfig) -> Result<PackedLinear, Error> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let [gate, up] = ["gate", "up"].map(|name| format!("{prefix}.{name}_proj.weight"));
        if config.mlp_bias {
            return self.linear(&[&gate, &up], hidden, &[inner, inner]);
        }
        let gate = (self.weight)(&gate, &[inner, hidden])?.packable();
        let up = (self.weight)(&up, &[inner, hidden])?.packable();
        Ok(PackedLinear::gated(gate.stored(), up.stored(), hidden, self.precision))
    }
}
