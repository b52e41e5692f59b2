use super::layer::{Cross, FeedForward, Layer, Stack};
use super::model::Seq2SeqModel;
use crate::encoder_decoder::{EncoderDecoder, EncoderDecoderConfig, RelativePositions};
use crate::family::t5::{EMBEDDING, HEAD};
use crate::inference::build::{Tensors, stacked};
use crate::inference::embedding::Embedding;
use crate::{Error, WeightSource};
use afterthought_kernels::inference::PackedLinear;
use afterthought_kernels::{Precision, precision};
use std::sync::Mutex;

impl Seq2SeqModel {
    /// Packs the weights of a model as they are now, in the process's [`precision`].
    ///
    /// # Errors
    /// [`Error::Batch`] if the weights cannot be read from their device.
    pub fn from_model(model: &EncoderDecoder) -> Result<Self, Error> {
        let mut tensors = Tensors::default();
        model.clone().visit(&mut tensors);
        Self::build(model.config().clone(), &mut |name, _| tensors.values(name))
    }

    /// Packs weights that `weight` gives by name and shape, one at a time and in the process's
    /// [`precision`]: names and shapes are those of
    /// [`EncoderDecoder::build`].
    ///
    /// # Errors
    /// Those of [`EncoderDecoderConfig::validate`] and of `weight`.
    pub fn build(
        config: EncoderDecoderConfig,
        weight: &mut WeightSource<'_>,
    ) -> Result<Self, Error> {
        config.validate()?;
        let precision = precision();
        let (width, tied) = (config.d_model, config.tie_word_embeddings);
        let mut packer = Packer { weight, precision, config: &config };
        // The largest weights first, while nothing else takes memory.
        let head = if tied { EMBEDDING } else { HEAD };
        let head = packer.linear(&[head], width, &[config.vocab_size])?;
        let table = (packer.weight)(EMBEDDING, &[config.vocab_size, width])?;
        let embedding = Embedding::new(table, tied, precision);
        let encoder = packer.stack("encoder", config.num_layers)?;
        let mut decoder = packer.stack("decoder", config.num_decoder_layers)?;
        for value in &mut decoder.norm {
            *value *= config.output_scale();
        }
        Ok(Self { config, embedding, encoder, decoder, head, buffers: Mutex::default() })
    }
}

struct Packer<'a, 'b> {
    weight: &'a mut WeightSource<'b>,
    precision: Precision,
    config: &'a EncoderDecoderConfig,
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

    fn stack(&mut self, name: &str, layers: usize) -> Result<Stack, Error> {
        let config = self.config;
        let (buckets, distance) =
            (config.relative_attention_num_buckets, config.relative_attention_max_distance);
        let bias = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let decoder = name == "decoder";
        Ok(Stack {
            bias: self.values(&bias, &[buckets, config.num_heads])?,
            layers: (0..layers)
                .map(|index| self.layer(&format!("{name}.block.{index}.layer"), decoder))
                .collect::<Result<_, _>>()?,
            positions: RelativePositions::new(buckets, distance, !decoder),
            heads: config.num_heads,
            norm: self.values(&format!("{name}.final_layer_norm.weight"), &[config.d_model])?,
        })
    }

    fn layer(&mut self, prefix: &str, decoder: bool) -> Result<Layer, Error> {
        let (width, inner) = (self.config.d_model, self.config.inner_width());
        let own = |matrix: &str| format!("{prefix}.0.SelfAttention.{matrix}.weight");
        let [q, k, v, o] = ["q", "k", "v", "o"].map(own);
        Ok(Layer {
            norm: self.values(&format!("{prefix}.0.layer_norm.weight"), &[width])?,
            qkv: self.linear(&[&q, &k, &v], width, &[inner; 3])?,
            o: self.linear(&[&o], inner, &[width])?,
            cross: match decoder {
                true => Some(self.cross(&format!("{prefix}.1"))?),
                false => None,
            },
            feed_forward: self.feed_forward(&format!("{prefix}.{}", 1 + usize::from(decoder)))?,
        })
    }

    fn cross(&mut self, prefix: &str) -> Result<Cross, Error> {
        let (width, inner) = (self.config.d_model, self.config.inner_width());
        let name = |matrix: &str| format!("{prefix}.EncDecAttention.{matrix}.weight");
        let [q, k, v, o] = ["q", "k", "v", "o"].map(name);
        Ok(Cross {
            norm: self.values(&format!("{prefix}.layer_norm.weight"), &[width])?,
            q: self.linear(&[&q], width, &[inner])?,
            kv: self.linear(&[&k, &v], width, &[inner; 2])?,
            o: self.linear(&[&o], inner, &[width])?,
        })
    }

    fn feed_forward(&mut self, prefix: &str) -> Result<FeedForward, Error> {
        let (width, inner) = (self.config.d_model, self.config.d_ff);
        let name = |matrix: &str| format!("{prefix}.DenseReluDense.{matrix}.weight");
        Ok(FeedForward {
            norm: self.values(&format!("{prefix}.layer_norm.weight"), &[width])?,
            wi: match self.config.is_gated_act {
                true => {
                    let gate = (self.weight)(&name("wi_0"), &[inner, width])?.packable();
                    let up = (self.weight)(&name("wi_1"), &[inner, width])?.packable();
                    PackedLinear::gated(gate.stored(), up.stored(), width, self.precision)
                }
                false => self.linear(&[&name("wi")], width, &[inner])?,
            },
            wo: self.linear(&[&name("wo")], inner, &[width])?,
        })
    }
}
