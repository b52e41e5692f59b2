//! Directories in and out.

use crate::golden::{CASES, folder};
use crate::tiny::{logits, model, rows, settings, weights};
use afterthought_models::hub::{self, Dtype, SaveOptions, ShardSize};
use afterthought_models::{EncoderDecoder, Error};
use burn::tensor::Device;
use safetensors::tensor::{Dtype as FileDtype, SafeTensors, TensorView};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

type Tensors = BTreeMap<String, (FileDtype, Vec<usize>, Vec<u8>)>;

fn read(directory: &Path) -> Tensors {
    let bytes = fs::read(directory.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    file.tensors().into_iter().map(tensor).collect()
}

fn write(directory: &Path, tensors: &Tensors) {
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let bytes = safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap();
    fs::write(directory.join("model.safetensors"), bytes).unwrap();
}

fn load(directory: &Path) -> Result<EncoderDecoder, Error> {
    hub::load_encoder_decoder(directory, &Device::flex())
}

fn problems(error: Error) -> String {
    match error {
        Error::Tensors { problems, .. } => problems.join("\n"),
        other => panic!("{other:?}"),
    }
}

/// A copy of a golden model whose files a test may change.
fn copy(case: &str) -> (tempfile::TempDir, Tensors, Value) {
    let directory = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(folder(case).join(file), directory.path().join(file)).unwrap();
    }
    let tensors = read(directory.path());
    let config = fs::read_to_string(directory.path().join("config.json")).unwrap();
    (directory, tensors, serde_json::from_str(&config).unwrap())
}

#[test]
fn published_files_are_written_back_bit_for_bit() {
    for case in CASES {
        let original = read(&folder(case));
        let model = load(&folder(case)).unwrap();
        let base = hub::read_object(&folder(case).join("config.json")).unwrap();
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("again");
        let options = SaveOptions { base: Some(&base), ..SaveOptions::default() };
        hub::save_encoder_decoder(&model, options, &directory).unwrap();
        assert!(read(&directory) == original, "{case}");
        let written = hub::read_object(&directory.join("config.json")).unwrap();
        for (key, value) in base.iter().filter(|(key, _)| *key != "dtype") {
            assert_eq!(written[key], *value, "{case}: {key}");
        }
    }
}

#[test]
fn what_is_saved_loads_again() {
    for (name, config) in settings() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("model");
        let original = model(config.clone(), 3);
        // Several files.
        let options = SaveOptions {
            shard_size: ShardSize(2000),
            files: &[("tokenizer.json", b"{}")],
            ..SaveOptions::default()
        };
        hub::save_encoder_decoder(&original, options, &directory).unwrap();
        assert!(hub::is_encoder_decoder(&directory).unwrap());
        assert!(directory.join("model.safetensors.index.json").is_file());
        let loaded = load(&directory).unwrap();
        assert_eq!(*loaded.config(), config, "{name}");
        assert_eq!(weights(&loaded).0, weights(&original).0, "{name}");
        assert!(hub::save_encoder_decoder(&original, options, &directory).is_err());
    }
}

#[test]
fn half_precision_is_read_and_written_back() {
    for dtype in [Dtype::Bf16, Dtype::F16] {
        let parent = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| parent.path().join(name));
        let options = SaveOptions { dtype, ..SaveOptions::default() };
        let original = model(settings().remove(1).1, 3);
        hub::save_encoder_decoder(&original, options, &first).unwrap();
        let loaded = load(&first).unwrap();
        hub::save_encoder_decoder(&loaded, options, &second).unwrap();
        assert!(read(&first) == read(&second));
        let (source, target) = (rows(&[5], 1), rows(&[4], 2));
        let pairs = logits(&original, &source, &target).into_iter();
        let pairs = pairs.zip(logits(&loaded, &source, &target));
        for (exact, rounded) in pairs {
            assert!(exact != rounded && (exact - rounded).abs() < 0.1);
        }
    }
}

#[test]
fn copies_of_the_embedding_and_old_tables_are_accepted() {
    let (directory, mut tensors, mut config) = copy("relu_tied");
    let expected = weights(&load(directory.path()).unwrap()).0;
    let table = tensors["shared.weight"].clone();
    let bias =
        tensors["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"].clone();
    let old = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";
    tensors.insert(old.into(), bias);
    let copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"];
    for name in copies {
        tensors.insert(name.into(), table.clone());
    }
    write(directory.path(), &tensors);
    assert_eq!(weights(&load(directory.path()).unwrap()).0, expected);
    // Any one of the names will do.
    tensors.remove("shared.weight");
    for name in copies {
        let mut fewer = tensors.clone();
        fewer.retain(|other, _| other == name || !copies.contains(&other.as_str()));
        write(directory.path(), &fewer);
        assert_eq!(weights(&load(directory.path()).unwrap()).0, expected, "{name}");
        assert!(hub::load_seq2seq(directory.path()).is_ok());
    }
    // A copy that is none. With the key of version 5 of `transformers` the head would be another
    // one.
    config.as_object_mut().unwrap().remove("scale_decoder_outputs");
    fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
    for name in ["decoder.embed_tokens.weight", "lm_head.weight"] {
        let mut changed = tensors.clone();
        changed.get_mut(name).unwrap().2[0] ^= 1;
        write(directory.path(), &changed);
        assert!(problems(load(directory.path()).unwrap_err()).contains(&format!("{name} differs")));
    }
}

