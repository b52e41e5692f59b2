//! Directories on disk: what is written is read back, and what does not fit is named.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::family::Family;
use afterthought_models::{Batch, Decoder, Error, hub};
use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tiny::{config, decoder, real_positions, rows, settings, values, weights};

/// The tensors of a safetensors file by name, to be changed and written back.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn read_tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap();
    SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect()
}

fn write_tensors(tensors: &Tensors, path: &Path) {
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn a_saved_decoder_comes_back_bit_for_bit() {
    let parent = tempfile::tempdir().unwrap();
    for (index, (name, config)) in settings().into_iter().enumerate() {
        let decoder = decoder(config.clone(), 3);
        let directory = parent.path().join(format!("new/parent/{index}"));
        hub::save(&decoder, b"{\"a\": \"tokenizer\"}", &directory).unwrap();
        let loaded = hub::load(&directory, &Device::flex()).unwrap();
        assert_eq!(*loaded.config(), config, "{name}");
        assert_eq!(weights(&loaded).0, weights(&decoder).0, "{name}");
        let batch = Batch::from_rows(&rows(&[5, 9], 1), 0).unwrap();
        let logits = |decoder: &afterthought_models::Decoder| {
            values(decoder.logits_at(&batch, real_positions(&batch)).unwrap())
        };
        assert_eq!(logits(&loaded), logits(&decoder), "{name}");
        let tokenizer = fs::read(directory.join("tokenizer.json")).unwrap();
        assert_eq!(tokenizer, b"{\"a\": \"tokenizer\"}");
    }
    // Nothing is left over of the directories that they were written in first.
    let left: Vec<_> = fs::read_dir(parent.path().join("new/parent")).unwrap().collect();
    assert_eq!(left.len(), settings().len());
}

#[test]
fn files_have_the_names_and_shapes_of_hugging_face() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    let settings = settings();
    let (_, qwen3) = settings.iter().find(|(name, _)| *name == "Qwen3-like").unwrap();
    hub::save(&decoder(qwen3.clone(), 3), b"{}", &directory).unwrap();
    let tensors = read_tensors(&directory.join("model.safetensors"));
    let shape = |name: &str| tensors[name].1.clone();
    assert_eq!(shape("model.embed_tokens.weight"), [11, 16]);
    assert_eq!(shape("lm_head.weight"), [11, 16]);
    assert_eq!(shape("model.norm.weight"), [16]);
    assert_eq!(shape("model.layers.1.self_attn.q_proj.weight"), [24, 16]);
    assert_eq!(shape("model.layers.1.self_attn.k_proj.weight"), [12, 16]);
    assert_eq!(shape("model.layers.1.self_attn.o_proj.weight"), [16, 24]);
    assert_eq!(shape("model.layers.0.self_attn.q_norm.weight"), [6]);
    assert_eq!(shape("model.layers.0.mlp.gate_proj.weight"), [24, 16]);
    assert_eq!(shape("model.layers.0.mlp.down_proj.weight"), [16, 24]);
    assert_eq!(shape("model.layers.0.input_layernorm.weight"), [16]);
    assert_eq!(shape("model.layers.0.post_attention_layernorm.weight"), [16]);
    assert_eq!(tensors.len(), 3 + 2 * 11);
    let config = fs::read(directory.join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["architectures"], json!(["Qwen3ForCausalLM"]));
    assert_eq!(config["is_causal"], json!(true));
}

#[test]
fn a_decoder_asks_for_the_tensors_that_its_settings_list() {
    for (name, config) in settings() {
        let mut asked = Vec::new();
        let decoder = Decoder::build(config.clone(), &Device::flex(), &mut |name, shape| {
            asked.push((name.to_owned(), shape.to_vec()));
            Ok(vec![0.0; shape.iter().product()].into())
        });
        let mut listed = config.tensors();
        asked.sort();
        listed.sort();
        assert_eq!(asked, listed, "{name}");
        let total: usize = listed.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        assert_eq!(decoder.unwrap().parameter_counts().0, total, "{name}");
    }
}

