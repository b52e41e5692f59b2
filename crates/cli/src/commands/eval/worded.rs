//! The prompts of all items.

use super::data::Data;
use super::fingerprint::of_tokens;
use super::questions::Questions;
use crate::commands::loaded::Loaded;

/// The prompts of all items, as text and as tokens with the prefill.
pub(super) struct Worded {
    pub(super) texts: Vec<String>,
    pub(super) tokens: Vec<Vec<u32>>,
    pub(super) hashes: Vec<String>,
}

impl Worded {
    pub(super) fn new(loaded: &Loaded, questions: &Questions, data: &Data) -> anyhow::Result<Self> {
        let format = loaded.format()?;
        let prefill = match questions.prefill.as_str() {
            "" => Vec::new(),
            text => loaded.tokenizer.encode(text)?,
        };
        let (mut texts, mut tokens) = (Vec::new(), Vec::new());
        for (index, item) in data.items.iter().enumerate() {
            let text = questions.prompt(item.problem.as_ref())?;
            let mut ids = loaded.encode(&format, &text, &format!("the prompt of item {index}"))?;
            ids.extend(&prefill);
            texts.push(text);
            tokens.push(ids);
        }
        let hashes = tokens.iter().map(|ids| of_tokens(ids)).collect();
        Ok(Self { texts, tokens, hashes })
    }
}
