//! `generation_config.json`: how a model's completions are sampled unless flags say otherwise.

use std::fs;
use std::path::{Path, PathBuf};

use afterthought_runs::durable::read_if_there;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// First input of an encoder-decoder's decoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decoder_start_token_id: Option<u32>,
    /// First token of an encoder-decoder's completions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forced_bos_token_id: Option<u32>,
    /// Last token of completions that reach the most tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forced_eos_token_id: Option<u32>,
    /// The keys that are not read.
    #[serde(flatten, skip_serializing)]
    pub(crate) others: Map<String, Value>,
}

/// Keys that change what `transformers` writes and that nothing here honours, with the value at which
/// they change nothing.
const UNUSED: [(&str, f64); 14] = [
    ("num_beams", 1.0),
    ("repetition_penalty", 1.0),
    ("encoder_repetition_penalty", 1.0),
    ("no_repeat_ngram_size", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("min_length", 0.0),
    ("min_new_tokens", 0.0),
    ("min_p", 0.0),
    ("typical_p", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("penalty_alpha", 0.0),
    ("guidance_scale", 1.0),
    ("num_beam_groups", 1.0),
];

/// The same, for keys that hold lists or names.
const UNUSED_LISTS: [&str; 6] = [
    "suppress_tokens",
    "begin_suppress_tokens",
    "bad_words_ids",
    "sequence_bias",
    "force_words_ids",
    "watermarking_config",
];

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

    /// What the file asks for and does not get, as `key value`.
    pub(crate) fn unused(&self) -> Vec<String> {
        let value = |key: &str| self.others.get(key).filter(|value| !value.is_null());
        let numbers = UNUSED.iter().filter(|(key, neutral)| {
            value(key).is_some_and(|value| value.as_f64() != Some(*neutral))
        });
        let lists = UNUSED_LISTS.iter().filter(|key| value(key).is_some());
        let keys = numbers.map(|(key, _)| key).chain(lists);
        keys.filter_map(|key| Some(format!("{key} {}", value(key)?))).collect()
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
        assert_eq!(read.eos_token_id.as_ref().unwrap().as_slice(), [2, 5]);
        assert_eq!(read.unused(), Vec::<String>::new());
        let foreign = r#"{"num_beams": 4, "repetition_penalty": 1.0, "min_p": 0.05,
                          "suppress_tokens": [7], "bad_words_ids": null, "length_penalty": 2.0}"#;
        fs::write(path_in(folder.path()), foreign).unwrap();
        let unused = GenerationConfig::read(folder.path()).unwrap().unused();
        assert_eq!(unused, ["num_beams 4", "min_p 0.05", "suppress_tokens [7]"]);
        fs::write(path_in(folder.path()), r#"{"steps": "many"}"#).unwrap();
        let error = GenerationConfig::read(folder.path()).unwrap_err();
        assert!(error.to_string().contains("generation_config.json"));
    }
}