#[test]
fn every_difference_between_file_and_model_is_listed() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    hub::save(&decoder(config(), 3), b"{}", &directory).unwrap();
    let path = directory.join("model.safetensors");
    let mut tensors = read_tensors(&path);
    tensors.remove("model.norm.weight").unwrap();
    tensors.remove("model.layers.1.mlp.up_proj.weight").unwrap();
    let (dtype, _, data) = tensors["lm_head.weight"].clone();
    // As many values, but the other way round.
    tensors.insert("lm_head.weight".into(), (dtype, vec![16, 11], data.clone()));
    tensors.insert("model.layers.2.mlp.up_proj.weight".into(), (dtype, vec![11, 16], data.clone()));
    let (_, shape, data) = tensors["model.embed_tokens.weight"].clone();
    tensors.insert("model.embed_tokens.weight".into(), (Dtype::I32, shape, data));
    write_tensors(&tensors, &path);
    let error = hub::load(&directory, &Device::flex()).err().unwrap();
    let message = error.to_string();
    let Error::Tensors { path: found, problems } = error else { panic!("{error:?}") };
    assert_eq!((found, problems.len()), (path, 5));
    let mentions = |name: &str, what: &str| {
        let found = problems.iter().any(|p| p.contains(name) && p.contains(what));
        assert!(found && message.contains(name), "{name} {what}: {message}");
    };
    mentions("model.norm.weight", "missing");
    mentions("model.layers.1.mlp.up_proj.weight", "missing");
    mentions("model.layers.2.mlp.up_proj.weight", "unexpected");
    mentions("lm_head.weight", "[16, 11], expected [11, 16]");
    mentions("model.embed_tokens.weight", "I32");
}

#[test]
fn what_exists_is_not_overwritten() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, file) = (parent.path().join("model"), parent.path().join("file"));
    fs::create_dir(&directory).unwrap();
    fs::write(&file, "kept").unwrap();
    for path in [&directory, &file] {
        let error = hub::save(&decoder(config(), 3), b"{}", path).unwrap_err();
        let Error::Io { path: found, source, .. } = error else { panic!("{error:?}") };
        assert_eq!((&found, source.kind()), (path, std::io::ErrorKind::AlreadyExists));
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
}

