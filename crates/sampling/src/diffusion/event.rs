/// What a denoising step did, for those who watch.
#[derive(Clone, Debug)]
pub struct StepEvent<'a> {
    /// Number of the step of the call, from 0. A row that had to wait for room in the batch, or
    /// finished early, has its own count.
    pub step: usize,
    /// The rows that took part.
    pub rows: Vec<RowView<'a>>,
}

/// A row just after a denoising step.
#[derive(Clone, Debug)]
pub struct RowView<'a> {
    /// Index of the row's prompt.
    pub row: usize,
    /// The prompt.
    pub prompt: &'a [u32],
    /// The completion as it stands: `gen_length` ids, mask where nothing is committed yet.
    pub completion: &'a [u32],
    /// The row's own step that was just done, from 0.
    pub step: u32,
    /// Positions of the completion that the step committed, ascending, filled ones included.
    pub committed: Vec<usize>,
    /// Whether the row is complete.
    pub finished: bool,
}
