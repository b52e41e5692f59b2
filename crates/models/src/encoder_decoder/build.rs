use super::attention::Attention;
use super::block::{Block, FeedForward, Inner};
use super::stack::Stack;
use super::{EncoderDecoder, EncoderDecoderConfig, RelativePositions};
use crate::family::t5::{EMBEDDING, HEAD};
use crate::{Error, Parameter, WeightSource};
use afterthought_random::Stream;
use burn::tensor::{Device, Tensor, TensorData};

impl EncoderDecoder {
    /// Builds a model, asking `weight` for each tensor by name and shape (`[out, in]`, or `[width]`
    /// for norms). Names are those of Hugging Face's `T5ForConditionalGeneration`.
    ///
    /// # Errors
    /// Those of [`EncoderDecoderConfig::validate`] and of `weight`.
    pub fn build(
        config: EncoderDecoderConfig,
        device: &Device,
        weight: &mut WeightSource<'_>,
    ) -> Result<Self, Error> {
        config.validate()?;
        let mut loader = Loader { weight, device, config: &config };
        let (vocab_size, width) = (config.vocab_size, config.d_model);
        let embedding = loader.matrix(EMBEDDING, [vocab_size, width])?;
        let encoder = loader.stack("encoder", config.num_layers)?;
        let decoder = loader.stack("decoder", config.num_decoder_layers)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(loader.matrix(HEAD, [vocab_size, width])?),
        };
        Ok(Self { config, embedding, encoder, decoder, head })
    }

    /// A model with freshly drawn normal weights, with the standard deviations of Hugging Face's
    /// class, which are those of Mesh TensorFlow; norms are `initializer_factor`.
    ///
    /// # Errors
    /// Those of [`EncoderDecoderConfig::validate`].
    pub fn random(config: EncoderDecoderConfig, seed: u64, device: &Device) -> Result<Self, Error> {
        let (width, inner) = (config.d_model as f64, config.inner_width() as f64);
        let (head, feed_forward) = (config.d_kv as f64, config.d_ff as f64);
        let factor = config.initializer_factor;
        let deviations = [
            (".q.weight", (width * head).sqrt()),
            (".o.weight", inner.sqrt()),
            (".wo.weight", feed_forward.sqrt()),
            ("shared.weight", 1.0),
            ("lm_head.weight", 1.0),
        ];
        let mut index = 0;
        Self::build(config, device, &mut |name, shape| {
            index += 1;
            let count = shape.iter().product();
            if name.ends_with("norm.weight") {
                return Ok(vec![factor as f32; count].into());
            }
            let divisor = deviations.iter().find(|(end, _)| name.ends_with(end));
            let std = factor / divisor.map_or(width.sqrt(), |(_, divisor)| *divisor);
            let mut stream = Stream::new(seed, "initial weights", index, 0);
            let drawn: Vec<f32> = (0..count).map(|_| (stream.normal() * std) as f32).collect();
            Ok(drawn.into())
        })
    }
}

/// Turns named weights into parameters.
struct Loader<'a, 'b> {
    weight: &'a mut WeightSource<'b>,
    device: &'a Device,
    config: &'a EncoderDecoderConfig,
}

impl Loader<'_, '_> {
    fn tensor<const D: usize>(
        &mut self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Parameter<D>, Error> {
        let values = (self.weight)(name, &shape)?.into_f32();
        Ok(Parameter::new(name, Tensor::from_data(TensorData::new(values, shape), self.device)))
    }

    fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Parameter<2>, Error> {
        self.tensor(name, shape)
    }

    fn stack(&mut self, name: &str, layers: usize) -> Result<Stack, Error> {
        let config = self.config;
        let (buckets, distance) =
            (config.relative_attention_num_buckets, config.relative_attention_max_distance);
        let bias = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let decoder = name == "decoder";
        Ok(Stack {
            bias: self.matrix(&bias, [buckets, config.num_heads])?,
            blocks: (0..layers)
                .map(|index| self.block(&format!("{name}.block.{index}.layer"), decoder))
                .collect::<Result<_, _>>()?,
            positions: RelativePositions::new(buckets, distance, !decoder),
            causal: decoder,
            norm: self.tensor(&format!("{name}.final_layer_norm.weight"), [config.d_model])?,
        })
    }

    fn block(&mut self, prefix: &str, decoder: bool) -> Result<Block, Error> {
        Ok(Block {
            attention: self.attention(&format!("{prefix}.0"), "SelfAttention")?,
            cross: match decoder {
                true => Some(self.attention(&format!("{prefix}.1"), "EncDecAttention")?),
                false => None,
            },
            feed_forward: self.feed_forward(&format!("{prefix}.{}", 1 + usize::from(decoder)))?,
        })
    }

    fn attention(&mut self, prefix: &str, kind: &str) -> Result<Attention, Error> {
        let (width, inner) = (self.config.d_model, self.config.inner_width());
        let name = |matrix: &str| format!("{prefix}.{kind}.{matrix}.weight");
        Ok(Attention {
            norm: self.tensor(&format!("{prefix}.layer_norm.weight"), [width])?,
            q: self.matrix(&name("q"), [inner, width])?,
            k: self.matrix(&name("k"), [inner, width])?,
            v: self.matrix(&name("v"), [inner, width])?,
            o: self.matrix(&name("o"), [width, inner])?,
        })
    }

    fn feed_forward(&mut self, prefix: &str) -> Result<FeedForward, Error> {
        let (width, inner) = (self.config.d_model, self.config.d_ff);
        let name = |matrix: &str| format!("{prefix}.DenseReluDense.{matrix}.weight");
        Ok(FeedForward {
            norm: self.tensor(&format!("{prefix}.layer_norm.weight"), [width])?,
            wi: match self.config.is_gated_act {
                true => Inner::Gated(Box::new([
                    self.matrix(&name("wi_0"), [inner, width])?,
                    self.matrix(&name("wi_1"), [inner, width])?,
                ])),
                false => Inner::Plain(Box::new(self.matrix(&name("wi"), [inner, width])?)),
            },
            wo: self.matrix(&name("wo"), [width, inner])?,
        })
    }
}
