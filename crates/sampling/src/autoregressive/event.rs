/// What the caller of a generation may see and decide while it runs.
#[allow(missing_debug_implementations, reason = "functions have nothing to show")]
pub struct Hooks<'a> {
    /// Told of every forward pass.
    pub on_pass: &'a mut dyn FnMut(&PassEvent<'_>),
    /// Whether a completion with these tokens so far ends here. Asked after each token; the answer must
    /// depend on the tokens alone.
    pub stop: &'a dyn Fn(&[u32]) -> bool,
    /// Whether to give up; asked before each forward pass.
    pub interrupt: &'a dyn Fn() -> bool,
}

/// What followed a forward pass, for those who watch.
#[derive(Clone, Copy, Debug)]
pub struct PassEvent<'a> {
    /// Tokens drawn.
    pub tokens: usize,
    /// Completions that came to their end.
    pub finished: &'a [FinishedRow],
}

/// A completion that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinishedRow {
    /// Index of the prompt.
    pub prompt: usize,
    /// Index among the samples of the prompt.
    pub sample: usize,
    /// Its tokens, the end-of-sequence token included.
    pub tokens: usize,
}
