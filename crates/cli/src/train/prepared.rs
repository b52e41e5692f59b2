//! A request whose model and data have been opened and checked, and the trainer made of them.

use std::path::Path;

use afterthought_adapters::Adaptable;
use afterthought_recipes::train::{Method, Train};
use afterthought_rewards::Log;
use afterthought_text::Encoded;
use afterthought_training::objective::Example;
use afterthought_training::{DiffuGrpo, PromptFormat, Row};
use anyhow::Context;

use super::estimate::size;
use super::grpo::{Grpo, decoding, settings};
use super::identity::Files;
use super::mdlm::{Mdlm, options};
use super::order::Order;
use super::prompts::{Item, items};
use super::request::Request;
use super::rewarding::Rewarding;
use super::rows::{self, teaches_nothing};
use super::sft::Sft;
use super::start::{Start, Trainable};
use super::trainer::Trainer;
use crate::args::Split;
use crate::console::{Console, printable};
use crate::exit::UsageError;
use crate::memory::{Room, bytes, require_room};

/// What is learnt from.
enum Material {
    Rows {
        train: Vec<rows::Row>,
        validation: Vec<rows::Row>,
    },
    Prompts {
        train: Vec<Item>,
        validation: Vec<Item>,
        rewarding: Box<Rewarding>,
        format: Box<PromptFormat>,
    },
}

/// A request whose model and data have been opened and checked.
pub(super) struct Prepared {
    pub(super) start: Start,
    material: Material,
    sources: Vec<String>,
    pub(super) files: Files,
    /// What was left out of the data.
    pub(super) dropped: Vec<String>,
}

impl Prepared {
    /// Opens model and data, and sets up the rewards.
    ///
    /// # Errors
    /// Everything that would stop the run later.
    pub(super) fn new(request: &Request, console: &Console) -> anyhow::Result<Self> {
        let train = &request.train;
        let start = Start::open(train, console)?;
        let (mut files, mut dropped, mut sources) = (Files::new(), Vec::new(), Vec::new());
        let data = &train.data;
        let material = match train.method {
            Method::Sft | Method::Mdlm => {
                let mut read = |file: &str, limit: usize| -> anyhow::Result<Vec<rows::Row>> {
                    let mut found = rows::read(Path::new(file), data, &start.encoder)?;
                    found.rows.truncate(limit);
                    if let Some((row, problem)) =
                        found.rows.iter().find_map(|row| Some((row, teaches_nothing(row)?)))
                    {
                        let message = format!("{file}:{}:1: {problem}", row.line);
                        return Err(UsageError::new(message).into());
                    }
                    files.insert(file.to_owned(), found.rows.len() as u64);
                    dropped.extend(found.dropped);
                    sources.push(file.to_owned());
                    Ok(found.rows)
                };
                let rows = read(data.train.as_deref().unwrap_or_default(), usize::MAX)?;
                let validation = match (&data.validation, train.run.validate_every) {
                    (Some(file), Some(_)) => read(file, data.validation_limit)?,
                    _ => Vec::new(),
                };
                Material::Rows { train: rows, validation }
            }
            Method::DiffuGrpo => {
                let format = start.format()?;
                let mut part = |file: Option<&str>, split, limit| -> anyhow::Result<Vec<Item>> {
                    let found = items(train, &start, &format, file, split, limit)?;
                    if let Some(file) = file {
                        files.insert(file.to_owned(), found.items.len() as u64);
                    }
                    dropped.extend(found.dropped);
                    sources.push(found.source);
                    Ok(found.items)
                };
                let file = data.train.as_deref();
                let limit = if file.is_some() { usize::MAX } else { data.problems.unwrap_or(1) };
                let prompts = part(file, Split::Train, limit)?;
                let validation = match train.run.validate_every {
                    Some(_) => {
                        let file = data.validation.as_deref();
                        part(file, Split::Validation, data.validation_limit)?
                    }
                    None => Vec::new(),
                };
                let shown = console.clone();
                let log = Log::new(move |line| {
                    shown.note(&format!("{}: {}", line.reward, printable(line.text)))
                });
                let rewarding = Box::new(Rewarding::build(&train.rewards, &log)?);
                let format = Box::new(format);
                Material::Prompts { train: prompts, validation, rewarding, format }
            }
        };
        for line in &dropped {
            console.warn(line);
        }
        let prepared = Self { start, material, sources, files, dropped };
        prepared.check_positions(train)?;
        Ok(prepared)
    }

