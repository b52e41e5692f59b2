//! `generate`, `eval` and `model export` on encoder-decoders that `transformers` made, run as a
//! program. Goldens: tools/golden_t5_generate.py.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;

use program::{copy_files, document, ends, golden, logits, refused};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A model of transformers' with a tokenizer, and a generation_config.json if there is one.
fn model(folder: &Path, name: &str, generation: Option<&Value>) {
    let to = folder.join(name);
    copy_files(&golden("models/tests/goldens/t5").join(name), &to);
    fs::remove_file(to.join("logits.safetensors")).unwrap();
    fs::copy(golden("cli/tests/goldens/t5/tokenizer.json"), to.join("tokenizer.json")).unwrap();
    let path = to.join("generation_config.json");
    match generation {
        Some(generation) => fs::write(path, generation.to_string()).unwrap(),
        None => drop(fs::remove_file(path)),
    }
}

fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path(), "gated_untied", None);
    folder
}

#[test]
fn greedy_completions_are_those_of_transformers() {
    let path = golden("cli/tests/goldens/t5/generate.json");
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let prompts = file["prompts"].as_array().unwrap();
    let rows: String =
        prompts.iter().map(|prompt| json!({ "prompt": prompt }).to_string() + "\n").collect();
    fs::write(folder.path().join("p.jsonl"), rows).unwrap();
    let most = file["max_new_tokens"].to_string();
    for case in file["cases"].as_array().unwrap() {
        let name = case["model"].as_str().unwrap();
        model(folder.path(), name, Some(&case["settings"]));
        for batch in ["1", "3", "16"] {
            let generate = ["generate", "--model", name, "--prompts", "p.jsonl", "--batch", batch];
            let flags = ["--max-tokens", &most, "--precision", "f32"];
            let result = document(folder.path(), &[&generate[..], &flags].concat());
            let found = result["generations"].as_array().unwrap();
            let expected = case["completions"].as_array().unwrap();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                let label = format!("{name} {} {}", case["settings"], found["prompt"]);
                assert_eq!(found["completion"], expected["text"], "{label}");
                assert_eq!(found["tokens"], expected["tokens"], "{label}");
                assert_eq!(found["finish"], expected["finish"], "{label}");
            }
        }
    }
}

#[test]
fn sampled_completions_depend_on_seed_and_prompt_alone() {
    let folder = workplace();
    let rows = "{\"prompt\": \"w3 w4\"}\n{\"prompt\": \"w9 w8 w7 w6 w5 w4 w3\"}\n";
    fs::write(folder.path().join("p.jsonl"), rows).unwrap();
    let of = |flags: &[&str]| {
        let generate = ["generate", "--model", "gated_untied", "--prompts", "p.jsonl"];
        let sampling = ["--temperature", "1", "--top-k", "30", "--max-tokens", "12"];
        let result = document(folder.path(), &[&generate[..], &sampling, flags].concat());
        assert_eq!(result["sampling"]["kind"], "autoregressive");
        let generations = result["generations"].as_array().unwrap();
        generations.iter().map(|row| row["completion"].clone()).collect::<Vec<_>>()
    };
    let one = of(&["--seed", "1"]);
    assert_eq!(one, of(&["--seed", "1", "--batch", "1"]));
    assert_ne!(one, of(&["--seed", "2"]));
    // The source and its end, the start token, and all that was written but the last token.
    let one = ["generate", "--model", "gated_untied", "--prompt", "w3 w4", "--max-tokens", "4"];
    let row = document(folder.path(), &one)["generations"][0].clone();
    assert_eq!((&row["finish"], &row["forward_tokens"]), (&json!("length"), &json!(3 + 1 + 3)));
}

