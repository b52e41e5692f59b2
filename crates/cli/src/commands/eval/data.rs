//! Which problems are measured, and where they come from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use afterthought_tasks::{Problem, TaskName, read_problems};
use serde_json::{Value, json};

use super::fingerprint::{of_bytes, of_file};
use crate::args::{EvalArgs, GeneratedTask, Split};
use crate::commands::generated::{Wanted, problems as generated};
use crate::commands::missing::require_file;
use crate::exit::{UsageError, hinted};

/// Generated problems when nobody says how many.
const GENERATED: usize = 256;
/// The variable that names the folder with the data files of gsm8k and math.
const FOLDER: &str = "AFTERTHOUGHT_DATA";

/// A problem and its name.
pub(super) struct Item {
    /// Told by the problem's content, so that it is the same wherever the problem stands. Repeats of
    /// a problem are counted.
    pub(super) id: String,
    pub(super) problem: Box<dyn Problem>,
}

/// The items to measure.
pub(super) struct Data {
    pub(super) items: Vec<Item>,
    /// Problems of the same file that are not measured, from behind the limit.
    pub(super) rest: Vec<Box<dyn Problem>>,
    /// The file, or the part of a generated task, for people.
    pub(super) source: String,
    /// The same by content: what must be equal for results to belong together.
    pub(super) identity: Value,
}

impl Data {
    /// Reads or makes the problems.
    ///
    /// # Errors
    /// A usage error without a file where one is needed; a failure that names file, line and key of
    /// what is not a problem of the task.
    pub(super) fn read(args: &EvalArgs) -> anyhow::Result<Self> {
        if args.limit == Some(0) {
            return Err(UsageError::new("--limit is 0").hint("measure at least one item").into());
        }
        let made_to_order = match args.task {
            TaskName::Sudoku => Some(GeneratedTask::Sudoku),
            TaskName::Countdown => Some(GeneratedTask::Countdown),
            TaskName::Gsm8k | TaskName::Math => None,
        };
        if let (None, Some(task)) = (&args.data, made_to_order) {
            let (split, seed) = (args.split, args.sampling.seed);
            let wanted = Wanted { task, split, empties: None, numbers: None, seed };
            let problems = generated(&wanted, args.limit.unwrap_or(GENERATED))?;
            let source = format!("generated, {}", split.name());
            let identity = json!({"generated": split.name(), "seed": seed});
            return Ok(Self { items: named(problems), rest: Vec::new(), source, identity });
        }
        let path = match &args.data {
            Some(path) => path.clone(),
            None => of_folder(args.task, args.split, "--data")?,
        };
        let mut items = named(problems_of(args.task, &path)?);
        let limit = args.limit.unwrap_or(items.len()).min(items.len());
        let rest = items.split_off(limit).into_iter().map(|item| item.problem).collect();
        let identity = json!({"blake3": of_file(&path)?});
        Ok(Self { items, rest, source: path.display().to_string(), identity })
    }
}

/// The problems of a file, at least one.
pub(super) fn problems_of(task: TaskName, path: &Path) -> anyhow::Result<Vec<Box<dyn Problem>>> {
    require_file(path)?;
    let problems = read_problems(task, path)
        .map_err(|error| hinted(error, format!("is this a file of {task} problems?")))?;
    if problems.is_empty() {
        return Err(UsageError::new(format!("{} holds no problems", path.display())).into());
    }
    Ok(problems)
}

/// The file of a task's part in the data folder; `flag` names it otherwise.
///
/// # Errors
/// A usage error without a folder, or for a part that has no file.
pub(super) fn of_folder(task: TaskName, split: Split, flag: &str) -> anyhow::Result<PathBuf> {
    let file = match (task, split) {
        (TaskName::Gsm8k, Split::Train) => "gsm8k/train.jsonl",
        (TaskName::Gsm8k, Split::Test) => "gsm8k/test.jsonl",
        (TaskName::Math, Split::Train) => "math/train.jsonl",
        (TaskName::Math, Split::Test) => "math/math500.jsonl",
        (_, split) => {
            let message = format!("{task} has no data file for the part {}", split.name());
            return Err(UsageError::new(message)
                .hint(format!("name a file with {flag}, or choose another --split"))
                .into());
        }
    };
    let Some(folder) = std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()) else {
        return Err(UsageError::new(format!("{task} needs {flag} FILE"))
            .hint(format!("or set {FOLDER} to the folder that holds {file}"))
            .into());
    };
    Ok(PathBuf::from(folder).join(file))
}

/// Gives every problem its name.
fn named(problems: Vec<Box<dyn Problem>>) -> Vec<Item> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let name = |problem: Box<dyn Problem>| {
        let mut record = problem.record();
        if let Some(columns) = record.as_object_mut() {
            // Our wording of the task is not part of what the problem is.
            columns.shift_remove("prompt");
        }
        let mut id = of_bytes(record.to_string().as_bytes());
        let count = seen.entry(id.clone()).or_default();
        *count += 1;
        if *count > 1 {
            id += &format!("-{count}");
        }
        Item { id, problem }
    };
    problems.into_iter().map(name).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use afterthought_tasks::countdown::CountdownProblem;

    use super::*;

    #[test]
    fn names_follow_the_problem_and_repeats_are_counted() {
        let problem = |target| -> Box<dyn Problem> {
            Box::new(CountdownProblem::new(vec![1, 2], target).unwrap())
        };
        let ids = |targets: &[u64]| -> Vec<String> {
            let problems = targets.iter().map(|target| problem(*target)).collect();
            named(problems).into_iter().map(|item| item.id).collect()
        };
        let (one, other) = (ids(&[3, 1, 3]), ids(&[1, 3, 3]));
        assert_eq!(one[2], format!("{}-2", one[0]));
        assert_eq!([&one[0], &one[1]], [&other[1], &other[0]]);
    }
}
