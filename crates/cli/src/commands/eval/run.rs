//! The order of an evaluation.

use std::path::Path;
use std::time::Instant;

use afterthought_kernels::precision;
use afterthought_models::Network;
use afterthought_sampling::Interrupted as Stopped;
use afterthought_tasks::generations::EVALUATION_SCHEMA;
use serde_json::json;

use super::data::Data;
use super::document::Document;
use super::fingerprint::of_model;
use super::kept::{Kept, batches};
use super::questions::{Questions, Shots};
use super::request::Header;
use super::results::Results;
use super::score::{format_rate, scores};
use super::worded::Worded;
use super::writer::Writer;
use crate::args::EvalArgs;
use crate::commands::decode::{Engine, Finish};
use crate::commands::decoding_plan::DecodingPlan;
use crate::commands::loaded::Loaded;
use crate::commands::model_path::resolve;
use crate::console::{Console, print_json, print_text};
use crate::exit::{AlreadyComplete, Interrupted, UsageError, hinted};
use crate::progress::Progress;

/// Most completions of an item.
const MOST_SAMPLES: usize = 10_000;

/// Decodes the completions that are missing, grades all of them and prints the result.
pub(crate) fn run(args: &EvalArgs, console: &Console) -> anyhow::Result<()> {
    if args.samples == 0 || args.samples > MOST_SAMPLES {
        let message = format!("--samples is {}", args.samples);
        return Err(UsageError::new(message).hint(format!("draw 1 to {MOST_SAMPLES}")).into());
    }
    let data = Data::read(args)?;
    let shots = Shots::draw(args, &data)?;
    if let Some(path) = &args.out {
        Results::check(path, args.resume)?;
    }
    if let Some(shots) = &shots {
        console.note(&format!("{} worked examples of {}", args.prompt.shots, shots.source));
    }
    let loaded = Loaded::open(&resolve(&args.model, console)?)?
        .with_adapter(args.adapter.as_deref(), console)?;
    let format = loaded.format()?;
    let mut plan = DecodingPlan::resolve(&args.sampling, &loaded, &format, console)?;
    let questions = Questions::new(args, shots, loaded.prompt_style());
    let worded = Worded::new(&loaded, &format, &questions, &data)?;
    plan.fit(&loaded, &worded.tokens, &|index| format!("the prompt of item {index}"))?;

    let settings = plan.settings(args.sampling.seed);
    let request = json!({
        "task": args.task,
        "model": match args.out { Some(_) => of_model(&loaded.directory)?, None => String::new() },
        "adapter": match (&args.out, &loaded.adapter) {
            (Some(_), Some(adapter)) => Some(of_model(&adapter.directory)?),
            _ => None,
        },
        "decoder_start": match &loaded.network {
            Network::EncoderDecoder(config) => Some(config.decoder_start_token_id),
            Network::Decoder(_) => None,
        },
        "data": data.identity,
        "prompt": questions.identity(),
        "sampling": settings,
        "precision": precision().to_string(),
    });
    let header = Header {
        schema: EVALUATION_SCHEMA.to_owned(),
        model: args.model.display().to_string(),
        data: data.source.clone(),
        request,
    };
    let (mut results, earlier) = match &args.out {
        Some(path) => {
            let (results, lines) = Results::open(path, &header, console)?;
            (Some(results), lines)
        }
        None => (None, Vec::new()),
    };
    let mut kept = Kept::new(args, &data, &worded);
    kept.take_earlier(earlier, &questions, console)?;
    let (resumed, missing) = (kept.count(), kept.missing());

    let total: usize = missing.iter().map(|(_, samples)| samples.len()).sum();
    console.note(&format!(
        "{} items of {} x {} samples, {resumed} there already, sampling {}",
        data.items.len(),
        args.task,
        args.samples,
        settings.line()
    ));
    let begun = Instant::now();
    if total > 0 {
        let progress = Progress::single(console, "tokens", (total * plan.max_tokens()) as u64);
        let writer = Writer {
            engine: Engine::new(&loaded, &format, &plan, questions.stops())?,
            tokenizer: &loaded.tokenizer,
            questions: &questions,
            data: &data,
            worded: &worded,
            seed: args.sampling.seed,
        };
        for batch in batches(&missing, plan.max_rows()) {
            let lines = writer
                .write(&batch, &mut |tokens| progress.inc(tokens))
                .map_err(|error| stopped(error, args.out.as_deref()))?;
            if let Some(results) = &mut results {
                results.append(&lines)?;
            }
            kept.add(lines);
        }
        progress.finish();
    }
    let seconds = begun.elapsed().as_secs_f64();

    let items = kept.sampled();
    let lines = || items.iter().flat_map(|item| item.lines.iter());
    let tokens: usize = lines().map(|line| line.tokens).sum();
    let document = Document {
        task: args.task,
        model: header.model,
        adapter: loaded.adapter.clone(),
        data: header.data,
        prompt: questions.identity(),
        sampling: settings,
        items: items.len(),
        samples: args.samples,
        profiles: scores(&items)?,
        format_rate: format_rate(&items)?,
        truncated: lines().filter(|line| line.finish == Finish::Length).count(),
        mean_tokens: tokens as f64 / lines().count() as f64,
        resumed,
        seconds,
    };
    match args.json {
        true => print_json(&document)?,
        false => print_text(&document.overview())?,
    }
    match &args.out {
        Some(path) if total == 0 => Err(AlreadyComplete { directory: path.clone() }.into()),
        _ => Ok(()),
    }
}

/// A stop on request leaves a file that can be continued, if there is one.
fn stopped(error: anyhow::Error, out: Option<&Path>) -> anyhow::Error {
    match out.filter(|_| error.is::<Stopped>()) {
        Some(path) => hinted(
            Interrupted { checkpoint: path.to_owned() },
            "run the same command with --resume to continue",
        ),
        None => error,
    }
}
