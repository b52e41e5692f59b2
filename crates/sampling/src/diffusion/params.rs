use super::cache::CacheMode;
use super::rule::CommitRule;

/// Which predictions of a step are kept when a schedule says how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remasking {
    /// Those with the highest confidence; the low ones stay masked.
    LowConfidence,
    /// Any, uniformly.
    Random,
}

/// How to decode. The fields are checked by [`validate`](Self::validate).
#[derive(Clone, Debug, PartialEq)]
pub struct DiffusionParams {
    /// Length of each completion in tokens.
    pub gen_length: usize,
    /// Length of a block; divides `gen_length`.
    pub block_length: usize,
    /// How many predictions a step commits.
    pub commit: CommitRule,
    /// What each pass recomputes. Cached modes need a model with a cache and no guidance, and
    /// change what is drawn: see [`CacheMode`].
    pub cache: CacheMode,
    /// Passes of a row from one that fills the cache anew, by running the whole row, to the next;
    /// `None`: the first pass of each block does (Fast-dLLM).
    pub cache_refresh: Option<usize>,
    /// Tokens after the block that every pass of [`CacheMode::DualCache`] runs again. Predictions
    /// lean on the masks that follow: those of the block after, at least, should know what has been
    /// committed (the vicinity of dInfer, arXiv:2510.08666, on the side where it counts).
    pub cache_ahead: usize,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Scale of classifier-free guidance; 0 is none, anything else doubles the forward passes.
    pub cfg_scale: f32,
    /// Which predictions are kept.
    pub remasking: Remasking,
    /// Ids that are never committed, beside the mask.
    pub suppress: Vec<u32>,
    /// Stands for what is not decoded yet. Never committed.
    pub mask_id: u32,
    /// Ends a completion.
    pub eos_id: u32,
    /// Fills shorter rows of a batch; the model ignores it.
    pub pad_id: u32,
    /// Once a block is complete and has an EOS, fill the rest of the row with EOS and leave the
    /// batch.
    pub stop_after_eos: bool,
    /// Most rows in a forward pass; the others wait until one finishes. Has no effect on results.
    pub max_rows: usize,
}

impl DiffusionParams {
    /// Greedy decoding, low-confidence remasking, one block, one token a step, any number of rows.
    pub fn new(gen_length: usize, mask_id: u32, eos_id: u32, pad_id: u32) -> Self {
        Self {
            gen_length,
            block_length: gen_length,
            commit: CommitRule::Schedule { steps: gen_length },
            cache: CacheMode::Exact,
            cache_refresh: None,
            cache_ahead: 0,
            temperature: 0.0,
            cfg_scale: 0.0,
            remasking: Remasking::LowConfidence,
            suppress: Vec::new(),
            mask_id,
            eos_id,
            pad_id,
            stop_after_eos: false,
            max_rows: usize::MAX,
        }
    }

    /// Number of blocks (after validation).
    pub fn blocks(&self) -> usize {
        self.gen_length / self.block_length
    }

    /// The ids that are never committed, mask included, ascending and each once. An estimator that
    /// recomputes the log-probs of a [`Rollout`](super::Rollout) has to leave these out too.
    pub fn banned(&self) -> Vec<u32> {
        let mut banned = self.suppress.clone();
        banned.push(self.mask_id);
        banned.sort_unstable();
        banned.dedup();
        banned
    }

    /// Checks the parameters and the prompts against each other and the model's vocabulary.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn validate(&self, prompts: &[Vec<u32>], vocab_size: usize) -> Result<(), ParamsError> {
        self.check_lengths()?;
        self.check_numbers()?;
        self.check_ids(vocab_size)?;
        for (row, prompt) in prompts.iter().enumerate() {
            if prompt.is_empty() {
                return Err(ParamsError::EmptyPrompt { row });
            }
            for (position, &id) in prompt.iter().enumerate() {
                if id == self.mask_id {
                    return Err(ParamsError::MaskInPrompt { row, position, id });
                }
                if id as usize >= vocab_size {
                    let name = format!("prompt {row}, position {position}");
                    return Err(ParamsError::OutOfVocabulary { name, id, vocab_size });
                }
            }
        }
        let rows = prompts.len().min(self.max_rows);
        let width = prompts.iter().map(Vec::len).max().unwrap_or(0).saturating_add(self.gen_length);
        if rows.checked_mul(width).is_none_or(|cells| u32::try_from(cells).is_err()) {
            return Err(ParamsError::CanvasTooLarge { rows, width });
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<(), ParamsError> {
        let &Self { gen_length, block_length, max_rows, cache_refresh, .. } = self;
        for (name, value) in [
            ("gen_length", gen_length),
            ("block_length", block_length),
            ("max_rows", max_rows),
            ("cache_refresh", cache_refresh.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(ParamsError::Zero { name });
            }
        }
        if gen_length % block_length != 0 {
            return Err(ParamsError::BlockLength { gen_length, block_length });
        }
        self.commit.check(gen_length, self.blocks())
    }

    fn check_numbers(&self) -> Result<(), ParamsError> {
        let cfg_scale = f64::from(self.cfg_scale);
        for (name, value) in [("temperature", self.temperature), ("cfg_scale", cfg_scale)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(ParamsError::Number { name, value });
            }
        }
        let by_confidence = matches!(self.commit, CommitRule::Threshold(_) | CommitRule::Factor(_));
        if by_confidence && self.remasking == Remasking::Random {
            return Err(ParamsError::ConfidenceOfRandom);
        }
        if self.cache != CacheMode::Exact && self.cfg_scale != 0.0 {
            return Err(ParamsError::GuidedCache { mode: self.cache });
        }
        Ok(())
    }

