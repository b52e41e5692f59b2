//! Rewards that misbehave, as shell scripts: they know beforehand which batches they will be sent.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use afterthought_rewards::{Completion, Error, Log, Outcome, Reward, RewardConfig, RewardKind};
use serde_json::{Map, Value, json};

/// A process reward that runs `script`, with little patience and no restarts.
pub(crate) fn sh(script: &str) -> RewardConfig {
    RewardConfig {
        name: Some("mine".into()),
        command: Some(["/bin/sh", "-c", script].map(str::to_owned).to_vec()),
        timeout_s: Some(20.0),
        max_restarts: Some(0),
        ..RewardConfig::new(RewardKind::Process)
    }
}

/// Its first batch.
pub(crate) fn score(config: &RewardConfig, ids: &[u64]) -> Result<Vec<Outcome>, Error> {
    score_again(config.build(Path::new("."))?.as_mut(), ids)
}

/// Another batch.
pub(crate) fn score_again(reward: &mut dyn Reward, ids: &[u64]) -> Result<Vec<Outcome>, Error> {
    let columns = Map::new();
    let completion = |id: &u64| Completion { id: *id, prompt: "p", text: "c", columns: &columns };
    reward.score(&ids.iter().map(completion).collect::<Vec<_>>())
}

/// The one reason why all of them failed.
pub(crate) fn failure(outcomes: &[Outcome]) -> &str {
    let [Outcome::Failed(first), rest @ ..] = outcomes else { panic!("{outcomes:?}") };
    assert!(rest.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
    first
}

/// A right answer: the reward of an id is the id.
pub(crate) fn answer(batch: u64, ids: &[u64]) -> String {
    let rewards: Vec<Value> = ids.iter().map(|id| json!({"id": id, "reward": id})).collect();
    json!({"batch": batch, "rewards": rewards}).to_string()
}

/// Outcomes of [`answer`].
pub(crate) fn values(ids: &[u64]) -> Vec<Outcome> {
    ids.iter().map(|id| Outcome::Value(*id as f64)).collect()
}

/// A log that keeps what it gets.
pub(crate) fn kept_log() -> (Log, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    (Log::new(move |line| sink.lock().unwrap().push(line.text.to_owned())), lines)
}
