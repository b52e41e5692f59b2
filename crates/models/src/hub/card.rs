use super::checkpoint::Checkpoint;
use super::provenance::Provenance;
use super::stored::Dtype;
use crate::DecoderConfig;

/// The `README.md` of a model: what it is, and base, data, recipe and results as far as they are
/// known.
pub fn model_card(
    name: &str,
    config: &DecoderConfig,
    checkpoint: &Checkpoint,
    dtype: Option<Dtype>,
    provenance: &Provenance,
) -> String {
    let parameters: usize =
        config.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    let kind = match (config.causal, config.mask_token_id) {
        (true, _) => "autoregressive",
        (false, Some(_)) => "masked diffusion",
        (false, None) => "bidirectional",
    };
    let stored = checkpoint.files().iter().flat_map(|file| file.tensors()).next();
    let stored = stored.and_then(|tensor| Dtype::of(tensor.dtype));
    let dtype = dtype.or(stored).map_or("unknown", Dtype::name);
    let mut card = String::from("---\nlibrary_name: transformers\n");
    if let Some(base) = &provenance.base {
        card += &format!("base_model: {}\n", one_line(base));
    }
    card += &format!("---\n\n# {}\n\n", one_line(name));
    card += &format!(
        "A {kind} language model of the {} family: {:.2} M parameters in {} layers of width {}, \
         up to {} positions, {} tokens. Weights are {dtype}.\n",
        config.family.model_type(),
        parameters as f64 / 1e6,
        config.num_hidden_layers,
        config.hidden_size,
        config.max_positions(),
        config.vocab_size,
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

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
