use serde::{Deserialize, Serialize};

/// How per-token losses become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Mean over all counted tokens of the batch (d1's code; dllm "token").
    #[default]
    Token,
    /// Mean over tokens within each sequence, then over sequences (d1's equation 4).
    Sequence,
    /// Sum over tokens, divided by the number of sequences (dllm "batch").
    Batch,
}

impl Normalisation {
    /// Weight of one token of each sequence, from the number of counted tokens of each; weights
    /// are zero where a sequence has none.
    pub fn weights(self, counts: &[usize]) -> Vec<f64> {
        let sequences = counts.len() as f64;
        let total: usize = counts.iter().sum();
        counts
            .iter()
            .map(|count| match self {
                _ if *count == 0 => 0.0,
                Self::Token => 1.0 / total as f64,
                Self::Sequence => 1.0 / (sequences * *count as f64),
                Self::Batch => 1.0 / sequences,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions() {
        let counts = [2, 0, 6];
        assert_eq!(Normalisation::Token.weights(&counts), [0.125, 0.0, 0.125]);
        assert_eq!(Normalisation::Sequence.weights(&counts), [1.0 / 6.0, 0.0, 1.0 / 18.0]);
        assert_eq!(Normalisation::Batch.weights(&counts), [1.0 / 3.0, 0.0, 1.0 / 3.0]);
    }
}
