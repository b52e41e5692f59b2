//! The wording of an item: what the model is shown, and which part of what it writes is graded.

use afterthought_tasks::{AnswerFormat, FewShot, Problem, PromptStyle, TaskName};
use afterthought_text::Message;
use anyhow::Context;
use serde_json::{Value, json};

use super::data::{Data, of_folder, problems_of};
use super::fingerprint::of_file;
use crate::args::{EvalArgs, Split};
use crate::exit::UsageError;

/// Worked examples, and where they come from.
pub(super) struct Shots {
    examples: FewShot,
    /// The file, for people.
    pub(super) source: String,
    identity: Value,
}

impl Shots {
    /// Draws the examples that were asked for, if any. No problem of the measured file is one, not
    /// even behind the limit: the examples must not change with it.
    ///
    /// # Errors
    /// A usage error for a task without few-shot prompts or a pool that is too small.
    pub(super) fn draw(args: &EvalArgs, data: &Data) -> anyhow::Result<Option<Self>> {
        let wanted = &args.prompt;
        if wanted.shots == 0 {
            if wanted.few_shot_turns {
                return Err(UsageError::new("--few-shot-turns is given and --shots is 0")
                    .hint("say how many examples with --shots K")
                    .into());
            }
            if wanted.shots_data.is_some() {
                return Err(UsageError::new("--shots-data is given and --shots is 0")
                    .hint("say how many examples with --shots K")
                    .into());
            }
            return Ok(None);
        }
        if !matches!(args.task, TaskName::Gsm8k | TaskName::Math) {
            return Err(UsageError::new(format!("{} has no few-shot prompts", args.task))
                .hint("gsm8k and math have them; leave out --shots")
                .into());
        }
        let path = match &wanted.shots_data {
            Some(path) => path.clone(),
            None => of_folder(args.task, Split::Train, "--shots-data")?,
        };
        let pool = problems_of(args.task, &path)?;
        let measured = data.items.iter().map(|item| &*item.problem);
        let measured: Vec<&dyn Problem> =
            measured.chain(data.rest.iter().map(|problem| &**problem)).collect();
        let examples =
            FewShot::draw(&pool, &measured, wanted.shots, wanted.shots_seed).map_err(|error| {
                let message = format!("{} gives too few examples", path.display());
                UsageError::caused_by(message, error).hint("lower --shots or name another file")
            })?;
        let identity = json!({
            "count": wanted.shots,
            "seed": wanted.shots_seed,
            "blake3": of_file(&path)?,
            "rows": examples.indices(),
        });
        Ok(Some(Self { examples, source: path.display().to_string(), identity }))
    }
}

/// How every item is asked.
pub(super) struct Questions {
    style: PromptStyle,
    shots: Option<Shots>,
    /// Whether the examples are turns of a conversation.
    pub(super) in_turns: bool,
    /// What every completion begins with.
    pub(super) prefill: String,
    /// The form that the prompt asks for.
    pub(super) format: AnswerFormat,
}

impl Questions {
    /// Few-shot prompts where there are examples, else the task's own in the model's style.
    pub(super) fn new(args: &EvalArgs, shots: Option<Shots>, style: PromptStyle) -> Self {
        let format = match (&shots, args.task) {
            (Some(_), TaskName::Math) => AnswerFormat::Box,
            (Some(_), _) => AnswerFormat::Hashes,
            (None, _) => AnswerFormat::Tags,
        };
        let prefill = args.prompt.prefill.clone().unwrap_or_default();
        Self { style, shots, in_turns: args.prompt.few_shot_turns, prefill, format }
    }

    /// The text shown to the model, without the prefill.
    pub(super) fn prompt(&self, problem: &dyn Problem) -> anyhow::Result<String> {
        match &self.shots {
            None => Ok(problem.prompt(self.style)),
            Some(shots) => shots
                .examples
                .prompt(problem)
                .with_context(|| format!("{} has no few-shot prompts", problem.task())),
        }
    }

    /// The turns that are shown to the model where the examples are turns, without the prefill.
    pub(super) fn turns(&self, problem: &dyn Problem) -> anyhow::Result<Vec<Message>> {
        let shots = self.shots.as_ref().and_then(|shots| shots.examples.turns(problem));
        let turns = shots.with_context(|| format!("{} has no few-shot prompts", problem.task()))?;
        let roles = ["user", "assistant"].into_iter().cycle();
        Ok(turns.into_iter().zip(roles).map(|(text, role)| Message::new(role, text)).collect())
    }

    /// What is graded of a completion: the prefill belongs to it, a further example does not.
    pub(super) fn answer(&self, completion: &str) -> String {
        let own = match &self.shots {
            None => completion,
            Some(_) => FewShot::answer(completion),
        };
        format!("{}{own}", self.prefill)
    }

    /// Texts behind which nothing is graded.
    pub(super) fn stops(&self) -> &'static [&'static str] {
        if self.shots.is_some() { &FewShot::NEXT } else { &[] }
    }

    /// The wording as a document.
    pub(super) fn identity(&self) -> Value {
        let style = match (&self.shots, self.style) {
            (Some(_), _) if self.in_turns => "few-shot turns",
            (Some(_), _) => "few-shot",
            (None, PromptStyle::D1) => "d1",
            (None, PromptStyle::Compact) => "compact",
        };
        json!({
            "style": style,
            "prefill": self.prefill,
            "shots": self.shots.as_ref().map(|shots| &shots.identity),
        })
    }
}
