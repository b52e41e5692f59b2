//! Worked examples before the question, for models that continue text rather than follow instructions.

use std::collections::HashSet;

use afterthought_random::Stream;

use crate::{Problem, TaskError};

/// A problem as an entry of a list of worked examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exercise {
    /// The question, up to where the answer begins.
    pub ask: String,
    /// The worked solution; `None` where the data set has none.
    pub worked: Option<String>,
}

/// A fixed list of worked examples, the same before every question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FewShot {
    /// Index in the pool, question and worked solution of each example, in the order shown.
    examples: Vec<(usize, [String; 2])>,
}

/// What stands between two entries.
const BETWEEN: &str = "\n\n";

impl FewShot {
    /// How the entry after the answer would begin.
    pub const NEXT: [&'static str; 2] = ["\nQuestion:", "\nProblem:"];

    /// Draws `count` examples from `pool`: those of the random stream (`seed`, `"few-shot"`), in the
    /// order drawn. Examples without a worked solution are not drawn, nor is one whose question (white
    /// space apart) is among those of `evaluated` or of an example drawn before it.
    ///
    /// # Errors
    /// [`TaskError::FewShot`] if the pool's task has no such prompts or too few examples are left.
    pub fn draw(
        pool: &[Box<dyn Problem>],
        evaluated: &[&dyn Problem],
        count: usize,
        seed: u64,
    ) -> Result<Self, TaskError> {
        let mut taken: HashSet<String> =
            evaluated.iter().filter_map(|problem| Some(key(&problem.exercise()?.ask))).collect();
        let mut order: Vec<usize> = (0..pool.len()).collect();
        Stream::new(seed, "few-shot", 0, 0).shuffle(&mut order);
        let (mut unworked, mut repeated) = (0, 0);
        let mut examples = Vec::with_capacity(count.min(pool.len()));
        for index in order {
            if examples.len() == count {
                break;
            }
            let Some(Exercise { ask, worked }) = pool[index].exercise() else {
                let reason = format!("{} has no few-shot prompts", pool[index].task());
                return Err(TaskError::FewShot { wanted: count, reason });
            };
            match worked {
                None => unworked += 1,
                Some(_) if !taken.insert(key(&ask)) => repeated += 1,
                Some(worked) => examples.push((index, [ask, worked])),
            }
        }
        if examples.len() < count {
            let reason = format!(
                "{} of {} can be used; {repeated} repeat an item or an example, {unworked} have no \
                 worked solution",
                examples.len(),
                pool.len()
            );
            return Err(TaskError::FewShot { wanted: count, reason });
        }
        Ok(Self { examples })
    }

    /// Positions of the examples in the pool, in the order shown.
    pub fn indices(&self) -> Vec<usize> {
        self.examples.iter().map(|(index, _)| *index).collect()
    }

    /// The examples, then the problem's question, blank lines between them; `None` for a problem of a
    /// task without few-shot prompts. The text ends where the answer begins, without white space.
    pub fn prompt(&self, problem: &dyn Problem) -> Option<String> {
        let ask = problem.exercise()?.ask;
        let examples = self.examples.iter().map(|(_, example)| example.join(" "));
        let entries: Vec<String> = examples.chain([ask]).collect();
        Some(entries.join(BETWEEN))
    }

    /// The same as turns of a conversation: each example's question and its worked solution, then the
    /// problem's question. Those in even places ask, the others answer.
    pub fn turns(&self, problem: &dyn Problem) -> Option<Vec<String>> {
        let ask = problem.exercise()?.ask;
        let examples = self.examples.iter().flat_map(|(_, example)| example.iter().cloned());
        Some(examples.chain([ask]).collect())
    }

    /// The part of a completion that answers the question: models that are good at lists go on with
    /// the next entry.
    pub fn answer(completion: &str) -> &str {
        let end = Self::NEXT.iter().filter_map(|next| completion.find(next)).min();
        &completion[..end.unwrap_or(completion.len())]
    }
}

/// A question without regard to white space.
fn key(ask: &str) -> String {
    ask.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::countdown::CountdownProblem;
    use crate::gsm8k::Gsm8kProblem;
    use crate::math::MathProblem;

    fn problems(questions: impl IntoIterator<Item = String>) -> Vec<Box<dyn Problem>> {
        let problem = |question: String| -> Box<dyn Problem> {
            Box::new(Gsm8kProblem::new(question, "1+1=2\n#### 2").unwrap())
        };
        questions.into_iter().map(problem).collect()
    }

    fn pool(count: usize) -> Vec<Box<dyn Problem>> {
        problems((0..count).map(|i| format!("Question {i}?")))
    }

    #[test]
    fn the_prompt_is_a_list_of_entries() {
        let shots = FewShot::draw(&pool(1), &[], 1, 0).unwrap();
        let prompt = shots.prompt(problems(["How many?".into()])[0].as_ref()).unwrap();
        assert_eq!(
            prompt,
            "Question: Question 0?\nAnswer: 1+1=2\n#### 2\n\nQuestion: How many?\nAnswer:"
        );
        let turns = shots.turns(problems(["How many?".into()])[0].as_ref()).unwrap();
        let expected =
            ["Question: Question 0?\nAnswer:", "1+1=2\n#### 2", "Question: How many?\nAnswer:"];
        assert_eq!(turns, expected);
        let countdown = CountdownProblem::new(vec![1], 1).unwrap();
        assert_eq!((shots.prompt(&countdown), shots.turns(&countdown)), (None, None));
    }

    #[test]
    fn examples_are_fixed_by_the_seed_and_a_longer_list_begins_with_a_shorter_one() {
        let draw = |count, seed| FewShot::draw(&pool(50), &[], count, seed).unwrap().indices();
        assert_eq!(draw(8, 1), draw(8, 1));
        assert_eq!(draw(8, 1)[..3], draw(3, 1));
        assert_ne!(draw(8, 1), draw(8, 2));
    }

    #[test]
    fn items_and_repeated_questions_are_never_examples() {
        // Ten questions, each three times with other white space; four of them are evaluated.
        let pool = problems((0..30).map(|i| format!("Question {}{}?", " ".repeat(i / 10), i % 10)));
        let items = problems((0..4).map(|i| format!("Question\n{i}?")));
        let evaluated: Vec<&dyn Problem> = items.iter().map(AsRef::as_ref).collect();
        for seed in 0..20 {
            let drawn = FewShot::draw(&pool, &evaluated, 6, seed).unwrap().indices();
            let mut questions: Vec<usize> = drawn.iter().map(|index| index % 10).collect();
            questions.sort_unstable();
            assert_eq!(questions, [4, 5, 6, 7, 8, 9]);
        }
        let error = FewShot::draw(&pool, &evaluated, 7, 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "7 worked examples were asked for: 6 of 30 can be used; 24 repeat an item or an example, \
             0 have no worked solution"
        );
    }

    #[test]
    fn problems_without_a_solution_or_a_form_are_no_examples() {
        let math: Vec<Box<dyn Problem>> = vec![Box::new(MathProblem::new("1+1", "2"))];
        let error = FewShot::draw(&math, &[], 1, 0).unwrap_err().to_string();
        assert!(error.contains("1 have no worked solution"), "{error}");
        let countdown: Vec<Box<dyn Problem>> =
            vec![Box::new(CountdownProblem::new(vec![1], 1).unwrap())];
        let error = FewShot::draw(&countdown, &[], 1, 0).unwrap_err().to_string();
        assert!(error.contains("countdown has no few-shot prompts"), "{error}");
        assert!(FewShot::draw(&countdown, &[], 0, 0).is_ok());
    }

    #[test]
    fn the_next_entry_is_not_part_of_the_answer() {
        assert_eq!(FewShot::answer(" 2\n#### 2\n\nQuestion: more\nAnswer: 3"), " 2\n#### 2\n");
        assert_eq!(FewShot::answer(" 2"), " 2");
    }
}
