//! From problems to prompt tokens and from completions back to text.

use crate::Error;
use afterthought_sampling::diffusion::Rollout;
use afterthought_tasks::{Problem, PromptStyle};
use afterthought_text::{Encoder, Tokenizer};

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
    /// Makes a prompt the user's turn of a conversation, for models that were trained on those.
    pub chat: Option<ChatFormat>,
}

/// How a model is asked in a conversation.
#[derive(Clone, Debug)]
pub struct ChatFormat {
    encoder: Encoder,
    end_of_turn: Option<u32>,
}

impl ChatFormat {
    /// From an encoder with a chat template and, perhaps, a system turn.
    ///
    /// # Errors
    /// [`Error::Text`] if the template fails for the plainest conversation.
    pub fn new(encoder: Encoder) -> Result<Self, Error> {
        let end_of_turn = encoder.end_of_turn()?;
        Ok(Self { encoder, end_of_turn })
    }
}

impl PromptFormat {
    /// Token ids of a prompt text: of the conversation in which the user says it, or of the text
    /// itself, which begins with the begin-of-sequence token once.
    ///
    /// # Errors
    /// [`Error::Text`] naming a word that the tokenizer lacks, or what the chat template says.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>, Error> {
        if let Some(chat) = &self.chat {
            return Ok(chat.encoder.prompt(text)?.ids);
        }
        let mut ids = self.tokenizer.encode(text)?;
        if let Some(bos) = self.bos.filter(|bos| ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Token ids of a problem's prompt.
    ///
    /// # Errors
    /// Those of [`Self::prompt`].
    pub fn problem(&self, problem: &dyn Problem) -> Result<Vec<u32>, Error> {
        self.prompt(&problem.prompt(self.style))
    }

    /// The token that ends a turn of the assistant in a conversation, if one does.
    pub fn end_of_turn(&self) -> Option<u32> {
        self.chat.as_ref()?.end_of_turn
    }

    /// How many of a completion's ids stand before its end: the end-of-sequence token, or the one
    /// that ends a turn of a conversation.
    pub fn length(&self, completion: &[u32]) -> usize {
        let end_of_turn = self.end_of_turn();
        let ends = |id: &u32| *id == self.eos || Some(*id) == end_of_turn;
        completion.iter().position(ends).unwrap_or(completion.len())
    }

    /// What a rollout says: its completion before the first EOS or end of turn.
    ///
    /// # Errors
    /// [`Error::Text`] for an id that is no token.
    pub fn completion(&self, rollout: &Rollout) -> Result<String, Error> {
        let ids = &rollout.completion;
        Ok(self.tokenizer.decode(&ids[..self.length(ids)], false)?)
    }
}
