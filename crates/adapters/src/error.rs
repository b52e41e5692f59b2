use std::path::PathBuf;

/// What can be wrong with an adapter, its files or the model it is for.
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
    /// The directory of an adapter could not be made.
    #[error(transparent)]
    Directory(#[from] afterthought_models::Error),
    /// A JSON file is malformed.
    #[error("{path} is not valid JSON")]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A safetensors file is malformed.
    #[error("{path} is not a valid safetensors file")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        source: safetensors::SafeTensorError,
    },
    /// A setting of an adapter is out of range, or asks for what is not supported.
    #[error("adapter setting {key} {problem}")]
    Setting {
        /// Name of the setting as in `adapter_config.json`.
        key: String,
        /// The value found, and what was expected.
        problem: String,
    },
    /// Targets that no linear layer of the model has.
    #[error("no linear layer of the model matches:\n{}", .0.join("\n"))]
    UnmatchedTargets(
        /// One line a target, with the nearest names.
        Vec<String>,
    ),
    /// The targets leave nothing to adapt.
    #[error(
        "target_modules {targets} with exclude_modules and layers_to_transform select no layer"
    )]
    NothingSelected {
        /// `target_modules`, as written.
        targets: String,
    },
    /// The tensors of a file are not those that config and model call for: all differences at once.
    #[error("{path} does not hold the tensors of this adapter:\n{}", problems.join("\n"))]
    Tensors {
        /// The file.
        path: PathBuf,
        /// One line a missing, unexpected or misshapen tensor.
        problems: Vec<String>,
    },
    /// The adapter was trained on other base weights.
    #[error(
        "{path} was trained on base weights with hash {expected}, these have {found}: it belongs to \
         another model, or to another version of this one"
    )]
    OtherBase {
        /// The adapter's weights file.
        path: PathBuf,
        /// Hash recorded in the file.
        expected: String,
        /// Hash of the model given.
        found: String,
    },
    /// The model already carries an adapter, or carries none where one is needed.
    #[error("the model {0}")]
    Model(&'static str),
    /// A weight could not be read from the device.
    #[error("cannot read {name} from the device: {problem}")]
    Device {
        /// The weight.
        name: String,
        /// The engine's reason.
        problem: String,
    },
}