    fn check_ids(&self, vocab_size: usize) -> Result<(), ParamsError> {
        let fixed = [("mask_id", self.mask_id), ("eos_id", self.eos_id), ("pad_id", self.pad_id)];
        let suppressed = self.suppress.iter().map(|&id| ("suppress", id));
        for (name, id) in fixed.into_iter().chain(suppressed) {
            if id as usize >= vocab_size {
                return Err(ParamsError::OutOfVocabulary { name: name.to_owned(), id, vocab_size });
            }
        }
        if self.mask_id == self.eos_id {
            return Err(ParamsError::MaskIsEos { id: self.mask_id });
        }
        if self.banned().len() >= vocab_size {
            return Err(ParamsError::EverythingBanned { vocab_size });
        }
        Ok(())
    }
}

/// What is wrong with the parameters or prompts.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the quantities that the messages name")]
pub enum ParamsError {
    /// A length or count is zero.
    #[error("{name} is 0, expected at least 1")]
    Zero { name: &'static str },
    /// The completion is not a whole number of blocks.
    #[error("gen_length {gen_length} is not a multiple of block_length {block_length}")]
    BlockLength { gen_length: usize, block_length: usize },
    /// The blocks cannot have equally many steps.
    #[error("steps {steps} is not a multiple of the number of blocks, {blocks}")]
    StepsOfBlocks { steps: usize, blocks: usize },
    /// Some steps would commit nothing.
    #[error("steps {steps} is more than gen_length {gen_length}")]
    TooManySteps { steps: usize, gen_length: usize },
    /// A number is negative, infinite or NaN.
    #[error("{name} is {value}, expected a finite number of at least 0")]
    Number { name: &'static str, value: f64 },
    /// A threshold or factor compares probabilities, which random remasking does not rank by.
    #[error("a threshold or factor needs remasking by low confidence, not by chance")]
    ConfidenceOfRandom,
    /// Guidance would need a second cache for the rows without prompt.
    #[error("cache mode {mode} cannot be combined with guidance; expected cfg_scale 0")]
    GuidedCache { mode: CacheMode },
    /// The model runs whole rows only.
    #[error("cache mode {mode} needs a model with a key/value cache; this one has exact mode only")]
    NoCache { mode: CacheMode },
    /// The same token means "not decoded" and "the end".
    #[error("mask_id and eos_id are both {id}")]
    MaskIsEos { id: u32 },
    /// The model has no such id.
    #[error("{name}: id {id} is outside of the vocabulary of {vocab_size}")]
    OutOfVocabulary { name: String, id: u32, vocab_size: usize },
    /// No token can be committed.
    #[error("mask_id and suppress ban the whole vocabulary of {vocab_size}")]
    EverythingBanned { vocab_size: usize },
    /// A prompt has no token.
    #[error("prompt {row} is empty")]
    EmptyPrompt { row: usize },
    /// A prompt has a mask token, which would never be decoded.
    #[error("prompt {row} has the mask token {id} at position {position}")]
    MaskInPrompt { row: usize, position: usize, id: u32 },
    /// There is not one sample id for each prompt.
    #[error("{samples} sample ids for {prompts} prompts")]
    SampleCount { samples: usize, prompts: usize },
    /// Positions of the batch do not fit 32 bits.
    #[error("a canvas of {rows} rows x {width} tokens is too large; lower max_rows")]
    CanvasTooLarge { rows: usize, width: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: u32 = 9;

    fn valid() -> DiffusionParams {
        let commit = CommitRule::Schedule { steps: 4 };
        DiffusionParams { block_length: 4, commit, ..DiffusionParams::new(8, MASK, 1, 0) }
    }

    fn error(change: impl Fn(&mut DiffusionParams)) -> String {
        let mut params = valid();
        change(&mut params);
        params.validate(&[vec![2]], 10).map_or_else(|e| e.to_string(), |()| "valid".to_owned())
    }

    #[test]
    fn valid_parameters() {
        assert_eq!(error(|_| ()), "valid");
        assert_eq!(valid().validate(&[], 10), Ok(()));
        assert_eq!((valid().blocks(), valid().commit.steps()), (2, Some(4)));
        assert_eq!(error(|p| p.commit = CommitRule::Threshold(1.5)), "valid");
        assert_eq!(error(|p| p.commit = CommitRule::Factor(0.0)), "valid");
        assert_eq!(error(|p| p.cache = CacheMode::DualCache), "valid");
        assert_eq!(error(|p| p.suppress = vec![3, 1, 3]), "valid");
        let params = DiffusionParams { suppress: vec![3, 1, 3, MASK], ..valid() };
        assert_eq!(params.banned(), [1, 3, MASK]);
    }

    #[test]
    fn lengths() {
        assert_eq!(error(|p| p.gen_length = 0), "gen_length is 0, expected at least 1");
        assert_eq!(error(|p| p.block_length = 0), "block_length is 0, expected at least 1");
        assert_eq!(
            error(|p| p.commit = CommitRule::Schedule { steps: 0 }),
            "steps is 0, expected at least 1"
        );
        assert_eq!(error(|p| p.max_rows = 0), "max_rows is 0, expected at least 1");
        let refresh = |p: &mut DiffusionParams| p.cache_refresh = Some(0);
        assert_eq!(error(refresh), "cache_refresh is 0, expected at least 1");
        assert_eq!(
            error(|p| p.block_length = 3),
            "gen_length 8 is not a multiple of block_length 3"
        );
        assert_eq!(
            error(|p| p.block_length = 16),
            "gen_length 8 is not a multiple of block_length 16"
        );
        assert_eq!(
            error(|p| p.commit = CommitRule::Schedule { steps: 5 }),
            "steps 5 is not a multiple of the number of blocks, 2"
        );
        assert_eq!(
            error(|p| p.commit = CommitRule::Schedule { steps: 1 }),
            "steps 1 is not a multiple of the number of blocks, 2"
        );
        assert_eq!(
            error(|p| p.commit = CommitRule::Schedule { steps: 10 }),
            "steps 10 is more than gen_length 8"
        );
        let error = DiffusionParams::new(1 << 20, MASK, 1, 0).validate(&vec![vec![2]; 1 << 12], 10);
        assert_eq!(error, Err(ParamsError::CanvasTooLarge { rows: 1 << 12, width: (1 << 20) + 1 }));
    }

    #[test]
    fn numbers() {
        for bad in [f64::NAN, f64::INFINITY, -0.1] {
            assert!(error(|p| p.temperature = bad).starts_with("temperature is "));
            assert!(error(|p| p.cfg_scale = bad as f32).starts_with("cfg_scale is "));
            let rule = |rule| move |p: &mut DiffusionParams| p.commit = rule;
            let bad = bad as f32;
            assert!(error(rule(CommitRule::Threshold(bad))).starts_with("threshold is "));
            assert!(error(rule(CommitRule::Factor(bad))).starts_with("factor is "));
        }
        for rule in [CommitRule::Threshold(0.9), CommitRule::Factor(0.9)] {
            let both = |p: &mut DiffusionParams| {
                (p.commit, p.remasking) = (rule, Remasking::Random);
            };
            assert!(error(both).starts_with("a threshold or factor needs"));
        }
        for (cache, name) in [(CacheMode::PrefixCache, "prefix"), (CacheMode::DualCache, "dual")] {
            let both = |p: &mut DiffusionParams| (p.cache, p.cfg_scale) = (cache, 0.5);
            assert!(error(both).starts_with(&format!("cache mode {name} cannot be combined")));
        }
    }

    #[test]
    fn ids() {
        let outside = |name| format!("{name}: id 10 is outside of the vocabulary of 10");
        assert_eq!(error(|p| p.mask_id = 10), outside("mask_id"));
        assert_eq!(error(|p| p.eos_id = 10), outside("eos_id"));
        assert_eq!(error(|p| p.pad_id = 10), outside("pad_id"));
        assert_eq!(error(|p| p.suppress = vec![2, 10]), outside("suppress"));
        assert_eq!(error(|p| p.mask_id = 1), "mask_id and eos_id are both 1");
        assert!(error(|p| p.suppress = (0..9).collect()).contains("ban the whole vocabulary"));
    }

    #[test]
    fn prompts() {
        let check = |prompt: &[u32]| valid().validate(&[vec![2], prompt.to_vec()], 10);
        assert_eq!(check(&[]), Err(ParamsError::EmptyPrompt { row: 1 }));
        let error = check(&[2, MASK]);
        assert_eq!(error, Err(ParamsError::MaskInPrompt { row: 1, position: 1, id: MASK }));
        let name = "prompt 1, position 0".to_owned();
        let error = check(&[10]);
        assert_eq!(error, Err(ParamsError::OutOfVocabulary { name, id: 10, vocab_size: 10 }));
    }
}
