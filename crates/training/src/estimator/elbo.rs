use super::pass::{Pass, Scored, log_probs};
use crate::Error;
use afterthought_models::Decoder;
use afterthought_random::Stream;

/// How many tokens a Monte-Carlo likelihood sample masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaskCount {
    /// Exact counts, evenly spaced over `1..=L` with a random offset (LLaDA's estimator): same
    /// expectation as `Bernoulli`, much lower variance.
    #[default]
    Stratified,
    /// Each token with probability `t ~ U(0, 1)`, weight `1 / t`.
    Bernoulli,
}

/// Lays out `samples` maskings of `completion` and the weight of each pass in
/// `log p(completion | prompt) >= E[ weight * sum log p(masked tokens) ]`
/// (LLaDA equation 6: weight `L / count`; Bernoulli: `1 / t`), averaged over the samples.
///
/// Passes that mask nothing are left out: they contribute zero.
pub fn likelihood_passes(
    prompt: &[u32],
    completion: &[u32],
    mask: u32,
    samples: usize,
    count: MaskCount,
    seed: u64,
) -> Vec<(Pass, f64)> {
    let length = completion.len();
    if length == 0 {
        return Vec::new();
    }
    let first = 1 + Stream::new(seed, "likelihood offset", 0, 0).below(length);
    let mut passes = Vec::with_capacity(samples);
    for sample in 0..samples {
        let mut stream = Stream::new(seed, "likelihood masks", 0, sample as u64);
        let (hidden, weight) = match count {
            MaskCount::Stratified => {
                let spread =
                    (first as f64 + sample as f64 * length as f64 / samples as f64).round();
                let count = (spread as usize - 1) % length + 1;
                let mut order: Vec<usize> = (0..length).collect();
                stream.shuffle(&mut order);
                let mut hidden = vec![false; length];
                for index in &order[..count] {
                    hidden[*index] = true;
                }
                (hidden, length as f64 / count as f64)
            }
            MaskCount::Bernoulli => {
                let time = stream.open_uniform();
                ((0..length).map(|_| stream.chance(time)).collect(), 1.0 / time)
            }
        };
        let mut pass = Pass { canvas: prompt.to_vec(), scored: Vec::new() };
        for (token, hidden) in completion.iter().zip(hidden) {
            if hidden {
                pass.scored.push(Scored { column: pass.canvas.len(), token: *token });
            }
            pass.canvas.push(if hidden { mask } else { *token });
        }
        if !pass.scored.is_empty() {
            passes.push((pass, weight / samples as f64));
        }
    }
    passes
}

/// Monte-Carlo lower bound on `log p(completion | prompt)`, in nats.
///
/// # Errors
/// [`Error::Setting`] if the model has no mask token; those of [`log_probs`].
pub fn log_likelihood(
    decoder: &Decoder,
    prompt: &[u32],
    completion: &[u32],
    samples: usize,
    count: MaskCount,
    seed: u64,
) -> Result<f64, Error> {
    let Some(mask) = decoder.config().mask_token_id else {
        let problem = "is not set: the likelihood of a masked-diffusion model needs it".into();
        return Err(Error::Setting { key: "mask_token_id", problem });
    };
    let (passes, weights): (Vec<_>, Vec<_>) =
        likelihood_passes(prompt, completion, mask, samples, count, seed).into_iter().unzip();
    if passes.is_empty() {
        return Ok(0.0);
    }
    let mut values = log_probs(decoder, &passes, 64)?.into_iter();
    Ok(passes
        .iter()
        .zip(weights)
        .map(|(pass, weight)| {
            weight * values.by_ref().take(pass.scored.len()).map(f64::from).sum::<f64>()
        })
        .sum())
}
