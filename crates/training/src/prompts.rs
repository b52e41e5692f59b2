//! From problems to prompt tokens and from completions back to text.

use crate::Error;
use afterthought_sampling::diffusion::Rollout;
use afterthought_tasks::{Problem, PromptStyle};
use afterthought_text::Tokenizer;

/// How text becomes tokens for one model.
#[derive(Clone, Debug)]
pub struct PromptFormat {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Put in front of every prompt.
    pub bos: Option<u32>,
    /// Ends a completion.
    pub eos: u32,
    /// The wording of the prompts.
    pub style: PromptStyle,
}

impl PromptFormat {
    /// Token ids of a prompt text.
    ///
    /// # Errors
    /// [`Error::Text`] naming a word that the tokenizer lacks.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, Error> {
        let mut ids: Vec<u32> = self.bos.into_iter().collect();
        ids.extend(self.tokenizer.encode(text)?);
        Ok(ids)
    }

    /// Token ids of a problem's prompt.
    ///
    /// # Errors
    /// Those of [`Self::prompt`].
    pub fn problem(&self, problem: &dyn Problem) -> Result<Vec<u32>, Error> {
        self.prompt(&problem.prompt(self.style))
    }

    /// What a rollout says: its completion before the first EOS.
    ///
    /// # Errors
    /// [`Error::Text`] for an id that is no token.
    pub fn completion(&self, rollout: &Rollout) -> Result<String, Error> {
        let ids = &rollout.completion;
        let end = ids.iter().position(|id| *id == self.eos).unwrap_or(ids.len());
        Ok(self.tokenizer.decode(&ids[..end], false)?)
    }
}
