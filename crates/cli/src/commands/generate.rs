//! `afterthought generate`: completions of prompts.

use std::path::Path;

use afterthought_sampling::autoregressive::Prompt;
use afterthought_text::{BadRows, Content, Dataset};
use anyhow::Context;
use serde::Serialize;

use crate::args::GenerateArgs;
use crate::commands::adapter::Adapter;
use crate::commands::decode::{Decoded, Engine, Finish, Progressed};
use crate::commands::decoding_plan::{DecodingPlan, Settings};
use crate::commands::loaded::{Asked, Loaded};
use crate::commands::missing::require_file;
use crate::commands::model_path::resolve;
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
    let loaded = Loaded::open(&resolve(&args.model, console)?)?
        .with_adapter(args.adapter.as_deref(), console)?;
    let format = loaded.format_with(&asked(args))?;
    let mut plan = DecodingPlan::resolve(&args.sampling, &loaded, &format, console)?;
    let name = |index: usize| match &args.prompts {
        Some(path) => format!("{}: prompt {}", path.display(), index + 1),
        None => "the prompt".to_owned(),
    };
    let prompts = (texts.iter().enumerate())
        .map(|(index, text)| loaded.encode(&format, text, &name(index)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    plan.fit(&loaded, &prompts, &name)?;

    let seed = args.sampling.seed;
    let settings = plan.settings(seed);
    let adapter = loaded.adapter.as_ref();
    if let Some(adapter) = adapter {
        console.note(&format!("adapter {}", adapter.directory.display()));
    }
    console.note(&format!("sampling {}", settings.line()));
    let samples: Vec<[u64; 1]> = (0..prompts.len() as u64).map(|index| [index]).collect();
    let asked: Vec<Prompt<'_>> = (prompts.iter().zip(&samples))
        .map(|(tokens, samples)| Prompt { tokens, samples })
        .collect();
    let decoded = if args.show_steps {
        let mut view = steps_view(&mut plan, &loaded, console, texts.len())?;
        Engine::new(&loaded, &format, &plan, &[])?.decode(&asked, seed, &mut |event| {
            if let Progressed::Denoised(step) = event {
                view.show(step);
            }
        })?
    } else {
        let total = texts.len() * plan.max_tokens();
        let progress = Progress::single(console, "tokens", total as u64);
        let decoded =
            Engine::new(&loaded, &format, &plan, &[])?.decode(&asked, seed, &mut |event| {
                progress.inc(event.tokens());
            })?;
        progress.finish();
        decoded
    };
    let generations = (texts.into_iter().zip(&decoded))
        .map(|(prompt, decoded)| Generation::new(prompt, decoded, &loaded))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if args.json {
        return print_json(&Document { adapter, sampling: settings, generations });
    }
    Ok(print_text(&match &generations[..] {
        [only] if args.prompt.is_some() => printable(&only.completion),
        all => listing(all),
    })?)
}

/// The view of `--show-steps`, for which prompts are decoded one after the other, so that each can be
/// watched from its beginning to its end.
fn steps_view<'a>(
    plan: &mut DecodingPlan,
    loaded: &'a Loaded,
    console: &Console,
    rows: usize,
) -> anyhow::Result<StepsView<'a>> {
    match plan {
        DecodingPlan::Diffusion(params) => {
            params.max_rows = 1;
            Ok(StepsView::new(console, &loaded.tokenizer, params, rows)?)
        }
        DecodingPlan::Autoregressive(_) => {
            let message = format!(
                "--show-steps shows denoising steps; {} is autoregressive and has none",
                loaded.directory.display()
            );
            Err(UsageError::new(message).hint("leave it out").into())
        }
    }
}

fn asked(args: &GenerateArgs) -> Asked {
    match (args.raw, &args.system) {
        (true, _) => Asked::Raw,
        (false, system @ Some(_)) => Asked::InChat { system: system.clone() },
        (false, None) if args.chat => Asked::InChat { system: None },
        (false, None) => Asked::AsTrained,
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<String>> {
    require_file(path)?;
    let rows = Dataset::open(path, BadRows::Refuse)
        .context("each line of a prompts file is a JSON object with `prompt`")?;
    let prompts = (rows.records.into_iter())
        .map(|(line, record)| match record.content {
            Content::Prompt(prompt) | Content::Completion { prompt, .. } => Ok(prompt),
            Content::Messages(_) => {
                let message = format!("{}:{line}: the row has no `prompt`", path.display());
                Err(UsageError::new(message)
                    .hint("each line of a prompts file is a JSON object with `prompt`"))
            }
        })
        .collect::<Result<Vec<_>, UsageError>>()?;
    if prompts.is_empty() {
        return Err(UsageError::new(format!("{} holds no prompts", path.display())).into());
    }
    Ok(prompts)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<&'a Adapter>,
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
    finish: Finish,
    model_calls: usize,
    forward_tokens: usize,
    /// From the start of the command's decoding to the end of this completion.
    seconds: f64,
}

impl Generation {
    fn new(prompt: String, decoded: &Decoded, loaded: &Loaded) -> anyhow::Result<Self> {
        Ok(Self {
            prompt,
            completion: loaded.tokenizer.decode(&decoded.tokens, false)?,
            tokens: decoded.tokens.len(),
            finish: decoded.finish,
            model_calls: decoded.model_calls,
            forward_tokens: decoded.forward_tokens,
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
