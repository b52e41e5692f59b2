//! Models whose answers are known, for the tests of the sampler.

use std::sync::Mutex;

use afterthought_sampling::diffusion::{CanvasBatch, Denoiser};

/// The way a synthetic model fails.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("broken on purpose")]
pub(crate) struct Broken;

/// One forward pass as the model saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) lengths: Vec<usize>,
    pub(crate) width: usize,
    pub(crate) positions: usize,
}

/// Logits by a function of (the row's own tokens, column), and a list of all passes.
pub(crate) struct Synthetic<F> {
    pub(crate) vocab_size: usize,
    pub(crate) logits: F,
    pub(crate) seen: Mutex<Vec<Seen>>,
}

impl<F: Fn(&[u32], usize) -> Vec<f32>> Synthetic<F> {
    pub(crate) fn new(vocab_size: usize, logits: F) -> Self {
        Self { vocab_size, logits, seen: Mutex::new(Vec::new()) }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl<F: Fn(&[u32], usize) -> Vec<f32>> Denoiser for Synthetic<F> {
    type Error = Broken;

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn logits(&self, batch: &CanvasBatch<'_>, positions: &[u32]) -> Result<Vec<f32>, Broken> {
        assert_eq!(batch.ids.len(), batch.width * batch.lengths.len());
        assert!(positions.is_sorted_by(|a, b| a < b), "positions are not ascending");
        self.seen.lock().unwrap().push(Seen {
            lengths: batch.lengths.to_vec(),
            width: batch.width,
            positions: positions.len(),
        });
        let mut out = Vec::new();
        for &position in positions {
            let (row, column) = (position as usize / batch.width, position as usize % batch.width);
            assert!(column < batch.lengths[row], "asked for padding");
            let own = &batch.ids[row * batch.width..][..batch.lengths[row]];
            out.extend((self.logits)(own, column));
        }
        Ok(out)
    }
}

/// Logits that depend on every token of the row and on the column, otherwise arbitrary; `peak` is
/// roughly the spread.
pub(crate) fn hashed(
    vocab_size: usize,
    peak: f32,
) -> Synthetic<impl Fn(&[u32], usize) -> Vec<f32>> {
    Synthetic::new(vocab_size, move |ids: &[u32], column| {
        let mut hash = mix(column as u64 + 1);
        for &id in ids {
            hash = mix(hash ^ u64::from(id));
        }
        (0..vocab_size as u64).map(|v| peak * unit(mix(hash ^ mix(v + 77)))).collect()
    })
}

pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (x >> 32)
}

pub(crate) fn unit(x: u64) -> f32 {
    (x >> 40) as f32 / (1u64 << 24) as f32
}

/// A joint distribution over `length` tokens of an alphabet `0..symbols`, whose mask is the id
/// `symbols`: `probabilities[i]` is that of the sequence whose digits, first one most
/// significant, write `i`. The logits are the exact conditionals given what is not masked.
pub(crate) fn joint(
    symbols: usize,
    length: usize,
    probabilities: Vec<f64>,
) -> Synthetic<impl Fn(&[u32], usize) -> Vec<f32>> {
    assert_eq!(probabilities.len(), symbols.pow(length as u32));
    Synthetic::new(symbols + 1, move |ids: &[u32], column| {
        let start = ids.len() - length;
        let mut mass = vec![0.0; symbols];
        for (i, p) in probabilities.iter().enumerate() {
            let sequence = digits(i, symbols, length);
            let agrees = (sequence.iter().zip(&ids[start..]))
                .all(|(&a, &b)| b as usize == symbols || a == b);
            if agrees {
                mass[sequence[column - start] as usize] += p;
            }
        }
        // The mask is the most likely token by far: it must be banned.
        mass.iter().map(|m| m.ln() as f32).chain([50.0]).collect()
    })
}

/// `i` in base `symbols`, `length` digits.
pub(crate) fn digits(i: usize, symbols: usize, length: usize) -> Vec<u32> {
    (0..length as u32).rev().map(|k| (i / symbols.pow(k) % symbols) as u32).collect()
}
