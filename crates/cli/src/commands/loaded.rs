//! A model directory, opened: settings, weights, tokenizer and what they must agree on.

use std::path::{Path, PathBuf};

use afterthought_kernels::{Precision, precision};
use afterthought_models::hub::{self, Checkpoint, StoredType};
use afterthought_models::inference::{InferenceModel, Seq2SeqModel};
use afterthought_models::{
    Decoder, DecoderConfig, EncoderDecoderConfig, Error as ModelError, Network,
};
use afterthought_tasks::PromptStyle;
use afterthought_text::{ChatTemplate, Encoder, Error as TextError, Tokenizer};
use afterthought_training::{ChatFormat, PromptFormat};
use anyhow::Context;
use burn::tensor::Device;
use serde_json::Value;

use crate::commands::adapter::Adapter;
use crate::commands::generation_config::GenerationConfig;
use crate::commands::missing::{nearest, require_directory};
use crate::console::Console;
use crate::exit::{UsageError, hinted};
use crate::memory::require_room;

/// What every model directory holds beside its weights.
const FILES: [&str; 2] = ["config.json", "tokenizer.json"];

/// Bytes that a model's weights take in memory: bf16 as it is stored, all else in f32 unless products
/// round it to bf16.
pub(crate) fn weight_bytes(checkpoint: &Checkpoint, rounded: bool) -> u64 {
    let tensors = checkpoint.files().iter().flat_map(|file| file.tensors());
    let bytes = tensors.map(|tensor| {
        let values: u64 = tensor.shape.iter().map(|n| *n as u64).product();
        values * if rounded || tensor.dtype == StoredType::Bf16 { 2 } else { 4 }
    });
    bytes.sum()
}

/// How a model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// In a conversation if it has a chat template, else with the prompt as it is.
    AsTrained,
    /// In a conversation.
    InChat {
        /// What the system turn says, if there is to be one.
        system: Option<String>,
    },
    /// With the prompt as it is.
    Raw,
}

/// A model whose files have been checked. Its weights are read when a network is asked for.
pub(crate) struct Loaded {
    /// Where it came from: the snapshot, if it is in a Hugging Face cache.
    pub(crate) directory: PathBuf,
    /// Its settings.
    pub(crate) network: Network,
    /// Its weights.
    pub(crate) checkpoint: Checkpoint,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
    /// What is merged into its weights.
    pub(crate) adapter: Option<Adapter>,
}

