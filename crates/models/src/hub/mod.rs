//! Hugging Face directories: `config.json`, safetensors, tokenizer files.
//!
//! Everything is checked from headers before a weight is read: [`open`] lists every tensor that is
//! missing, unexpected or misshapen, and malformed files, paths that leave the directory and
//! pickles are refused. Weights are mapped, not read into memory, and used one at a time.

mod card;
mod check;
mod checkpoint;
mod config_json;
mod encoder_decoder;
mod export;
mod header;
mod load;
mod locate;
mod provenance;
mod repository;
mod save;
mod stored;
mod tensor_file;

pub use card::model_card;
pub use check::{NonFinite, WeightCheck, check_weights};
pub use checkpoint::{Checkpoint, ExpectedTensor};
pub use config_json::{read_config, read_object, write_config};
pub use encoder_decoder::{
    encoder_decoder, is_encoder_decoder, load_encoder_decoder, load_seq2seq, open_encoder_decoder,
    save_encoder_decoder, seq2seq_model,
};
pub use export::{COMPANIONS, Exported, export};
pub use header::{HeaderError, StoredType, TensorEntry, parse_header};
pub use load::{
    decoder, frozen_decoder, inference_model, load, load_frozen, load_inference, open, open_network,
};
pub use locate::{INDEX, Index, Located, WEIGHTS, locate, model_directory};
pub use provenance::Provenance;
pub use repository::Repository;
pub use save::{SaveOptions, in_new_directory, save, save_with};
pub use stored::{Dtype, ShardSize, TensorToWrite, write_logits, write_shards};
pub use tensor_file::TensorFile;
