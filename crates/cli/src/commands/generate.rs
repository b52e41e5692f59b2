//! `afterthought generate`: completions of prompts.

use std::path::Path;

use afterthought_sampling::diffusion::StepEvent;
use afterthought_text::Records;
use anyhow::Context;
use serde::Serialize;

use crate::args::GenerateArgs;
use crate::commands::decode::{Decoded, decode};
use crate::commands::loaded::Loaded;
use crate::commands::missing::require_file;
use crate::commands::sampling_flags::{Settings, check_prompts, resolve};
use crate::commands::steps_view::StepsView;
use crate::console::{Console, print_json, print_text, printable};
use crate::exit::UsageError;
use crate::progress::Progress;

/// Decodes every prompt and prints the completions.
pub(crate) fn run(args: &GenerateArgs, console: &Console) -> anyhow::Result<()> {
    let texts = match (&args.prompt, &args.prompts) {
        (Some(prompt), _) => vec![prompt.clone()],
        (None, Some(path)) => read(path)?,
        (None, None) => Vec::new(),
    };
    let loaded = Loaded::open(&args.model)?;
    let mut params = resolve(&args.sampling, &loaded)?;
    let format = loaded.format()?;
    let name = |index: usize| match &args.prompts {
        Some(path) => format!("{}: prompt {}", path.display(), index + 1),
        None => "the prompt".to_owned(),
    };
    let prompts = (texts.iter().enumerate())
        .map(|(index, text)| loaded.encode(&format, text, &name(index)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    check_prompts(&params, &loaded, &prompts, &name)?;

    let seed = args.sampling.seed;
    let settings = Settings::new(&params, seed);
    console.note(&format!("sampling {}", settings.line()));
    let decoded = if args.show_steps {
        // One after the other, so that each can be watched from its beginning to its end.
        params.max_rows = 1;
        let mut view = StepsView::new(console, &loaded.tokenizer, &params, texts.len())?;
        decode(&loaded, &prompts, &params, seed, &mut |event| {
            view.show(event);
        })?
    } else {
        let progress =
            Progress::single(console, "tokens", (texts.len() * params.gen_length) as u64);
        let decoded = decode(&loaded, &prompts, &params, seed, &mut |event| {
            progress.inc(committed(event));
        })?;
        progress.finish();
        decoded
    };
    let generations = (texts.into_iter().zip(&decoded))
        .map(|(prompt, decoded)| Generation::new(prompt, decoded, &format))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if args.json {
        return print_json(&Document { sampling: settings, generations });
    }
    Ok(print_text(&match &generations[..] {
        [only] if args.prompt.is_some() => printable(&only.completion),
        all => listing(all),
    })?)
}

/// Tokens that a step committed over all rows.
pub(crate) fn committed(event: &StepEvent<'_>) -> u64 {
    event.rows.iter().map(|row| row.committed.len() as u64).sum()
}

fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    require_file(path)?;
    let prompts = Records::open(path)?
        .map(|record| Ok(record?.prompt))
        .collect::<Result<Vec<_>, afterthought_text::Error>>()
        .context("each line of a prompts file is a JSON object with `prompt`")?;
    if prompts.is_empty() {
        return Err(UsageError::new(format!("{} holds no prompts", path.display())).into());
    }
    Ok(prompts)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    sampling: Settings,
    generations: Vec<Generation>,
}

#[derive(Serialize)]
struct Generation {
    prompt: String,
    /// Up to the first end-of-sequence token.
    completion: String,
    /// Tokens of the completion.
    tokens: usize,
    model_calls: usize,
    forward_tokens: usize,
    /// From the start of the command's decoding to the end of this completion.
    seconds: f64,
}

impl Generation {
    fn new(
        prompt: String,
        decoded: &Decoded,
        format: &afterthought_training::PromptFormat,
    ) -> anyhow::Result<Self> {
        let rollout = &decoded.rollout;
        let ids = rollout.completion.iter();
        Ok(Self {
            prompt,
            completion: format.completion(rollout)?,
            tokens: ids.take_while(|id| **id != format.eos).count(),
            model_calls: rollout.model_calls,
            forward_tokens: rollout.forward_tokens,
            seconds: decoded.seconds,
        })
    }
}

/// Every prompt with its completion beneath it.
fn listing(generations: &[Generation]) -> String {
    let entry = |(index, generation): (usize, &Generation)| {
        let [prompt, completion] =
            [&generation.prompt, &generation.completion].map(|text| printable(text));
        let completion = completion.replace('\n', "\n  ");
        format!("[{}] {prompt}\n  {completion}\n", index + 1)
    };
    let entries: Vec<String> = generations.iter().enumerate().map(entry).collect();
    entries.join("\n")
}
