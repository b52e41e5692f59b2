use afterthought_random::Stream;

/// How the factors of a new adapter are drawn. `B` is zero in both, so that it begins as the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// `A` uniform within `1 / sqrt(in)`: Kaiming's with `a = sqrt(5)` (`init_lora_weights: true`).
    #[default]
    Uniform,
    /// `A` normal with standard deviation `1 / rank` (`"gaussian"`).
    Gaussian,
}

impl Init {
    /// The values of `A`, `[rank, inputs]`, of the layer at `path`.
    pub(crate) fn draw(self, path: &str, [rank, inputs]: [usize; 2], seed: u64) -> Vec<f32> {
        let mut stream = Stream::new(seed, &format!("lora_A of {path}"), 0, 0);
        let bound = 1.0 / (inputs as f64).sqrt();
        let mut value = || match self {
            Self::Uniform => (2.0 * stream.uniform() - 1.0) * bound,
            Self::Gaussian => stream.normal() / rank as f64,
        };
        (0..rank * inputs).map(|_| value() as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_as_documented() {
        let spread = |init: Init| {
            let values = init.draw("q", [8, 4096], 1);
            let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
            (squares / values.len() as f64).sqrt()
        };
        // The standard deviation of a uniform value within b is b / sqrt(3).
        assert!((spread(Init::Uniform) * 64.0 * 3f64.sqrt() - 1.0).abs() < 0.02);
        assert!((spread(Init::Gaussian) * 8.0 - 1.0).abs() < 0.02);
        assert_ne!(Init::Uniform.draw("q", [1, 4], 1), Init::Uniform.draw("k", [1, 4], 1));
    }
}
