//! `afterthought model spectrum`: the singular values of a model's weights.

use afterthought_adapters::{Svd, svd};
use afterthought_models::Network;
use afterthought_models::hub::{Checkpoint, TensorEntry, open_network};
use serde::Serialize;

use crate::args::ModelSpectrumArgs;
use crate::commands::missing::nearest;
use crate::commands::model_path::resolve;
use crate::console::{Console, print_json, print_text, printable, table};
use crate::exit::UsageError;
use crate::progress::{Progress, compact};

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    model: String,
    tensors: Vec<Spectrum>,
    /// Weights that cannot be decomposed.
    problems: Vec<String>,
}

/// The singular values of one weight.
#[derive(Serialize)]
struct Spectrum {
    tensor: String,
    shape: [usize; 2],
    /// How many singular values are above `σ₁ max(rows, columns) ε`, with the `ε` of f32.
    rank: usize,
    /// `‖W‖² / σ₁²` in the Frobenius norm: how many singular values as large as the first would make
    /// up the weight.
    stable_rank: f64,
    /// The fewest singular values that hold nine tenths of `‖W‖²`.
    rank_of_90_percent: usize,
    /// `‖W - U Σ Vᵀ‖ / ‖W‖`.
    residual: f64,
    method: &'static str,
    /// Descending.
    singular_values: Vec<f64>,
}

/// Decomposes the weights one after the other, and fails if one of them cannot be.
pub(crate) fn run(args: &ModelSpectrumArgs, console: &Console) -> anyhow::Result<()> {
    let directory = resolve(&args.model, console)?;
    let (network, checkpoint) = open_network(&directory)?;
    let chosen = choose(&checkpoint, &args.tensors, &network)?;
    let progress = Progress::single(console, "decomposing", chosen.len() as u64);
    let (mut tensors, mut problems) = (Vec::new(), Vec::new());
    for (name, shape) in chosen {
        let weight = checkpoint.values(&name, &shape)?.into_f32();
        match svd(&name, &weight, shape) {
            Ok(found) => tensors.push(Spectrum::new(name, found)),
            Err(error) => problems.push(error.to_string()),
        }
        progress.inc(1);
    }
    progress.finish();
    let report = Report { model: directory.display().to_string(), tensors, problems };
    match args.json {
        true => print_json(&report)?,
        false => print_text(&report.overview())?,
    }
    let count = report.problems.len();
    anyhow::ensure!(count == 0, "{count} weight(s) of {} cannot be decomposed", report.model);
    Ok(())
}

/// Names of the tables that no linear layer is: embeddings, the head, T5's relative positions.
fn tables(network: &Network) -> Vec<String> {
    match network {
        Network::Decoder(config) => ["model.embed_tokens.weight", "lm_head.weight"]
            .map(|name| config.tensor_names.in_file(name))
            .into(),
        Network::EncoderDecoder(_) => {
            let stacks = ["encoder", "decoder"].into_iter().flat_map(|stack| {
                let bias = "block.0.layer.0.SelfAttention.relative_attention_bias";
                [format!("{stack}.embed_tokens.weight"), format!("{stack}.{bias}.weight")]
            });
            ["shared.weight", "lm_head.weight"]
                .map(str::to_owned)
                .into_iter()
                .chain(stacks)
                .collect()
        }
    }
}

/// The matrices asked for, or those of all linear layers but the head.
fn choose(
    checkpoint: &Checkpoint,
    asked: &[String],
    network: &Network,
) -> anyhow::Result<Vec<(String, [usize; 2])>> {
    let matrix = |tensor: &TensorEntry| <[usize; 2]>::try_from(tensor.shape.as_slice()).ok();
    if asked.is_empty() {
        let tables = tables(network);
        let mut names: Vec<&str> =
            checkpoint.names().filter(|name| !tables.iter().any(|table| table == name)).collect();
        names.sort_by_key(|name| numbers_as_numbers(name));
        let found = names.into_iter().filter_map(|name| {
            let (_, tensor) = checkpoint.get(name)?;
            Some((name.to_owned(), matrix(tensor)?))
        });
        return Ok(found.collect());
    }
    let one = |name: &String| {
        let Some((_, tensor)) = checkpoint.get(name) else {
            let error = UsageError::new(format!("the model has no tensor {name}"));
            let near = nearest(name, checkpoint.names().map(str::to_owned));
            return Err(match near {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error,
            });
        };
        let shape = matrix(tensor).ok_or_else(|| {
            UsageError::new(format!("{name} has shape {:?}, expected a matrix", tensor.shape))
        })?;
        Ok((name.clone(), shape))
    };
    Ok(asked.iter().map(one).collect::<Result<_, UsageError>>()?)
}

/// `layers.2` before `layers.10`.
fn numbers_as_numbers(name: &str) -> Vec<(usize, String)> {
    name.split('.').map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
}

impl Spectrum {
    fn new(tensor: String, found: Svd) -> Self {
        let Svd { shape, singular_values, residual, method, .. } = found;
        let first = singular_values.first().copied().unwrap_or(0.0);
        let width = shape[0].max(shape[1]) as f64;
        let least = first * width * f64::from(f32::EPSILON);
        let squares: f64 = singular_values.iter().map(|value| value * value).sum();
        let mut held = 0.0;
        let below = |value: &&f64| {
            let short = held < 0.9 * squares;
            held += **value * **value;
            short
        };
        Self {
            tensor,
            shape,
            rank: singular_values.iter().filter(|value| **value > least).count(),
            stable_rank: if first > 0.0 { squares / (first * first) } else { 0.0 },
            rank_of_90_percent: singular_values.iter().take_while(below).count(),
            residual,
            method: method.name(),
            singular_values,
        }
    }
}

impl Report {
    fn overview(&self) -> String {
        let mut rows = table(&[
            "tensor",
            "shape",
            "largest",
            "median",
            "smallest",
            "rank",
            "stable rank",
            "90 %",
        ]);
        for spectrum in &self.tensors {
            let values = &spectrum.singular_values;
            let at =
                |index: usize| values.get(index).map_or(String::new(), |value| compact(*value));
            rows.add_row(vec![
                printable(&spectrum.tensor),
                format!("{} x {}", spectrum.shape[0], spectrum.shape[1]),
                at(0),
                at(values.len() / 2),
                at(values.len().saturating_sub(1)),
                format!("{} of {}", spectrum.rank, values.len()),
                format!("{:.1}", spectrum.stable_rank),
                spectrum.rank_of_90_percent.to_string(),
            ]);
        }
        let mut text = format!("{rows}\n");
        for problem in &self.problems {
            text += &format!("problem: {}\n", printable(problem));
        }
        text
    }
}
