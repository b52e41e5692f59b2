//! The prompts of all items.

use afterthought_models::Network;
use afterthought_training::PromptFormat;
use anyhow::Context;

use super::data::Data;
use super::fingerprint::of_tokens;
use super::questions::Questions;
use crate::commands::loaded::Loaded;
use crate::exit::UsageError;

/// The prompts of all items, as text and as tokens with the prefill.
pub(super) struct Worded {
    pub(super) texts: Vec<String>,
    pub(super) tokens: Vec<Vec<u32>>,
    pub(super) hashes: Vec<String>,
}

impl Worded {
    /// The prompts, each for the model that is loaded.
    ///
    /// # Errors
    /// A usage error for a prompt that the tokenizer cannot say, and for a prefill where completions
    /// do not follow prompts.
    pub(super) fn new(
        loaded: &Loaded,
        format: &PromptFormat,
        questions: &Questions,
        data: &Data,
    ) -> anyhow::Result<Self> {
        if !questions.prefill.is_empty() && matches!(loaded.network, Network::EncoderDecoder(_)) {
            let message = "--prefill begins completions, which an encoder-decoder writes apart from \
                           prompts";
            return Err(UsageError::new(message).hint("leave it out").into());
        }
        let prefill = match questions.prefill.as_str() {
            "" => Vec::new(),
            text => loaded.tokenizer.encode(text)?,
        };
        let conversation = match questions.in_turns {
            true => Some(loaded.conversation()?),
            false => None,
        };
        let (mut texts, mut tokens) = (Vec::new(), Vec::new());
        for (index, item) in data.items.iter().enumerate() {
            let (problem, name) = (item.problem.as_ref(), format!("the prompt of item {index}"));
            let (text, mut ids) = match &conversation {
                Some(encoder) => {
                    let encoded = encoder.after(&questions.turns(problem)?).context(name)?;
                    (encoded.text, encoded.ids)
                }
                None => {
                    let text = questions.prompt(problem)?;
                    let ids = loaded.encode(format, &text, &name)?;
                    (text, ids)
                }
            };
            ids.extend(&prefill);
            texts.push(text);
            tokens.push(ids);
        }
        let hashes = tokens.iter().map(|ids| of_tokens(ids)).collect();
        Ok(Self { texts, tokens, hashes })
    }
}
