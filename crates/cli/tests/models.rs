//! Commands on model directories, run as a program:
//!
//! - `model new` -> `model info` -> `generate` -> `eval` on random weights
//! - `data generate` and `eval` see the same problems, and a data file gives the same result
//! - stdout is one JSON document or the result, progress and errors are on stderr
//! - wrong requests exit with 2 and name what is wrong
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use program::{document, ends, refused, run};
use serde_json::Value;
use tempfile::TempDir;

/// Words of compact Countdown and Sudoku prompts.
const WORDS: [&str; 8] = ["sudoku", "countdown", "target", ":", "+", "*", "(", ")"];

/// stdout of a command that must have worked.
fn result(folder: &Path, arguments: &[&str]) -> String {
    let (stdout, stderr) = ends(folder, arguments, 0);
    assert!(!stderr.contains('\u{1b}'), "{stderr}");
    stdout
}

/// A directory with a word-level model `model` of random weights.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut words: Vec<String> = WORDS.map(str::to_owned).to_vec();
    words.extend((0..100).map(|number| number.to_string()));
    fs::write(folder.path().join("words.txt"), words.join("\n") + "\n").unwrap();
    let flags = ["--hidden", "32", "--layers", "1", "--intermediate", "48", "--qk-norm"];
    let arguments = [&["model", "new", "--out", "model", "--words", "words.txt"][..], &flags];
    result(folder.path(), &arguments.concat());
    folder
}

#[test]
fn a_new_model_describes_itself() {
    let folder = workplace();
    let info = document(folder.path(), &["model", "info", "model"]);
    assert_eq!(info["kind"], "masked diffusion");
    // 8 words, 100 numbers, 5 special tokens.
    assert_eq!(info["tokenizer"]["tokens"], 113);
    assert_eq!(info["config"]["vocab_size"], 113);
    let parts = &info["parameters"];
    assert_eq!((&parts["embedding"], &parts["head"]), (&(113 * 32).into(), &(113 * 32).into()));
    assert_eq!(parts["attention"], 4 * 32 * 32);
    assert_eq!(parts["feed_forward"], 3 * 32 * 48);
    // Two of the layer, one at the end, and those of queries and keys (4 heads of 8).
    assert_eq!(parts["norms"], 3 * 32 + 2 * 8);
    let total: u64 = ["embedding", "head", "attention", "feed_forward", "norms"]
        .iter()
        .map(|part| parts[part].as_u64().unwrap())
        .sum();
    assert_eq!(parts["total"], total);
    let weights = fs::metadata(folder.path().join("model/model.safetensors")).unwrap();
    assert!(weights.len() > 4 * total && weights.len() < 4 * total + 4096);
    let special = |role| {
        let tokens = info["special_tokens"].as_array().unwrap();
        tokens.iter().find(|token| token["role"] == role).unwrap()["token"].clone()
    };
    assert_eq!((special("mask"), special("eos")), ("<mask>".into(), "<eos>".into()));
    assert!(result(folder.path(), &["model", "info", "model"]).contains("feed-forward 48"));
}

#[test]
fn completions_depend_on_the_seed_alone() {
    let folder = workplace();
    let prompt = ["generate", "--model", "model", "--prompt", "countdown 4 7 2 target 22 :"];
    let sampling = ["--gen-length", "16", "--block-length", "8", "--temperature", "1"];
    let generate =
        |seed| document(folder.path(), &[&prompt[..], &sampling, &["--seed", seed]].concat());
    let (first, again, other) = (generate("1"), generate("1"), generate("2"));
    let only = |document: &Value| {
        assert_eq!(document["generations"].as_array().unwrap().len(), 1);
        document["generations"][0].clone()
    };
    assert_eq!(only(&first)["completion"], only(&again)["completion"]);
    assert_ne!(only(&first)["completion"], only(&other)["completion"]);
    // Two blocks of four steps; the first may already hold the end.
    let calls = only(&first)["model_calls"].as_u64().unwrap();
    assert!(calls == 4 || calls == 8, "{calls}");
    // Eight tokens of the prompt, its begin token, sixteen of the completion.
    assert_eq!(only(&first)["forward_tokens"], calls * 24);
    assert_eq!(first["sampling"]["steps"], 8);
    let text = result(folder.path(), &[&prompt[..], &sampling, &["--seed", "1", "-q"]].concat());
    assert_eq!(text.trim_end(), only(&first)["completion"].as_str().unwrap());
}