    /// The longest sequence must fit the model.
    fn check_positions(&self, train: &Train) -> anyhow::Result<()> {
        let most = self.start.config.max_positions();
        let completion = train.sampling.as_ref().map_or(0, |sampling| sampling.gen_length);
        let padding = window(train).map_or(0, |window| match &self.material {
            Material::Rows { train, .. } => {
                let prompts = train.iter().map(|row| prompt_length(&row.encoded)).max();
                (prompts.unwrap_or(0) + window).saturating_sub(self.longest())
            }
            Material::Prompts { .. } => 0,
        });
        let longest = self.longest() + completion.max(padding);
        if longest > most {
            let message =
                format!("sequences of {longest} tokens exceed the model's {most} positions");
            let hint = "lower `data.max_length` with `data.on_long = \"drop\"`, or the length of completions";
            return Err(UsageError::new(message).hint(hint).into());
        }
        Ok(())
    }

    /// Refuses a run whose weights and optimiser state cannot fit into memory, and warns of one whose
    /// activations may not.
    ///
    /// # Errors
    /// A usage error.
    pub(super) fn require_room(&self, train: &Train, console: &Console) -> anyhow::Result<()> {
        let size = size(train, &self.start, self.longest())?;
        let hint = match train.lora {
            Some(_) => "train a smaller model",
            None => "train an adapter instead ([lora] in the recipe), or a smaller model",
        };
        let what = "the weights, gradients and optimiser state of this run need";
        require_room(what, size.state_bytes, hint)?;
        let needed = size.state_bytes + size.activation_bytes;
        if let Some(Room { bytes: left, bound }) = Room::look()
            && needed > left
        {
            let (needed, left) = (bytes(needed), bytes(left));
            console.warn(&format!(
                "a step needs about {needed} of memory, and {left} are left {bound}; \
                 `run.rows_at_once` and `data.max_length` make it smaller"
            ));
        }
        Ok(())
    }

    /// Steps of the whole run.
    pub(super) fn total_steps(&self, request: &Request) -> u64 {
        let run = &request.train.run;
        match (run.steps, run.epochs, &self.material) {
            (Some(steps), ..) => steps,
            (None, Some(epochs), Material::Rows { train, .. }) => {
                let batches = train.len() as f64 * epochs / run.batch.unwrap_or(1) as f64;
                (batches.ceil() as u64).max(1)
            }
            _ => 1,
        }
    }

