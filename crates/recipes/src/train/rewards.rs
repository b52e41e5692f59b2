//! The keys of `[[rewards]]`; which of them belong together is checked by the crate `rewards`.

use crate::field::{Field, Kind, Presence};
use Kind::{Choice, Integer, Names, Number, Text, Texts};
use Presence::{Optional, Required};

const LARGE: f64 = 1e12;

const fn field(
    only: &'static [&'static str],
    key: &'static str,
    kind: Kind,
    doc: &'static str,
) -> Field {
    Field { key, kind, presence: Optional, only, doc }
}

const ACCURACY: &[&str] = &["accuracy"];
const FORMAT: &[&str] = &["format"];
const LENGTH: &[&str] = &["length"];
const REGEX: &[&str] = &["regex"];
const BUILT_IN: &[&str] = &["format", "length", "regex"];
const PROCESS: &[&str] = &["process"];
const HTTP: &[&str] = &["http"];
const OUTSIDE: &[&str] = &["process", "http"];

const KINDS: &[(&str, &str)] = &[
    ("accuracy", "whether a task's grader finds the answer right"),
    ("format", "whether reasoning and answer stand in their tags"),
    ("length", "whether the length is within a range"),
    ("regex", "whether an expression matches"),
    ("process", "what a program of yours says"),
    ("http", "what an HTTP endpoint says"),
];

pub(super) const REWARDS: &[Field] = &[
    Field { key: "kind", kind: Choice(KINDS), presence: Required, only: &[], doc: "What it is." },
    field(&[], "name", Text, "What metrics call it; the kind, unless given."),
    field(&[], "weight", Number(-LARGE, LARGE), "Its factor in the sum; 1 unless given."),
    field(
        &[],
        "on_failure",
        Choice(&[
            ("error", "the run stops, with a checkpoint"),
            ("zero", "they get 0 from it"),
            ("skip", "it counts as not applicable to them"),
        ]),
        "What happens to completions that it fails for; `error` unless given.",
    ),
    field(ACCURACY, "task", Text, "Whose grader: sudoku, countdown, gsm8k or math."),
    field(ACCURACY, "profile", Text, "Which scoring: strict, flexible or d1; strict unless given."),
    field(
        ACCURACY,
        "answer_column",
        Text,
        "The column with the right answer; `answer` unless given.",
    ),
    field(ACCURACY, "correct", Number(-LARGE, LARGE), "What a right answer earns; 1 unless given."),
    field(ACCURACY, "wrong", Number(-LARGE, LARGE), "What anything else earns; 0 unless given."),
    field(
        FORMAT,
        "style",
        Choice(&[("exact", ""), ("soft", "anything around the tags"), ("tags", "a quarter a tag")]),
        "What good form is; `exact` unless given.",
    ),
    field(FORMAT, "tags", Texts, "Two names of tags; `[\"reasoning\", \"answer\"]` unless given."),
    field(
        LENGTH,
        "unit",
        Choice(&[("characters", ""), ("words", "")]),
        "What is counted; characters unless given.",
    ),
    field(LENGTH, "min", Integer(0, 1 << 40), "The shortest good length; 0 unless given."),
    field(LENGTH, "max", Integer(0, 1 << 40), "The longest good length; none unless given."),
    field(
        LENGTH,
        "margin",
        Integer(1, 1 << 40),
        "Over how many units the value falls outside the range; 1 unless given.",
    ),
    field(REGEX, "pattern", Text, "The expression; it may match anywhere."),
    field(
        BUILT_IN,
        "value",
        Number(-LARGE, LARGE),
        "What a completion as it should be earns; 1 unless given.",
    ),
    field(BUILT_IN, "otherwise", Number(-LARGE, LARGE), "What any other earns; 0 unless given."),
    field(PROCESS, "command", Texts, "The program and its arguments; no shell is involved."),
    field(PROCESS, "working_dir", Text, "Where it runs; the current directory unless given."),
    field(PROCESS, "env", Names, "Environment variables that it gets besides ours."),
    field(
        PROCESS,
        "max_restarts",
        Integer(0, 100),
        "How often it is started again for one batch; 3 unless given.",
    ),
    field(HTTP, "url", Text, "Where batches are POSTed."),
    field(
        HTTP,
        "header_env",
        Names,
        "Headers, and the environment variables that hold their values.",
    ),
    field(HTTP, "max_retries", Integer(0, 100), "How often a batch is sent again; 3 unless given."),
    field(
        OUTSIDE,
        "timeout_s",
        Number(0.001, 86_400.0),
        "Seconds that one answer may take; 60 unless given.",
    ),
    field(
        OUTSIDE,
        "max_response_bytes",
        Integer(64, 1 << 30),
        "The longest answer that is read; 16 MiB unless given.",
    ),
];
