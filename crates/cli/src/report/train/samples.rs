use afterthought_runs::log::LoggedCompletion;
use serde_json::Value;

use crate::report::document::Sample;

/// Prompts shown of the last step.
const PROMPTS: usize = 3;
/// Completions without a reward shown of a prompt.
const UNRATED: usize = 2;

/// Completions worth reading: of the first and of the last step that kept any, for some prompts the
/// one that earned most beside the one that earned least.
pub(super) fn samples(completions: &[LoggedCompletion]) -> Vec<Sample> {
    let steps = || completions.iter().map(|logged| logged.step);
    let (Some(first), Some(last)) = (steps().min(), steps().max()) else {
        return Vec::new();
    };
    let mut samples = of_step(completions, last, PROMPTS);
    if first != last {
        samples.extend(of_step(completions, first, 1));
    }
    samples
}

/// The prompts of a step whose completions earned the most different rewards.
fn of_step(completions: &[LoggedCompletion], step: u64, prompts: usize) -> Vec<Sample> {
    let mut groups: Vec<(&str, Vec<&LoggedCompletion>)> = Vec::new();
    for logged in completions.iter().filter(|logged| logged.step == step) {
        let prompt = logged.completion.prompt.as_str();
        match groups.iter_mut().find(|(known, _)| *known == prompt) {
            Some((_, group)) => group.push(logged),
            None => groups.push((prompt, vec![logged])),
        }
    }
    // Stable: groups of one spread stay in the order of the log.
    groups.sort_by(|(_, a), (_, b)| spread(b).total_cmp(&spread(a)));
    let shown = groups.into_iter().take(prompts).enumerate();
    shown.flat_map(|(index, (_, group))| of_group(&group, step, index + 1)).collect()
}

fn reward(logged: &LoggedCompletion) -> Option<f64> {
    logged.completion.reward.filter(|reward| reward.is_finite())
}

fn spread(group: &[&LoggedCompletion]) -> f64 {
    let rewards = || group.iter().filter_map(|logged| reward(logged));
    let (high, low) = (rewards().reduce(f64::max), rewards().reduce(f64::min));
    high.zip(low).map_or(0.0, |(high, low)| high - low)
}

fn of_group(group: &[&LoggedCompletion], step: u64, number: usize) -> Vec<Sample> {
    let rated = || group.iter().copied().filter(|logged| reward(logged).is_some());
    let by_reward = |a: &&LoggedCompletion, b: &&LoggedCompletion| {
        reward(a).unwrap_or_default().total_cmp(&reward(b).unwrap_or_default())
    };
    let count = group.len();
    // The first of equals on both sides.
    let most = rated().rev().max_by(by_reward);
    let least = rated().min_by(by_reward);
    let shown = match (most, least) {
        (Some(most), Some(least)) if reward(most) > reward(least) => vec![
            (format!("earned most of {count}"), most),
            (format!("earned least of {count}"), least),
        ],
        (Some(most), _) if count > 1 => vec![(format!("all {count} earned the same"), most)],
        _ => group.iter().take(UNRATED).map(|logged| ("completion".to_owned(), *logged)).collect(),
    };
    let title = format!("Step {step}, prompt {number}");
    shown.into_iter().map(|(variant, logged)| sample(&title, variant, logged)).collect()
}

fn sample(title: &str, variant: String, logged: &LoggedCompletion) -> Sample {
    let completion = &logged.completion;
    let mut more = completion.more.clone();
    for (name, value) in &completion.parts {
        more.insert(
            name.clone(),
            if value.is_null() { Value::from("does not apply") } else { value.clone() },
        );
    }
    Sample {
        title: title.to_owned(),
        variant,
        prompt: completion.prompt.clone(),
        text: completion.completion.clone(),
        reward: completion.reward,
        more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterthought_runs::log::Completion;

    fn logged(step: u64, prompt: &str, text: &str, reward: Option<f64>) -> LoggedCompletion {
        let completion = Completion {
            prompt: prompt.to_owned(),
            completion: text.to_owned(),
            reward,
            ..Completion::default()
        };
        LoggedCompletion { step, completion }
    }

    #[test]
    fn the_best_stands_beside_the_worst_and_first_beside_last() {
        let completions = [
            logged(1, "p", "early", Some(0.0)),
            logged(9, "flat", "x", Some(1.0)),
            logged(9, "flat", "y", Some(1.0)),
            logged(9, "q", "bad", Some(0.1)),
            logged(9, "q", "good", Some(1.0)),
            logged(9, "q", "also good", Some(1.0)),
        ];
        let shown: Vec<_> = samples(&completions)
            .into_iter()
            .map(|sample| (sample.title, sample.variant, sample.text))
            .collect();
        let expected = [
            ("Step 9, prompt 1", "earned most of 3", "good"),
            ("Step 9, prompt 1", "earned least of 3", "bad"),
            ("Step 9, prompt 2", "all 2 earned the same", "x"),
            ("Step 1, prompt 1", "completion", "early"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(shown, expected);
    }

    #[test]
    fn completions_without_rewards_are_shown_too() {
        let completions: Vec<_> = (0..5).map(|i| logged(3, "p", &i.to_string(), None)).collect();
        assert_eq!(samples(&completions).len(), UNRATED);
        assert!(samples(&[]).is_empty());
    }
}
