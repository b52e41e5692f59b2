use serde::{Deserialize, Serialize};

use super::answer_tag::answer_blocks;
use super::boxed::last_boxed;
use super::final_answer::before_end;

/// The form in which a prompt asks for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// `<reasoning>..</reasoning>`, then one `<answer>..</answer>`, and nothing around them.
    Tags,
    /// A line `#### number`, as in GSM8K's solutions.
    Hashes,
    /// A `\boxed{..}`, as in MATH's solutions.
    Box,
}

impl AnswerFormat {
    /// Whether a completion keeps to the form, whatever it says.
    pub fn holds(self, completion: &str) -> bool {
        let text = before_end(completion).trim();
        match self {
            Self::Tags => tags(text),
            Self::Hashes => text.rsplit_once("#### ").is_some_and(|(_, after)| {
                let line = after.lines().next().unwrap_or("").trim();
                let number = line.strip_prefix('-').unwrap_or(line);
                number.starts_with(|c: char| c.is_ascii_digit())
                    && number.chars().all(|c| c.is_ascii_digit() || c == ',' || c == '.')
            }),
            Self::Box => last_boxed(text).is_some_and(|(_, content)| !content.is_empty()),
        }
    }
}

fn tags(text: &str) -> bool {
    let inner = || {
        let (_, rest) = text.strip_prefix("<reasoning>")?.split_once("</reasoning>")?;
        let answer = rest.trim_start();
        Some(
            answer.starts_with("<answer>")
                && answer.ends_with("</answer>")
                && answer_blocks(answer).count() == 1,
        )
    };
    inner().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_may_span_lines_and_stand_alone() {
        let good = "<reasoning>\na\nb\n</reasoning>\n<answer>\n5\n</answer>\n";
        assert!(AnswerFormat::Tags.holds(good));
        assert!(AnswerFormat::Tags.holds(&format!("{good}<|eot_id|>more")));
        for bad in [
            "<answer>5</answer>",
            "<reasoning>a</reasoning> so <answer>5</answer>",
            "<reasoning>a</reasoning><answer>5",
            "<reasoning>a</reasoning><answer>5</answer><answer>6</answer>",
        ] {
            assert!(!AnswerFormat::Tags.holds(bad), "{bad}");
        }
        assert!(!AnswerFormat::Tags.holds(&format!("{good}more")));
    }

    #[test]
    fn hashes_and_boxes() {
        assert!(AnswerFormat::Hashes.holds("2+2=4\n#### 1,234\n"));
        assert!(AnswerFormat::Hashes.holds("#### -5"));
        for bad in ["#### five", "####5", "####", "5", "#### 5 apples"] {
            assert!(!AnswerFormat::Hashes.holds(bad), "{bad}");
        }
        assert!(AnswerFormat::Box.holds("so $\\boxed{5}$."));
        assert!(!AnswerFormat::Box.holds("\\boxed{") && !AnswerFormat::Box.holds("\\boxed{}"));
    }
}