    /// Tokens of the longest prompt or row of the training part.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.parts().next().map(|(.., lengths)| lengths);
        lengths.into_iter().flatten().max().unwrap_or(1)
    }

    /// Each part of the data: its name, where it comes from, and the lengths of its rows.
    pub(super) fn parts(&self) -> impl Iterator<Item = (&'static str, String, Vec<usize>)> {
        let parts: [Vec<usize>; 2] = match &self.material {
            Material::Rows { train, validation } => [train, validation]
                .map(|rows| rows.iter().map(|row| row.encoded.ids.len()).collect()),
            Material::Prompts { train, validation, .. } => {
                [train, validation].map(|items| items.iter().map(|item| item.ids.len()).collect())
            }
        };
        let named = ["data", "validation"].into_iter().zip(self.sources.clone()).zip(parts);
        named.map(|((name, source), lengths)| (name, source, lengths))
    }

    /// The first row, with what is learnt of it.
    ///
    /// # Errors
    /// The prompt cannot be encoded.
    pub(super) fn first_row(&self) -> anyhow::Result<Encoded> {
        match &self.material {
            Material::Rows { train, .. } => {
                Ok(train.first().map(|row| row.encoded.clone()).unwrap_or_default())
            }
            Material::Prompts { train, .. } => {
                let text = train.first().map_or("", |item| item.text.as_str());
                Ok(self.start.encoder.prompt(text)?)
            }
        }
    }

    /// Asks the rewards once, about an empty completion of the first prompt.
    ///
    /// # Errors
    /// A reward that cannot be asked: a process that ends or is silent, an endpoint that is not there.
    pub(super) fn check_rewards(&mut self, console: &Console) -> anyhow::Result<()> {
        let Some((rewarding, items)) = self.rewarded() else { return Ok(()) };
        match items.first() {
            Some(item) => rewarding.check(item, console),
            None => Ok(()),
        }
    }

    /// The rewards, and what they judge completions of.
    pub(super) fn rewarded(&mut self) -> Option<(&mut Rewarding, &[Item])> {
        match &mut self.material {
            Material::Rows { .. } => None,
            Material::Prompts { train, rewarding, .. } => Some((rewarding, train)),
        }
    }

    /// The trainer.
    ///
    /// # Errors
    /// A usage error for rows that the method cannot learn from.
    pub(super) fn trainer(self, request: &Request, decoder: &Trainable) -> anyhow::Result<Built> {
        let (train, start) = (&request.train, self.start);
        let (seed, rows_at_once) = (train.seed, train.run.rows_at_once);
        let config = &start.config;
        let trainer: Box<dyn Trainer> = match (self.material, train.method) {
            (Material::Rows { train: rows, validation }, Method::Sft) => {
                let batch = train.run.batch.unwrap_or(1);
                let order = Order { seed, rows: rows.len(), batch };
                let causal = |rows: Vec<rows::Row>| {
                    let row = |row: rows::Row| Row {
                        ids: row.encoded.ids,
                        learnt: row.encoded.loss_mask,
                    };
                    rows.into_iter().map(row).collect()
                };
                let (rows, validation) = (causal(rows), causal(validation));
                Box::new(Sft { rows, validation, order, rows_at_once })
            }
            (Material::Rows { train: rows, validation }, _) => {
                let batch = train.run.batch.unwrap_or(1);
                let order = Order { seed, rows: rows.len(), batch };
                let loss = train.loss.as_ref().context("the recipe has no loss")?;
                let window = window(train);
                Box::new(Mdlm {
                    examples: examples(&rows, window)?,
                    validation: examples(&validation, window)?,
                    options: options(loss)?,
                    window,
                    ids: [mask(&start)?, start.loaded.eos()?],
                    order,
                    rows_at_once,
                })
            }
            (Material::Prompts { train: prompts, validation, rewarding, format }, _) => {
                let rl = train.rl.as_ref().context("the recipe has no rl")?;
                let sampling = train.sampling.as_ref().context("the recipe has no sampling")?;
                let (objective, estimator) = settings(rl)?;
                let (mask, eos) = (mask(&start)?, start.loaded.eos()?);
                let pad = config.pad_token_id.unwrap_or(eos);
                let reference = match decoder.adapter {
                    Some(_) => Adaptable::without_adapters(&decoder.decoder),
                    None => decoder.decoder.clone(),
                };
                Box::new(Grpo {
                    grpo: DiffuGrpo {
                        estimator,
                        objective,
                        group_size: rl.group_size,
                        inner_updates: rl.inner_updates,
                        sampling: decoding(sampling, [mask, eos, pad], rows_at_once),
                        max_rows: rows_at_once,
                        seed,
                    },
                    reference,
                    order: Order { seed, rows: prompts.len(), batch: rl.prompts },
                    items: prompts,
                    validation,
                    format: *format,
                    rewarding: *rewarding,
                })
            }
        };
        Ok(Built { trainer, start })
    }
}

/// The trainer of a request, and the model it starts from.
pub(super) struct Built {
    pub(super) trainer: Box<dyn Trainer>,
    pub(super) start: Start,
}

fn mask(start: &Start) -> anyhow::Result<u32> {
    // `Start::open` refused models without one.
    start.config.mask_token_id.context("the model has no mask token")
}

/// The window of completions, if the recipe gives a number.
fn window(train: &Train) -> Option<usize> {
    let window = train.data.window.as_ref()?.as_u64()?;
    usize::try_from(window).ok()
}

/// Tokens before the first that is learnt.
fn prompt_length(encoded: &Encoded) -> usize {
    let first = encoded.loss_mask.iter().position(|learnt| *learnt);
    first.unwrap_or(encoded.ids.len())
}

/// Prompts and completions of rows.
fn examples(rows: &[rows::Row], window: Option<usize>) -> anyhow::Result<Vec<Example>> {
    let mut problems = Vec::new();
    let examples = rows
        .iter()
        .map(|row| {
            let first = prompt_length(&row.encoded);
            let (prompt, completion) = row.encoded.ids.split_at(first);
            let trailing = row.encoded.loss_mask.iter().rev().take_while(|learnt| !**learnt);
            // What a template writes behind the last turn is not learnt and not shown.
            let kept = completion.len() - trailing.count().min(completion.len());
            if row.encoded.loss_mask[first..first + kept].iter().any(|learnt| !*learnt) {
                problems.push(format!("line {}: several turns are learnt", row.line));
            }
            if window.is_some_and(|window| kept > window) {
                problems.push(format!("line {}: {kept} tokens, more than `data.window`", row.line));
            }
            let (prompt, completion) = (prompt.to_vec(), completion[..kept].to_vec());
            Example { prompt, window: completion.len(), completion }
        })
        .collect();
    match problems.is_empty() {
        true => Ok(examples),
        false => Err(UsageError::new(problems.join("\n  ")).into()),
    }
}
