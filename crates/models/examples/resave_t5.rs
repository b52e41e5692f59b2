//! Reads an encoder-decoder and writes it again: `resave_t5 FROM TO`. Used by tools/roundtrip_t5.py.
#![allow(missing_docs)]

use afterthought_models::hub::{self, Dtype, SaveOptions};
use burn::tensor::Device;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("two directories are needed".into());
    };
    let base = hub::read_object(&from.join("config.json"))?;
    let (_, checkpoint) = hub::open_encoder_decoder(&from)?;
    let stored = checkpoint.get("shared.weight").and_then(|(_, tensor)| Dtype::of(tensor.dtype));
    let dtype = stored.unwrap_or(Dtype::F32);
    let model = hub::load_encoder_decoder(&from, &Device::flex())?;
    let options = SaveOptions { dtype, base: Some(&base), ..SaveOptions::default() };
    hub::save_encoder_decoder(&model, options, &to)?;
    Ok(())
}
