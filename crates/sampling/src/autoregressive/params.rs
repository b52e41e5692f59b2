use super::error::ParamsError;
use super::row::Prompt;

/// How to decode. The fields are checked by [`validate`](Self::validate).
#[derive(Clone, Debug, PartialEq)]
pub struct AutoregressiveParams {
    /// Most tokens of a completion.
    pub max_new_tokens: usize,
    /// Logits are divided by this; 0 is greedy, and then nothing is random.
    pub temperature: f64,
    /// If set, only this many of the most likely tokens can be drawn. Of equally likely ones,
    /// those with the lower ids.
    pub top_k: Option<usize>,
    /// If set, only the most likely tokens whose probabilities (after temperature and `top_k`)
    /// first add up to at least this can be drawn (nucleus sampling, arXiv:1904.09751).
    pub top_p: Option<f64>,
    /// Ids that are never drawn, such as rows of the head that no token belongs to.
    pub suppress: Vec<u32>,
    /// Each of them ends a completion.
    pub eos_ids: Vec<u32>,
    /// If set, every completion begins with this token, whatever the model says.
    pub forced_first: Option<u32>,
    /// If set, a completion that reaches `max_new_tokens` has this token there; it wins over
    /// `forced_first`.
    pub forced_last: Option<u32>,
    /// Most rows in a forward pass; the others wait until one finishes. Has no effect on
    /// completions.
    pub max_rows: usize,
}

impl AutoregressiveParams {
    /// Draws from the model's distribution, any number of rows at a time.
    pub fn new(max_new_tokens: usize, eos_ids: Vec<u32>) -> Self {
        Self {
            max_new_tokens,
            temperature: 1.0,
            top_k: None,
            top_p: None,
            suppress: Vec::new(),
            eos_ids,
            forced_first: None,
            forced_last: None,
            max_rows: usize::MAX,
        }
    }

    /// The token that must stand at a position of the completion, if one must.
    pub(super) fn forced(&self, position: usize) -> Option<u32> {
        let last = self.forced_last.filter(|_| position + 1 == self.max_new_tokens);
        last.or(self.forced_first.filter(|_| position == 0))
    }

    /// Checks the parameters and the prompts against the model's vocabulary and positions.
    ///
    /// # Errors
    /// The first thing found wrong.
    pub fn validate(
        &self,
        prompts: &[Prompt<'_>],
        vocab_size: usize,
        max_positions: usize,
    ) -> Result<(), ParamsError> {
        let &Self { max_new_tokens, temperature, top_k, top_p, max_rows, .. } = self;
        for (name, value) in [
            ("max_new_tokens", max_new_tokens),
            ("max_rows", max_rows),
            ("top_k", top_k.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(ParamsError::Zero { name });
            }
        }
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(ParamsError::Temperature { value: temperature });
        }
        if let Some(value) = top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return Err(ParamsError::TopP { value });
        }
        let outside = |id: u32| id as usize >= vocab_size;
        for (name, ids) in [
            ("eos_ids", &self.eos_ids[..]),
            ("suppress", &self.suppress),
            ("forced_first", self.forced_first.as_slice()),
            ("forced_last", self.forced_last.as_slice()),
        ] {
            if let Some(&id) = ids.iter().find(|id| outside(**id)) {
                return Err(ParamsError::OutOfVocabulary { name: name.into(), id, vocab_size });
            }
        }
        for (prompt, Prompt { tokens, .. }) in prompts.iter().enumerate() {
            if tokens.is_empty() {
                return Err(ParamsError::EmptyPrompt { prompt });
            }
            if let Some(position) = tokens.iter().position(|id| outside(*id)) {
                let name = format!("prompt {prompt}, position {position}");
                let id = tokens[position];
                return Err(ParamsError::OutOfVocabulary { name, id, vocab_size });
            }
            if tokens.len().saturating_add(max_new_tokens) > max_positions {
                let tokens = tokens.len();
                return Err(ParamsError::TooLong { prompt, tokens, max_new_tokens, max_positions });
            }
        }
        Ok(())
    }
}
