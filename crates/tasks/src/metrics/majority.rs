/// What a majority vote over the samples of one item is worth: answers vote in classes of `same`
/// ones, a sample without an answer (`None`) does not vote. Of several classes with the most votes
/// each wins with the same probability, so the value is the share of them that is right; 0 where
/// nobody votes.
///
/// `votes` are (answer, whether it was judged right). A class is right if any of its votes is: one
/// answer may be written in a way that the grader could not decide on.
pub fn majority<T>(votes: &[(Option<T>, bool)], same: impl Fn(&T, &T) -> bool) -> f64 {
    struct Class<'a, T> {
        answer: &'a T,
        votes: usize,
        right: bool,
    }
    let mut classes: Vec<Class<'_, T>> = Vec::new();
    for (answer, right) in votes {
        let Some(answer) = answer else { continue };
        match classes.iter_mut().find(|class| same(class.answer, answer)) {
            Some(class) => {
                class.votes += 1;
                class.right |= right;
            }
            None => classes.push(Class { answer, votes: 1, right: *right }),
        }
    }
    let most = classes.iter().map(|class| class.votes).max().unwrap_or(0);
    let winners: Vec<&Class<'_, T>> = classes.iter().filter(|class| class.votes == most).collect();
    let right = winners.iter().filter(|class| class.right).count();
    right as f64 / winners.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(answers: &[Option<u8>], gold: u8) -> f64 {
        let votes: Vec<(Option<u8>, bool)> =
            answers.iter().map(|answer| (*answer, *answer == Some(gold))).collect();
        majority(&votes, |a, b| a == b)
    }

    #[test]
    fn every_vote_of_three_answers_by_four_voters() {
        // Against a count by answer: each voter says 0, 1, 2 or nothing; 0 is right.
        for code in 0..4usize.pow(4) {
            let answers: Vec<Option<u8>> = (0..4)
                .map(|voter| (code / 4usize.pow(voter)) % 4)
                .map(|said| (said < 3).then_some(said as u8))
                .collect();
            let counts: Vec<usize> = (0..3)
                .map(|answer| answers.iter().filter(|said| **said == Some(answer)).count())
                .collect();
            let most = counts.iter().copied().max().unwrap_or(0);
            let expected = match most {
                0 => 0.0,
                _ if counts[0] < most => 0.0,
                _ => 1.0 / counts.iter().filter(|count| **count == most).count() as f64,
            };
            assert_eq!(vote(&answers, 0), expected, "{answers:?}");
        }
    }

    #[test]
    fn classes_follow_the_equivalence_and_nobody_is_nothing() {
        let same = |a: &f64, b: &f64| (a - b).abs() < 0.1;
        let votes = [(Some(1.0), false), (Some(1.05), true), (Some(2.0), false)];
        assert_eq!(majority(&votes, same), 1.0);
        assert_eq!(majority::<f64>(&[], same), 0.0);
    }
}
