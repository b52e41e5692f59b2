use afterthought_kernels::inference::largest;
use afterthought_random::Stream;

/// The prediction for one masked position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// Its softmax probability.
    pub confidence: f64,
    /// The natural logarithm of that, exact where `confidence` underflows.
    pub log_prob: f64,
}

/// Logits that are not a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogits {
    /// One of them is NaN or `+inf`.
    #[error("a logit is NaN or +inf")]
    NotFinite,
    /// Every token that is not banned has the logit `-inf`.
    #[error("the logits rule out every token that is not banned")]
    NothingLeft,
}

/// Chooses a token from the `logits` of one position, none of the `banned` ids (ascending).
///
/// At temperature 0 it is the most likely one, else a draw from `softmax(logits / temperature)` by
/// the Gumbel-max trick: the argmax of `logits / temperature + g` with standard Gumbel noise `g`,
/// in double precision. (LLaDA writes the same argmax as `exp(logits) / (-ln u)^temperature`,
/// which overflows.) Ties go to the lowest id.
///
/// Confidence and log-prob are those of the token under `softmax(logits)`, without noise and
/// temperature, but with the banned ids left out.
///
/// # Errors
/// [`BadLogits`].
pub fn choose(
    logits: &[f32],
    banned: &[u32],
    temperature: f64,
    stream: &mut Stream,
) -> Result<Choice, BadLogits> {
    let highest =
        allowed(logits, banned).map(|(_, part)| largest(part)).fold(f32::NEG_INFINITY, f32::max);
    // `largest` passes over NaN; here and in the sum it is found.
    if highest == f32::NEG_INFINITY {
        let nan = allowed(logits, banned).any(|(_, part)| part.iter().any(|l| l.is_nan()));
        return Err(if nan { BadLogits::NotFinite } else { BadLogits::NothingLeft });
    }
    let highest = f64::from(highest);
    let mut sum = 0.0;
    let mut best = Best { score: f64::NEG_INFINITY, token: None, gap: 0.0 };
    for (first, part) in allowed(logits, banned) {
        for (id, &logit) in (first..).zip(part) {
            let gap = f64::from(logit) - highest;
            sum += gap.exp();
            if temperature > 0.0 {
                best.race(id, gap, temperature, stream);
            } else if gap > best.score {
                best = Best { score: gap, token: Some(id), gap };
            }
        }
    }
    // `+inf` gives `inf - inf` here, so it shows as NaN too.
    if sum.is_nan() {
        return Err(BadLogits::NotFinite);
    }
    let token = best.token.ok_or(BadLogits::NothingLeft)?;
    Ok(Choice { token, confidence: best.gap.exp() / sum, log_prob: best.gap - sum.ln() })
}

/// The leader of the race so far.
struct Best {
    score: f64,
    token: Option<u32>,
    /// Its logit minus the highest one.
    gap: f64,
}

impl Best {
    /// Lets a token run with fresh noise.
    fn race(&mut self, token: u32, gap: f64, temperature: f64, stream: &mut Stream) {
        let u = stream.open_uniform();
        let level = gap / temperature;
        // To win, the noise -ln(-ln u) must exceed d, that is u > exp(-exp(-d)). For d > 0 the
        // right side is at least 1 - exp(-d) > 1 - 1/(1 + d + d²/2 + d³/6); most tokens fail that
        // already, which spares two logarithms and changes nothing.
        let d = self.score - level;
        if d > 0.0 {
            let cubic = 1.0 + d * (1.0 + d * (0.5 + d * (1.0 / 6.0)));
            if u * cubic <= cubic - 1.0 {
                return;
            }
        }
        let score = level - (-u.ln()).ln();
        if score > self.score {
            *self = Self { score, token: Some(token), gap };
        }
    }
}

