//! Adapters of the real PEFT library: what they compute here, merged and not, and that they are
//! written again bit by bit. Goldens are from `tools/golden_lora.py`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod tiny;

use afterthought_adapters::peft::{AdapterConfig, load, save};
use afterthought_adapters::{Error, LoraConfig, Targets, attach_new, base_hash, merge};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tiny::{ADAPTERS, base, expected, golden, goldens, largest_difference, logits, weights};

/// Type, shape and bytes of every tensor of a file.
fn tensors(path: &Path) -> BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let entry = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    file.iter().map(entry).collect()
}

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn logits_are_those_of_peft() {
    for name in ["llama", "qwen2"] {
        let difference =
            largest_difference(&logits(&base(name)), &expected(&format!("{name}.logits")));
        assert!(difference < 1e-5, "{name}: {difference}");
    }
    for (name, on) in ADAPTERS {
        let mut model = base(on);
        let before = logits(&model);
        load(&mut model, &golden(name)).unwrap();
        let unmerged = logits(&model);
        assert!(largest_difference(&unmerged, &before) > 0.1, "{name} changes nothing");
        let difference = largest_difference(&unmerged, &expected(&format!("{name}.logits")));
        assert!(difference < 1e-5, "{name}: {difference}");

        let adapted = merge(&mut model).unwrap();
        let difference =
            largest_difference(&logits(&model), &expected(&format!("{name}.merged_logits")));
        assert!(difference < 1e-5, "{name} merged: {difference}");
        assert!(largest_difference(&logits(&model), &unmerged) < 1e-5, "{name}");
        let q = "model.layers.0.self_attn.q_proj.weight";
        let merged = weights(&model).into_iter().find(|(name, ..)| name == q).unwrap().2;
        assert!(largest_difference(&merged, &expected(&format!("{name}.merged_q"))) < 1e-6);

        let modules: Vec<String> =
            serde_json::from_value(goldens()["adapters"][name]["modules"].clone()).unwrap();
        let mut adapted = adapted;
        adapted.sort();
        assert_eq!(adapted, modules, "{name}");
        assert!(matches!(merge(&mut model), Err(Error::Model(_))));
    }
}

#[test]
fn what_was_loaded_is_saved_bit_by_bit() {
    let out = tempfile::tempdir().unwrap();
    for (name, on) in ADAPTERS {
        let mut model = base(on);
        let config = load(&mut model, &golden(name)).unwrap();
        let directory = out.path().join(name);
        save(&model, &config, &directory).unwrap();
        let file = |directory: &Path| directory.join("adapter_model.safetensors");
        assert_eq!(tensors(&file(&directory)), tensors(&file(&golden(name))), "{name}");
        let file = |directory: &Path| directory.join("adapter_config.json");
        assert_eq!(json_file(&file(&directory)), json_file(&file(&golden(name))), "{name}");
        // Once more, now with the hash of the base.
        let mut again = base(on);
        load(&mut again, &directory).unwrap();
        assert_eq!(logits(&again), logits(&model));
        assert!(matches!(save(&model, &config, &directory), Err(Error::Directory(_))));
    }
}

#[test]
fn the_same_layers_are_selected_as_by_peft() {
    let selections = goldens()["selections"].clone();
    let paths: Vec<String> = serde_json::from_value(selections["paths"].clone()).unwrap();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("adapter_config.json");
    let cases = selections["cases"].as_array().unwrap();
    for case in cases {
        fs::write(&file, case["config"].to_string()).unwrap();
        let config = AdapterConfig::read(&file).unwrap();
        let selected = config.lora().targets.select(&paths).unwrap();
        let selected: Vec<&&str> =
            paths.iter().zip(selected).filter(|(_, is)| *is).map(|(path, _)| path).collect();
        assert_eq!(json!(selected), case["selected"], "{}", case["config"]);
    }
    assert_eq!(cases.len(), 10);
}

#[test]
fn an_adapter_for_another_base_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let directory = out.path().join("adapter");
    let mut model = base("llama");
    let config = load(&mut model, &golden("attention")).unwrap();
    save(&model, &config, &directory).unwrap();
    // Of the same shape, but one value.
    let mut other = base("llama");
    let linear = other.linears_mut().remove(0);
    linear.weight.value = linear.weight.value.clone() * 1.0001;
    let error = load(&mut other, &directory).unwrap_err();
    assert!(matches!(error, Error::OtherBase { .. }), "{error}");
    assert!(error.to_string().contains(&base_hash(&base("llama")).unwrap()));
    // Neither the adapter nor the stored precision of the weights is part of the base.
    let mut narrow = base("llama");
    narrow.set_trainable(&|_| false);
    narrow.narrow_frozen();
    assert_eq!(base_hash(&narrow).unwrap(), base_hash(&model).unwrap());
    let error = load(&mut base("qwen2"), &directory).unwrap_err();
    assert!(matches!(error, Error::OtherBase { .. }), "{error}");
    // PEFT itself records no hash; then only names and shapes can be checked, and the caller is told.
    assert!(!config.base_checked());
    assert!(load(&mut base("llama"), &directory).unwrap().base_checked());
}

#[test]
fn new_adapters_are_written_for_peft_and_read_back() {
    let out = tempfile::tempdir().unwrap();
    let mut model = base("llama");
    let before = logits(&model);
    let mut lora = LoraConfig::new(Targets::all_linear());
    (lora.rank, lora.alpha, lora.dropout) = (4, 16.0, 0.1);
    let paths = attach_new(&mut model, &lora, 7).unwrap();
    assert_eq!(paths.len(), 21);
    assert_eq!(logits(&model), before, "B is zero");
    for linear in model.linears_mut() {
        let term = linear.low_rank.as_mut().unwrap();
        term.b.value = term.b.value.clone() + 0.05;
    }
    let config = AdapterConfig::new(&lora, &paths, "lm_head", Some("llama"));
    let directory = out.path().join("nested/adapter");
    save(&model, &config, &directory).unwrap();
    let mut again = base("llama");
    load(&mut again, &directory).unwrap();
    assert_eq!(weights(&again), weights(&model));
    assert!(matches!(attach_new(&mut again, &lora, 7), Err(Error::Model(_))));
}
