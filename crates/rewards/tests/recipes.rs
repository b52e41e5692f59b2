//! What a recipe may say, and what it hears where it is wrong.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use afterthought_rewards::{Error, RewardConfig, RewardKind, WeightedRewards};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recipe {
    reward: Vec<RewardConfig>,
}

fn read(text: &str) -> Result<Vec<RewardConfig>, toml::de::Error> {
    toml::from_str::<Recipe>(text).map(|recipe| recipe.reward)
}

/// The problems of the only reward of a recipe.
fn problems(text: &str) -> Vec<String> {
    let configs = read(text).unwrap();
    let problems: Vec<String> = configs[0].problems().iter().map(ToString::to_string).collect();
    match configs[0].validate() {
        Ok(()) => assert!(problems.is_empty()),
        Err(Error::Config { problems: same, .. }) => assert_eq!(same.len(), problems.len()),
        Err(other) => panic!("{other}"),
    }
    problems
}

#[test]
fn every_kind_can_be_written_and_is_written_back_the_same() {
    let text = r#"
        [[reward]]
        kind = "accuracy"
        task = "gsm8k"
        profile = "flexible"
        answer_column = "gold"
        correct = 2
        wrong = -0.5
        [[reward]]
        kind = "format"
        style = "tags"
        tags = ["think", "answer"]
        weight = 0.25
        [[reward]]
        kind = "length"
        unit = "words"
        min = 5
        max = 200
        margin = 50
        [[reward]]
        kind = "regex"
        name = "digits"
        pattern = '\d+\z'
        [[reward]]
        kind = "process"
        command = ["/bin/sh", "-c", "cat"]
        env = { SEED = "1" }
        timeout_s = 5
        on_failure = "skip"
        [[reward]]
        kind = "http"
        url = "http://localhost:8000/score"
        header_env = { X-Token = "PATH" }
        max_retries = 0
    "#;
    let configs = read(text).unwrap();
    assert_eq!(configs.len(), RewardKind::ALL.len());
    let again = serde_json::to_string(&configs).unwrap();
    assert_eq!(serde_json::from_str::<Vec<RewardConfig>>(&again).unwrap(), configs);
    assert!(!again.contains("null"), "{again}");
    if cfg!(unix) {
        let rewards = WeightedRewards::build(&configs, Path::new(".")).unwrap();
        let names: Vec<&str> = rewards.names().collect();
        assert_eq!(names, ["accuracy", "format", "length", "digits", "process", "http"]);
    }
}

#[test]
fn unknown_keys_and_kinds_are_found_where_they_stand() {
    let error = read("[[reward]]\nkind = \"regex\"\npatern = \"a\"\n").unwrap_err().to_string();
    assert!(error.contains("line 3, column 1") && error.contains("`patern`"), "{error}");
    let error = read("[[reward]]\nkind = \"regexp\"\n").unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("`regex`"), "{error}");
    let error = read("[[reward]]\nkind = \"http\"\ntimeout_s = \"5\"\n").unwrap_err().to_string();
    assert!(error.contains("line 3, column 13"), "{error}");
    let error = read("[[reward]]\nweight = 1\n").unwrap_err().to_string();
    assert!(error.contains("missing field `kind`"), "{error}");
}

#[test]
fn all_problems_of_a_reward_are_reported_at_once() {
    let found = problems(
        "[[reward]]\nkind = \"length\"\nname = \"a b\"\nweight = nan\npattern = \"a\"\nmin = 3\n\
         max = 2\nmargin = 0\nvalue = inf\n",
    );
    let keys: Vec<&str> = found.iter().map(|problem| problem.split('`').nth(1).unwrap()).collect();
    assert_eq!(keys, ["name", "pattern", "weight", "min", "margin", "value"]);
    assert_eq!(
        found[1],
        "`pattern` does not belong to kind = \"length\", which has unit, min, max, margin, value, \
         otherwise"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (lines, why) in [
        ("kind = \"accuracy\"", "`task` is missing: kind = \"accuracy\" needs one of sudoku"),
        ("kind = \"accuracy\"\ntask = \"math\"\nwrong = 1", "`correct` is 1: expected more than"),
        ("kind = \"regex\"", "`pattern` is missing"),
        ("kind = \"regex\"\npattern = \"(\"", "`pattern` is not a regular expression"),
        ("kind = \"length\"", "needs `min`, `max` or both"),
        ("kind = \"format\"\ntags = [\"a\", \"a\"]", "two different names"),
        ("kind = \"format\"\ntags = [\"<a>\", \"b\"]", "without brackets"),
        ("kind = \"process\"", "`command` is missing or empty"),
        ("kind = \"process\"\ncommand = []", "`command` is missing or empty"),
        (
            "kind = \"process\"\ncommand = [\"a\"]\ntimeout_s = 0",
            "`timeout_s` is 0: expected seconds",
        ),
        ("kind = \"process\"\ncommand = [\"a\"]\ntimeout_s = nan", "`timeout_s` is NaN"),
        ("kind = \"process\"\ncommand = [\"a\"]\nmax_restarts = 1000", "`max_restarts` is 1000"),
        ("kind = \"process\"\ncommand = [\"a\"]\nenv = { \"A=B\" = \"\" }", "`env` has \"A=B\""),
        ("kind = \"http\"", "`url` is missing"),
        ("kind = \"http\"\nurl = \"https://localhost/\"", "is https, which is not built in"),
        ("kind = \"http\"\nurl = \"http://me:secret@localhost/\"", "use `header_env`"),
        ("kind = \"http\"\nurl = \"localhost:80\"", "expected http://host:port/path"),
        (
            "kind = \"http\"\nurl = \"http://a/\"\nmax_response_bytes = 1",
            "`max_response_bytes` is 1",
        ),
    ] {
        let found = problems(&format!("[[reward]]\n{lines}\n"));
        assert!(found.len() == 1 && found[0].contains(why), "{lines}: {found:?}");
        assert!(!found[0].contains("secret"));
    }
}

#[test]
fn two_rewards_of_the_same_name_are_refused() {
    let length = "[[reward]]\nkind = \"length\"\nmax = 5\n";
    let build = |text: String| WeightedRewards::build(&read(&text).unwrap(), Path::new("."));
    let error = build(format!("{length}{length}")).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::SameName { ref name } if name == "length"), "{error}");
    assert!(build(format!("{length}{length}name = \"b\"\n")).is_ok());
}
