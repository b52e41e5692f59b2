//! T5, T5 v1.1 and Flan-T5: the settings of [`EncoderDecoderConfig`], and what old files call the
//! embedding or hold besides the weights.

use super::Settings;
use super::llama::decimal;
use crate::{EncoderDecoderConfig, Error};
use afterthought_kernels::Activation;
use serde_json::{Map, Value, json};

/// The `model_type` in `config.json`.
pub(crate) const MODEL_TYPE: &str = "t5";

/// Our name of the embedding.
pub(crate) const EMBEDDING: &str = "shared.weight";
/// The output head.
pub(crate) const HEAD: &str = "lm_head.weight";
/// Other names of the embedding: files hold one of the three names or several.
pub(crate) const EMBEDDING_DUPLICATES: [&str; 2] =
    ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
/// A table that old files have and no version of the model reads.
const UNUSED: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

/// Whether the last hidden state is scaled: a key of version 5 of `transformers`.
pub(crate) const SCALE_KEY: &str = "scale_decoder_outputs";

/// Whether a tensor of a file is known to mean nothing.
pub(crate) fn is_unused(name: &str) -> bool {
    name == UNUSED
}

/// Names of activations in files.
const ACTIVATIONS: [(&str, Activation); 6] = [
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
];

/// What a `config.json` says. Defaults are those of `T5Config` in `transformers` 5.23. The result is
/// not validated yet.
///
/// # Errors
/// [`Error::Config`] for a setting that is not known or a value that is not of its kind.
pub(crate) fn read(json: &Map<String, Value>) -> Result<EncoderDecoderConfig, Error> {
    let settings = Settings::new(json);
    settings.only("model_type", &json!(MODEL_TYPE))?;
    settings.only("is_encoder_decoder", &json!(true))?;
    settings.only("is_decoder", &json!(false))?;
    settings.only("quantization_config", &Value::Null)?;
    let (activation, is_gated_act) = feed_forward(&settings)?;
    let num_layers = settings.size("num_layers", 6)?;
    let tie_word_embeddings = settings.flag("tie_word_embeddings", true)?;
    let pad_token_id = settings.token_id("pad_token_id", Some(0))?;
    let start = settings.token_id("decoder_start_token_id", pad_token_id)?.or(pad_token_id);
    let missing = || Error::Config { key: "decoder_start_token_id", problem: "is missing".into() };
    Ok(EncoderDecoderConfig {
        vocab_size: settings.size("vocab_size", 32_128)?,
        d_model: settings.size("d_model", 512)?,
        d_kv: settings.size("d_kv", 64)?,
        d_ff: settings.size("d_ff", 2048)?,
        num_layers,
        num_decoder_layers: settings
            .size_or_null("num_decoder_layers", None)?
            .unwrap_or(num_layers),
        num_heads: settings.size("num_heads", 8)?,
        relative_attention_num_buckets: settings.size("relative_attention_num_buckets", 32)?,
        relative_attention_max_distance: settings.size("relative_attention_max_distance", 128)?,
        activation,
        is_gated_act,
        layer_norm_epsilon: settings.number("layer_norm_epsilon", 1e-6)? as f32,
        tie_word_embeddings,
        // Up to version 4 of `transformers` one setting meant both.
        scale_decoder_outputs: settings.flag(SCALE_KEY, tie_word_embeddings)?,
        initializer_factor: settings.number("initializer_factor", 1.0)?,
        dropout_rate: settings.number("dropout_rate", 0.1)?,
        decoder_start_token_id: start.ok_or_else(missing)?,
        pad_token_id,
        eos_token_ids: settings.token_ids("eos_token_id", Some(1))?,
    })
}

/// The activation and whether it is gated: `feed_forward_proj` says both, and what
/// `dense_act_fn` and `is_gated_act` say besides counts more, as in `transformers`.
fn feed_forward(settings: &Settings<'_>) -> Result<(Activation, bool), Error> {
    const KEY: &str = "feed_forward_proj";
    let projection = settings.text(KEY)?.unwrap_or("relu");
    let (gated, name) = match projection.split_once('-') {
        Some(("gated", name)) => (true, name),
        None => (false, projection),
        Some(_) => {
            let problem = format!("is {projection:?}; expected NAME or gated-NAME");
            return Err(Error::Config { key: KEY, problem });
        }
    };
    let name = if projection == "gated-gelu" { "gelu_new" } else { name };
    let (key, name) = match settings.text("dense_act_fn")? {
        Some(name) => ("dense_act_fn", name),
        None => (KEY, name),
    };
    let known = ACTIVATIONS.iter().find(|(known, _)| *known == name);
    let Some((_, activation)) = known else {
        let known = ACTIVATIONS.map(|(known, _)| known).join(", ");
        let problem = format!("means the function {name:?}; expected one of {known}");
        return Err(Error::Config { key, problem });
    };
    Ok((*activation, settings.flag("is_gated_act", gated)?))
}

/// The `config.json` of a model, which versions 4 and 5 of `transformers` understand alike.
pub(crate) fn write(config: &EncoderDecoderConfig) -> Map<String, Value> {
    let name = |(_, known): &&(&str, Activation)| *known == config.activation;
    let function = ACTIVATIONS.iter().find(name).map_or("relu", |(name, _)| name);
    let projection = match (config.is_gated_act, function) {
        (true, "gelu_new") => "gated-gelu".to_owned(),
        (true, name) => format!("gated-{name}"),
        (false, name) => name.to_owned(),
    };
    let eos = match &config.eos_token_ids[..] {
        [] => Value::Null,
        [only] => (*only).into(),
        several => several.into(),
    };
    let json = json!({
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": MODEL_TYPE,
        "is_encoder_decoder": true,
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
        "relative_attention_num_buckets": config.relative_attention_num_buckets,
        "relative_attention_max_distance": config.relative_attention_max_distance,
        "feed_forward_proj": projection,
        "dense_act_fn": function,
        "is_gated_act": config.is_gated_act,
        "layer_norm_epsilon": decimal(config.layer_norm_epsilon),
        "tie_word_embeddings": config.tie_word_embeddings,
        SCALE_KEY: config.scale_decoder_outputs,
        "initializer_factor": config.initializer_factor,
        "dropout_rate": config.dropout_rate,
        "decoder_start_token_id": config.decoder_start_token_id,
        "pad_token_id": config.pad_token_id,
        "eos_token_id": eos,
    });
    match json {
        Value::Object(json) => json,
        _ => Map::new(),
    }
}

