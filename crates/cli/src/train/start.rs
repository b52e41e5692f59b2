//! The model that training starts from, and how text becomes its tokens.

use std::path::{Path, PathBuf};

use afterthought_adapters::{Adaptable, LoraConfig, Modules, Targets, attach_new, peft};
use afterthought_models::{Decoder, DecoderConfig, hub};
use afterthought_recipes::train::{Lora, Method, Train};
use afterthought_text::Encoder;
use afterthought_training::{ChatFormat, PromptFormat};
use burn::tensor::Device;
use serde_json::Value;

use crate::args::EncodingArgs;
use crate::commands::encoding::encoder;
use crate::commands::loaded::{Asked, Loaded};
use crate::commands::model_path::resolve;
use crate::console::Console;
use crate::exit::UsageError;

/// An opened model; its weights are read by [`Self::decoder`].
pub(super) struct Start {
    pub(super) loaded: Loaded,
    /// Its settings.
    pub(super) config: DecoderConfig,
    /// From rows to tokens.
    pub(super) encoder: Encoder,
    lora: Option<LoraConfig>,
}

/// A layer that an adapter goes to.
#[derive(Clone, Debug)]
pub(super) struct AdaptedLayer {
    /// In the words of the model's files.
    pub(super) path: String,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

/// A model ready to be trained.
pub(super) struct Trainable {
    pub(super) decoder: Decoder,
    /// The adapter that is trained, if it is not the model itself.
    pub(super) adapter: Option<peft::AdapterConfig>,
}

impl Start {
    /// Opens the model of a recipe: settings, tokenizer, chat template and the headers of its weights.
    ///
    /// # Errors
    /// A usage error if the method is not one for this kind of model; those of [`Loaded::open`].
    pub(super) fn open(train: &Train, console: &Console) -> anyhow::Result<Self> {
        let loaded = Loaded::open(&resolve(Path::new(&train.model.path), console)?)?;
        let config = loaded.decoder_config()?.clone();
        check_kind(train.method, &config, &loaded.directory)?;
        let template = train.data.template.as_ref().map(PathBuf::from);
        let args = EncodingArgs { template, raw: train.data.raw, special_as_text: false };
        let encoder =
            encoder(&loaded.directory, &args, console)?.with_system(train.data.system.clone());
        if train.data.system.is_some() && encoder.template().is_none() {
            let message = "`data.system` is given, but the model has no chat template";
            return Err(UsageError::new(message).hint("name one with `data.template`").into());
        }
        let lora = train.lora.as_ref().map(lora_config).transpose()?;
        Ok(Self { loaded, config, encoder, lora })
    }

    /// How prompts become tokens and completions text.
    ///
    /// # Errors
    /// The model has no end-of-sequence token; the chat template fails.
    pub(super) fn format(&self) -> anyhow::Result<PromptFormat> {
        let plain = self.loaded.format_with(&Asked::Raw)?;
        let chat = match self.encoder.template() {
            Some(_) => Some(ChatFormat::new(self.encoder.clone())?),
            None => None,
        };
        Ok(PromptFormat { chat, ..plain })
    }

    /// Reads the weights: in f32 where all of them are trained, as they are stored under an adapter.
    ///
    /// # Errors
    /// The weights cannot be read; a target of the adapter matches nothing.
    pub(super) fn decoder(&self, seed: u64) -> anyhow::Result<Trainable> {
        let Some(lora) = &self.lora else {
            return Ok(Trainable { decoder: self.loaded.decoder()?, adapter: None });
        };
        let mut decoder = hub::load_frozen(&self.loaded.directory, &Device::flex())?;
        let paths = attach_new(&mut decoder, lora, seed)?;
        let base = self.loaded.directory.display().to_string();
        let config =
            peft::AdapterConfig::new(lora, &paths, &Adaptable::head_path(&decoder), Some(&base));
        Ok(Trainable { decoder, adapter: Some(config) })
    }

    /// The layers that the adapter goes to; `None` without one.
    ///
    /// # Errors
    /// A target matches nothing.
    pub(super) fn adapted(&self) -> anyhow::Result<Option<Vec<AdaptedLayer>>> {
        let Some(lora) = &self.lora else { return Ok(None) };
        let config = &self.config;
        let head = config.tensor_names.in_file("lm_head.weight");
        let layers: Vec<AdaptedLayer> = (config.tensors().into_iter())
            .filter(|(name, shape)| {
                shape.len() == 2 && name.ends_with("_proj.weight") && *name != head
            })
            .map(|(name, shape)| {
                let path = name.strip_suffix(".weight").unwrap_or(&name);
                let path = config.tensor_names.in_file(path);
                AdaptedLayer { path, inputs: shape[1], outputs: shape[0] }
            })
            .collect();
        let paths: Vec<&str> = layers.iter().map(|layer| layer.path.as_str()).collect();
        let selected = lora.targets.select(&paths)?;
        let chosen = layers.iter().zip(selected).filter(|(_, selected)| *selected);
        Ok(Some(chosen.map(|(layer, _)| layer.clone()).collect()))
    }
}

fn check_kind(method: Method, config: &DecoderConfig, path: &Path) -> Result<(), UsageError> {
    let path = path.display();
    let diffusion = config.mask_token_id.is_some() && !config.causal;
    match method {
        Method::Sft if config.causal => Ok(()),
        Method::Sft => Err(UsageError::new(format!("{path} is not a causal model"))
            .hint("method = \"mdlm\" trains masked-diffusion models")),
        Method::Mdlm | Method::DiffuGrpo if diffusion => Ok(()),
        Method::Mdlm | Method::DiffuGrpo => {
            let error = UsageError::new(format!("{path} is not a masked-diffusion model"));
            Err(match config.causal {
                true => error.hint("it is causal: method = \"sft\" trains it"),
                false => error.hint("its config.json names no mask_token_id"),
            })
        }
    }
}

fn lora_config(lora: &Lora) -> anyhow::Result<LoraConfig> {
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut targets = match lora.targets.as_str() {
        Some(_) => Targets::all_linear(),
        None => Targets::names(names(&lora.targets)),
    };
    targets.exclude = lora.exclude.clone().map(Modules::Names);
    let mut config = LoraConfig::new(targets);
    config.rank = lora.rank;
    config.alpha = lora.alpha;
    config.use_rslora = lora.rslora;
    config.dropout = lora.dropout;
    config.validate()?;
    Ok(config)
}
