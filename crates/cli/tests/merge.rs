//! `model merge`, by running the command on PEFT's own adapters.
#![allow(clippy::unwrap_used, missing_docs)]

use afterthought_adapters::{merge, peft};
use afterthought_models::{Decoder, Parameter, ParameterVisitor, hub};
use burn::tensor::Device;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/tests/goldens").join(name)
}

fn run(model: &Path, adapter: &Path, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterthought"));
    command.args(["model", "merge", "--json", "--model"]).arg(model);
    command.arg("--adapter").arg(adapter).arg("--out").arg(out).output().unwrap()
}

struct Weights(Vec<(String, Vec<f32>)>);

impl ParameterVisitor for Weights {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let values = parameter.value.to_data().try_to_vec().unwrap();
        self.0.push((parameter.name.clone(), values));
    }
}

fn weights(decoder: &Decoder) -> Vec<(String, Vec<f32>)> {
    let mut weights = Weights(Vec::new());
    decoder.clone().visit(&mut weights);
    weights.0
}

#[test]
fn the_merged_model_is_a_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    for (base, adapter) in [("llama", "all_rslora"), ("qwen2", "patterns")] {
        let out = folder.path().join(adapter);
        let output = run(&golden(base), &golden(adapter), &out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&summary["dtype"], &summary["base_checked"]),
            (&"float32".into(), &false.into())
        );
        assert!(String::from_utf8_lossy(&output.stderr).contains("records no hash of its base"));

        let mut expected = hub::load(&golden(base), &Device::flex()).unwrap();
        peft::load(&mut expected, &golden(adapter)).unwrap();
        let merged = merge(&mut expected).unwrap();
        assert_eq!(summary["merged"], Value::from(merged));
        let written = hub::load(&out, &Device::flex()).unwrap();
        assert_eq!(weights(&written), weights(&expected));

        let again = run(&golden(base), &golden(adapter), &out);
        assert_eq!(again.status.code(), Some(2), "the directory exists");
    }
}

#[test]
fn an_adapter_for_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let adapter = folder.path().join("adapter");
    let mut model = hub::load(&golden("llama"), &Device::flex()).unwrap();
    let config = peft::load(&mut model, &golden("attention")).unwrap();
    peft::save(&model, &config, &adapter).unwrap();
    let out = folder.path().join("out");
    let output = run(&golden("qwen2"), &adapter, &out);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("belongs to another model"));
    assert!(!out.exists());
}
