use crate::{Completion, Error, Outcome, Reward};

/// A rule that looks at the completion's text alone.
pub(crate) trait TextRule: Send {
    /// What the text is worth.
    fn score(&self, text: &str) -> Outcome;
}

/// A [`TextRule`] under a name.
pub(crate) struct TextReward<R> {
    name: String,
    rule: R,
}

impl<R: TextRule> TextReward<R> {
    pub(crate) fn new(name: String, rule: R) -> Self {
        Self { name, rule }
    }
}

impl<R: TextRule> Reward for TextReward<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, batch: &[Completion<'_>]) -> Result<Vec<Outcome>, Error> {
        Ok(batch.iter().map(|completion| self.rule.score(completion.text)).collect())
    }
}
