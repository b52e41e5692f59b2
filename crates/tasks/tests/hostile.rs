//! Row 24 of the fault table: answers that are made to hang, crash or mislead a grader.
#![allow(clippy::unwrap_used, missing_docs)]

use afterthought_tasks::gsm8k::Gsm8kProblem;
use afterthought_tasks::math::MathProblem;
use afterthought_tasks::{Outcome, Problem, Profile};

fn boxed(answer: &str) -> String {
    format!("<reasoning>\n</reasoning>\n<answer>\n\\boxed{{{answer}}}\n</answer>")
}

/// Every profile ends, without a panic, and none calls a hostile answer right.
#[test]
fn row_24_hostile_answers_are_never_right_and_always_graded() {
    let tower = "5^{5^{5^{5^{5}}}}".to_owned();
    let nested = format!("{}1{}", "{".repeat(100_000), "}".repeat(100_000));
    let fractions = format!("{}1{}", "\\frac{1}{1+".repeat(20_000), "}".repeat(20_000));
    let roots = format!("{}2{}", "\\sqrt{".repeat(50_000), "}".repeat(50_000));
    let hostile = [
        tower.as_str(),
        &nested,
        &fractions,
        &roots,
        &"9".repeat(200_000),
        "1/0",
        "0^{-1}",
        "\\frac{1}{0}",
        "10^{10^{10}}",
        "(-1)^{1/2}",
        "\u{0665}\u{0665}",
        "\u{ff14}\u{ff12}",
        "}",
        "{",
        "\\",
        "",
        "NaN",
        "1e400",
        "\\boxed{\\boxed{\\boxed{43}}}",
    ];
    let problems: [Box<dyn Problem>; 2] = [
        Box::new(MathProblem::new("p", "42")),
        Box::new(Gsm8kProblem::new("p", "so #### 42").unwrap()),
    ];
    for problem in &problems {
        for answer in hostile {
            for completion in [boxed(answer), answer.to_owned()] {
                for profile in Profile::ALL {
                    let verdict = problem.grade(&completion, profile).verdict;
                    let shown: String = answer.chars().take(40).collect();
                    assert_ne!(verdict, Outcome::Correct, "{shown} under {profile:?}");
                }
                assert!(problem.reward(&completion).is_finite());
            }
        }
        assert_eq!(problem.grade(&boxed("42"), Profile::Strict).verdict, Outcome::Correct);
    }
}

/// A gold answer that cannot be read never makes an answer wrong without a word: it is undecided, or
/// decided by text.
#[test]
fn row_24_a_gold_answer_that_cannot_be_read_is_no_verdict() {
    let problem = MathProblem::new("p", "5^{5^{5^{5^{5}}}}");
    let same = problem.grade(&boxed("5^{5^{5^{5^{5}}}}"), Profile::Strict).verdict;
    assert!(matches!(same, Outcome::Correct | Outcome::Undecided), "{same:?}");
    let other = problem.grade(&boxed("5^{5^{5^{5^{6}}}}"), Profile::Strict).verdict;
    assert_ne!(other, Outcome::Correct);
}
