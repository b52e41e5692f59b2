//! How many tokens the rows of a file have.

use std::collections::BTreeMap;

use afterthought_text::{Encoded, Encoder, Warning};
use serde::Serialize;

/// Collects the lengths of rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowTokens {
    lengths: Vec<usize>,
    learnt: usize,
    unknown: usize,
    warnings: BTreeMap<&'static str, u64>,
}

impl RowTokens {
    /// Adds a row.
    pub(crate) fn add(&mut self, encoder: &Encoder, encoded: &Encoded) {
        self.lengths.push(encoded.ids.len());
        self.learnt += encoded.trained();
        self.unknown += encoder.tokenizer().count_unknown(&encoded.ids);
        for warning in &encoded.warnings {
            *self.warnings.entry(Warning::name(*warning)).or_default() += 1;
        }
    }

    /// What there is to say about them; nothing if there are none.
    pub(crate) fn summary(mut self, max_length: Option<usize>) -> Option<Summary> {
        self.lengths.sort_unstable();
        let (shortest, longest) = (*self.lengths.first()?, *self.lengths.last()?);
        let total: usize = self.lengths.iter().sum();
        // The nearest rank: the smallest length that so large a share of the rows does not exceed.
        let quantile = |share: f64| {
            let rank = (share * self.lengths.len() as f64).ceil() as usize;
            self.lengths[rank.clamp(1, self.lengths.len()) - 1]
        };
        Some(Summary {
            total,
            learnt: self.learnt,
            shortest,
            median: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            longest,
            max_length,
            longer: max_length.map(|cap| self.lengths.iter().filter(|n| **n > cap).count()),
            unknown_share: self.unknown as f64 / total.max(1) as f64,
            warnings: self.warnings,
        })
    }
}

/// Lengths of the rows of a file, in tokens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Tokens of all rows.
    pub(crate) total: usize,
    /// Those that a model learns to write.
    pub(crate) learnt: usize,
    pub(crate) shortest: usize,
    pub(crate) median: usize,
    pub(crate) p90: usize,
    pub(crate) p99: usize,
    pub(crate) longest: usize,
    /// What `--max-length` asked.
    pub(crate) max_length: Option<usize>,
    /// Rows of more tokens than that.
    pub(crate) longer: Option<usize>,
    /// Share of tokens that stand for text which the vocabulary cannot say.
    pub(crate) unknown_share: f64,
    /// Rows that each warning applies to.
    pub(crate) warnings: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// A few lines for people.
    pub(crate) fn lines(&self) -> String {
        let Self { total, learnt, shortest, median, p90, p99, longest, .. } = self;
        let mut text = format!(
            "  tokens: {total}, of which {learnt} are learnt; a row has {shortest} to {longest}, \
             median {median}, 90 % up to {p90}, 99 % up to {p99}\n"
        );
        if let (Some(cap), Some(longer)) = (self.max_length, self.longer) {
            text += &format!("  longer than {cap} tokens: {longer} rows\n");
        }
        if self.unknown_share > 0.0 {
            let share = 100.0 * self.unknown_share;
            text +=
                &format!("  {share:.3} % of the tokens stand for text outside the vocabulary\n");
        }
        for (warning, rows) in &self.warnings {
            text += &format!("  {warning}: {rows} rows\n");
        }
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn summary(lengths: &[usize]) -> Option<Summary> {
        let tokens = RowTokens { lengths: lengths.to_vec(), ..RowTokens::default() };
        tokens.summary(Some(3))
    }

    #[test]
    fn quantiles_are_lengths_that_occur() {
        let lengths: Vec<usize> = (1..=100).rev().collect();
        let all = summary(&lengths).unwrap();
        assert_eq!((all.shortest, all.median, all.p90, all.p99, all.longest), (1, 50, 90, 99, 100));
        assert_eq!((all.total, all.longer), (5050, Some(97)));
        let one = summary(&[3]).unwrap();
        assert_eq!(
            (one.shortest, one.median, one.p99, one.longest, one.longer),
            (3, 3, 3, 3, Some(0))
        );
        assert_eq!(summary(&[]), None);
    }
}
