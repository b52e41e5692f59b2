//! Rewards in Python: the one of the documentation and the one of the examples, run as they are.
//! Without `python3` these tests print a line and pass.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod fake;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use afterthought_rewards::{Completion, Outcome, RewardConfig, RewardKind};
use afterthought_tasks::countdown::CountdownProblem;
use afterthought_tasks::{Problem, TaskName};
use fake::{failure, score};
use serde_json::{Map, Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python(script: &Path) -> Option<RewardConfig> {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3");
        return None;
    }
    Some(RewardConfig {
        command: Some(vec!["python3".into(), script.to_str().unwrap().into()]),
        timeout_s: Some(60.0),
        max_restarts: Some(0),
        ..RewardConfig::new(RewardKind::Process)
    })
}

/// Outcomes for rows of (completion, columns).
fn outcomes(config: &RewardConfig, rows: &[(&str, Value)]) -> Vec<Outcome> {
    let columns: Vec<&Map<String, Value>> =
        rows.iter().map(|(_, columns)| columns.as_object().unwrap()).collect();
    let batch: Vec<Completion<'_>> = rows
        .iter()
        .zip(&columns)
        .enumerate()
        .map(|(id, ((text, _), columns))| Completion { id: id as u64, prompt: "?", text, columns })
        .collect();
    config.build(Path::new(".")).unwrap().score(&batch).unwrap()
}

#[test]
fn the_reward_of_the_documentation_works() {
    let text = fs::read_to_string(repository().join("docs/rewards.md")).unwrap();
    let code = text.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(code.lines().count() <= 15, "the page promises a short one");
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("reward.py");
    fs::write(&script, code).unwrap();
    let Some(config) = python(&script) else { return };
    let rows = [
        ("It is 4", json!({"answer": 4})),
        ("It is 5", json!({"answer": "4"})),
        ("4? Nein: −4 → -4\u{2028}\r\n", json!({"answer": -4})),
        ("", json!({"answer": 4})),
    ];
    assert_eq!(outcomes(&config, &rows), [1.0, 0.0, 1.0, 0.0].map(Outcome::Value));
    // It was not written for rows without an answer, and that is said.
    let outcomes = outcomes(&config, &[("4", json!({}))]);
    let reason = failure(&outcomes);
    assert!(reason.contains("exit status: 1") && reason.contains("KeyError: 'answer'"), "{reason}");
}

/// Numbers, target and completions, right and wrong ones.
const COUNTDOWN: [(&[u64], u64, &str); 10] = [
    (&[30, 100, 93], 23, "<answer>(30+93)-100</answer>"),
    (&[30, 100, 93], 23, "<answer>1</answer> or <answer>\n30 - 100 + 93\n</answer>"),
    (&[30, 100, 93], 23, "<answer>30+93</answer>"),
    (&[30, 100, 93], 23, "30+93-100"),
    (&[30, 100, 93], 23, "<answer>23</answer>"),
    (&[30, 100, 93], 23, "<answer>9**9**9**9</answer>"),
    (&[30, 100, 93], 23, "<answer>__import__('os').abort()</answer>"),
    (&[4, 4, 8], 1, "<answer>8/(4-4)</answer>"),
    (&[1, 3, 4, 6], 24, "<answer>6/(1-3/4)</answer>"),
    (&[1, 3, 4, 6], 24, "<answer>((((((6*4*1*3</answer>"),
];

#[test]
fn the_example_agrees_with_the_task_of_the_program() {
    let Some(config) = python(&repository().join("examples/rewards/countdown.py")) else { return };
    let rows = COUNTDOWN
        .map(|(numbers, target, text)| (text, json!({"numbers": numbers, "target": target})));
    let ours = COUNTDOWN.map(|(numbers, target, text)| {
        let problem = CountdownProblem::new(numbers.to_vec(), target).unwrap();
        Outcome::Value(problem.reward(text))
    });
    assert_eq!(ours.iter().filter(|outcome| **outcome == Outcome::Value(1.0)).count(), 3);
    assert_eq!(outcomes(&config, &rows), ours);
    // A row of another data set is an error, and the process goes on.
    let outcomes = outcomes(&config, &[("<answer>1</answer>", json!({"answer": 1}))]);
    assert!(failure(&outcomes).contains("KeyError: 'numbers'"), "{outcomes:?}");
}

#[test]
fn the_built_in_grader_agrees_with_the_example_on_what_is_right() {
    let config = RewardConfig {
        task: Some(TaskName::Countdown),
        wrong: Some(-1.0),
        ..RewardConfig::new(RewardKind::Accuracy)
    };
    let rows = COUNTDOWN
        .map(|(numbers, target, text)| (text, json!({"numbers": numbers, "target": target})));
    let right =
        outcomes(&config, &rows).iter().map(|o| *o == Outcome::Value(1.0)).collect::<Vec<_>>();
    // Strict does not take the second: it gives two answers.
    let mut expected = [false; 10];
    expected[0] = true;
    expected[8] = true;
    assert_eq!(right, expected);
}

#[test]
fn row_23_one_that_forgets_to_flush_hears_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("reward.py");
    fs::write(
        &script,
        "import json, sys\n\
         for line in sys.stdin:\n    \
             request = json.loads(line)\n    \
             rewards = [{'id': item['id'], 'reward': 1} for item in request['items']]\n    \
             print(json.dumps({'batch': request['batch'], 'rewards': rewards}))\n",
    )
    .unwrap();
    let Some(config) = python(&script) else { return };
    // Python itself is told not to keep anything back.
    assert_eq!(score(&config, &[1, 2]).unwrap(), [1.0, 1.0].map(Outcome::Value));
    let config = RewardConfig {
        env: Some([("PYTHONUNBUFFERED".to_owned(), String::new())].into()),
        timeout_s: Some(1.0),
        ..config
    };
    let outcomes = score(&config, &[1, 2]).unwrap();
    assert!(failure(&outcomes).contains("flush=True"), "{outcomes:?}");
}

#[test]
fn row_23_json_dumps_writes_nan_and_only_its_completion_fails() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("reward.py");
    fs::write(
        &script,
        "import json, sys\n\
         for line in sys.stdin:\n    \
             request = json.loads(line)\n    \
             rewards = [{'id': item['id'], 'reward': float(item['completion'])} for item in request['items']]\n    \
             print(json.dumps({'batch': request['batch'], 'rewards': rewards}))\n",
    )
    .unwrap();
    let Some(config) = python(&script) else { return };
    let rows = ["1", "nan", "inf", "-2.5", "1e3"].map(|text| (text, json!({})));
    let outcomes = outcomes(&config, &rows);
    assert_eq!(
        [&outcomes[0], &outcomes[3], &outcomes[4]],
        [&Outcome::Value(1.0), &Outcome::Value(-2.5), &Outcome::Value(1e3)]
    );
    assert!(matches!(outcomes[1], Outcome::Failed(_)) && matches!(outcomes[2], Outcome::Failed(_)));
}
