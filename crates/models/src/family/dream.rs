//! Dream: a Qwen2 that sees both ways, whose predictions come out one position early.

use super::{Settings, qwen2};
use crate::{DecoderConfig, Error};
use serde_json::{Map, Value};

pub(super) fn read(settings: &Settings<'_>) -> Result<DecoderConfig, Error> {
    let mut config = qwen2::read(settings)?;
    config.shifted_logits = true;
    Ok(config)
}

pub(super) fn write(config: &DecoderConfig) -> Map<String, Value> {
    qwen2::write(config)
}
