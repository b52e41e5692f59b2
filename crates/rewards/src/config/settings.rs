use super::{Checks, ConfigProblem, RewardConfig, RewardKind};
use crate::builtin::{AccuracyRule, FormatRule, LengthRule, RegexRule};
use crate::http::HttpSettings;
use crate::process::ProcessSettings;

/// A checked [`RewardConfig`].
#[derive(Debug)]
pub(crate) enum Settings {
    Accuracy(AccuracyRule),
    Format(FormatRule),
    Length(LengthRule),
    Regex(RegexRule),
    Process(ProcessSettings),
    Http(HttpSettings),
}

impl Settings {
    /// The settings, or everything that is wrong with them.
    pub(crate) fn read(config: &RewardConfig) -> Result<Self, Vec<ConfigProblem>> {
        let mut checks = Checks::default();
        check_name(config, &mut checks);
        check_keys(config, &mut checks);
        checks.finite("weight", config.weight, 1.0);
        let settings = match config.kind {
            RewardKind::Accuracy => AccuracyRule::read(config, &mut checks).map(Self::Accuracy),
            RewardKind::Format => FormatRule::read(config, &mut checks).map(Self::Format),
            RewardKind::Length => LengthRule::read(config, &mut checks).map(Self::Length),
            RewardKind::Regex => RegexRule::read(config, &mut checks).map(Self::Regex),
            RewardKind::Process => ProcessSettings::read(config, &mut checks).map(Self::Process),
            RewardKind::Http => HttpSettings::read(config, &mut checks).map(Self::Http),
        };
        match settings {
            Some(settings) if checks.problems.is_empty() => Ok(settings),
            _ => Err(checks.problems),
        }
    }
}

/// Names become part of metric names.
fn check_name(config: &RewardConfig, checks: &mut Checks) {
    const LONGEST: usize = 64;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if let Some(name) = &config.name
        && (name.is_empty() || name.len() > LONGEST || !name.chars().all(allowed))
    {
        checks.add(
            "name",
            format!("is {name:?}: expected 1 to {LONGEST} letters, digits, `_`, `-` or `.`"),
        );
    }
}

/// Keys that belong to another kind.
fn check_keys(config: &RewardConfig, checks: &mut Checks) {
    let own = config.kind.keys();
    for (key, given) in own_keys(config) {
        if given && !own.contains(&key) {
            let (kind, own) = (config.kind, own.join(", "));
            checks.add(key, format!("does not belong to kind = \"{kind}\", which has {own}"));
        }
    }
}

/// The keys that not every kind has, and whether they are given.
fn own_keys(config: &RewardConfig) -> [(&'static str, bool); 23] {
    [
        ("task", config.task.is_some()),
        ("profile", config.profile.is_some()),
        ("answer_column", config.answer_column.is_some()),
        ("correct", config.correct.is_some()),
        ("wrong", config.wrong.is_some()),
        ("style", config.style.is_some()),
        ("tags", config.tags.is_some()),
        ("unit", config.unit.is_some()),
        ("min", config.min.is_some()),
        ("max", config.max.is_some()),
        ("margin", config.margin.is_some()),
        ("pattern", config.pattern.is_some()),
        ("value", config.value.is_some()),
        ("otherwise", config.otherwise.is_some()),
        ("command", config.command.is_some()),
        ("working_dir", config.working_dir.is_some()),
        ("env", config.env.is_some()),
        ("max_restarts", config.max_restarts.is_some()),
        ("url", config.url.is_some()),
        ("header_env", config.header_env.is_some()),
        ("max_retries", config.max_retries.is_some()),
        ("timeout_s", config.timeout_s.is_some()),
        ("max_response_bytes", config.max_response_bytes.is_some()),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_belongs_to_a_kind_and_is_looked_at() {
        let known: BTreeSet<&str> =
            RewardKind::ALL.iter().flat_map(|kind| kind.keys()).copied().collect();
        let looked_at: BTreeSet<&str> =
            own_keys(&RewardConfig::new(RewardKind::Regex)).iter().map(|(key, _)| *key).collect();
        assert_eq!(known, looked_at);
        // An unknown key makes serde list those of the struct.
        let error = serde_json::from_str::<RewardConfig>(r#"{"no": 1}"#).unwrap_err().to_string();
        let listed: BTreeSet<&str> = error.split('`').skip(3).step_by(2).collect();
        let common = ["kind", "name", "weight", "on_failure"];
        assert_eq!(listed, known.into_iter().chain(common).collect());
    }
}