/// The error of loading a saved model after a change to its `config.json`.
fn config_error(change: impl Fn(&mut Value)) -> Error {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    hub::save(&decoder(config(), 3), b"{}", &directory).unwrap();
    let path = directory.join("config.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(&path, json.to_string()).unwrap();
    hub::load(&directory, &Device::flex()).err().unwrap()
}

#[test]
fn bad_settings_are_named_with_their_value() {
    for (key, value) in [
        ("vocab_size", json!(0)),
        ("hidden_size", json!(1_u64 << 40)),
        ("num_hidden_layers", json!(0)),
        ("num_attention_heads", json!(0)),
        ("num_key_value_heads", json!(3)),
        ("head_dim", json!(7)),
        ("max_position_embeddings", json!(0)),
        ("rms_norm_eps", json!(-0.5)),
        ("rope_theta", json!(0)),
        ("initializer_range", json!(0)),
        ("mask_token_id", json!(11)),
        ("bos_token_id", json!(99)),
        ("hidden_act", json!("gelu")),
        ("model_type", json!("gpt2")),
    ] {
        let error = config_error(|json| json[key] = value.clone());
        let Error::ConfigFile { path, key: found, problem } = &error else {
            panic!("{key}: {error:?}")
        };
        assert!(path.ends_with("config.json"));
        assert_eq!(*found, key);
        assert!(problem.contains(&value.to_string()), "{key}: {problem}");
    }
    for (key, value) in [
        ("vocab_size", json!(-1)),
        ("head_dim", json!("wide")),
        ("is_causal", json!(1)),
        ("hidden_size", Value::Null),
    ] {
        let error = config_error(|json| json[key] = value.clone());
        let Error::ConfigFile { key: found, problem, .. } = &error else { panic!("{error:?}") };
        assert!(*found == key && problem.contains(&value.to_string()), "{key}: {problem}");
    }
    // A setting that fits itself but not the weights.
    let error = config_error(|json| json["intermediate_size"] = json!(25));
    let Error::Tensors { problems, .. } = error else { panic!("{error:?}") };
    assert_eq!(problems.len(), 6);
}

#[test]
fn sizes_that_no_memory_could_hold_are_errors() {
    let error = config_error(|json| {
        for key in ["vocab_size", "hidden_size", "intermediate_size"] {
            json[key] = json!(1 << 24);
        }
    });
    assert!(matches!(error, Error::Tensors { .. }), "{error:?}");
    let error = config_error(|json| {
        for key in ["hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim"] {
            json[key] = json!(1 << 24);
        }
    });
    assert!(matches!(error, Error::Tensors { .. } | Error::ConfigFile { .. }), "{error:?}");
}

#[test]
fn combinations_without_a_model_class_are_not_written() {
    let mut both = config();
    (both.family, both.attention_bias, both.qk_norm) = (Family::Qwen3, true, true);
    let parent = tempfile::tempdir().unwrap();
    let error = hub::save(&decoder(both, 3), b"{}", &parent.path().join("model")).unwrap_err();
    assert!(matches!(error, Error::Config { key: "attention_bias", .. }), "{error:?}");
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
}

#[test]
fn the_mask_token_may_be_named_by_the_tokenizer_alone() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    let config = afterthought_models::DecoderConfig {
        family: Family::A2dLlama,
        mask_token_id: None,
        ..config()
    };
    hub::save(&decoder(config, 3), b"{}", &directory).unwrap();
    let mask = || hub::read_config(&directory.join("config.json")).unwrap().mask_token_id;
    assert_eq!(mask(), None);
    let beside = directory.join("tokenizer_config.json");
    for token in [json!("<|mask|>"), json!({"content": "<|mask|>", "lstrip": false})] {
        let added = json!({"7": {"content": "<pad>"}, "9": {"content": "<|mask|>"}});
        let tokenizer = json!({"mask_token": token, "added_tokens_decoder": added});
        fs::write(&beside, tokenizer.to_string()).unwrap();
        assert_eq!(mask(), Some(9));
    }
}

#[test]
fn missing_and_broken_files_are_named() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    let load = || hub::load(&directory, &Device::flex()).err().unwrap();
    assert!(matches!(load(), Error::Io { path, .. } if path.ends_with("config.json")));
    hub::save(&decoder(config(), 3), b"{}", &directory).unwrap();
    let path = directory.join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    for broken in [&whole[..whole.len() - 1], &whole[..5], b"".as_slice(), &[255; 64]] {
        fs::write(&path, broken).unwrap();
        assert!(matches!(load(), Error::Header { path: p, .. } if p == path));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(load(), Error::Io { path: p, .. } if p == path));
}

#[test]
fn half_precision_weights_load_as_their_exact_values() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    let decoder = decoder(config(), 3);
    hub::save(&decoder, b"{}", &directory).unwrap();
    let path = directory.join("model.safetensors");
    let full = read_tensors(&path);
    let f16 = |value: f32| half::f16::from_f32(value);
    let bf16 = |value: f32| half::bf16::from_f32(value);
    for dtype in [Dtype::F16, Dtype::BF16] {
        let narrow = |data: &[u8]| -> Vec<u8> {
            data.chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .flat_map(|v| {
                    if dtype == Dtype::F16 { f16(v).to_le_bytes() } else { bf16(v).to_le_bytes() }
                })
                .collect()
        };
        let tensors: Tensors = full
            .iter()
            .map(|(name, (_, shape, data))| (name.clone(), (dtype, shape.clone(), narrow(data))))
            .collect();
        write_tensors(&tensors, &path);
        let loaded = hub::load(&directory, &Device::flex()).unwrap();
        for (found, original) in weights(&loaded).0.iter().zip(weights(&decoder).0) {
            let round = |v: &f32| {
                if dtype == Dtype::F16 { f16(*v).to_f32() } else { bf16(*v).to_f32() }
            };
            let expected: Vec<f32> = original.3.iter().map(round).collect();
            assert_eq!(found.3, expected, "{}", found.0);
        }
    }
}
