use super::checkpoint::Checkpoint;
use super::provenance::Provenance;
use super::stored::Dtype;
use crate::{DecoderConfig, EncoderDecoderConfig, Network};

/// The `README.md` of a model: what it is, and base, data, recipe and results as far as they are
/// known.
pub fn model_card(
    name: &str,
    network: &Network,
    checkpoint: &Checkpoint,
    dtype: Option<Dtype>,
    provenance: &Provenance,
) -> String {
    let stored = checkpoint.files().iter().flat_map(|file| file.tensors()).next();
    let stored = stored.and_then(|tensor| Dtype::of(tensor.dtype));
    let dtype = dtype.or(stored).map_or("unknown", Dtype::name);
    let mut card = String::from("---\nlibrary_name: transformers\n");
    if let Some(base) = &provenance.base {
        card += &format!("base_model: {}\n", one_line(base));
    }
    card += &format!("---\n\n# {}\n\n", one_line(name));
    let shape = match network {
        Network::Decoder(config) => decoder(config),
        Network::EncoderDecoder(config) => encoder_decoder(config),
    };
    card += &format!(
        "{shape}, {} tokens: {:.2} M parameters. Weights are {dtype}.\n",
        network.vocab_size(),
        network.parameters() as f64 / 1e6,
    );
    for (title, text) in
        [("Base", &provenance.base), ("Data", &provenance.data), ("Recipe", &provenance.recipe)]
    {
        card += &match text {
            Some(text) if text.contains('\n') => {
                format!("\n## {title}\n\n```\n{}\n```\n", text.trim_end())
            }
            Some(text) => format!("\n## {title}\n\n{text}\n"),
            None => format!("\n## {title}\n\nNot recorded.\n"),
        };
    }
    card += "\n## Measured results\n\n";
    match provenance.results.is_empty() {
        true => card += "Not recorded.\n",
        false => {
            for result in &provenance.results {
                card += &format!("- {}\n", one_line(result));
            }
        }
    }
    card
}

fn decoder(config: &DecoderConfig) -> String {
    let kind = match (config.causal, config.mask_token_id) {
        (true, _) => "An autoregressive",
        (false, Some(_)) => "A masked diffusion",
        (false, None) => "A bidirectional",
    };
    format!(
        "{kind} language model of the {} family: {} layers of width {}, up to {} positions",
        config.family.model_type(),
        config.num_hidden_layers,
        config.hidden_size,
        config.max_positions(),
    )
}

fn encoder_decoder(config: &EncoderDecoderConfig) -> String {
    format!(
        "An encoder-decoder of the t5 family: {} encoder and {} decoder layers of width {}",
        config.num_layers, config.num_decoder_layers, config.d_model,
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