impl Loaded {
    /// Opens a model directory, or that of a model in a Hugging Face cache.
    ///
    /// # Errors
    /// A usage error where the directory or one of its files is missing; a failure where a file is
    /// not what it should be or the tokenizer has ids that the model lacks.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        require_directory(directory)?;
        let directory = hub::model_directory(directory)?;
        if let Some(file) = FILES.iter().find(|file| !directory.join(file).is_file()) {
            return Err(incomplete(&directory, file).into());
        }
        let (mut network, checkpoint) =
            hub::open_network(&directory).map_err(|error| match error {
                ModelError::Io { path, .. } if path.ends_with(hub::WEIGHTS) && !path.exists() => {
                    incomplete(&directory, hub::WEIGHTS).into()
                }
                other => anyhow::Error::new(other),
            })?;
        if let Network::EncoderDecoder(config) = &mut network {
            // The file that is about generation counts more, as in `transformers`.
            let start = GenerationConfig::read(&directory)?.decoder_start_token_id;
            config.decoder_start_token_id = start.unwrap_or(config.decoder_start_token_id);
            config
                .validate()
                .with_context(|| format!("{}: generation_config.json", directory.display()))?;
        }
        let tokenizer = Tokenizer::from_file(directory.join("tokenizer.json"))?;
        let loaded = Self { directory, network, checkpoint, tokenizer, adapter: None };
        loaded.check_ids().map_err(|error| {
            hinted(error, "tokenizer.json and config.json belong to different models")
        })?;
        Ok(loaded)
    }

    /// With an adapter on it, if one is given.
    ///
    /// # Errors
    /// Those of [`Adapter::open`]; a usage error for an encoder-decoder.
    pub(crate) fn with_adapter(
        mut self,
        given: Option<&Path>,
        console: &Console,
    ) -> anyhow::Result<Self> {
        if let Some(given) = given {
            self.decoder_config()?;
            self.adapter = Some(Adapter::open(given, console)?);
        }
        Ok(self)
    }

    /// The settings of a model that is a decoder.
    ///
    /// # Errors
    /// A usage error for an encoder-decoder.
    pub(crate) fn decoder_config(&self) -> Result<&DecoderConfig, UsageError> {
        match &self.network {
            Network::Decoder(config) => Ok(config),
            Network::EncoderDecoder(_) => Err(needs_decoder(&self.directory)),
        }
    }

    /// The network in f32, as training needs it.
    ///
    /// # Errors
    /// The weights cannot be read, or the adapter is not one for them; a usage error for an
    /// encoder-decoder.
    pub(crate) fn decoder(&self) -> anyhow::Result<Decoder> {
        self.require_room(4 * self.network.parameters() as u64)?;
        let config = self.decoder_config()?.clone();
        match &self.adapter {
            Some(adapter) => adapter.decoder(config, &self.checkpoint),
            None => Ok(hub::decoder(config, &self.checkpoint, &Device::flex())?),
        }
    }

    /// The network packed for decoding, straight from the files.
    ///
    /// # Errors
    /// Those of [`Self::decoder`].
    pub(crate) fn inference(&self) -> anyhow::Result<InferenceModel> {
        self.require_room(weight_bytes(&self.checkpoint, precision() == Precision::Bf16))?;
        let config = self.decoder_config()?.clone();
        match &self.adapter {
            Some(adapter) => adapter.inference(config, &self.checkpoint),
            None => Ok(hub::inference_model(config, &self.checkpoint)?),
        }
    }

    /// The network of an encoder-decoder packed for decoding.
    ///
    /// # Errors
    /// The weights cannot be read.
    pub(crate) fn seq2seq(&self, config: &EncoderDecoderConfig) -> anyhow::Result<Seq2SeqModel> {
        self.require_room(weight_bytes(&self.checkpoint, precision() == Precision::Bf16))?;
        Ok(hub::seq2seq_model(config.clone(), &self.checkpoint)?)
    }

    /// Refuses weights that take more memory than there is.
    fn require_room(&self, needed: u64) -> Result<(), UsageError> {
        let what = format!("the weights of {} need", self.directory.display());
        require_room(&what, needed, "use a smaller model, or one stored in bf16")
    }

    /// Whether the weights are stored in half precision, so that a copy in f32 would take twice the
    /// memory of the files.
    pub(crate) fn half_precision(&self) -> bool {
        let tensors = self.checkpoint.files().iter().flat_map(|file| file.tensors());
        tensors.into_iter().any(|tensor| tensor.dtype != StoredType::F32)
    }

    /// The embedding rows that no token belongs to: models often have more rows than tokens.
    pub(crate) fn unused_ids(&self) -> Vec<u32> {
        // Ids are 32 bits wide, and so are the vocabulary sizes that a model accepts.
        (0..self.network.vocab_size() as u32)
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

    /// How text becomes tokens and back: in a conversation if the model has a chat template.
    ///
    /// # Errors
    /// The model has no end-of-sequence token, or its chat template is broken.
    pub(crate) fn format(&self) -> anyhow::Result<PromptFormat> {
        self.format_with(&Asked::AsTrained)
    }

    /// [`Self::format`] for a request that says how the model is asked.
    ///
    /// # Errors
    /// Also a usage error for a conversation without chat template.
    pub(crate) fn format_with(&self, asked: &Asked) -> anyhow::Result<PromptFormat> {
        let eos = self.eos()?;
        let encoder = Encoder::raw(&self.directory, self.tokenizer.clone())?;
        let style = self.prompt_style();
        let (template, system) = match asked {
            Asked::Raw => (None, None),
            Asked::AsTrained => (ChatTemplate::find(&self.directory)?, None),
            Asked::InChat { system } => (Some(self.template()?), system.clone()),
        };
        let chat = |template| {
            ChatFormat::new(encoder.clone().with_template(Some(template)).with_system(system))
        };
        let chat = template.map(chat).transpose()?;
        // Where the tokenizer's own files say whether a text begins with BOS, they know better than
        // config.json, which names the token whether it is used or not.
        let bos = match &self.network {
            Network::Decoder(config) => {
                match self.directory.join("tokenizer_config.json").is_file() {
                    true => encoder.bos_and_eos().0,
                    false => config.bos_token_id,
                }
            }
            // Sources are wrapped as the tokenizer says.
            Network::EncoderDecoder(_) => None,
        };
        Ok(PromptFormat { tokenizer: self.tokenizer.clone(), bos, eos, style, chat })
    }

    /// An encoder of conversations, through the model's chat template.
    ///
    /// # Errors
    /// A usage error without chat template; a failure for a broken one.
    pub(crate) fn conversation(&self) -> anyhow::Result<Encoder> {
        let encoder = Encoder::raw(&self.directory, self.tokenizer.clone())?;
        Ok(encoder.with_template(Some(self.template()?)))
    }

    /// The token that ends completions.
    ///
    /// # Errors
    /// config.json names none.
    pub(crate) fn eos(&self) -> anyhow::Result<u32> {
        self.network.eos_ids().first().copied().with_context(|| {
            format!(
                "{} names no eos_token_id, so that completions could not end",
                self.directory.join("config.json").display()
            )
        })
    }

    /// Every token that ends completions: [`Self::eos`] first, the others that config.json names, and
    /// the one that ends the assistant's turns if the model is asked in a conversation.
    ///
    /// # Errors
    /// Those of [`Self::eos`].
    pub(crate) fn ends(&self, format: &PromptFormat) -> anyhow::Result<Vec<u32>> {
        let mut ends = vec![self.eos()?];
        for id in self.network.eos_ids().into_iter().chain(format.end_of_turn()) {
            if !ends.contains(&id) {
                ends.push(id);
            }
        }
        Ok(ends)
    }

    fn template(&self) -> anyhow::Result<ChatTemplate> {
        ChatTemplate::find(&self.directory)?.ok_or_else(|| {
            let message = format!("{} has no chat template", self.directory.display());
            UsageError::new(message)
                .hint("put a chat_template.jinja beside its tokenizer.json, or use --raw")
                .into()
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
        let mut ids = format.prompt(text).map_err(|error| match error {
            afterthought_training::Error::Text(TextError::UnknownWord { word, offset }) => {
                let message =
                    format!("{name}: the model's tokenizer does not know {word:?} (byte {offset})");
                UsageError::new(message).hint(self.known_words(&word)).into()
            }
            other => anyhow::Error::new(other).context(name.to_owned()),
        })?;
        // A conversation says itself where it begins and ends.
        if let (Network::EncoderDecoder(_), None) = (&self.network, &format.chat) {
            let (before, after) = self.tokenizer.wrapping()?;
            ids.splice(0..0, before);
            ids.extend(after);
        }
        Ok(ids)
    }

    fn known_words(&self, word: &str) -> String {
        let ids = 0..self.network.vocab_size() as u32;
        let tokens = ids.filter_map(|id| self.tokenizer.id_to_token(id).ok());
        match nearest(word, tokens) {
            Some(near) => format!("did you mean {near:?}? words are separated by spaces"),
            None => format!(
                "its words are listed in {}",
                self.directory.join("tokenizer.json").display()
            ),
        }
    }

    fn check_ids(&self) -> anyhow::Result<()> {
        let (tokens, rows) = (self.tokenizer.vocab_size(), self.network.vocab_size());
        anyhow::ensure!(
            tokens <= rows,
            "{}: the tokenizer has {tokens} tokens, the model {rows}",
            self.directory.display()
        );
        for (role, id) in self.network.special_ids() {
            if let Some(id) = id {
                self.tokenizer.id_to_token(id).with_context(|| {
                    format!("{}: {role}_token_id {id}", self.directory.display())
                })?;
            }
        }
        Ok(())
    }
}

/// The usage error for an encoder-decoder where only a decoder serves.
pub(crate) fn needs_decoder(directory: &Path) -> UsageError {
    UsageError::new(format!("{} is an encoder-decoder", directory.display()))
        .hint("adapters, training and denoising are for decoders")
}

fn incomplete(directory: &Path, file: &str) -> UsageError {
    let [config, tokenizer] = FILES;
    UsageError::new(format!("{} has no {file}", directory.display())).hint(format!(
        "a model directory holds {config}, {tokenizer} and {} or {}",
        hub::WEIGHTS,
        hub::INDEX
    ))
}
