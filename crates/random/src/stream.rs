use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of random numbers that is a pure function of its key.
///
/// The generator is ChaCha8; its 256-bit key is the four 64-bit words (seed, FNV-1a hash of the
/// purpose, step, sample), so different keys give independent streams.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `sample` at `step` for one `purpose` (a short fixed name such as
    /// `"rollout"`).
    pub fn new(seed: u64, purpose: &str, step: u64, sample: u64) -> Self {
        let mut key = [0u8; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, fnv1a(purpose), step, sample]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The next 32 random bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in the open interval `(0, 1)`: safe under a logarithm.
    pub fn open_uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    /// Standard Gumbel noise `-ln(-ln u)`.
    pub fn gumbel(&mut self) -> f64 {
        -(-self.open_uniform().ln()).ln()
    }

    /// Standard normal noise (Box-Muller, one value a call).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.open_uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Uniform in `0..n`, without modulo bias (Lemire's rejection).
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "cannot draw from an empty range");
        let n = n as u64;
        loop {
            let wide = u128::from(self.0.next_u64()) * u128::from(n);
            let low = wide as u64;
            if low >= n || low >= n.wrapping_neg() % n {
                return (wide >> 64) as usize;
            }
        }
    }

    /// `true` with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// One element of `items`, uniformly.
    ///
    /// # Panics
    /// If `items` is empty.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Fisher-Yates shuffle in place.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// FNV-1a over the bytes of `text`: a stable name-to-number map, not a security measure.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_functions_of_their_whole_key() {
        let draw = |seed, purpose, step, sample| Stream::new(seed, purpose, step, sample).bits();
        let base = draw(1, "rollout", 2, 3);
        assert_eq!(base, draw(1, "rollout", 2, 3));
        for other in [
            draw(2, "rollout", 2, 3),
            draw(1, "masks", 2, 3),
            draw(1, "rollout", 3, 3),
            draw(1, "rollout", 2, 4),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn values_are_stable_across_versions() {
        // Pinned: results recorded under a seed must stay reproducible.
        let mut stream = Stream::new(42, "pin", 0, 0);
        let drawn: Vec<usize> = (0..8).map(|_| stream.below(1000)).collect();
        assert_eq!(drawn, PINNED);
    }

    const PINNED: [usize; 8] = [171, 710, 189, 941, 661, 520, 898, 819];

    #[test]
    fn uniform_moments() {
        let mut stream = Stream::new(7, "moments", 0, 0);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| stream.uniform()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let var = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((mean - 0.5).abs() < 3e-3 && (var - 1.0 / 12.0).abs() < 2e-3);
        let gumbel = (0..n).map(|_| stream.gumbel()).sum::<f64>() / f64::from(n);
        assert!((gumbel - 0.577_215_66).abs() < 1e-2);
        let normal = (0..n).map(|_| stream.normal().powi(2)).sum::<f64>() / f64::from(n);
        assert!((normal - 1.0).abs() < 2e-2);
    }
}
