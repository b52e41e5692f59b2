use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use afterthought_tasks::{Profile, TaskName};
use serde::{Deserialize, Serialize};

use super::{ConfigProblem, FormatStyle, LengthUnit, OnFailure, RewardKind, Settings};
use crate::builtin::{Accuracy, TextReward};
use crate::http::HttpReward;
use crate::process::ProcessReward;
use crate::{Error, Log, Reward};

/// One reward as a recipe has it: a `kind`, and keys of which some belong to that kind only.
///
/// It is one flat struct, and not an enum with a variant for each kind, so that whoever reads a file
/// into it knows all keys beforehand and can say where in the file an unknown or misspelt one stands.
/// Keys that belong to another kind are found by [`problems`](Self::problems).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardConfig {
    /// Which kind of reward it is.
    pub kind: RewardKind,
    /// What metrics call it: letters, digits, `_`, `-` and `.`. The kind, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its factor in the sum. 1 unless given; with 0 it is measured and not paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// What happens to completions it fails for: `error` (unless given), `zero` or `skip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,

    /// accuracy: the task whose grader judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskName>,
    /// accuracy: whose idea of a correct answer counts; `strict` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// accuracy: the column with the gold answer; `answer` unless given. Sudoku and Countdown read
    /// the columns of their own data sets unless it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_column: Option<String>,
    /// accuracy: the value of a right answer; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<f64>,
    /// accuracy: the value of anything else; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<f64>,

    /// format: what good form is; `exact` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<FormatStyle>,
    /// format: the names of the two tags; `["reasoning", "answer"]` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<[String; 2]>,
    /// length: `characters` (unless given) or `words`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<LengthUnit>,
    /// length: the shortest good length; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// length: the longest good length; none unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// length: over how many units outside the range `value` falls to `otherwise`; 1 unless given,
    /// which is a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<u64>,
    /// regex: the expression; it may match anywhere, so anchor it with `\A` and `\z` where it should
    /// not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// format, length, regex: the value of a completion as it should be; 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// format, length, regex: the value of any other; 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<f64>,

    /// process: the program and its arguments. No shell is involved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// process: where it runs; the working directory of whoever builds it unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<PathBuf>,
    /// process: environment variables that it gets besides ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// process: how often in a row it is started again for the same batch; 3 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
    /// http: where to POST batches: `http://host:port/path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// http: headers and the environment variables that hold their values, as in
    /// `{ Authorization = "REWARD_TOKEN" }`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_env: Option<BTreeMap<String, String>>,
    /// http: how often the same batch is sent again; 3 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// process, http: how long one answer may take, in seconds; 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<f64>,
    /// process, http: the longest answer that is read; 16 MiB unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_response_bytes: Option<u64>,
}

impl RewardConfig {
    /// A reward of this kind with everything else left to its default.
    pub fn new(kind: RewardKind) -> Self {
        Self {
            kind,
            name: None,
            weight: None,
            on_failure: None,
            task: None,
            profile: None,
            answer_column: None,
            correct: None,
            wrong: None,
            style: None,
            tags: None,
            unit: None,
            min: None,
            max: None,
            margin: None,
            pattern: None,
            value: None,
            otherwise: None,
            command: None,
            working_dir: None,
            env: None,
            max_restarts: None,
            url: None,
            header_env: None,
            max_retries: None,
            timeout_s: None,
            max_response_bytes: None,
        }
    }

    /// The name that metrics use.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.kind.to_string())
    }

    /// The factor in the sum.
    pub fn weight(&self) -> f64 {
        self.weight.unwrap_or(1.0)
    }

    /// What happens to completions it fails for.
    pub fn on_failure(&self) -> OnFailure {
        self.on_failure.unwrap_or_default()
    }

    /// Everything that is wrong with the settings; nothing is started or opened.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        Settings::read(self).err().unwrap_or_default()
    }

    /// Whether the settings make sense.
    ///
    /// # Errors
    /// [`Error::Config`] with every problem.
    pub fn validate(&self) -> Result<(), Error> {
        self.settings().map(|_| ())
    }

    fn settings(&self) -> Result<Settings, Error> {
        Settings::read(self).map_err(|problems| Error::Config { reward: self.name(), problems })
    }

    /// The reward. Relative paths start from `working_directory`.
    /// A process is started by its first batch, but its program must be there now.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::WorkingDirectory`], [`Error::Start`], [`Error::Environment`].
    pub fn build(&self, working_directory: &Path) -> Result<Box<dyn Reward>, Error> {
        self.build_with_log(working_directory, &Log::silent())
    }

    /// As [`build`](Self::build), with a place for what an external process writes to stderr.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_with_log(
        &self,
        working_directory: &Path,
        log: &Log,
    ) -> Result<Box<dyn Reward>, Error> {
        let name = self.name();
        Ok(match self.settings()? {
            Settings::Accuracy(rule) => Box::new(Accuracy::new(name, rule)),
            Settings::Format(rule) => Box::new(TextReward::new(name, rule)),
            Settings::Length(rule) => Box::new(TextReward::new(name, rule)),
            Settings::Regex(rule) => Box::new(TextReward::new(name, rule)),
            Settings::Process(settings) => {
                Box::new(ProcessReward::new(name, settings, working_directory, log.clone())?)
            }
            Settings::Http(settings) => Box::new(HttpReward::new(name, settings, log.clone())?),
        })
    }
}
