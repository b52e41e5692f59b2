//! `--adapter` of `model logits`, `generate` and `eval`, run as a program: the base with an adapter is
//! what `model merge` makes of the two.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;

use afterthought_adapters::{Adaptable, LoraConfig, Targets, attach_new, peft};
use afterthought_models::{Parameter, ParameterVisitor, hub};
use burn::tensor::{Device, Tensor, TensorData};
use program::{copy_files, document, ends, golden, logits, new_model, refused};
use serde_json::Value;
use tempfile::TempDir;

const ALPHABET: &str = "abcdefgh 0123456789+?=#:Qustionwr\nA.";
const PROBLEMS: &str = "{\"question\": \"a+b?\", \"answer\": \"so #### 3\"}\n\
                        {\"question\": \"1+2?\", \"answer\": \"so #### 3\"}\n\
                        {\"question\": \"2+2?\", \"answer\": \"so #### 4\"}\n";

/// Gives the second factor of an adapter values, which training would.
struct Trained(u32);

impl ParameterVisitor for Trained {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if parameter.name.contains("lora_B") {
            let shape = parameter.value.dims();
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count)
                .map(|_| {
                    self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (self.0 >> 8) as f32 / (1 << 24) as f32 - 0.5
                })
                .collect();
            let device = parameter.value.device();
            parameter.value = Tensor::from_data(TensorData::new(values, shape), &device);
        }
    }
}

/// Writes an adapter for the model `model` of a folder as `name`, with values that change a lot.
fn new_adapter(folder: &Path, model: &str, name: &str) {
    let mut decoder = hub::load(&folder.join(model), &Device::flex()).unwrap();
    let targets = Targets::names(["q_proj", "v_proj", "down_proj"]);
    let config = LoraConfig { rank: 4, alpha: 16.0, ..LoraConfig::new(targets) };
    let paths = attach_new(&mut decoder, &config, 5).unwrap();
    decoder.visit(&mut Trained(1));
    let written = peft::AdapterConfig::new(&config, &paths, &decoder.head_path(), None);
    peft::save(&decoder, &written, &folder.join(name)).unwrap();
}

/// Folder with a causal model `ar` and a masked-diffusion model `dm`, the adapters `ar-lora` and
/// `dm-lora`, and what `model merge` makes of them: `ar-merged` and `dm-merged`.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test.jsonl"), PROBLEMS).unwrap();
    new_model(folder.path(), "ar", ALPHABET, &["--causal", "--layers", "2"]);
    new_model(folder.path(), "dm", ALPHABET, &["--layers", "2", "--seed", "7"]);
    for (model, adapter) in [("ar", "ar-lora"), ("dm", "dm-lora")] {
        new_adapter(folder.path(), model, adapter);
        let merged = format!("{model}-merged");
        let merge =
            ["model", "merge", "--model", model, "--adapter", adapter, "--out", merged.as_str()];
        ends(folder.path(), &merge, 0);
    }
    folder
}

/// Logits of a model in a precision.
fn logits_of(folder: &Path, model: &[&str], precision: &str) -> Vec<f32> {
    fs::write(folder.join("ids.json"), "[[7, 8, 9, 10, 11, 6], [12]]").unwrap();
    let arguments = [
        &["model", "logits", "--model"][..],
        model,
        &["--ids", "ids.json", "--out", "l.safetensors", "--precision", precision],
    ];
    let stdout = ends(folder, &arguments.concat(), 0).0;
    assert_eq!(stdout.contains("with the adapter"), model.contains(&"--adapter"), "{stdout}");
    logits(&folder.join("l.safetensors")).0
}

#[test]
fn logits_are_those_of_the_merged_model_bit_by_bit() {
    let folder = workplace();
    for precision in ["f32", "auto"] {
        for (model, adapter, merged) in
            [("ar", "ar-lora", "ar-merged"), ("dm", "dm-lora", "dm-merged")]
        {
            let adapted = logits_of(folder.path(), &[model, "--adapter", adapter], precision);
            assert_eq!(adapted, logits_of(folder.path(), &[merged], precision));
            assert_ne!(adapted, logits_of(folder.path(), &[model], precision));
        }
    }
}

#[test]
fn a_base_in_half_precision_is_merged_in_f32() {
    let folder = workplace();
    let export = ["model", "export", "--model", "ar", "--out", "half", "--dtype", "bf16"];
    ends(folder.path(), &export, 0);
    new_adapter(folder.path(), "half", "lora");
    let merge = ["model", "merge", "--model", "half", "--adapter", "lora", "--dtype", "f32"];
    ends(folder.path(), &[&merge[..], &["--out", "merged"]].concat(), 0);
    for precision in ["f32", "auto"] {
        let adapted = logits_of(folder.path(), &["half", "--adapter", "lora"], precision);
        assert_eq!(adapted, logits_of(folder.path(), &["merged"], precision));
    }
}

