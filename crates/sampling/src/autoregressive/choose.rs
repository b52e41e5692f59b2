use super::params::AutoregressiveParams;
use crate::diffusion::BadLogits;
use afterthought_kernels::inference::{largest, sums_of_exp};

/// A drawn token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chosen {
    /// The token.
    pub token: u32,
    /// Natural logarithm of its probability under `softmax(logits)`.
    pub log_prob: f64,
}

/// Logits of a sum of exponentials: the draw looks for the sum it falls into, then for the token.
const CHUNK: usize = 256;

/// Chooses a token by inverting the distribution function at `uniform`, a number from (0, 1).
///
/// At temperature 0 it is the most likely one, the lowest id of several. Nothing is sorted unless
/// `top_p` is set, and then only tokens that can be in the nucleus.
///
/// # Errors
/// [`BadLogits`].
pub fn choose(
    logits: &[f32],
    params: &AutoregressiveParams,
    uniform: f64,
) -> Result<Chosen, BadLogits> {
    let (top, mut sums, total) = normaliser(logits)?;
    let temperature = params.temperature;
    let token = if temperature == 0.0 {
        most_likely(logits, top)
    } else if params.top_k.is_some() || params.top_p.is_some() {
        draw_likely(logits, top, params, uniform)
    } else {
        if temperature != 1.0 {
            sums_of_exp(&mut sums, logits, CHUNK, top, (1.0 / temperature) as f32);
        }
        draw(logits, top, temperature, &sums, uniform)
    };
    let log_prob = f64::from(logits[token]) - f64::from(top) - total.ln();
    Ok(Chosen { token: token as u32, log_prob })
}

/// A token that is not a choice, with the probability that the model gives it.
///
/// # Errors
/// [`BadLogits`].
pub(super) fn forced(logits: &[f32], token: u32) -> Result<Chosen, BadLogits> {
    let (top, _, total) = normaliser(logits)?;
    let log_prob = f64::from(logits[token as usize]) - f64::from(top) - total.ln();
    Ok(Chosen { token, log_prob })
}

/// The largest logit, and the sums of `exp(logit - largest)` over chunks and over all.
fn normaliser(logits: &[f32]) -> Result<(f32, Vec<f32>, f64), BadLogits> {
    let top = largest(logits);
    // NaN, which `largest` passes over, shows in the sum.
    if top == f32::INFINITY {
        return Err(BadLogits::NotFinite);
    }
    if top == f32::NEG_INFINITY {
        let nan = logits.iter().any(|logit| logit.is_nan());
        return Err(if nan { BadLogits::NotFinite } else { BadLogits::NothingLeft });
    }
    let mut sums = vec![0.0; logits.len().div_ceil(CHUNK)];
    sums_of_exp(&mut sums, logits, CHUNK, top, 1.0);
    let total: f64 = sums.iter().copied().map(f64::from).sum();
    if total.is_nan() {
        return Err(BadLogits::NotFinite);
    }
    Ok((top, sums, total))
}

/// The first token with the largest logit.
fn most_likely(logits: &[f32], top: f32) -> usize {
    logits.iter().position(|logit| *logit == top).unwrap_or(0)
}

/// Inverts the distribution function, whose steps over whole chunks are `sums`.
fn draw(logits: &[f32], top: f32, temperature: f64, sums: &[f32], uniform: f64) -> usize {
    let total: f64 = sums.iter().copied().map(f64::from).sum();
    let mut rest = uniform * total;
    let mut last = None;
    for (chunk, sum) in sums.iter().enumerate() {
        let sum = f64::from(*sum);
        if rest >= sum {
            rest -= sum;
            continue;
        }
        let start = chunk * CHUNK;
        for (token, logit) in (start..).zip(&logits[start..logits.len().min(start + CHUNK)]) {
            let weight = weight(*logit, top, temperature);
            if weight > 0.0 {
                last = Some(token);
                if rest < weight {
                    return token;
                }
                rest -= weight;
            }
        }
        // The terms of a sum are rounded, so the end of a chunk may be a hair's breadth early.
        if let Some(token) = last {
            return token;
        }
    }
    last.unwrap_or_else(|| most_likely(logits, top))
}

fn weight(logit: f32, top: f32, temperature: f64) -> f64 {
    ((f64::from(logit) - f64::from(top)) / temperature).exp()
}

/// Draws among the tokens that `top_k` and then `top_p` leave.
fn draw_likely(logits: &[f32], top: f32, params: &AutoregressiveParams, uniform: f64) -> usize {
    let mut tokens: Vec<(f32, usize)> = match params.top_k.filter(|k| *k < logits.len()) {
        Some(k) => k_most_likely(logits, k),
        None => logits.iter().copied().zip(0..).collect(),
    };
    let weight = |logit| weight(logit, top, params.temperature);
    if let Some(p) = params.top_p {
        let total: f64 = tokens.iter().map(|(logit, _)| weight(*logit)).sum();
        // All that weigh less than this make up less than 1 - p: none of them is needed.
        let least = (1.0 - p) * total / tokens.len() as f64;
        tokens.retain(|(logit, _)| weight(*logit) >= least);
        tokens.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut sum = 0.0;
        let enough = tokens.iter().position(|(logit, _)| {
            sum += weight(*logit);
            sum >= p * total
        });
        tokens.truncate(enough.map_or(tokens.len(), |at| at + 1));
    }
    let total: f64 = tokens.iter().map(|(logit, _)| weight(*logit)).sum();
    let mut rest = uniform * total;
    let mut last = most_likely(logits, top);
    for (logit, token) in tokens {
        let weight = weight(logit);
        if weight > 0.0 {
            last = token;
            if rest < weight {
                break;
            }
            rest -= weight;
        }
    }
    last
}

/// The `k` most likely tokens by ascending id.
fn k_most_likely(logits: &[f32], k: usize) -> Vec<(f32, usize)> {
    let mut sorted = logits.to_vec();
    let (_, kth, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let kth = *kth;
    let above = logits.iter().filter(|logit| **logit > kth).count();
    let mut ties = k - above.min(k);
    let mut tokens = Vec::with_capacity(k);
    for (token, &logit) in logits.iter().enumerate() {
        if logit > kth {
            tokens.push((logit, token));
        } else if logit == kth && ties > 0 {
            ties -= 1;
            tokens.push((logit, token));
        }
    }
    tokens
}
