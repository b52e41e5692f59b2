//! Hugging Face directories: `config.json`, safetensors, tokenizer files.

mod config_json;
mod directory;
mod weights;

pub use config_json::{read_config, write_config};
pub use directory::{load, load_inference, save};
pub use weights::{read_inference_weights, read_weights, write_weights};
