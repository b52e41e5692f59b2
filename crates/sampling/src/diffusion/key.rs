use afterthought_random::Stream;

/// Which random numbers the rows of a call see.
///
/// Row `i` draws from the stream (`seed`, `"rollout"`, `step`, `samples[i]`). Two rows with equal
/// ids and prompts therefore come out equal; giving each its own id is the caller's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleKey<'a> {
    /// Seed of the run.
    pub seed: u64,
    /// Step of the run, such as the optimiser step that the rollouts are for.
    pub step: u64,
    /// Sample id of each row, as many as prompts.
    pub samples: &'a [u64],
}

/// The random numbers of one row. Each (denoising step, position) has its own stream, so that no
/// draw depends on what else is drawn, or when.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowKey(u64);

impl RowKey {
    pub(super) fn new(seed: u64, step: u64, sample: u64) -> Self {
        let mut stream = Stream::new(seed, "rollout", step, sample);
        Self(u64::from(stream.bits()) << 32 | u64::from(stream.bits()))
    }

    /// The noise under the choice of the token.
    pub(super) fn token(self, step: u32, position: usize) -> Stream {
        Stream::new(self.0, "token", u64::from(step), position as u64)
    }

    /// The noise under the choice of the position.
    pub(super) fn remasking(self, step: u32, position: usize) -> Stream {
        Stream::new(self.0, "remasking", u64::from(step), position as u64)
    }
}
