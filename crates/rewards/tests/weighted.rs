//! Sums of rewards, and what becomes of failures.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use afterthought_rewards::{
    Completion, Error, OnFailure, Outcome, Reward, RewardConfig, RewardKind, Scored,
    WeightedReward, WeightedRewards,
};
use serde_json::Map;

/// Says what it was told to say.
struct Scripted(&'static str, Vec<Outcome>);

impl Reward for Scripted {
    fn name(&self) -> &str {
        self.0
    }

    fn score(&mut self, _batch: &[Completion<'_>]) -> Result<Vec<Outcome>, Error> {
        Ok(self.1.clone())
    }
}

fn part(
    name: &'static str,
    weight: f64,
    on_failure: OnFailure,
    outcomes: &[Outcome],
) -> WeightedReward {
    let reward = Box::new(Scripted(name, outcomes.to_vec()));
    WeightedReward { reward, weight, on_failure }
}

fn score(mut rewards: WeightedRewards, completions: u64) -> Result<Scored, Error> {
    let columns = Map::new();
    let completion = |id| Completion { id, prompt: "", text: "", columns: &columns };
    let batch: Vec<Completion<'_>> = (10..10 + completions).map(completion).collect();
    rewards.score(&batch)
}

use Outcome::{Failed, NotApplicable, Undecided, Value};

#[test]
fn the_sum_is_over_the_parts_that_apply() {
    let rewards = WeightedRewards::new(vec![
        part("a", 2.0, OnFailure::Error, &[Value(1.0), NotApplicable, Value(-1.0)]),
        part("b", 0.5, OnFailure::Error, &[Value(3.0), Undecided(0.0), NotApplicable]),
        part("watched", 0.0, OnFailure::Error, &[Value(9.0), Value(9.0), Value(9.0)]),
    ]);
    let scored = score(rewards.unwrap(), 3).unwrap();
    assert_eq!(scored.totals, [3.5, 0.0, -2.0]);
    assert_eq!(scored.unrewarded, [0; 0]);
    assert_eq!(scored.parts[0].name, "a");
    assert_eq!(scored.parts[0].values, [Some(1.0), None, Some(-1.0)]);
    assert_eq!((scored.parts[0].not_applicable, scored.parts[1].undecided), (1, 1));
}

#[test]
fn row_23_failures_are_an_error_a_zero_or_nothing_and_always_counted() {
    let failed = || Failed("broken".into());
    let outcomes = [failed(), Value(4.0), Value(f64::NAN), Value(f64::INFINITY)];
    let sum = |on_failure| {
        let whole = [Value(1.0), Value(1.0), Value(1.0), Value(1.0)];
        let parts = vec![
            part("broken", 1.0, on_failure, &outcomes),
            part("whole", 1.0, OnFailure::Error, &whole),
        ];
        score(WeightedRewards::new(parts).unwrap(), 4)
    };
    let error = sum(OnFailure::Error).unwrap_err();
    assert_eq!(
        error.to_string(),
        "reward broken: failed for 3 of 4 completions, first for id 10: broken"
    );
    let zero = sum(OnFailure::Zero).unwrap();
    assert_eq!(zero.totals, [1.0, 5.0, 1.0, 1.0]);
    assert_eq!(zero.parts[0].values, [Some(0.0), Some(4.0), Some(0.0), Some(0.0)]);
    let skip = sum(OnFailure::Skip).unwrap();
    assert_eq!(skip.totals, [1.0, 5.0, 1.0, 1.0]);
    assert_eq!(skip.parts[0].values, [None, Some(4.0), None, None]);
    for scored in [zero, skip] {
        assert_eq!(scored.parts[0].failures, 3);
        assert_eq!(scored.parts[0].first_failure.as_deref(), Some("broken"));
        assert_eq!((scored.parts[1].failures, scored.unrewarded.len()), (0, 0));
    }
}

#[test]
fn a_completion_without_any_reward_is_an_error_unless_that_is_said_to_be_fine() {
    let rewards = |outcomes: [Outcome; 2], on_failure| {
        WeightedRewards::new(vec![part("only", 1.0, on_failure, &outcomes)]).unwrap()
    };
    let none = [Value(2.0), NotApplicable];
    let error = score(rewards(none.clone(), OnFailure::Skip), 2).unwrap_err();
    assert!(matches!(error, Error::NoneApplies { id: 11, .. }), "{error}");
    let allowed = rewards(none, OnFailure::Error).allow_unrewarded(true);
    let scored = score(allowed, 2).unwrap();
    assert_eq!((scored.totals, scored.unrewarded), (vec![2.0, 0.0], vec![1]));
    // To skip a failure is to say so.
    let skipped = rewards([Value(2.0), Failed("x".into())], OnFailure::Skip);
    assert_eq!(score(skipped, 2).unwrap().unrewarded, [1]);
}

#[test]
fn what_cannot_be_summed_is_refused() {
    let error = |parts| WeightedRewards::new(parts).map(|_| ()).unwrap_err();
    assert!(matches!(error(Vec::new()), Error::NoRewards));
    let twin = || part("twin", 1.0, OnFailure::Error, &[]);
    assert!(matches!(error(vec![twin(), twin()]), Error::SameName { name } if name == "twin"));

    // row 23: never broadcast.
    let short = WeightedRewards::new(vec![part("short", 1.0, OnFailure::Zero, &[Value(1.0)])]);
    let error = score(short.unwrap(), 3).unwrap_err();
    assert!(matches!(error, Error::Count { expected: 3, found: 1, .. }), "{error}");

    let huge = WeightedRewards::new(vec![part("huge", 10.0, OnFailure::Zero, &[Value(f64::MAX)])]);
    let error = score(huge.unwrap(), 1).unwrap_err();
    assert!(matches!(error, Error::Total { id: 10, .. }), "{error}");

    let mut rewards = WeightedRewards::new(vec![twin()]).unwrap();
    let columns = Map::new();
    let completion = Completion { id: 1, prompt: "", text: "", columns: &columns };
    assert!(matches!(rewards.score(&[completion, completion]), Err(Error::SameId { id: 1 })));
    assert_eq!(rewards.score(&[]).unwrap().totals, [0.0; 0]);
}

#[test]
fn a_dry_run_calls_each_reward_once() {
    let regex = RewardConfig { pattern: Some("4".into()), ..RewardConfig::new(RewardKind::Regex) };
    let length = RewardConfig { max: Some(2), ..RewardConfig::new(RewardKind::Length) };
    let gsm8k = RewardConfig {
        task: Some(afterthought_tasks::TaskName::Gsm8k),
        ..RewardConfig::new(RewardKind::Accuracy)
    };
    let mut rewards = WeightedRewards::build(&[regex, length, gsm8k], Path::new(".")).unwrap();
    let columns = Map::new();
    let checked =
        rewards.check(&Completion { id: 0, prompt: "2+2?", text: "it is 4", columns: &columns });
    let said: Vec<_> =
        checked.iter().map(|c| (c.name.as_str(), c.outcome.as_ref().unwrap())).collect();
    assert_eq!(said[..2], [("regex", &Value(1.0)), ("length", &Value(0.0))]);
    let ("accuracy", Failed(reason)) = said[2] else { panic!("{said:?}") };
    assert_eq!(reason, "the row has no column \"answer\", nor any but the prompt");

    let mut broken = Scripted("broken", vec![Value(f64::NAN), Value(1.0)]);
    let completion = Completion { id: 0, prompt: "", text: "", columns: &columns };
    let checked = afterthought_rewards::check(&mut broken, &completion);
    assert!(matches!(checked.outcome, Err(Error::Count { expected: 1, found: 2, .. })));
    broken.1.pop();
    let checked = afterthought_rewards::check(&mut broken, &completion);
    assert!(matches!(checked.outcome, Ok(Failed(_))), "{checked:?}");
}
