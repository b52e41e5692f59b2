//! Hugging Face directories: `config.json`, safetensors, tokenizer files.

mod config_json;
mod directory;
mod weights;

pub use config_json::{read_config, write_config};
pub use directory::{load, save};
pub use weights::{read_weights, write_weights};