#[test]
fn completions_are_those_of_the_merged_model() {
    let folder = workplace();
    for (model, adapter, merged, caches) in [
        ("ar", "ar-lora", "ar-merged", &[&[][..]][..]),
        ("dm", "dm-lora", "dm-merged", &[&[][..], &["--cache", "dual"]]),
    ] {
        for cache in caches {
            let flags = ["--gen-length", "32", "--temperature", "1"];
            let of = |model: &[&str]| {
                let generate = [&["generate", "--prompt", "ab c", "--model"][..], model];
                document(folder.path(), &[&generate.concat()[..], &flags, cache].concat())
            };
            let adapted = of(&[model, "--adapter", adapter]);
            let text = |document: &Value| document["generations"][0]["completion"].clone();
            assert_eq!(text(&adapted), text(&of(&[merged])), "{model} {cache:?}");
            assert_ne!(text(&adapted), text(&of(&[model])), "{model} {cache:?}");
            let about = &adapted["adapter"];
            assert!(about["directory"].as_str().unwrap().ends_with(adapter));
            assert_eq!(about["base_checked"], true);
        }
    }
}

#[test]
fn an_evaluation_names_the_adapter_and_belongs_to_it() {
    let folder = workplace();
    let eval = ["eval", "--task", "gsm8k", "--data", "test.jsonl", "--gen-length", "16"];
    let eval = [&eval[..], &["--prefill", "so ", "--shots", "1", "--shots-data", "train.jsonl"]];
    let eval = eval.concat();
    let example = "{\"question\": \"3+3?\", \"answer\": \"so #### 6\"}\n";
    fs::write(folder.path().join("train.jsonl"), example).unwrap();
    let of = |model: &[&str], out: &str| {
        let arguments = [&eval[..], model, &["--out", out]].concat();
        document(folder.path(), &arguments)
    };
    let adapted = of(&["--model", "ar", "--adapter", "ar-lora"], "adapted.jsonl");
    assert!(adapted["adapter"]["directory"].as_str().unwrap().ends_with("ar-lora"));
    of(&["--model", "ar-merged"], "merged.jsonl");
    let lines = |name: &str| {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("adapted.jsonl"), lines("merged.jsonl"));
    assert_eq!(lines("adapted.jsonl").len(), 3);
    // The file of one adapter is not continued without it.
    let resume =
        [&eval[..], &["-q", "--model", "ar", "--out", "adapted.jsonl", "--resume"]].concat();
    let stderr = refused(folder.path(), &resume, 2);
    assert!(stderr.contains("adapter is null"), "{stderr}");
}

#[test]
fn adapters_that_do_not_fit_are_refused() {
    let folder = workplace();
    let generate = ["generate", "-q", "--prompt", "ab", "--gen-length", "8", "--model"];
    let refused = |model: &str, adapter: &str, code: i32| {
        refused(folder.path(), &[&generate[..], &[model, "--adapter", adapter]].concat(), code)
    };
    // Trained on the other model, whose tensors have the same names and shapes.
    let stderr = refused("ar", "dm-lora", 1);
    assert!(stderr.contains("belongs to another model"), "{stderr}");
    assert!(refused("ar", "ar-lara", 2).contains("did you mean ar-lora"));
    // A target that no layer has, and factors that no target has.
    let config = folder.path().join("ar-lora/adapter_config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"down_proj\"", "\"dwon_proj\"")).unwrap();
    let stderr = refused("ar", "ar-lora", 1);
    assert!(stderr.contains("dwon_proj (nearest: down_proj"), "{stderr}");
    fs::write(&config, text.replace("\"down_proj\"", "\"q_proj\"")).unwrap();
    let stderr = refused("ar", "ar-lora", 1);
    assert!(stderr.contains("unexpected") && stderr.contains("down_proj.lora_A"), "{stderr}");
    // Encoder-decoders have none.
    copy_files(&golden("models/tests/goldens/t5/relu_tied"), &folder.path().join("t5"));
    fs::copy(
        golden("cli/tests/goldens/t5/tokenizer.json"),
        folder.path().join("t5/tokenizer.json"),
    )
    .unwrap();
    assert!(refused("t5", "ar-lora", 2).contains("t5 is an encoder-decoder"));
}
