use crate::pattern::Pattern;
use crate::{Error, Init, Targets};

/// Rank and alpha of one low-rank term.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Rows of `A`.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f64,
}

/// Settings of a LoRA adapter (Hu et al. 2021), under PEFT's names where they differ.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// `r`.
    pub rank: usize,
    /// `lora_alpha`.
    pub alpha: f64,
    /// Whether the scale is `alpha / sqrt(rank)` (Kalajdzievski 2023) instead of `alpha / rank`.
    pub use_rslora: bool,
    /// `lora_dropout`: probability with which training drops an input of a term.
    pub dropout: f64,
    /// Which layers.
    pub targets: Targets,
    /// Other ranks for some layers: ends of their paths, regular expressions among them, the first
    /// that matches counting.
    pub rank_pattern: Vec<(String, usize)>,
    /// Other alphas for some layers, likewise.
    pub alpha_pattern: Vec<(String, f64)>,
    /// How new factors are drawn.
    pub init: Init,
}

/// Ranks above this are mistakes: no layer of a model is that wide.
const MAX_RANK: usize = 1 << 16;

impl LoraConfig {
    /// The defaults of PEFT: rank 8, alpha 8, no dropout.
    pub fn new(targets: Targets) -> Self {
        Self {
            rank: 8,
            alpha: 8.0,
            use_rslora: false,
            dropout: 0.0,
            targets,
            rank_pattern: Vec::new(),
            alpha_pattern: Vec::new(),
            init: Init::default(),
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the first setting out of range.
    pub fn validate(&self) -> Result<(), Error> {
        let fail = |key: &str, problem: String| Err(Error::Setting { key: key.into(), problem });
        let ranks = self.rank_pattern.iter().map(|(_, rank)| ("rank_pattern", *rank));
        for (key, rank) in [("r", self.rank)].into_iter().chain(ranks) {
            if rank == 0 || rank > MAX_RANK {
                return fail(key, format!("is {rank}; expected 1 to {MAX_RANK}"));
            }
        }
        let alphas = self.alpha_pattern.iter().map(|(_, alpha)| ("alpha_pattern", *alpha));
        for (key, alpha) in [("lora_alpha", self.alpha)].into_iter().chain(alphas) {
            if !(alpha.is_finite() && alpha > 0.0) {
                return fail(key, format!("is {alpha}; expected > 0"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail("lora_dropout", format!("is {}; expected 0 to below 1", self.dropout));
        }
        Ok(())
    }

    /// Rank and alpha of the layer at `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a malformed expression.
    pub fn size(&self, path: &str) -> Result<Size, Error> {
        let rank = first_match("rank_pattern", &self.rank_pattern, path)?;
        let alpha = first_match("alpha_pattern", &self.alpha_pattern, path)?;
        Ok(Size { rank: rank.unwrap_or(self.rank), alpha: alpha.unwrap_or(self.alpha) })
    }

    /// The factor of a term of that size.
    pub fn scale(&self, size: Size) -> f32 {
        let rank = size.rank as f64;
        (size.alpha / if self.use_rslora { rank.sqrt() } else { rank }) as f32
    }

    /// Checks that every entry of the patterns changes some of `paths`.
    ///
    /// # Errors
    /// [`Error::UnmatchedTargets`] naming those that do not.
    pub(crate) fn check_patterns(&self, paths: &[&str]) -> Result<(), Error> {
        let ranks = self.rank_pattern.iter().map(|(pattern, _)| ("rank_pattern", pattern));
        let alphas = self.alpha_pattern.iter().map(|(pattern, _)| ("alpha_pattern", pattern));
        let mut unmatched = Vec::new();
        for (key, pattern) in ranks.chain(alphas) {
            let compiled = Pattern::suffix(key, pattern)?;
            let mut found = false;
            for path in paths {
                found |= compiled.matches(path)?;
            }
            if !found {
                unmatched.push(format!("  {key} {pattern}"));
            }
        }
        match unmatched.is_empty() {
            true => Ok(()),
            false => Err(Error::UnmatchedTargets(unmatched)),
        }
    }
}

fn first_match<T: Copy>(
    key: &str,
    patterns: &[(String, T)],
    path: &str,
) -> Result<Option<T>, Error> {
    for (pattern, value) in patterns {
        if Pattern::suffix(key, pattern)?.matches(path)? {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_those_of_the_papers() {
        let mut config = LoraConfig::new(Targets::all_linear());
        let size = Size { rank: 16, alpha: 32.0 };
        assert_eq!(config.scale(size), 2.0);
        config.use_rslora = true;
        assert_eq!(config.scale(size), 8.0);
    }

    #[test]
    fn the_first_pattern_that_matches_decides() {
        let mut config = LoraConfig::new(Targets::all_linear());
        config.rank_pattern = vec![
            ("layers.1.self_attn.q_proj".into(), 2),
            (r"model\.layers\.\d\.self_attn\..*".into(), 3),
            ("q_proj".into(), 4),
        ];
        config.alpha_pattern = vec![("^model.layers.0.mlp.up_proj".into(), 5.0)];
        let rank = |path| config.size(path).unwrap().rank;
        assert_eq!(rank("model.layers.1.self_attn.q_proj"), 2);
        assert_eq!(rank("model.layers.2.self_attn.q_proj"), 3);
        assert_eq!(rank("model.layers.12.self_attn.q_proj"), 4);
        assert_eq!(rank("model.layers.2.self_attn_q_proj"), 8);
        assert_eq!(config.size("model.layers.0.mlp.up_proj").unwrap().alpha, 5.0);
        assert_eq!(config.size("other.model.layers.0.mlp.up_proj").unwrap().alpha, 8.0);
        let unmatched = config.check_patterns(&["model.layers.1.self_attn.q_proj"]).unwrap_err();
        assert!(unmatched.to_string().contains("alpha_pattern ^model.layers.0"), "{unmatched}");
    }

    #[test]
    fn out_of_range_settings_are_refused() {
        let config = || LoraConfig::new(Targets::all_linear());
        assert!(config().validate().is_ok());
        for broken in [
            LoraConfig { rank: 0, ..config() },
            LoraConfig { alpha: f64::NAN, ..config() },
            LoraConfig { dropout: 1.0, ..config() },
            LoraConfig { rank_pattern: vec![("q".into(), 1 << 20)], ..config() },
            LoraConfig { alpha_pattern: vec![("q".into(), 0.0)], ..config() },
        ] {
            assert!(matches!(broken.validate(), Err(Error::Setting { .. })), "{broken:?}");
        }
    }
}
