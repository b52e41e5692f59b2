use afterthought_random::Stream;

/// Which random numbers a call sees: those of a run's seed at one of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeedKey {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run, such as the optimiser step that the completions are for.
    pub step: u64,
}

/// The random numbers of one sample. Each position has its own stream, so that no draw depends on
/// what else is drawn, or when.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowKey(u64);

impl RowKey {
    pub(super) fn new(key: SeedKey, sample: u64) -> Self {
        let mut stream = Stream::new(key.seed, "autoregressive", key.step, sample);
        Self(u64::from(stream.bits()) << 32 | u64::from(stream.bits()))
    }

    /// The number that decides on the token at a position of the completion.
    pub(super) fn uniform(self, position: usize) -> f64 {
        Stream::new(self.0, "token", position as u64, 0).open_uniform()
    }
}
