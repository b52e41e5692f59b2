//! Files that nobody should trust: each is a typed error that names what is wrong, and none panics.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::hub::{self, Checkpoint, HeaderError, parse_header};
use afterthought_models::{Decoder, Error};
use burn::tensor::Device;
use proptest::prelude::*;
use proptest::test_runner::Config;
use safetensors::tensor::SafeTensors;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tiny::{config, decoder};

/// A file with this header and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

fn tensor(name: &str, shape: &str, start: u64, end: u64) -> String {
    format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
}

fn object(entries: &[String]) -> String {
    format!("{{{}}}", entries.join(","))
}

/// The error and its causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[test]
fn malformed_headers_are_errors_that_name_the_tensor() {
    let good = tensor("a", "[2]", 0, 8);
    let many: Vec<String> = (0..100_001).map(|i| tensor(&i.to_string(), "[0]", 0, 0)).collect();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = "x".repeat(5000);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "0 bytes"),
        (vec![1, 2, 3], "3 bytes"),
        (u64::MAX.to_le_bytes().to_vec(), "18446744073709551615"),
        (file("", 0), "malformed"),
        (file("[]", 0), "malformed"),
        (file(&object(std::slice::from_ref(&good))[..20], 8), "malformed"),
        (file(&format!("{}x", object(std::slice::from_ref(&good))), 8), "malformed"),
        (file(&object(std::slice::from_ref(&good)), 7), "7 bytes of data"),
        (file(&object(std::slice::from_ref(&good)), 9), "9 bytes of data"),
        (file(&object(&[good.clone(), good.clone()]), 8), r#""a" occurs twice"#),
        (file(&object(&[good.clone(), tensor("b", "[2]", 4, 12)]), 12), r#""b" begins at byte 4"#),
        (file(&object(&[good.clone(), tensor("b", "[2]", 12, 20)]), 20), "a hole"),
        (file(&object(&[tensor("a", "[2]", 4, 12)]), 12), "a hole"),
        (file(&object(&[tensor("a", "[3]", 0, 8)]), 8), r#""a" of F32 [3]"#),
        (file(&object(&[tensor("a", "[2]", 8, 0)]), 8), r#""a" of F32 [2]"#),
        (file(&object(&[tensor("a", "[0,18446744073709551615]", 0, 0)]), 0), "dimension"),
        (file(&object(&[tensor("a", "[1099511627776,1099511627776]", 0, 8)]), 8), r#""a" of F32"#),
        (
            file(&object(&[tensor("a", "[1]", 18446744073709551612, 18446744073709551615)]), 8),
            r#""a""#,
        ),
        (file(&object(&[tensor("a", "[1,1,1,1,1,1,1,1,1]", 0, 4)]), 4), "9 dimensions"),
        (file(&object(&[tensor("a", "[-1]", 0, 4)]), 4), "malformed"),
        (file(&object(&[tensor("a", "[1.5]", 0, 4)]), 4), "malformed"),
        (file(&object(&[tensor("a", &deep, 0, 4)]), 4), "malformed"),
        (file(&object(&[tensor(&long, "[1]", 0, 4)]), 4), "5000 bytes"),
        (file(&object(&many), 0), "100001 tensors"),
        (file(r#"{"a":{"dtype":"F33","shape":[],"data_offsets":[0,4]}}"#, 4), r#""F33""#),
        (
            file(r#"{"a":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}}"#, 4),
            "duplicate",
        ),
        (
            file(r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}}"#, 4),
            "unknown field",
        ),
        (file(r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#, 2), r#""a" of F4"#),
        (file(r#"{"__metadata__":{"a":1}}"#, 0), "string"),
        (file(r#"{"__metadata__":{"a":"b","a":"c"}}"#, 0), "occurs twice"),
        (file("{\"\u{0}\u{0}\":", 0), "malformed"),
    ];
    for (bytes, expected) in cases {
        let error = parse_header(&bytes, bytes.len() as u64).unwrap_err();
        let message = text(&error);
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
    let bytes = file("{}", 0);
    // The header alone is enough; the length of the file need not be that of the slice.
    assert!(parse_header(&bytes, bytes.len() as u64).unwrap().is_empty());
    assert!(matches!(parse_header(&bytes, 9), Err(HeaderError::HeaderSize { .. })));
}

/// A valid file to mutate.
fn valid() -> Vec<u8> {
    let entries = [
        r#""__metadata__":{"format":"pt"}"#.to_owned(),
        tensor("model.norm.weight", "[4]", 0, 16),
        tensor("lm_head.weight", "[2,4]", 16, 48),
        r#""b":{"dtype":"BF16","shape":[3,2],"data_offsets":[48,60]}"#.to_owned(),
        tensor("empty", "[0,4]", 60, 60),
    ];
    file(&object(&entries), 60)
}

/// What holds of every header that is accepted.
fn check_accepted(bytes: &[u8]) {
    let Ok(tensors) = parse_header(bytes, bytes.len() as u64) else { return };
    let reference = SafeTensors::deserialize(bytes).expect("we are the stricter one");
    let mut end = None;
    assert_eq!(reference.len(), tensors.len());
    for tensor in &tensors {
        let view = reference.tensor(&tensor.name).unwrap();
        assert_eq!(view.shape(), tensor.shape);
        assert_eq!(view.data(), &bytes[tensor.range.clone()]);
        assert!(end.is_none_or(|end| end == tensor.range.start));
        end = Some(tensor.range.end);
    }
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn mutated_files_never_panic_and_what_is_accepted_is_consistent(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
        insert in prop::option::of((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..12))),
    ) {
        let mut bytes = valid();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some((at, extra)) = insert {
            let at = at.index(bytes.len());
            bytes.splice(at..at, extra);
        }
        if let Some(at) = cut {
            bytes.truncate(at.index(bytes.len()));
        }
        check_accepted(&bytes);
    }

    #[test]
    fn headers_of_random_numbers_never_panic(
        shape in prop::collection::vec(any::<u64>(), 0..4),
        small in prop::collection::vec(0u64..5, 0..4),
        start in prop_oneof![0u64..64, any::<u64>()],
        length in prop_oneof![0u64..64, any::<u64>()],
        random in any::<bool>(),
    ) {
        let shape = if random { shape } else { small };
        let header = object(&[tensor("a", &format!("{shape:?}"), start, start.wrapping_add(length))]);
        check_accepted(&file(&header, 64));
    }

    #[test]
    fn random_settings_never_panic(
        key in prop::sample::select(KEYS.to_vec()),
        value in prop::sample::select(values()),
        model_type in prop::sample::select(vec!["llama", "mistral", "qwen2", "qwen3", "llada", "Dream"]),
        scaling in prop::option::of(prop::sample::select(scalings())),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let mut json = json!({
            "model_type": model_type, "hidden_size": 16, "intermediate_size": 24, "vocab_size": 11,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "bos_token_id": 1, "eos_token_id": 2,
        });
        if let Some(scaling) = scaling {
            json["rope_scaling"] = scaling;
        }
        json[key] = value;
        fs::write(&path, json.to_string()).unwrap();
        if let Ok(config) = hub::read_config(&path) {
            // What is accepted is small enough to be listed and can be written again.
            prop_assert!(config.validate().is_ok());
            prop_assert!(config.tensors().len() < 1 << 16);
            prop_assert!(config.max_positions() > 0);
        }
    }
}

const KEYS: [&str; 28] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "max_position_embeddings",
    "tie_word_embeddings",
    "attention_bias",
    "sliding_window",
    "use_sliding_window",
    "max_window_layers",
    "layer_types",
    "is_causal",
    "eos_token_id",
    "bos_token_id",
    "mask_token_id",
    "d_model",
    "n_heads",
    "mlp_bias",
    "initializer_range",
    "quantization_config",
];

fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(0),
        json!(1),
        json!(-1),
        json!(3),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        json!(1u64 << 24),
        json!(""),
        json!("silu"),
        json!(true),
        json!([]),
        json!([1, 2]),
        json!(["full_attention", "sliding_attention"]),
        json!({}),
        json!({"rope_type": "yarn"}),
        json!({"type": 3}),
        json!([[[[]]]]),
    ]
}

fn scalings() -> Vec<Value> {
    vec![
        json!({"type": "linear", "factor": 2.0}),
        json!({"rope_type": "dynamic", "factor": 0.0}),
        json!({"rope_type": "dynamic", "factor": 1e300}),
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 0}),
        json!({"rope_type": "yarn", "factor": null, "beta_fast": 0, "beta_slow": 1e9}),
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 16}),
        json!({"rope_type": "longrope", "factor": 2.0}),
        json!({"rope_type": "linear"}),
        json!({"rope_type": "default", "factor": 2.0}),
    ]
}

/// A model directory whose weights are in two files.
fn sharded() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    let options = hub::SaveOptions { shard_size: hub::ShardSize(8000), ..Default::default() };
    hub::save_with(&decoder(config(), 3), options, &directory).unwrap();
    assert!(directory.join(hub::INDEX).is_file() && !directory.join(hub::WEIGHTS).exists());
    (parent, directory)
}

fn load(directory: &Path) -> Result<Decoder, Error> {
    hub::load(directory, &Device::flex())
}

fn change_index(directory: &Path, change: impl Fn(&mut Value)) {
    let path = directory.join(hub::INDEX);
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(&path, json.to_string()).unwrap();
}

#[test]
fn shards_give_the_weights_of_one_file() {
    let (_parent, directory) = sharded();
    let loaded = load(&directory).unwrap();
    assert_eq!(tiny::weights(&loaded).0, tiny::weights(&decoder(config(), 3)).0);
    let checkpoint = Checkpoint::open(&directory).unwrap();
    assert!(checkpoint.files().len() > 2);
}

#[test]
fn bad_indices_are_errors_before_a_weight_is_read() {
    let norm = "model.norm.weight";
    for (what, expected) in [
        (json!("../model-00001-of-00002.safetensors"), "not a name of a file"),
        (json!("/etc/passwd"), "not a name of a file"),
        (json!("a/b.safetensors"), "not a name of a file"),
        (json!("a\\b.safetensors"), "not a name of a file"),
        (json!(".."), "not a name of a file"),
        (json!("config.json"), "not a name of a file"),
        (json!("absent.safetensors"), "absent.safetensors, which is missing"),
        (json!(7), "has 7 as the file of"),
    ] {
        let (_parent, directory) = sharded();
        change_index(&directory, |json| json["weight_map"][norm] = what.clone());
        let error = load(&directory).unwrap_err();
        assert!(matches!(&error, Error::Index { path, .. } if path.ends_with(hub::INDEX)));
        let message = error.to_string();
        assert!(message.contains(expected), "{message} lacks {expected}");
    }
    let (_parent, directory) = sharded();
    change_index(&directory, |json| {
        let map = json["weight_map"].as_object_mut().unwrap();
        let other = map["lm_head.weight"].clone();
        map.insert("model.embed_tokens.weight".into(), other.clone());
        map.insert("model.absent.weight".into(), other);
        map.remove(norm);
    });
    let message = load(&directory).unwrap_err().to_string();
    for expected in ["has model.embed_tokens.weight in", "model.absent.weight in", "does not list"]
    {
        assert!(message.contains(expected), "{message}");
    }
    // A key twice in the index, as text.
    let (_parent, directory) = sharded();
    let path = directory.join(hub::INDEX);
    let json = fs::read_to_string(&path).unwrap();
    fs::write(&path, json.replacen("{", "{\"weight_map\": {},", 1)).unwrap();
    let error = load(&directory).unwrap_err();
    assert!(text(&error).contains("\"weight_map\" occurs twice"), "{}", text(&error));
}

#[test]
fn a_tensor_in_two_shards_is_an_error() {
    let (_parent, directory) = sharded();
    let json: Value =
        serde_json::from_slice(&fs::read(directory.join(hub::INDEX)).unwrap()).unwrap();
    let shard = |name: &str| directory.join(json["weight_map"][name].as_str().unwrap());
    fs::copy(shard("model.embed_tokens.weight"), shard("lm_head.weight")).unwrap();
    let message = load(&directory).unwrap_err().to_string();
    assert!(message.contains("model.embed_tokens.weight is in"), "{message}");
}

#[test]
fn one_file_and_an_index_contradict_each_other() {
    let (_parent, directory) = sharded();
    hub::save(&decoder(config(), 3), b"{}", &directory.with_file_name("one")).unwrap();
    fs::copy(directory.with_file_name("one").join(hub::WEIGHTS), directory.join(hub::WEIGHTS))
        .unwrap();
    let error = load(&directory).unwrap_err();
    assert!(matches!(&error, Error::Directory { .. }), "{error}");
}

#[test]
fn pickles_are_refused_with_what_to_do() {
    for name in ["pytorch_model.bin", "consolidated.00.pth", "model.pt"] {
        let (_parent, directory) = sharded();
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if !path.ends_with("config.json") {
                fs::remove_file(path).unwrap();
            }
        }
        fs::write(directory.join(name), b"\x80\x02").unwrap();
        let error = load(&directory).unwrap_err();
        let Error::Pickle { path } = &error else { panic!("{error:?}") };
        assert!(path.ends_with(name) && error.to_string().contains("save_pretrained"), "{error}");
    }
}

#[test]
fn a_tied_head_in_the_file_must_be_the_embedding() {
    let tied = afterthought_models::DecoderConfig { tie_word_embeddings: true, ..config() };
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("untied");
    hub::save(&decoder(config(), 3), b"{}", &directory).unwrap();
    let path = directory.join("config.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["tie_word_embeddings"] = json!(true);
    fs::write(&path, json.to_string()).unwrap();
    let message = load(&directory).unwrap_err().to_string();
    assert!(message.contains("lm_head.weight differs from model.embed_tokens.weight"), "{message}");
    // Absent, it is the embedding; the goldens have one that is present and equal.
    let other = parent.path().join("tied");
    hub::save(&decoder(tied, 3), b"{}", &other).unwrap();
    assert!(load(&other).is_ok());
}

#[cfg(unix)]
#[test]
fn a_cache_directory_is_read_through_its_links_and_no_others() {
    use std::os::unix::fs::symlink;
    let (parent, directory) = sharded();
    let cache = parent.path().join("models--org--name");
    let (blobs, snapshot) = (cache.join("blobs"), cache.join("snapshots/abc123"));
    for folder in [&blobs, &snapshot, &cache.join("refs")] {
        fs::create_dir_all(folder).unwrap();
    }
    for (number, entry) in fs::read_dir(&directory).unwrap().enumerate() {
        let path = entry.unwrap().path();
        fs::copy(&path, blobs.join(number.to_string())).unwrap();
        let name = path.file_name().unwrap();
        symlink(format!("../../blobs/{number}"), snapshot.join(name)).unwrap();
    }
    let expected = tiny::weights(&decoder(config(), 3)).0;
    // One snapshot needs no refs/main.
    assert_eq!(tiny::weights(&load(&cache).unwrap()).0, expected);
    let main = cache.join("refs/main");
    fs::write(&main, "abc123\n").unwrap();
    assert_eq!(tiny::weights(&load(&cache).unwrap()).0, expected);
    assert_eq!(tiny::weights(&load(&snapshot).unwrap()).0, expected);
    for (revision, expected) in [
        ("../snapshots/abc123", "names the revision"),
        ("", "names the revision"),
        ("fff", "has no snapshot"),
    ] {
        fs::write(&main, revision).unwrap();
        let message = load(&cache).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    // A link that leaves the directory, and one that leads to itself.
    let outside = parent.path().join("outside.safetensors");
    let shard = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let shard = shard.into_iter().find(|path| path.extension().is_some_and(|e| e == "safetensors"));
    let shard = shard.unwrap();
    fs::rename(&shard, &outside).unwrap();
    symlink(&outside, &shard).unwrap();
    let message = load(&directory).unwrap_err().to_string();
    assert!(message.contains("leaves the model directory"), "{message}");
    fs::remove_file(&shard).unwrap();
    symlink(&shard, &shard).unwrap();
    assert!(matches!(load(&directory).unwrap_err(), Error::Index { .. } | Error::Io { .. }));
}

#[test]
fn what_an_architecture_has_and_we_lack_is_refused_by_name() {
    for (key, value, expected) in [
        ("quantization_config", json!({"bits": 4}), "quantization_config"),
        ("partial_rotary_factor", json!(0.5), "partial_rotary_factor"),
        ("final_logit_softcapping", json!(30.0), "final_logit_softcapping"),
        ("num_local_experts", json!(8), "num_local_experts"),
        ("hidden_act", json!("gelu_pytorch_tanh"), "hidden_act"),
        ("rope_scaling", json!({"rope_type": "longrope", "factor": 2.0}), "longrope"),
        ("rope_scaling", json!({"rope_type": "linear"}), "factor is missing"),
        (
            "rope_scaling",
            json!({"rope_type": "yarn", "factor": 2.0, "finetuned": true}),
            "finetuned",
        ),
        ("model_type", json!("gemma3"), "expected one of llama"),
        ("sliding_window", json!("wide"), "ok"),
    ] {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("model");
        hub::save(&decoder(config(), 3), b"{}", &directory).unwrap();
        let path = directory.join("config.json");
        let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        json[key] = value;
        fs::write(&path, json.to_string()).unwrap();
        match (load(&directory), expected) {
            // Llama has no window, so the key means nothing there.
            (Ok(_), "ok") => {}
            (Ok(_), expected) => panic!("{key} was passed over instead of {expected}"),
            (Err(error), expected) => {
                let message = error.to_string();
                assert!(message.contains(expected), "{message} lacks {expected}");
            }
        }
    }
}

#[test]
fn values_that_are_no_numbers_are_counted_by_tensor() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("model");
    let bad = Decoder::build(config(), &Device::flex(), &mut |name, shape| {
        let mut values = vec![0.5f32; shape.iter().product()];
        values[0] = 0.25;
        if name == "model.layers.1.mlp.up_proj.weight" {
            (values[3], values[4], values[5]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        }
        Ok(values.into())
    });
    hub::save(&bad.unwrap(), b"{}", &directory).unwrap();
    let found = hub::check_weights(&Checkpoint::open(&directory).unwrap());
    assert_eq!(found.non_finite.len(), 1);
    let bad = &found.non_finite[0];
    assert_eq!((bad.nan, bad.infinite, bad.values), (1, 2, 24 * 16));
    assert_eq!(bad.tensor, "model.layers.1.mlp.up_proj.weight");
    // All other matrices of one shape are alike.
    let identical: Vec<usize> = found.identical.iter().map(Vec::len).collect();
    assert!(identical.contains(&2), "{:?}", found.identical);
}
