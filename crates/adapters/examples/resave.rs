//! Puts the adapter of a PEFT directory on its base and writes it again:
//! `resave MODEL ADAPTER OUT`. `tools/roundtrip_lora.py` compares the two with PEFT.

use std::env::args_os;
use std::path::PathBuf;

use afterthought_adapters::peft::{load, save};
use afterthought_models::hub;
use burn::tensor::Device;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = args_os().skip(1).map(PathBuf::from).collect();
    let [model, adapter, out] = &paths[..] else {
        return Err("usage: resave MODEL ADAPTER OUT".into());
    };
    let mut decoder = hub::load(model, &Device::flex())?;
    let config = load(&mut decoder, adapter)?;
    Ok(save(&decoder, &config, out)?)
}