#[test]
fn all_wrong_tensors_are_listed_at_once() {
    let (directory, mut tensors, _) = copy("gated_untied");
    tensors.remove("lm_head.weight");
    tensors.remove("decoder.block.2.layer.1.EncDecAttention.k.weight");
    let q = tensors.get_mut("encoder.block.1.layer.0.SelfAttention.q.weight").unwrap();
    q.1.reverse();
    let extra = tensors["shared.weight"].clone();
    tensors.insert("decoder.block.3.layer.0.layer_norm.weight".into(), extra);
    write(directory.path(), &tensors);
    let problems = problems(load(directory.path()).unwrap_err());
    for part in [
        "missing lm_head.weight, expected [43, 16]",
        "missing decoder.block.2.layer.1.EncDecAttention.k.weight",
        "encoder.block.1.layer.0.SelfAttention.q.weight has shape [16, 30], expected [30, 16]",
        "unexpected decoder.block.3.layer.0.layer_norm.weight",
    ] {
        assert!(problems.contains(part), "{part} is not in\n{problems}");
    }
    assert_eq!(problems.lines().count(), 4);
}

#[test]
fn sizes_that_the_configuration_has_wrong_are_read_from_the_tensors() {
    let (directory, _, config) = copy("gated_untied");
    let path = directory.path().join("config.json");
    let expected = weights(&load(directory.path()).unwrap()).0;
    let with = |changes: &[(&str, Option<Value>)]| {
        let mut config = config.clone();
        let object = config.as_object_mut().unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => drop(object.insert((*key).to_owned(), value.clone())),
                None => drop(object.remove(*key)),
            }
        }
        fs::write(&path, config.to_string()).unwrap();
        load(directory.path())
    };
    // As some published configurations are: gating and the size of the vocabulary wrong, keys absent.
    let loaded = with(&[
        ("vocab_size", Some(json!(41))),
        ("feed_forward_proj", Some(json!("gelu"))),
        ("is_gated_act", Some(json!(false))),
        ("relative_attention_max_distance", None),
        ("decoder_start_token_id", None),
        ("scale_decoder_outputs", None),
        ("layer_norm_epsilon", None),
    ])
    .unwrap();
    assert_eq!(weights(&loaded).0, expected);
    let config = loaded.config();
    assert!(config.is_gated_act && !config.scale_decoder_outputs && config.vocab_size == 43);
    // What version 5 of `transformers` writes of a model whose head is not tied. In the words of
    // version 4, which has one key for both, it would be another model.
    let tied = ("tie_word_embeddings", Some(json!(true)));
    let loaded = with(std::slice::from_ref(&tied)).unwrap();
    assert!(weights(&loaded).0 == expected && !loaded.config().tie_word_embeddings);
    assert!(!loaded.config().scale_decoder_outputs);
    let error = with(&[tied, ("scale_decoder_outputs", None)]).unwrap_err();
    assert!(problems(error).contains("lm_head.weight differs from shared.weight"));
    // What cannot be meant.
    for (key, value) in [
        ("vocab_size", json!(44)),
        ("d_model", json!(17)),
        ("num_heads", json!(3)),
        ("num_layers", json!(3)),
        ("relative_attention_num_buckets", json!(31)),
    ] {
        assert!(matches!(with(&[(key, Some(value))]), Err(Error::Tensors { .. })), "{key}");
    }
    for (key, value) in [
        ("d_model", json!("16")),
        ("num_heads", json!(0)),
        ("num_layers", json!(1 << 23)),
        ("feed_forward_proj", json!("maxout")),
        ("is_encoder_decoder", json!(false)),
        ("quantization_config", json!({"bits": 4})),
        ("relative_attention_max_distance", json!(16)),
        ("decoder_start_token_id", json!(43)),
        ("model_type", json!("mt5")),
    ] {
        let value = if key == "feed_forward_proj" {
            with(&[(key, Some(value)), ("dense_act_fn", None)])
        } else {
            with(&[(key, Some(value))])
        };
        match value {
            Err(Error::ConfigFile { path: found, key: named, .. }) => {
                assert!(found == path && named == key);
            }
            other => panic!("{key}: {:?}", other.err()),
        }
    }
}
