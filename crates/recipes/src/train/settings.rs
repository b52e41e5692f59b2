//! A recipe of `train`, typed.

#![allow(missing_docs, reason = "the fields are those of `LAYOUT`, which says what each is")]

use super::LAYOUT;
use crate::{Problem, Problems, Recipe, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A training recipe that passed every check which needs nothing but the recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Train {
    pub method: Method,
    pub seed: u64,
    pub model: Model,
    pub lora: Option<Lora>,
    pub data: Data,
    pub loss: Option<Loss>,
    pub rl: Option<Rl>,
    pub sampling: Option<Sampling>,
    /// As the crate `rewards` reads them.
    #[serde(default)]
    pub rewards: Vec<Value>,
    pub optimizer: Optimizer,
    pub run: Run,
}

/// What is trained, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    Sft,
    Mdlm,
    DiffuGrpo,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Model {
    pub path: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lora {
    pub rank: usize,
    pub alpha: f64,
    pub rslora: bool,
    pub dropout: f64,
    /// A list of names, or `"all-linear"`.
    pub targets: Value,
    pub exclude: Option<Vec<String>>,
}

/// What happens to rows that are longer than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenLong {
    Error,
    Drop,
}

/// What happens to lines that are no rows.
pub type WhenWrong = WhenLong;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Data {
    pub train: Option<String>,
    pub validation: Option<String>,
    pub task: Option<String>,
    pub problems: Option<usize>,
    pub validation_limit: usize,
    pub max_length: usize,
    pub on_long: WhenLong,
    pub on_bad_row: WhenWrong,
    pub template: Option<String>,
    pub raw: bool,
    pub system: Option<String>,
    /// A number of tokens, or `"longest"`.
    pub window: Option<Value>,
}

/// Words of [`Loss`] and [`Rl`] are those of the crate `training`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Loss {
    pub time_weight: Value,
    pub normalisation: Value,
    pub noise: Value,
    pub block_share: f64,
    pub block_length: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rl {
    pub prompts: usize,
    pub group_size: usize,
    pub inner_updates: usize,
    pub clip: f64,
    pub beta: f64,
    pub kl: Value,
    pub normalisation: Value,
    pub estimator: String,
    pub segments: usize,
    pub prompt_mask: f64,
    pub scope: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sampling {
    pub gen_length: usize,
    pub block_length: usize,
    pub tokens_per_step: Option<usize>,
    pub threshold: Option<f64>,
    pub cache: String,
    pub cache_refresh: Option<usize>,
    pub cache_ahead: usize,
    pub temperature: f64,
    pub remasking: String,
}

impl Sampling {
    /// Tokens that a step commits under a schedule.
    pub fn tokens_at_once(&self) -> usize {
        self.tokens_per_step.unwrap_or(2)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Optimizer {
    pub learning_rate: f64,
    pub warmup: usize,
    pub decay: Value,
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f64,
    pub weight_decay: f64,
    pub max_grad_norm: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    pub steps: Option<u64>,
    pub epochs: Option<f64>,
    pub batch: Option<usize>,
    pub rows_at_once: usize,
    pub log_every: u64,
    pub validate_every: Option<u64>,
    pub checkpoint_every: u64,
    pub keep_last: usize,
    pub keep_best: usize,
    pub completions_every: Option<u64>,
    pub result: String,
}

impl Train {
    /// Reads and checks a recipe: files on top of each other, then `--set`s.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(sources: &[Source], sets: &[String]) -> Result<(Self, Recipe), Problems> {
        let recipe = Recipe::read(&LAYOUT, sources, sets)?;
        let train: Self = serde_json::from_value(recipe.value().clone()).map_err(|error| {
            // The layout admits nothing else; a test reads a recipe with every key.
            let message = format!("the table of settings and their types differ: {error}");
            Problems(vec![Problem { origin: None, message, hint: None }])
        })?;
        let problems = train.problems(&recipe);
        match problems.is_empty() {
            true => Ok((train, recipe)),
            false => Err(Problems(problems)),
        }
    }

    /// What does not go together.
    fn problems(&self, recipe: &Recipe) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut report = |path: &str, message: &str| problems.push(recipe.problem(path, message));
        let (run, data) = (&self.run, &self.data);
        match (run.steps, run.epochs) {
            (Some(_), Some(_)) => report("run.epochs", "and `run.steps` exclude each other"),
            (None, None) if self.method == Method::DiffuGrpo => report("run.steps", "is missing"),
            (None, None) => report("run.steps", "is missing, and so is `run.epochs`"),
            _ => {}
        }
        if run.result == "best" && run.validate_every.is_none() {
            report("run.result", "is \"best\", which needs `run.validate_every`");
        }
        if run.result == "best" && run.keep_best == 0 {
            report("run.keep_best", "is 0, but `run.result` is \"best\"");
        }
        let made = matches!(data.task.as_deref(), Some("sudoku" | "countdown"));
        if data.train.is_none() && !made {
            report("data.train", "is missing");
        }
        if run.validate_every.is_some() && data.validation.is_none() && !made {
            report("data.validation", "is missing, but `run.validate_every` is given");
        }
        if data.raw && data.template.is_some() {
            report("data.template", "has no effect with `data.raw`");
        }
        if data.raw && data.system.is_some() {
            report("data.system", "has no effect with `data.raw`");
        }
        if let Some(sampling) = &self.sampling {
            if !sampling.gen_length.is_multiple_of(sampling.block_length) {
                report("sampling.block_length", "does not divide `sampling.gen_length`");
            }
            match (sampling.tokens_per_step, sampling.threshold) {
                (Some(_), Some(_)) => {
                    report(
                        "sampling.threshold",
                        "and `sampling.tokens_per_step` exclude each other",
                    );
                }
                (None, Some(_)) if sampling.remasking == "random" => {
                    report("sampling.threshold", "needs `remasking = \"low_confidence\"`");
                }
                (_, None) if !sampling.block_length.is_multiple_of(sampling.tokens_at_once()) => {
                    report("sampling.tokens_per_step", "does not divide `sampling.block_length`");
                }
                _ => {}
            }
            if sampling.cache == "exact" && sampling.cache_refresh.is_some() {
                report("sampling.cache_refresh", "has no effect with `cache = \"exact\"`");
            }
            if sampling.cache != "dual" && sampling.cache_ahead > 0 {
                report("sampling.cache_ahead", "has no effect without `cache = \"dual\"`");
            }
            let replay = self.rl.as_ref().is_some_and(|rl| rl.estimator == "trace_replay");
            if sampling.cache != "exact" && replay {
                report("sampling.cache", "must be \"exact\" for `rl.estimator = \"trace_replay\"`");
            }
        }
        if self.method == Method::DiffuGrpo && self.rewards.is_empty() && data.task.is_none() {
            report("rewards", "is missing: give one, or a `data.task`");
        }
        problems
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::default_fits;
    use crate::{Field, Section};

    const SFT: &str = "method = \"sft\"\n\
                       [model]\npath = \"m\"\n\
                       [data]\ntrain = \"t.jsonl\"\n\
                       [optimizer]\nlearning_rate = 1\n\
                       [run]\nsteps = 3\n";

    fn read(text: &str, sets: &[&str]) -> Result<(Train, Recipe), Problems> {
        let source = Source { name: "r.toml".into(), text: text.into() };
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Train::read(&[source], &sets)
    }

    fn messages(text: &str, sets: &[&str]) -> Vec<String> {
        read(text, sets).unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_fit_and_names_are_said_once() {
        let sections: Vec<(&str, &[Field])> =
            LAYOUT.sections.iter().map(|Section { name, fields, .. }| (*name, *fields)).collect();
        for (name, fields) in sections.into_iter().chain([("", LAYOUT.top)]) {
            for (index, field) in fields.iter().enumerate() {
                assert!(default_fits(field), "{name}.{}", field.key);
                assert!(fields[..index].iter().all(|other| other.key != field.key), "{name}");
                assert!(field.doc.ends_with('.') || field.doc.ends_with(".md."), "{}", field.doc);
            }
        }
    }

    #[test]
    fn a_small_recipe_gets_its_defaults() {
        let (train, recipe) = read(SFT, &["optimizer.decay=linear", "lora.rank=4"]).unwrap();
        assert_eq!(train.method, Method::Sft);
        assert_eq!((train.optimizer.learning_rate, train.optimizer.beta_2), (1.0, 0.999));
        assert_eq!(train.optimizer.decay, "linear");
        assert_eq!((train.lora.unwrap().rank, train.run.batch), (4, Some(16)));
        assert!(train.loss.is_none() && train.rl.is_none() && train.data.window.is_none());
        // What is written is read again, to the same settings.
        let again = read(&recipe.to_toml(), &[]).unwrap().1;
        assert_eq!(again.value(), recipe.value());
    }

    #[test]
    fn every_method_reads_with_every_key_that_it_has() {
        for method in ["sft", "mdlm", "diffu-grpo"] {
            let text = format!("{SFT}[lora]\n").replace("\"sft\"", &format!("\"{method}\""));
            let (train, _) =
                read(&text, &["data.task=countdown"]).or_else(|_| read(&text, &[])).unwrap();
            assert_eq!(train.rl.is_some(), method == "diffu-grpo");
            assert_eq!(train.loss.is_some(), method == "mdlm");
        }
    }

    #[test]
    fn row_14_every_problem_is_reported_at_once_with_its_place_and_the_nearest_name() {
        let text = "method = \"sft\"\nsede = 1\n\
                    [model]\npath = 3\n\
                    [data]\ntrain = \"t.jsonl\"\nwindow = 4\n\
                    [optimiser]\nlearning_rate = 1e-3\n\
                    [run]\nsteps = 0\nbatch = -1\nresult = \"lats\"\n";
        assert_eq!(
            messages(text, &["run.log_every=often", "x"]),
            [
                "`optimizer.learning_rate` is missing (it is a number from 0 to 10)",
                "--set run.log_every=often: `run.log_every` is \"often\"; expected a whole number from 1",
                "--set x: there is no `=` (write --set section.key=value)",
                "r.toml:2:1: unknown key `sede` (did you mean `seed`?)",
                "r.toml:4:1: `model.path` is 3; expected a text",
                "r.toml:7:1: `data.window` has no effect with method = \"sft\" (only with mdlm)",
                "r.toml:8:2: unknown key `optimiser` (did you mean `optimizer`?)",
                "r.toml:11:1: `run.steps` is 0; expected a whole number from 1",
                "r.toml:12:1: `run.batch` is -1; expected a whole number from 1 to 1048576",
                "r.toml:13:1: `run.result` is \"lats\"; expected \"last\" or \"best\" (did you mean \"last\"?)",
            ]
        );
    }

    #[test]
    fn row_14_what_excludes_each_other_is_an_error() {
        let both = messages(SFT, &["run.epochs=2"]);
        assert_eq!(both, ["--set run.epochs=2: `run.epochs` and `run.steps` exclude each other"]);
        let best = messages(SFT, &["run.result=best"]);
        assert!(best[0].contains("needs `run.validate_every`"), "{best:?}");
        let rl = SFT.replace("\"sft\"", "\"diffu-grpo\"");
        assert!(messages(&rl, &[])[0].contains("`rewards` is missing"));
        let sizes = messages(&rl, &["data.task=sudoku", "sampling.block_length=48"]);
        assert!(sizes[0].contains("does not divide `sampling.gen_length`"), "{sizes:?}");
    }

    #[test]
    fn broken_toml_is_reported_line_by_line() {
        let found =
            messages("method = \"sft\"\n[model\npath = = 3\n[run]\nsteps = 1979-05-27\n", &[]);
        assert!(found.iter().any(|m| m.starts_with("r.toml:2:")), "{found:#?}");
        assert!(found.iter().any(|m| m.starts_with("r.toml:3:")), "{found:#?}");
        assert!(found.iter().any(|m| m.contains("a date is not a setting")), "{found:#?}");
    }

    #[test]
    fn later_files_and_flags_stand_above_earlier_ones() {
        let sources = [SFT, "[optimizer]\nlearning_rate = 0.5\n[run]\nbatch = 2\n"]
            .map(|text| Source { name: "r.toml".into(), text: text.into() });
        let (train, _) = Train::read(&sources, &["run.batch=3".into()]).unwrap();
        assert_eq!((train.optimizer.learning_rate, train.run.batch), (0.5, Some(3)));
        assert_eq!(train.run.steps, Some(3));
    }

    #[test]
    fn rewards_are_tables_of_their_kind() {
        let rl = format!(
            "{}[[rewards]]\nkind = \"process\"\ncommand = [\"python3\", \"r.py\"]\nenv = {{ A = \"b\" }}\n\
             [[rewards]]\nkind = \"regex\"\npatern = \"x\"\ncommand = [\"y\"]\n",
            SFT.replace("\"sft\"", "\"diffu-grpo\"")
        );
        assert_eq!(
            messages(&rl, &[]),
            [
                "r.toml:16:1: unknown key `rewards.1.patern` (did you mean `pattern`?)",
                "r.toml:17:1: `rewards.1.command` has no effect with kind = \"regex\" (only with process)",
            ]
        );
        let fine = rl.replace("patern", "pattern").replace("command = [\"y\"]\n", "");
        let (train, _) = read(&fine, &[]).unwrap();
        assert_eq!(train.rewards[0]["env"]["A"], "b");
        let one = messages(SFT.replace("\"sft\"", "\"diffu-grpo\"").as_str(), &["rewards=3"]);
        assert!(one[0].contains("`rewards` is 3") || one[0].contains("must be a list"), "{one:?}");
    }
}
