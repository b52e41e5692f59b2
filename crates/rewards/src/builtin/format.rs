use super::text_reward::TextRule;
use crate::Outcome;
use crate::config::{Checks, FormatStyle, RewardConfig};

/// Whether a completion keeps to `<reasoning>..</reasoning> <answer>..</answer>`, or to two other
/// tags. Unlike the patterns of d1's code, what stands between the tags may span lines.
#[derive(Debug)]
pub(crate) struct FormatRule {
    style: FormatStyle,
    /// Opening and closing tag of the first block, then of the second.
    tags: [String; 4],
    value: f64,
    otherwise: f64,
}

impl FormatRule {
    pub(crate) fn read(config: &RewardConfig, checks: &mut Checks) -> Option<Self> {
        let default = || ["reasoning", "answer"].map(str::to_owned);
        let names = config.tags.clone().unwrap_or_else(default);
        let good = |name: &String| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-|".contains(c))
        };
        if names[0] == names[1] || !names.iter().all(good) {
            checks.add(
                "tags",
                format!("is {names:?}: expected two different names without brackets"),
            );
        }
        let [first, second] = names;
        let tags = [
            format!("<{first}>"),
            format!("</{first}>"),
            format!("<{second}>"),
            format!("</{second}>"),
        ];
        Some(Self {
            style: config.style.unwrap_or_default(),
            tags,
            value: checks.finite("value", config.value, 1.0),
            otherwise: checks.finite("otherwise", config.otherwise, 0.0),
        })
    }

    /// The share of the form that is kept, 0 to 1.
    fn kept(&self, text: &str) -> f64 {
        let once = |tag: &String| text.matches(tag.as_str()).count() == 1;
        match self.style {
            FormatStyle::Exact => {
                let kept = self.tags.iter().all(once)
                    && self.blocks(text).is_some_and(|around| around.iter().all(|s| blank(s)));
                f64::from(u8::from(kept))
            }
            FormatStyle::Soft => f64::from(u8::from(self.blocks(text).is_some())),
            FormatStyle::Tags => self.tags.iter().filter(|tag| once(tag)).count() as f64 / 4.0,
        }
    }

    /// What stands before, between and behind the two blocks; `None` without the four tags in order.
    fn blocks<'a>(&self, text: &'a str) -> Option<[&'a str; 3]> {
        let [open, close, open_answer, close_answer] = &self.tags;
        let (before, rest) = text.split_once(open.as_str())?;
        let (_, rest) = rest.split_once(close.as_str())?;
        let (between, rest) = rest.split_once(open_answer.as_str())?;
        let (_, after) = rest.split_once(close_answer.as_str())?;
        Some([before, between, after])
    }
}

fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

impl TextRule for FormatRule {
    fn score(&self, text: &str) -> Outcome {
        let kept = self.kept(text);
        Outcome::Value(kept * self.value + (1.0 - kept) * self.otherwise)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use afterthought_tasks::AnswerFormat;

    use super::*;
    use crate::RewardKind;

    fn score(style: FormatStyle, text: &str) -> f64 {
        let config = RewardConfig { style: Some(style), ..RewardConfig::new(RewardKind::Format) };
        let mut checks = Checks::default();
        let rule = FormatRule::read(&config, &mut checks).unwrap();
        assert!(checks.problems.is_empty());
        let Outcome::Value(value) = rule.score(text) else { panic!("{text}") };
        value
    }

    #[test]
    fn the_three_styles() {
        use FormatStyle::{Exact, Soft, Tags};
        for (text, exact, soft, tags) in [
            ("<reasoning>\na\nb\n</reasoning>\n<answer>\n5\n</answer>\n", 1.0, 1.0, 1.0),
            ("<reasoning></reasoning><answer></answer>", 1.0, 1.0, 1.0),
            ("so <reasoning>a</reasoning> then <answer>5</answer>!", 0.0, 1.0, 1.0),
            ("<answer>5</answer><reasoning>a</reasoning>", 0.0, 0.0, 1.0),
            ("<reasoning>a</reasoning><answer>5", 0.0, 0.0, 0.75),
            ("<reasoning>a</reasoning><answer>5</answer><answer>6</answer>", 0.0, 1.0, 0.5),
            ("5", 0.0, 0.0, 0.0),
            ("", 0.0, 0.0, 0.0),
        ] {
            assert_eq!(
                [Exact, Soft, Tags].map(|style| score(style, text)),
                [exact, soft, tags],
                "{text}"
            );
            // The evaluation's own idea of the form is the exact one.
            assert_eq!(AnswerFormat::Tags.holds(text), exact == 1.0, "{text}");
        }
    }
}
