//! `generation_config.json`: how a model's completions are sampled unless flags say otherwise.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::durable::read_if_there;

/// The file's name in a model directory.
const NAME: &str = "generation_config.json";

/// The keys of the file that decoding uses: the first six are masked diffusion's, the others causal
/// models', named as Hugging Face does; `temperature` is both's. Other keys stay unread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GenerationConfig {
    /// Tokens of a completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gen_length: Option<usize>,
    /// Tokens of a block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) block_length: Option<usize>,
    /// Denoising steps over all blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<usize>,
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    /// Scale of classifier-free guidance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cfg_scale: Option<f64>,
    /// Which predictions a step keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) remasking: Option<RemaskingName>,
    /// Whether tokens are drawn; without it the most likely one is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) do_sample: Option<bool>,
    /// Most tokens of a completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_new_tokens: Option<usize>,
    /// Most likely tokens to draw from; 0 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<usize>,
    /// Probability of the tokens to draw from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    /// What ends a completion, beside the token of config.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) eos_token_id: Option<OneOrMany>,
}

/// An id or a list of ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl OneOrMany {
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }
}

/// The names that LLaDA's sampler gives to remasking rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RemaskingName {
    /// The most confident predictions are kept.
    LowConfidence,
    /// Random predictions are kept.
    Random,
}

impl GenerationConfig {
    /// Reads the file of a model directory; all keys are absent where there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or a key holds something else than it should.
    pub(crate) fn read(model: &Path) -> anyhow::Result<Self> {
        let path = path_in(model);
        let Some(text) = read_if_there(&path)? else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a generation configuration", path.display()))
    }

    /// Writes the file into a model directory, in place of one that is there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, model: &Path) -> anyhow::Result<()> {
        let path = path_in(model);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn path_in(model: &Path) -> PathBuf {
    model.join(NAME)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn written_is_read_and_other_keys_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(GenerationConfig::read(folder.path()).unwrap(), GenerationConfig::default());
        let config = GenerationConfig {
            gen_length: Some(32),
            temperature: Some(0.0),
            remasking: Some(RemaskingName::LowConfidence),
            ..GenerationConfig::default()
        };
        config.write(folder.path()).unwrap();
        let text = fs::read_to_string(path_in(folder.path())).unwrap();
        assert!(!text.contains("steps") && text.contains("\"low_confidence\""));
        assert_eq!(GenerationConfig::read(folder.path()).unwrap(), config);

        let foreign = r#"{"transformers_version": "4.46.2", "do_sample": true, "steps": 16,
                          "top_p": null, "eos_token_id": [2, 5]}"#;
        fs::write(path_in(folder.path()), foreign).unwrap();
        let read = GenerationConfig::read(folder.path()).unwrap();
        assert_eq!((read.steps, read.do_sample, read.top_p), (Some(16), Some(true), None));
        assert_eq!(read.eos_token_id.unwrap().as_slice(), [2, 5]);
        fs::write(path_in(folder.path()), r#"{"steps": "many"}"#).unwrap();
        let error = GenerationConfig::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("generation_config.json"));
    }
}
