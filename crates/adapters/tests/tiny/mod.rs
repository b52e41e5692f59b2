//! The golden models and adapters, and how to run and read them.
#![allow(dead_code)]

use afterthought_adapters::Adaptable;
use afterthought_models::{Batch, Decoder, Parameter, ParameterVisitor, hub};
use burn::tensor::{Device, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

/// Every adapter and the base it is for.
pub(crate) const ADAPTERS: [(&str, &str); 4] = [
    ("attention", "llama"),
    ("all_rslora", "llama"),
    ("patterns", "qwen2"),
    ("some_layers", "llama"),
];

pub(crate) fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

pub(crate) fn base(name: &str) -> Decoder {
    hub::load(&golden(name), &Device::flex()).unwrap()
}

pub(crate) fn goldens() -> Value {
    serde_json::from_str(&fs::read_to_string(golden("goldens.json")).unwrap()).unwrap()
}

/// A tensor that `tools/golden_lora.py` wrote.
pub(crate) fn expected(name: &str) -> Vec<f32> {
    let bytes = fs::read(golden("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(name).unwrap().data().to_vec();
    data.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect()
}

/// The goldens' batch and all its positions.
pub(crate) fn batch() -> (Batch, Arc<[u32]>) {
    let ids = goldens()["ids"].clone();
    let rows: Vec<Vec<u32>> = serde_json::from_value(ids).unwrap();
    let batch = Batch::from_rows(&rows, 0).unwrap();
    let positions = (0..batch.ids().len() as u32).collect();
    (batch, positions)
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().unwrap()
}

pub(crate) fn logits(decoder: &Decoder) -> Vec<f32> {
    let (batch, positions) = batch();
    values(decoder.logits_at(&batch, positions).unwrap())
}

pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Name, whether trainable, and values of every parameter.
#[derive(Default)]
pub(crate) struct Weights(pub(crate) Vec<(String, bool, Vec<f32>)>);

impl ParameterVisitor for Weights {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let values = values(parameter.value.clone());
        self.0.push((parameter.name.clone(), parameter.trainable, values));
    }
}

pub(crate) fn weights(decoder: &Decoder) -> Vec<(String, bool, Vec<f32>)> {
    let mut weights = Weights::default();
    Adaptable::visit(&mut decoder.clone(), &mut weights);
    weights.0
}
