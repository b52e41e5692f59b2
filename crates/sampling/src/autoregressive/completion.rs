/// Why a completion ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// Its last token is an end-of-sequence token.
    Eos,
    /// The caller has seen enough.
    Stop,
    /// It has as many tokens as were allowed.
    Length,
}

/// One sampled continuation of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Its tokens, the end-of-sequence token included.
    pub tokens: Vec<u32>,
    /// Natural logarithm of each token's probability under `softmax(logits)`: without temperature
    /// and without cutting off the unlikely tokens, as a trainer computes it. Suppressed ids are left
    /// out of it.
    pub log_probs: Vec<f32>,
    /// Why it ends.
    pub finish: FinishReason,
}

/// What a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Forward passes.
    pub passes: usize,
    /// Tokens that went through the model over all passes, those of each prompt once.
    pub forward_tokens: usize,
}

/// What a call gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// For each prompt, one completion a sample id, in their order.
    pub completions: Vec<Vec<Completion>>,
    /// What they took. It depends on how many rows were allowed; the completions do not.
    pub cost: Cost,
}