#[test]
fn what_does_not_apply_or_is_not_honoured_is_said() {
    let folder = workplace();
    let generate = ["generate", "--model", "gated_untied", "--prompt", "w3 w4"];
    let refused =
        |flags: &[&str]| refused(folder.path(), &[&generate[..], &["-q"], flags].concat(), 2);
    assert!(refused(&["--steps", "4"]).contains("--steps belongs to masked-diffusion models"));
    assert!(refused(&["--max-tokens", "5000"]).contains("the most is 4096 each"));
    assert!(refused(&["--chat"]).contains("has no chat template"));
    assert!(refused(&["--show-steps"]).contains("has none"));
    let asks = json!({"num_beams": 4, "no_repeat_ngram_size": 3, "top_k": 50});
    model(folder.path(), "gated_untied", Some(&asks));
    let (_, stderr) = ends(folder.path(), &[&generate[..], &["-q"]].concat(), 0);
    for setting in ["num_beams 4", "no_repeat_ngram_size 3"] {
        assert!(stderr.contains(&format!("{setting} is not supported")), "{stderr}");
    }
    assert!(!stderr.contains("top_k"), "{stderr}");
    let wrong = json!({"forced_eos_token_id": 99});
    model(folder.path(), "gated_untied", Some(&wrong));
    assert!(refused(&[]).contains("id 99 is outside"));
}

#[test]
fn problems_are_asked_and_graded() {
    let folder = workplace();
    // Words of compact Sudoku prompts, which the model of 43 tokens has room for.
    fs::write(folder.path().join("words.txt"), "sudoku\n:\n0\n1\n2\n3\n4\n").unwrap();
    ends(folder.path(), &["model", "new", "--out", "words", "--words", "words.txt"], 0);
    let tokenizer = folder.path().join("words/tokenizer.json");
    fs::copy(tokenizer, folder.path().join("gated_untied/tokenizer.json")).unwrap();
    let eval = ["eval", "--model", "gated_untied", "--task", "sudoku", "--limit", "3"];
    let flags = ["--max-tokens", "17", "--samples", "2", "--temperature", "1", "--out", "r.jsonl"];
    let result = document(folder.path(), &[&eval[..], &flags].concat());
    assert_eq!((&result["items"], &result["samples"]), (&json!(3), &json!(2)));
    let text = fs::read_to_string(folder.path().join("r.jsonl")).unwrap();
    let lines: Vec<Value> =
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    // Rows that no token belongs to are never drawn, so every completion is text.
    let words = ["sudoku", ":", "0", "1", "2", "3", "4", "<"];
    for line in &lines {
        let completion = line["completion"].as_str().unwrap();
        let known = |word: &str| words.iter().any(|known| word.starts_with(known));
        assert!(completion.split_whitespace().all(known), "{completion}");
    }
    let prefilled = [&eval[..], &["--prefill", "1"]].concat();
    let stderr = refused(folder.path(), &prefilled, 2);
    assert!(stderr.contains("--prefill begins completions"), "{stderr}");
}

#[test]
fn an_export_is_the_same_model() {
    let folder = workplace();
    let export = ["model", "export", "--model", "gated_untied", "--out", "out"];
    ends(folder.path(), &[&export[..], &["--shard-size", "4KB"]].concat(), 0);
    let out = folder.path().join("out");
    assert!(out.join("model.safetensors.index.json").is_file());
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    assert!(card.contains("2 encoder and 3 decoder layers of width 16, 43 tokens"), "{card}");
    let ids = json!({"ids": [[5, 9, 1], [7]], "decoder_ids": [[0, 7, 30], [0, 2]]});
    fs::write(folder.path().join("ids.json"), ids.to_string()).unwrap();
    let of = |model: &str| {
        let arguments = ["model", "logits", "--model", model, "--ids", "ids.json", "--out", "l.st"];
        ends(folder.path(), &arguments, 0);
        logits(&folder.path().join("l.st"))
    };
    assert_eq!(of("out"), of("gated_untied"));
    let half = ["model", "export", "--model", "out", "--out", "half", "--dtype", "bf16"];
    ends(folder.path(), &half, 0);
    let generate = ["generate", "--prompt", "w3 w4 w5", "--max-tokens", "6", "--model"];
    ends(folder.path(), &[&generate[..], &["half"]].concat(), 0);
}