#[test]
fn a_file_of_prompts_gives_a_completion_each() {
    let folder = workplace();
    let lines = "{\"prompt\": \"sudoku 1 :\", \"target\": 3}\n{\"prompt\": \"countdown 4 :\"}\n";
    fs::write(folder.path().join("p.jsonl"), lines).unwrap();
    let prompts = ["generate", "--model", "model", "--prompts", "p.jsonl", "--gen-length", "8"];
    let all = document(folder.path(), &prompts);
    let generations = all["generations"].as_array().unwrap();
    assert_eq!(generations.len(), 2);
    assert_eq!(generations[1]["prompt"], "countdown 4 :");
    // Rows do not depend on each other: alone, the first comes out the same.
    let alone = ["generate", "--model", "model", "--prompt", "sudoku 1 :", "--gen-length", "8"];
    let alone = document(folder.path(), &alone);
    assert_eq!(alone["generations"][0]["completion"], generations[0]["completion"]);
    let text = result(folder.path(), &prompts);
    assert!(text.starts_with("[1] sudoku 1 :\n  "), "{text}");
}

#[test]
fn every_step_is_shown_on_a_line_away_from_a_terminal() {
    let folder = workplace();
    let arguments = [
        "generate",
        "--model",
        "model",
        "--prompt",
        "sudoku 1 :",
        "--gen-length",
        "8",
        "--steps",
        "8",
        "--show-steps",
        "--json",
    ];
    let output = run(folder.path(), &arguments);
    let (stdout, stderr) = (
        serde_json::from_slice::<Value>(&output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    let steps: Vec<&str> = stderr.lines().filter(|line| line.starts_with("step ")).collect();
    let calls = stdout["generations"][0]["model_calls"].as_u64().unwrap() as usize;
    assert_eq!(steps.len(), calls);
    assert!(steps[0].starts_with("step 1/8   1/8 tokens  "), "{}", steps[0]);
    assert_eq!(steps[0].matches("▒▒").count(), 7);
    assert!(!steps[calls - 1].contains('▒'));
    assert!(!stderr.contains('\u{1b}'));
}

#[test]
fn generation_config_decides_where_flags_do_not() {
    let folder = workplace();
    let config = folder.path().join("model/generation_config.json");
    fs::write(&config, r#"{"gen_length": 12, "block_length": 4, "steps": 6, "do_sample": true}"#)
        .unwrap();
    let prompt = ["generate", "--model", "model", "--prompt", "sudoku 1 :"];
    let sampling = document(folder.path(), &prompt)["sampling"].clone();
    assert_eq!((&sampling["gen_length"], &sampling["steps"]), (&12.into(), &6.into()));
    let longer = [&prompt[..], &["--gen-length", "24"]].concat();
    let sampling = document(folder.path(), &longer)["sampling"].clone();
    assert_eq!((&sampling["block_length"], &sampling["steps"]), (&4.into(), &12.into()));
    fs::write(&config, r#"{"steps": "all"}"#).unwrap();
    let error = refused(folder.path(), &prompt, 1);
    assert!(error.contains("generation_config.json"), "{error}");
}

#[test]
fn eval_measures_what_data_generate_writes() {
    let folder = workplace();
    let sampling = ["--gen-length", "8", "--limit", "12"];
    for task in ["countdown", "sudoku"] {
        let eval = ["eval", "--model", "model", "--task", task];
        let items = format!("{task}-items.jsonl");
        let made = document(folder.path(), &[&eval[..], &sampling, &["--out", &items]].concat());
        assert_eq!((&made["items"], &made["samples"]), (&12.into(), &1.into()));
        let score = &made["profiles"]["strict"];
        let accuracy = &score["accuracy"];
        let ends = ["low", "estimate", "high"].map(|end| accuracy[end].as_f64().unwrap());
        assert!(ends[0] <= ends[1] && ends[1] <= ends[2] && ends[2] < 1.0);
        assert!(score["standard_error"].as_f64().unwrap() >= 0.0);

        let data = format!("{task}.jsonl");
        let generate = ["data", "generate", "--task", task, "--split", "test", "--count", "12"];
        let line = result(folder.path(), &[&generate[..], &["--out", &data]].concat());
        assert!(line.starts_with(&format!("{data}: 12 problems, ")), "{line}");
        let again = format!("{task}-again.jsonl");
        let read = [&eval[..], &sampling, &["--data", &data, "--out", &again]].concat();
        assert_eq!(document(folder.path(), &read)["profiles"], made["profiles"]);
        // The first line says where the problems come from.
        let lines = |name: &str| -> Vec<String> {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            text.lines().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(lines(&items), lines(&again));
        for (index, line) in lines(&items).iter().enumerate() {
            let item: Value = serde_json::from_str(line).unwrap();
            assert_eq!(item["index"], index);
            assert!(item["prompt"].as_str().unwrap().starts_with(task));
            assert!(item["grades"]["d1"]["verdict"].is_string());
        }
        let table = result(folder.path(), &[&eval[..], &sampling].concat());
        assert!(table.contains("95 % interval") && table.contains("flexible"), "{table}");
    }
}

#[test]
fn generated_parts_do_not_overlap() {
    let folder = tempfile::tempdir().unwrap();
    for (task, flag) in [("sudoku", "--empties"), ("countdown", "--numbers")] {
        let rows = |split: &str| -> BTreeSet<String> {
            let path = format!("{task}-{split}.jsonl");
            let wanted = ["data", "generate", "--task", task, "--count", "80", flag, "4"];
            result(folder.path(), &[&wanted[..], &["--split", split, "--out", &path]].concat());
            let text = fs::read_to_string(folder.path().join(path)).unwrap();
            assert_eq!(text.lines().count(), 80);
            let key = |line: &str| {
                let row: Value = serde_json::from_str(line).unwrap();
                match task {
                    "sudoku" => row["solution"].to_string(),
                    _ => {
                        let numbers = row["numbers"].as_array().unwrap();
                        assert_eq!(numbers.len(), 4);
                        let mut sorted: Vec<u64> =
                            numbers.iter().map(|n| n.as_u64().unwrap()).collect();
                        sorted.sort_unstable();
                        format!("{sorted:?} {}", row["target"])
                    }
                }
            };
            text.lines().map(key).collect()
        };
        let [train, validation, test] = ["train", "validation", "test"].map(rows);
        assert!(train.is_disjoint(&test) && train.is_disjoint(&validation));
        assert!(validation.is_disjoint(&test));
    }
}

#[test]
fn wrong_paths_are_answered_with_the_nearest_name() {
    let folder = workplace();
    let prompt = ["--prompt", "sudoku 1 :"];
    let error =
        refused(folder.path(), &[&["generate", "--model", "modle"][..], &prompt].concat(), 2);
    assert_eq!(error, "error: modle does not exist\nhint: did you mean model?\n");
    let error = refused(folder.path(), &["model", "info", "words.txt"], 2);
    assert!(error.contains("is a file, not a directory"), "{error}");
    let error = refused(folder.path(), &["model", "info", "."], 2);
    assert!(error.contains("has no config.json"), "{error}");
    let eval = ["eval", "--model", "model", "--task", "gsm8k"];
    let error = refused(folder.path(), &eval, 2);
    assert!(error.contains("gsm8k needs --data FILE"), "{error}");
    let error = refused(folder.path(), &[&eval[..], &["--data", "word.txt"]].concat(), 2);
    assert!(error.contains("did you mean words.txt?"), "{error}");
    let error = refused(folder.path(), &[&eval[..], &["--data", "words.txt"]].concat(), 1);
    assert!(error.contains("words.txt:1"), "{error}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = workplace();
    let new = ["model", "new", "--out", "model", "--alphabet", "ab"];
    assert!(refused(folder.path(), &new, 2).contains("model exists already"));
    let data = ["data", "generate", "--task", "sudoku", "--count", "2", "--out", "words.txt"];
    assert!(refused(folder.path(), &data, 2).contains("words.txt exists already"));
    let eval = ["eval", "--model", "model", "--task", "sudoku", "--out", "words.txt"];
    assert!(refused(folder.path(), &eval, 2).contains("words.txt exists already"));
    assert!(fs::read_to_string(folder.path().join("words.txt")).unwrap().starts_with("sudoku\n"));
}

#[test]
fn sampling_flags_that_do_not_fit_are_refused() {
    let folder = workplace();
    let refuse = |flags: &[&str]| {
        let prompt = ["generate", "--model", "model", "--prompt", "sudoku 1 :"];
        refused(folder.path(), &[&prompt[..], flags].concat(), 2)
    };
    let steps = ["--gen-length", "16", "--block-length", "4", "--steps", "6"];
    assert!(refuse(&steps).contains("steps 6 is not a multiple of the number of blocks, 4"));
    assert!(refuse(&["--block-length", "5"]).contains("not a multiple of block_length 5"));
    assert!(refuse(&["--temperature", "-1"]).contains("temperature"));
    assert!(refuse(&["--gen-length", "4096"]).contains("the model has 2048 positions"));
    assert!(refuse(&["--remasking", "random", "--threshold", "0.9"]).contains("threshold"));
    assert!(refuse(&["--remasking", "random", "--factor", "0.9"]).contains("factor"));
    assert!(refuse(&["--factor", "-1"]).contains("factor is -1"));
    assert!(refuse(&["--factor", "1", "--threshold", "0.9"]).contains("cannot be used with"));
    assert!(refuse(&["--cache", "dual", "--cfg-scale", "1"]).contains("cache mode dual"));
    let ahead = refuse(&["--cache", "prefix", "--cache-ahead", "4"]);
    assert!(ahead.contains("--cache-ahead has no effect without --cache dual"), "{ahead}");
    let refresh = refuse(&["--cache", "exact", "--cache-refresh", "4"]);
    assert!(refresh.contains("--cache-refresh has no effect"), "{refresh}");
    assert!(refuse(&["--cache", "dual", "--cache-refresh", "0"]).contains("cache_refresh is 0"));
}

#[test]
fn prompts_that_cannot_be_said_are_refused() {
    let folder = workplace();
    let refuse = |prompt: &str| {
        refused(folder.path(), &["generate", "--model", "model", "--prompt", prompt], 2)
    };
    let error = refuse("countdwn 4 :");
    assert!(
        error.contains("\"countdwn\" (byte 0)") && error.contains("did you mean \"countdown\"?")
    );
    assert!(refuse("sudoku <mask> :").contains("contains the mask token"));
    let special = "{\"prompt\": \"sudoku 1 :\"}\n{\"prompt\": \"chess 1 :\"}\n";
    fs::write(folder.path().join("p.jsonl"), special).unwrap();
    let prompts = ["generate", "--model", "model", "--prompts", "p.jsonl"];
    let error = refused(folder.path(), &prompts, 2);
    assert!(error.contains("p.jsonl: prompt 2") && error.contains("\"chess\""), "{error}");
    // A model that lacks the words of a task's prompts.
    let new = ["model", "new", "--out", "letters", "--alphabet", "ab "];
    result(folder.path(), &new);
    let error = refused(folder.path(), &["eval", "--model", "letters", "--task", "sudoku"], 2);
    assert!(error.contains("item 0") && error.contains("does not know \"s\""), "{error}");
}

#[test]
fn an_autoregressive_model_is_described_and_decoded() {
    let folder = tempfile::tempdir().unwrap();
    let new = ["model", "new", "--out", "ar", "--alphabet", "ab ", "--causal", "--tie-head"];
    result(folder.path(), &new);
    let info = document(folder.path(), &["model", "info", "ar"]);
    assert_eq!((&info["kind"], &info["parameters"]["head"]), (&"autoregressive".into(), &0.into()));
    let generate = ["generate", "--model", "ar", "--prompt", "ab", "--max-tokens", "6"];
    let written = document(folder.path(), &[&generate[..], &["--temperature", "1"]].concat());
    assert_eq!(written["sampling"]["kind"], "autoregressive");
    let generation = &written["generations"][0];
    let tokens = generation["tokens"].as_u64().unwrap();
    let ended = u64::from(generation["finish"] == "eos");
    assert!(ended == 1 || tokens == 6);
    assert_eq!(generation["model_calls"], tokens + ended);
    // The begin token and two letters, then every token but the last.
    assert_eq!(generation["forward_tokens"], 3 + tokens + ended - 1);
}

#[test]
fn architectures_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("words.txt"), "a\n\nb\n").unwrap();
    let refuse = |flags: &[&str]| {
        refused(folder.path(), &[&["model", "new", "--out", "m"], flags].concat(), 2)
    };
    assert!(refuse(&["--words", "words.txt"]).contains("words.txt:2: an empty line"));
    let letters = |flags: &[&str]| refuse(&[&["--alphabet", "abc"], flags].concat());
    assert!(letters(&["--heads", "5"]).contains("5 heads do not divide a width of 96"));
    assert!(letters(&["--kv-heads", "3"]).contains("num_key_value_heads"));
    assert!(letters(&["--layers", "0"]).contains("num_hidden_layers"));
    assert!(letters(&["--qk-norm", "--qkv-bias"]).contains("attention_bias"));
    assert!(refuse(&["--alphabet", "aba"]).contains("\"a\" occurs twice"));
    assert!(!folder.path().join("m").exists());
}
