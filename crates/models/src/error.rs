use crate::hub::HeaderError;
use std::path::PathBuf;

/// What can be wrong with a model's files, settings or inputs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was attempted: "read", "write" ...
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A JSON file is not what it should be.
    #[error("{path} is not valid JSON of its kind")]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A setting is out of range or contradicts another one.
    #[error("model configuration: {key} {problem}")]
    Config {
        /// Name of the setting as in `config.json`.
        key: &'static str,
        /// What is wrong, with the value found and what was expected.
        problem: String,
    },
    /// A setting of a configuration file cannot be honoured.
    #[error("{path}: {key} {problem}")]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// Name of the setting.
        key: &'static str,
        /// What is wrong, with the value found and what was expected.
        problem: String,
    },
    /// A directory does not hold a model in a form that is read.
    #[error("{path} {problem}")]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Weights in a format that can run code when it is read.
    #[error(
        "{path} is a pickle, which is not read: convert it with \
         `transformers`: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(NEW_DIR)"
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// The header of a safetensors file is malformed.
    #[error("{path} is not a valid safetensors file")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the tensor's name.
        source: HeaderError,
    },
    /// An index of several files is malformed or does not agree with them.
    #[error("{path} is not a valid index:\n{}", problems.join("\n"))]
    Index {
        /// The index.
        path: PathBuf,
        /// One line a problem.
        problems: Vec<String>,
    },
    /// A safetensors file could not be written.
    #[error("cannot write {path}")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: safetensors::SafeTensorError,
    },
    /// The tensors of a file are not those of the model: all differences at once.
    #[error("{path} does not hold the tensors of this model:\n{}", problems.join("\n"))]
    Tensors {
        /// The file.
        path: PathBuf,
        /// One line a missing, unexpected or misshapen tensor.
        problems: Vec<String>,
    },
    /// A token id does not exist in the vocabulary.
    #[error(
        "row {row}, position {position}: token id {id} is not below the vocabulary size {vocab_size}"
    )]
    TokenId {
        /// Row of the batch.
        row: usize,
        /// Position in the row.
        position: usize,
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// A model that carries an adapter cannot be saved as a plain one.
    #[error("the model carries an adapter: merge it first, or save the adapter alone")]
    Adapted,
    /// A batch is empty, ragged or longer than the model's positions.
    #[error("batch: {0}")]
    Batch(String),
    /// A row of a cached forward pass does not fit its cache or the model.
    #[error("row {row}: {problem}")]
    CachedRow {
        /// Row of the pass.
        row: usize,
        /// What does not fit, with the values found and expected.
        problem: String,
    },
}