/// The stretches of `logits` between the `banned` ids, each with the id of its first element.
fn allowed<'a>(logits: &'a [f32], banned: &'a [u32]) -> impl Iterator<Item = (u32, &'a [f32])> {
    let ends = banned.iter().map(|&id| id as usize).chain([logits.len()]);
    let mut start = 0;
    ends.map(move |end| {
        let end = end.min(logits.len());
        let part = (start as u32, logits.get(start..end).unwrap_or(&[]));
        start = end + 1;
        part
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn stream(sample: u64) -> Stream {
        Stream::new(1, "test", 0, sample)
    }

    fn greedy(logits: &[f32], banned: &[u32]) -> Result<Choice, BadLogits> {
        choose(logits, banned, 0.0, &mut stream(0))
    }

    #[test]
    fn greedy_takes_the_lowest_of_the_highest() {
        let choice = greedy(&[0.0, 2.0, 2.0, 1.0], &[]).unwrap();
        let z = 1.0 + 2.0 * 2f64.exp() + 1f64.exp();
        assert_eq!(choice.token, 1);
        assert!((choice.confidence - 2f64.exp() / z).abs() < 1e-15);
        assert!((choice.log_prob - (2.0 - z.ln())).abs() < 1e-15);
    }

    #[test]
    fn banned_ids_are_neither_chosen_nor_counted() {
        let logits = [9.0, 1.0, 50.0, 0.0, 50.0];
        for temperature in [0.0, 1.0, 1e3] {
            for sample in 0..50 {
                let choice = choose(&logits, &[0, 2, 4], temperature, &mut stream(sample)).unwrap();
                assert!([1, 3].contains(&choice.token));
                let odds = if choice.token == 1 { 1.0 } else { -1f64 };
                assert!((choice.confidence - 1.0 / (1.0 + (-odds).exp())).abs() < 1e-12);
            }
        }
        // Repeated, adjacent, and outside of the vocabulary.
        assert_eq!(greedy(&logits, &[2, 2, 3, 4, 7]).unwrap().token, 0);
        assert_eq!(greedy(&logits, &[0, 1, 2, 3, 4]), Err(BadLogits::NothingLeft));
    }

    #[test]
    fn logits_that_are_no_distribution() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        for width in [1, 40] {
            for at in [0, width / 2, width - 1] {
                for (fill, bad, expected) in [
                    (0.0, nan, BadLogits::NotFinite),
                    (0.0, inf, BadLogits::NotFinite),
                    (-inf, nan, BadLogits::NotFinite),
                    (-inf, -inf, BadLogits::NothingLeft),
                ] {
                    let mut logits = vec![fill; width];
                    logits[at] = bad;
                    for temperature in [0.0, 1.0] {
                        let result = choose(&logits, &[], temperature, &mut stream(0));
                        assert_eq!(result, Err(expected), "{fill} {bad} {width} {at}");
                    }
                }
            }
        }
        assert_eq!(greedy(&[], &[]), Err(BadLogits::NothingLeft));
    }

    #[test]
    fn ruled_out_tokens_never_win_and_extremes_do_not_overflow() {
        let logits = [-f32::INFINITY, 3e38, -3e38, 3e38, -f32::INFINITY];
        let mut seen = [0; 5];
        for sample in 0..200 {
            let choice = choose(&logits, &[], 0.5, &mut stream(sample)).unwrap();
            seen[choice.token as usize] += 1;
            assert_eq!(choice.confidence, 0.5);
        }
        assert_eq!(seen[1] + seen[3], 200);
        assert!(seen[1] > 60 && seen[3] > 60);
        // A temperature so low that it is greedy.
        assert_eq!(choose(&[0.0, 1.0, 0.5], &[], 1e-300, &mut stream(0)).unwrap().token, 1);
    }

    #[test]
    fn frequencies_follow_the_tempered_softmax() {
        let logits = [0.3f32, -1.0, 2.0, 0.0, 1.1, -6.0];
        let draws = 100_000u32;
        for temperature in [0.4, 1.0, 2.5] {
            let weights: Vec<f64> =
                logits.iter().map(|&l| (f64::from(l) / temperature).exp()).collect();
            let total: f64 = weights.iter().sum();
            let mut counts = [0.0; 6];
            let mut stream = stream(7);
            for _ in 0..draws {
                counts[choose(&logits, &[], temperature, &mut stream).unwrap().token as usize] +=
                    1.0;
            }
            // Chi-squared with 5 degrees of freedom: 20.5 is exceeded once in a thousand.
            let chi: f64 = (weights.iter().zip(counts))
                .map(|(w, n)| (w / total * f64::from(draws), n))
                .map(|(expected, n)| (n - expected).powi(2) / expected)
                .sum();
            assert!(chi < 20.5, "temperature {temperature}: {chi}");
        }
    }

    #[test]
    fn skipping_hopeless_tokens_changes_nothing() {
        let mut draw = stream(3);
        for sample in 0..300 {
            let logits: Vec<f32> = (0..97).map(|_| (draw.normal() * 4.0) as f32).collect();
            let temperature = 0.1 + draw.uniform() * 3.0;
            let mut noise = stream(sample);
            let mut best = (f64::NEG_INFINITY, 0);
            for (id, &logit) in (0..).zip(&logits) {
                let score = f64::from(logit) / temperature + noise.gumbel();
                if score > best.0 {
                    best = (score, id);
                }
            }
            let choice = choose(&logits, &[], temperature, &mut stream(sample)).unwrap();
            assert_eq!(choice.token, best.1);
        }
    }
}
