//! What a model is asked in reinforcement learning.

use std::path::Path;

use afterthought_recipes::train::{Train, WhenLong};
use afterthought_tasks::{Problem, TaskName};
use afterthought_text::Content;
use afterthought_training::PromptFormat;
use serde_json::{Map, Value};

use super::rows;
use super::start::Start;
use crate::args::{GeneratedTask, Split};
use crate::commands::generated::{Wanted, problems as generated};
use crate::commands::missing::require_file;
use crate::exit::UsageError;

/// A prompt, and what its completions are judged by.
pub(super) struct Item {
    /// What the model is asked, for people and rewards.
    pub(super) text: String,
    /// The prompt in tokens.
    pub(super) ids: Vec<u32>,
    /// The other columns of its row.
    pub(super) columns: Map<String, Value>,
    /// The problem, if it is one of a built-in task.
    pub(super) problem: Option<Box<dyn Problem>>,
}

/// The prompts of a part of the data, and what was left out.
pub(super) struct Items {
    pub(super) items: Vec<Item>,
    pub(super) dropped: Vec<String>,
    /// Where they come from.
    pub(super) source: String,
}

/// Reads or makes the prompts of a part: of `file`, if there is one; at most `limit`.
///
/// # Errors
/// A usage error: a file that is not there or holds no prompts, a prompt that is too long.
pub(super) fn items(
    train: &Train,
    start: &Start,
    format: &PromptFormat,
    file: Option<&str>,
    split: Split,
    limit: usize,
) -> anyhow::Result<Items> {
    let task = train.data.task.as_deref().map(task_of).transpose()?;
    let (mut items, mut dropped, source) = match (task, file) {
        (None, None) => return Err(UsageError::new("there is neither a file nor a task").into()),
        (None, Some(file)) => of_rows(train, start, Path::new(file))?,
        (Some(task), file) => of_task(task, file, format, split, limit, train.seed)?,
    };
    items.truncate(limit);
    let most = train.data.max_length;
    let long = items.iter().filter(|item| item.ids.len() > most).count();
    if long > 0 {
        let message = format!("{source}: {long} prompts have more than {most} tokens");
        match train.data.on_long {
            WhenLong::Drop => {
                dropped.push(format!("{message}; they are left out"));
                items.retain(|item| item.ids.len() <= most);
            }
            WhenLong::Error => {
                let hint = "raise `data.max_length`, or set `data.on_long = \"drop\"`";
                return Err(UsageError::new(message).hint(hint).into());
            }
        }
    }
    if items.is_empty() {
        return Err(UsageError::new(format!("{source} has no prompt left")).into());
    }
    Ok(Items { items, dropped, source })
}

fn task_of(name: &str) -> anyhow::Result<TaskName> {
    // The recipe's words are these names; a test reads all of them.
    let task = TaskName::ALL.into_iter().find(|task| task.to_string() == name);
    task.ok_or_else(|| UsageError::new(format!("there is no task {name:?}")).into())
}

type Found = (Vec<Item>, Vec<String>, String);

fn of_task(
    task: TaskName,
    file: Option<&str>,
    format: &PromptFormat,
    split: Split,
    limit: usize,
    seed: u64,
) -> anyhow::Result<Found> {
    let (problems, source) = match (task, file) {
        (_, Some(file)) => {
            require_file(Path::new(file))?;
            (afterthought_tasks::read_problems(task, Path::new(file))?, file.to_owned())
        }
        (TaskName::Sudoku, None) => {
            (made(GeneratedTask::Sudoku, split, seed, limit)?, "made".into())
        }
        (TaskName::Countdown, None) => {
            (made(GeneratedTask::Countdown, split, seed, limit)?, "made".into())
        }
        (task, None) => {
            let message = format!("problems of {task} are not made to order");
            return Err(UsageError::new(message).hint("name a file with `data.train`").into());
        }
    };
    let items = problems
        .into_iter()
        .map(|problem| {
            let (text, ids) = (problem.prompt(format.style), format.problem(problem.as_ref())?);
            let mut columns = match problem.record() {
                Value::Object(columns) => columns,
                _ => Map::new(),
            };
            columns.shift_remove("prompt");
            Ok(Item { text, ids, columns, problem: Some(problem) })
        })
        .collect::<anyhow::Result<Vec<Item>>>()?;
    Ok((items, Vec::new(), format!("{task} ({source})")))
}

fn made(
    task: GeneratedTask,
    split: Split,
    seed: u64,
    count: usize,
) -> anyhow::Result<Vec<Box<dyn Problem>>> {
    generated(&Wanted { task, split, empties: None, numbers: None, seed }, count)
}

fn of_rows(train: &Train, start: &Start, file: &Path) -> anyhow::Result<Found> {
    let found = rows::read(file, &train.data, &start.encoder)?;
    let name = file.display().to_string();
    let items = found
        .rows
        .into_iter()
        .map(|row| {
            let mut columns = row.record.columns;
            let text = match row.record.content {
                Content::Prompt(text) => text,
                Content::Completion { prompt, completion } => {
                    columns.insert("completion".to_owned(), completion.into());
                    prompt
                }
                Content::Messages(_) => {
                    let message = format!("{name}:{}: the row has `messages`", row.line);
                    return Err(UsageError::new(message).hint("diffu-grpo needs `prompt`").into());
                }
            };
            let ids = start.encoder.prompt(&text)?.ids;
            Ok(Item { text, ids, columns, problem: None })
        })
        .collect::<anyhow::Result<Vec<Item>>>()?;
    Ok((items, found.dropped, name))
}
