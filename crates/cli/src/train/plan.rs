//! `--dry-run`: everything that can be known before training, and nothing trained.

use afterthought_recipes::train::Method;
use serde::Serialize;
use serde_json::{Map, Value};

use super::estimate::{Estimate, estimate};
use super::prepared::Prepared;
use super::prompts::Item;
use super::request::Request;
use crate::commands::token_view::{TokenStyle, paint};
use crate::console::{Console, print_json, print_text, printable};
use crate::memory::{Room, bytes};

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    recipe: &'a Value,
    out: String,
    model: ModelFacts,
    adapter: Option<Vec<String>>,
    data: Vec<DataFacts>,
    dropped: &'a [String],
    sample: Sample,
    reward: Option<RewardOnce>,
    estimate: Estimate,
    /// Memory that is left; unknown where the system does not tell.
    room_bytes: Option<u64>,
}

#[derive(Serialize)]
struct ModelFacts {
    path: String,
    family: &'static str,
    parameters: u64,
    stored_bytes: u64,
    chat_template: bool,
}

#[derive(Serialize)]
struct DataFacts {
    part: &'static str,
    source: String,
    rows: usize,
    shortest: usize,
    longest: usize,
}

/// One row or prompt as the model sees it.
#[derive(Serialize)]
struct Sample {
    tokens: usize,
    learnt: usize,
    view: String,
}

/// What the reward said when it was asked once.
#[derive(Serialize)]
struct RewardOnce {
    /// What was judged: the sample's own completion if it has one, else an empty text.
    completion: String,
    total: Option<f64>,
    parts: Map<String, Value>,
}

/// Checks and prints the plan.
///
/// # Errors
/// What would have stopped the run.
pub(super) fn print(
    request: &Request,
    prepared: &mut Prepared,
    console: &Console,
    json: bool,
) -> anyhow::Result<()> {
    let color = console.color_stdout() && !json;
    let sample = sample(prepared, color)?;
    let reward = reward_once(prepared)?;
    let start = &prepared.start;
    let estimate =
        estimate(&request.train, start, prepared.longest(), prepared.total_steps(request))?;
    let adapter = start.adapted()?;
    let adapter =
        adapter.map(|layers| layers.into_iter().map(|layer| layer.path).collect::<Vec<_>>());
    let document = Document {
        recipe: request.recipe.value(),
        out: request.out.display().to_string(),
        model: ModelFacts {
            path: start.loaded.directory.display().to_string(),
            family: start.config.family.model_type(),
            parameters: estimate.size.parameters,
            stored_bytes: start.loaded.checkpoint.bytes() as u64,
            chat_template: start.encoder.template().is_some(),
        },
        adapter,
        data: (prepared.parts())
            .map(|(part, source, lengths)| DataFacts {
                part,
                source,
                rows: lengths.len(),
                shortest: lengths.iter().copied().min().unwrap_or(0),
                longest: lengths.iter().copied().max().unwrap_or(0),
            })
            .collect(),
        dropped: &prepared.dropped,
        sample,
        reward,
        estimate,
        room_bytes: Room::look().map(|room| room.bytes),
    };
    match json {
        true => print_json(&document),
        false => Ok(print_text(&overview(request, &document, color))?),
    }
}

fn sample(prepared: &Prepared, color: bool) -> anyhow::Result<Sample> {
    let style = TokenStyle { color, ids: false };
    let encoded = prepared.first_row()?;
    let view = paint(&encoded, &prepared.start.loaded.tokenizer, style)?;
    Ok(Sample { tokens: encoded.ids.len(), learnt: encoded.trained(), view })
}

fn reward_once(prepared: &mut Prepared) -> anyhow::Result<Option<RewardOnce>> {
    let Some((rewarding, items)) = prepared.rewarded() else { return Ok(None) };
    let Some(item) = items.first() else { return Ok(None) };
    let completion = completion_of(item);
    let earned = rewarding.score(&[item], std::slice::from_ref(&completion), 0)?;
    Ok(Some(RewardOnce {
        completion,
        total: earned.totals.first().copied().flatten(),
        parts: earned.parts.into_iter().next().unwrap_or_default(),
    }))
}

/// The completion that a row itself has, if any.
fn completion_of(item: &Item) -> String {
    let own = item.columns.get("completion").and_then(Value::as_str);
    own.unwrap_or_default().to_owned()
}

fn overview(request: &Request, document: &Document<'_>, color: bool) -> String {
    let Document { model, data, estimate, sample, .. } = document;
    let mut text = String::new();
    let mut line = |name: &str, value: String| text += &format!("{name:<12}{value}\n");
    let method = match request.train.method {
        Method::Sft => "supervised fine-tuning",
        Method::Mdlm => "masked-diffusion fine-tuning",
        Method::DiffuGrpo => "diffu-GRPO",
    };
    line("method", method.into());
    line(
        "model",
        format!(
            "{}: {}, {} parameters, {} on disk{}",
            model.path,
            model.family,
            millions(model.parameters),
            bytes(model.stored_bytes),
            if model.chat_template { ", with a chat template" } else { "" }
        ),
    );
    if let Some(layers) = &document.adapter {
        let first = layers.first().map_or("", String::as_str);
        line("adapter", format!("{} layers, {first} and so on", layers.len()));
    }
    line("trained", format!("{} parameters", millions(estimate.size.trainable)));
    for DataFacts { part, source, rows, shortest, longest } in data {
        line(part, format!("{source}: {rows} rows of {shortest} to {longest} tokens"));
    }
    for dropped in document.dropped {
        line("left out", dropped.clone());
    }
    line("steps", estimate.total_steps.to_string());
    line(
        "memory",
        format!(
            "about {}: weights and optimiser {}, activations {}{}",
            bytes(estimate.size.state_bytes + estimate.size.activation_bytes),
            bytes(estimate.size.state_bytes),
            bytes(estimate.size.activation_bytes),
            document
                .room_bytes
                .map(|left| format!("; {} are left", bytes(left)))
                .unwrap_or_default()
        ),
    );
    line(
        "time",
        format!(
            "about {} a step, {} in all, at {:.0} GFLOP/s",
            duration(estimate.step_seconds),
            duration(estimate.total_seconds),
            estimate.flops_per_second / 1e9
        ),
    );
    line("checkpoint", format!("{} each", bytes(estimate.size.checkpoint_bytes)));
    line("run", request.out.display().to_string());
    text += &format!("\nfirst row, {} tokens, {} learnt", sample.tokens, sample.learnt);
    if !color {
        text += "; [learnt] and (not learnt)";
    }
    text += &format!(":\n{}\n", sample.view.trim_end());
    if let Some(RewardOnce { completion, total, parts }) = &document.reward {
        let total = total.map_or("no reward applies".to_owned(), |total| total.to_string());
        text += &format!("\nthe reward of {:?}: {total}\n", printable(completion));
        for (name, value) in parts {
            text += &format!("  {name}: {value}\n");
        }
    }
    text.trim_end().to_owned()
}

fn millions(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.3} B", count as f64 / 1e9),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}
