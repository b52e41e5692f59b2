//! A model directory, opened: decoder, tokenizer and what they must agree on.

use std::path::{Path, PathBuf};

use afterthought_models::{Decoder, hub};
use afterthought_tasks::PromptStyle;
use afterthought_text::{Error as TextError, Tokenizer};
use afterthought_training::PromptFormat;
use anyhow::Context;
use burn::tensor::Device;
use serde_json::Value;

use crate::commands::missing::{nearest, require_directory};
use crate::exit::{UsageError, hinted};

/// Everything that a model directory must hold.
const FILES: [&str; 3] = ["config.json", "model.safetensors", "tokenizer.json"];

/// A model that is ready to be asked.
pub(crate) struct Loaded {
    /// Where it came from.
    pub(crate) directory: PathBuf,
    /// The network.
    pub(crate) decoder: Decoder,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
}

impl Loaded {
    /// Opens a model directory on the CPU.
    ///
    /// # Errors
    /// A usage error where the directory or one of its files is missing; a failure where a file is
    /// not what it should be or the tokenizer has ids that the model lacks.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        require_directory(directory)?;
        if let Some(file) = FILES.iter().find(|file| !directory.join(file).is_file()) {
            return Err(incomplete(directory, file).into());
        }
        let decoder = hub::load(directory, &Device::flex())?;
        let tokenizer = Tokenizer::from_file(directory.join("tokenizer.json"))?;
        let loaded = Self { directory: directory.to_owned(), decoder, tokenizer };
        loaded.check_ids().map_err(|error| {
            hinted(error, "tokenizer.json and config.json belong to different models")
        })?;
        Ok(loaded)
    }

    /// The model's special tokens by role: (role, id), as config.json names them.
    pub(crate) fn special_ids(&self) -> [(&'static str, Option<u32>); 4] {
        let config = self.decoder.config();
        [
            ("bos", config.bos_token_id),
            ("eos", config.eos_token_id),
            ("mask", config.mask_token_id),
            ("pad", config.pad_token_id),
        ]
    }

    /// The embedding rows that no token belongs to: models often have more rows than tokens.
    pub(crate) fn unused_ids(&self) -> Vec<u32> {
        // Ids are 32 bits wide, and so are the vocabulary sizes that a model accepts.
        (0..self.decoder.config().vocab_size as u32)
            .filter(|id| self.tokenizer.id_to_token(*id).is_err())
            .collect()
    }

    /// Whether the tokenizer knows a fixed list of words or characters, as those do that
    /// `model new` makes, so that a text of other words cannot be said at all.
    pub(crate) fn closed_vocabulary(&self) -> bool {
        serde_json::from_slice::<Value>(self.tokenizer.as_bytes())
            .is_ok_and(|file| file["model"]["type"] == "WordLevel")
    }

    /// The wording of task prompts that suits the tokenizer.
    pub(crate) fn prompt_style(&self) -> PromptStyle {
        match self.closed_vocabulary() {
            true => PromptStyle::Compact,
            false => PromptStyle::D1,
        }
    }

    /// How text becomes tokens and back.
    ///
    /// # Errors
    /// The model has no end-of-sequence token.
    pub(crate) fn format(&self) -> anyhow::Result<PromptFormat> {
        let config = self.decoder.config();
        let eos = config.eos_token_id.with_context(|| {
            format!(
                "{} names no eos_token_id, so that completions could not end",
                self.directory.join("config.json").display()
            )
        })?;
        Ok(PromptFormat {
            tokenizer: self.tokenizer.clone(),
            bos: config.bos_token_id,
            eos,
            style: self.prompt_style(),
        })
    }

    /// The tokens of one prompt; `name` says which prompt it is.
    ///
    /// # Errors
    /// A usage error that names the word which the tokenizer lacks.
    pub(crate) fn encode(
        &self,
        format: &PromptFormat,
        text: &str,
        name: &str,
    ) -> anyhow::Result<Vec<u32>> {
        format.prompt(text).map_err(|error| match error {
            afterthought_training::Error::Text(TextError::UnknownWord { word, offset }) => {
                let message =
                    format!("{name}: the model's tokenizer does not know {word:?} (byte {offset})");
                UsageError::new(message).hint(self.known_words(&word)).into()
            }
            other => anyhow::Error::new(other).context(name.to_owned()),
        })
    }

    fn known_words(&self, word: &str) -> String {
        let tokens = (0..self.decoder.config().vocab_size as u32)
            .filter_map(|id| self.tokenizer.id_to_token(id).ok());
        match nearest(word, tokens) {
            Some(near) => format!("did you mean {near:?}? words are separated by spaces"),
            None => format!(
                "its words are listed in {}",
                self.directory.join("tokenizer.json").display()
            ),
        }
    }

    fn check_ids(&self) -> anyhow::Result<()> {
        let (tokens, rows) = (self.tokenizer.vocab_size(), self.decoder.config().vocab_size);
        anyhow::ensure!(
            tokens <= rows,
            "{}: the tokenizer has {tokens} tokens, the model {rows}",
            self.directory.display()
        );
        for (role, id) in self.special_ids() {
            if let Some(id) = id {
                self.tokenizer.id_to_token(id).with_context(|| {
                    format!("{}: {role}_token_id {id}", self.directory.display())
                })?;
            }
        }
        Ok(())
    }
}

fn incomplete(directory: &Path, file: &str) -> UsageError {
    let sharded = directory.join("model.safetensors.index.json").is_file();
    let error = UsageError::new(format!("{} has no {file}", directory.display()));
    if file == "model.safetensors" && sharded {
        return error.hint("its weights are sharded; put them into a single model.safetensors");
    }
    error.hint(format!("a model directory holds {}", FILES.join(", ")))
}