/// Corrects settings by what a file holds, as far as real configurations are known to be wrong:
/// whether the feed-forward layer is gated, and the size of a vocabulary that was padded
/// afterwards. `shape` gives the shape of a tensor of the file.
pub(crate) fn fit_to_file<'a>(
    config: &mut EncoderDecoderConfig,
    shape: &dyn Fn(&str) -> Option<&'a [usize]>,
) {
    let inner =
        |name: &str| shape(&format!("encoder.block.0.layer.1.DenseReluDense.{name}.weight"));
    if inner("wi_0").is_some() || inner("wi").is_some() {
        config.is_gated_act = inner("wi_0").is_some();
    }
    if let Some([rows, width]) = shape(embedding_name(config, shape))
        && *width == config.d_model
        && *rows > config.vocab_size
    {
        config.vocab_size = *rows;
    }
}

/// What a file calls the embedding.
pub(crate) fn embedding_name<'a>(
    config: &EncoderDecoderConfig,
    shape: &dyn Fn(&str) -> Option<&'a [usize]>,
) -> &'static str {
    let head = config.tie_word_embeddings.then_some(HEAD);
    let names = [EMBEDDING].into_iter().chain(EMBEDDING_DUPLICATES).chain(head);
    names.into_iter().find(|name| shape(name).is_some()).unwrap_or(EMBEDDING)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read_json(json: Value) -> Result<EncoderDecoderConfig, Error> {
        read(json.as_object().unwrap())
    }

    #[test]
    fn missing_keys_are_those_of_the_first_t5() {
        let config = read_json(json!({"model_type": "t5", "num_layers": 3})).unwrap();
        assert_eq!((config.d_model, config.d_kv, config.num_heads), (512, 64, 8));
        assert_eq!((config.num_layers, config.num_decoder_layers), (3, 3));
        assert_eq!((config.activation, config.is_gated_act), (Activation::Relu, false));
        assert!(config.tie_word_embeddings && config.scale_decoder_outputs);
        assert_eq!((config.decoder_start_token_id, &config.eos_token_ids[..]), (0, &[1][..]));
        assert_eq!(config.relative_attention_max_distance, 128);
        config.validate().unwrap();
    }

    #[test]
    fn feed_forward_layers_are_read_as_the_class_does() {
        let read = |json: Value| read_json(json).map(|c| (c.activation, c.is_gated_act)).ok();
        for (json, expected) in [
            (json!({"feed_forward_proj": "gated-gelu"}), (Activation::GeluTanh, true)),
            (json!({"feed_forward_proj": "gated-silu"}), (Activation::Silu, true)),
            (json!({"feed_forward_proj": "gelu"}), (Activation::Gelu, false)),
            (json!({"feed_forward_proj": "gelu", "is_gated_act": true}), (Activation::Gelu, true)),
            (
                json!({"feed_forward_proj": "gelu", "dense_act_fn": "gelu_new", "is_gated_act": true}),
                (Activation::GeluTanh, true),
            ),
        ] {
            assert_eq!(read(json.clone()), Some(expected), "{json}");
        }
        for wrong in ["gated-gelu-fast", "tanh", "gated-", "maxout-relu"] {
            assert_eq!(read(json!({"feed_forward_proj": wrong})), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let base = read_json(json!({"vocab_size": 77})).unwrap();
        for (activation, is_gated_act) in [
            (Activation::Relu, false),
            (Activation::Relu, true),
            (Activation::Gelu, true),
            (Activation::GeluTanh, true),
            (Activation::GeluTanh, false),
            (Activation::Silu, true),
        ] {
            for (tied, scaled) in [(true, true), (false, false), (true, false), (false, true)] {
                let config = EncoderDecoderConfig {
                    activation,
                    is_gated_act,
                    tie_word_embeddings: tied,
                    scale_decoder_outputs: scaled,
                    eos_token_ids: if tied { vec![1, 2] } else { vec![] },
                    ..base.clone()
                };
                assert_eq!(read(&write(&config)).unwrap(), config);
            }
        }
    }

    #[test]
    fn files_correct_gating_and_padded_vocabularies() {
        let shapes: [(&str, &[usize]); 2] = [
            ("decoder.embed_tokens.weight", &[32_128, 512]),
            ("encoder.block.0.layer.1.DenseReluDense.wi_0.weight", &[2048, 512]),
        ];
        let shape =
            |name: &str| shapes.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape);
        let mut config = read_json(json!({"vocab_size": 32_100})).unwrap();
        fit_to_file(&mut config, &shape);
        assert_eq!((config.vocab_size, config.is_gated_act), (32_128, true));
        assert_eq!(embedding_name(&config, &shape), "decoder.embed_tokens.weight");
        // A vocabulary that lacks tokens is not corrected.
        let mut config = read_json(json!({"vocab_size": 40_000})).unwrap();
        fit_to_file(&mut config, &shape);
        assert_eq!(config.vocab_size, 40_000);
    }
}
