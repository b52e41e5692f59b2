//! Adapter files that are not what they should be: each is an error that names file and item.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod tiny;

use afterthought_adapters::Error;
use afterthought_adapters::peft::load;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tiny::{base, golden};

const Q_A: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

/// A copy of the `attention` adapter.
fn copy() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(golden("attention").join(file), directory.path().join(file)).unwrap();
    }
    directory
}

fn change_config(directory: &Path, change: impl FnOnce(&mut Value)) {
    let path = directory.join("adapter_config.json");
    let mut config = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

type Tensors = Vec<(String, Vec<usize>, Dtype, Vec<u8>)>;

fn change_tensors(directory: &Path, change: impl FnOnce(&mut Tensors)) {
    let path = directory.join("adapter_model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Tensors = (file.iter())
        .map(|(name, view)| {
            (name.into(), view.shape().to_vec(), view.dtype(), view.data().to_vec())
        })
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, shape, dtype, data)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn find<'a>(tensors: &'a mut Tensors, name: &str) -> &'a mut (String, Vec<usize>, Dtype, Vec<u8>) {
    tensors.iter_mut().find(|(other, ..)| other == name).unwrap()
}

/// The problems of the tensors of a directory.
fn problems(directory: &TempDir) -> Vec<String> {
    let mut model = base("llama");
    match load(&mut model, directory.path()).unwrap_err() {
        Error::Tensors { path, problems } => {
            assert!(path.ends_with("adapter_model.safetensors"));
            assert!(model.linears_mut().iter().all(|linear| linear.low_rank.is_none()));
            problems
        }
        other => panic!("{other}"),
    }
}

#[test]
fn every_tensor_is_used_and_every_target_found() {
    // Two problems at once: a tensor moved to a layer that is not targeted.
    let moved = copy();
    change_tensors(moved.path(), |tensors| {
        find(tensors, Q_A).0 = Q_A.replace("q_proj", "o_proj");
    });
    let found = problems(&moved);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("unexpected ") && found[0].contains("o_proj"), "{found:?}");
    assert_eq!(found[1], format!("missing {Q_A}, expected shape [4, 24]"));

    let more = copy();
    change_config(more.path(), |config| {
        config["target_modules"] = serde_json::json!(["q_proj", "v_proj", "k_proj"]);
    });
    assert_eq!(problems(&more).len(), 6);

    let embedding = copy();
    change_tensors(embedding.path(), |tensors| {
        let extra = "base_model.model.model.embed_tokens.lora_embedding_A";
        tensors.push((extra.into(), vec![1], Dtype::F32, vec![0; 4]));
    });
    assert!(problems(&embedding)[0].ends_with("adapters of embeddings are not supported"));
}

#[test]
fn shapes_types_and_values_are_checked() {
    let rank = copy();
    change_config(rank.path(), |config| config["r"] = 8.into());
    let found = problems(&rank);
    assert_eq!(found.len(), 12);
    assert!(found.iter().all(|problem| problem.contains("expected [")), "{found:?}");

    let typed = copy();
    change_tensors(typed.path(), |tensors| find(tensors, Q_A).2 = Dtype::I32);
    assert_eq!(problems(&typed), [format!("{Q_A} has type I32, expected F32, F16 or BF16")]);

    let spoilt = copy();
    change_tensors(spoilt.path(), |tensors| {
        find(tensors, Q_A).3[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert_eq!(problems(&spoilt), [format!("{Q_A} holds values that are not finite")]);

    let twice = copy();
    change_tensors(twice.path(), |tensors| {
        let (name, shape, dtype, data) = find(tensors, Q_A).clone();
        let old = name.replace("lora_A.weight", "lora_A.default.weight");
        tensors.push((old, shape, dtype, data));
    });
    assert_eq!(problems(&twice), [format!("{Q_A} twice")]);
}

#[test]
fn targets_that_match_nothing_are_listed_with_the_nearest_names() {
    let wrong = copy();
    change_config(wrong.path(), |config| {
        config["target_modules"] = serde_json::json!(["q_proj", "v_prj", "lm_head"]);
    });
    let error = load(&mut base("llama"), wrong.path()).unwrap_err();
    let Error::UnmatchedTargets(lines) = &error else { panic!("{error}") };
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("  v_prj (nearest: v_proj"), "{lines:?}");
    assert!(lines[1].starts_with("  lm_head (nearest: "), "{lines:?}");
}

#[test]
fn broken_files_are_typed_errors() {
    for cut in [0, 7, 9, 500, 4000] {
        let truncated = copy();
        let path = truncated.path().join("adapter_model.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..cut]).unwrap();
        let error = load(&mut base("llama"), truncated.path()).unwrap_err();
        assert!(
            matches!(&error, Error::Safetensors { path: named, .. } if *named == path),
            "{error}"
        );
    }
    for text in ["", "[]", "{\"peft_type\": \"LORA\"", "null"] {
        let broken = copy();
        fs::write(broken.path().join("adapter_config.json"), text).unwrap();
        let error = load(&mut base("llama"), broken.path()).unwrap_err();
        assert!(matches!(error, Error::Json { .. }), "{text}: {error}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(load(&mut base("llama"), empty.path()), Err(Error::Io { .. })));
}
