//! `eval`, run as a program:
//!
//! - one generation is graded under every profile, everything is kept, the numbers follow from it
//! - results depend on the problem, the sample and the seed, not on order, batch or interruption
//! - files of another request, wrong data and flags that do not apply are refused by name
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

#[path = "../program/mod.rs"]
mod program;
mod resume;
mod workplace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use program::{document, ends, refused};
use serde_json::Value;
use workplace::{lines, rows, workplace};

const GSM8K: [&str; 4] = ["eval", "--task", "gsm8k", "--data"];

#[test]
fn every_completion_is_kept_and_graded_under_every_profile() {
    let folder = workplace();
    for (model, kind) in [("ar", "autoregressive"), ("dm", "masked diffusion")] {
        let out = format!("{model}.jsonl");
        let flags = ["--gen-length", "24", "--temperature", "1", "--out", &out];
        let eval = [&GSM8K[..], &["test.jsonl", "--model", model], &flags].concat();
        let result = document(folder.path(), &eval);
        assert_eq!(result["sampling"]["kind"], kind);
        assert_eq!((&result["items"], &result["samples"]), (&12.into(), &1.into()));
        let lines = lines(&folder.path().join(&out));
        assert_eq!(lines.len(), 12);
        for (profile, score) in result["profiles"].as_object().unwrap() {
            let count = |verdict: &str| {
                lines.iter().filter(|line| line["grades"][profile]["verdict"] == verdict).count()
            };
            assert_eq!(score["total"], 12);
            assert_eq!(score["correct"], count("correct"), "{profile}");
            assert_eq!(score["no_answer"], count("no_answer"), "{profile}");
            assert_eq!(score["undecided"], count("undecided"), "{profile}");
            let p = count("correct") as f64 / 12.0;
            let error = (p * (1.0 - p) / 11.0).sqrt();
            assert!((score["standard_error"].as_f64().unwrap() - error).abs() < 1e-12);
            assert!((score["accuracy"]["estimate"].as_f64().unwrap() - p).abs() < 1e-12);
            assert!(score["accuracy"]["high"].as_f64().unwrap() > p);
        }
        let names: Vec<&String> = result["profiles"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["d1", "flexible", "strict"]);
        let cut = lines.iter().filter(|line| line["finish"] == "length").count();
        assert_eq!(result["truncated"], cut);
        assert!(lines.iter().all(|line| line["completion"].is_string()));
        let tokens: u64 = lines.iter().map(|line| line["tokens"].as_u64().unwrap()).sum();
        assert!((result["mean_tokens"].as_f64().unwrap() - tokens as f64 / 12.0).abs() < 1e-9);
    }
}

#[test]
fn results_depend_neither_on_order_nor_on_the_batch() {
    let folder = workplace();
    let text = fs::read_to_string(folder.path().join("test.jsonl")).unwrap();
    let mut shuffled: Vec<&str> = text.lines().collect();
    shuffled.reverse();
    shuffled.swap(2, 7);
    fs::write(folder.path().join("shuffled.jsonl"), shuffled.join("\n")).unwrap();
    for (model, temperature) in [("ar", "0"), ("ar", "1"), ("dm", "0"), ("dm", "1")] {
        let mut found: Vec<BTreeMap<(String, u64), Value>> = Vec::new();
        for (run, (data, batch)) in
            [("test.jsonl", "100"), ("test.jsonl", "1"), ("shuffled.jsonl", "5")].iter().enumerate()
        {
            let out = format!("{model}-{temperature}-{run}.jsonl");
            let flags = ["--gen-length", "16", "--samples", "2", "--batch", batch, "--out", &out];
            let eval = [&GSM8K[..], &[data, "--model", model, "--temperature", temperature]];
            document(folder.path(), &[&eval.concat()[..], &flags].concat());
            let lines = lines(&folder.path().join(&out));
            let completion = |mut line: Value| {
                line["index"] = Value::Null;
                let id = line["id"].as_str().unwrap().to_owned();
                ((id, line["sample"].as_u64().unwrap()), line)
            };
            found.push(lines.into_iter().map(completion).collect());
        }
        assert_eq!(found[0].len(), 24);
        assert_eq!(found[0], found[1], "{model} {temperature}");
        assert_eq!(found[0], found[2], "{model} {temperature}");
        // Samples are drawn apart, unless nothing is drawn.
        let same = (found[0].iter())
            .filter(|((id, sample), line)| {
                *sample == 0 && found[0][&(id.clone(), 1)]["completion"] == line["completion"]
            })
            .count();
        assert_eq!(same == 12, temperature == "0", "{same} of 12 pairs are equal");
    }
}

#[test]
fn several_samples_give_pass_at_k_and_a_vote() {
    let folder = workplace();
    let flags = ["--gen-length", "24", "--temperature", "1", "--samples", "6", "--out", "o.jsonl"];
    let eval = [&GSM8K[..], &["test.jsonl", "--model", "ar"], &flags].concat();
    let result = document(folder.path(), &eval);
    let mut right: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for line in lines(&folder.path().join("o.jsonl")) {
        let verdict = &line["grades"]["flexible"]["verdict"];
        let id = line["id"].as_str().unwrap().to_owned();
        right.entry(id).or_default().push(verdict == "correct");
    }
    let score = &result["profiles"]["flexible"];
    assert!(score["correct"].as_u64().unwrap() > 0, "a random model should hit some digits");
    let counts: Vec<u64> =
        score["pass_at"].as_array().unwrap().iter().map(|p| p["k"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 4, 6]);
    for pass in score["pass_at"].as_array().unwrap() {
        // The mean over all choices of k of the six samples, by enumeration.
        let k = pass["k"].as_u64().unwrap() as u32;
        let item = |samples: &Vec<bool>| {
            let sets = (0..64u32).filter(|set| set.count_ones() == k);
            let hit = |set: &u32| (0..6).any(|i| set & (1 << i) != 0 && samples[i]);
            sets.clone().filter(hit).count() as f64 / sets.count() as f64
        };
        let values: Vec<f64> = right.values().map(item).collect();
        let mean = values.iter().sum::<f64>() / 12.0;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        assert!((pass["estimate"].as_f64().unwrap() - mean).abs() < 1e-9);
        let error = (squares / 11.0 / 12.0).sqrt();
        assert!((pass["standard_error"].as_f64().unwrap() - error).abs() < 1e-9);
    }
    // Six samples of an item are not six independent trials: pass@1 has the accuracy's error.
    let first = &score["pass_at"][0];
    let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-9;
    assert!(close(&first["standard_error"], &score["standard_error"]));
    assert!((0.0..=1.0).contains(&score["majority"]["estimate"].as_f64().unwrap()));
    let (table, _) = ends(folder.path(), &[&eval[..], &["--resume"]].concat(), 4);
    assert!(table.contains("pass@6") && table.contains("majority"), "{table}");
}

#[test]
fn worked_examples_come_first_and_are_never_items() {
    let folder = workplace();
    let eval =
        [&GSM8K[..], &["test.jsonl", "--model", "ar", "--gen-length", "8", "--out"]].concat();
    let shots = |out: &str, more: &[&str]| {
        let flags = [&[out, "--shots", "3"][..], more].concat();
        document(folder.path(), &[&eval[..], &flags].concat())
    };
    let result = shots("a.jsonl", &["--shots-data", "train.jsonl"]);
    assert_eq!(result["prompt"]["style"], "few-shot");
    assert_eq!(result["prompt"]["shots"]["rows"].as_array().unwrap().len(), 3);
    let prompts = |out: &str| -> Vec<String> {
        let lines = lines(&folder.path().join(out));
        lines.iter().map(|line| line["prompt"].as_str().unwrap().to_owned()).collect()
    };
    let questions = |text: &str| -> Vec<String> {
        let entries = text.split("\n\n").map(|entry| entry.lines().next().unwrap().to_owned());
        entries.collect()
    };
    let all = prompts("a.jsonl");
    for prompt in &all {
        assert_eq!(prompt.matches("#### ").count(), 3);
        assert!(prompt.starts_with("Question: ") && prompt.ends_with("?\nAnswer:"), "{prompt}");
        assert_eq!(questions(prompt)[..3], questions(&all[0])[..3]);
        assert!(!questions(prompt)[..3].contains(&questions(prompt)[3]));
    }
    // The same file for both: what is measured, even behind the limit, is no example.
    let twice = fs::read_to_string(folder.path().join("test.jsonl")).unwrap() + &rows(100, 3);
    fs::write(folder.path().join("more.jsonl"), twice).unwrap();
    shots("b.jsonl", &["--shots-data", "more.jsonl", "--limit", "2"]);
    let rows_of = |prompt: &str| questions(prompt)[..3].to_vec();
    assert!(rows_of(&prompts("b.jsonl")[0]).iter().all(|row| row.contains("row 10")));
    let more = ["--shots", "4", "--shots-data", "more.jsonl"];
    let eval = [&GSM8K[..], &["test.jsonl", "--model", "ar"]].concat();
    let error = refused(folder.path(), &[&eval[..], &more].concat(), 2);
    assert!(error.contains("3 of 15 can be used; 12 repeat an item"), "{error}");
    let error = refused(folder.path(), &[&eval[..], &["--shots", "1"]].concat(), 2);
    assert!(error.contains("gsm8k needs --shots-data FILE"), "{error}");
    let sudoku = ["eval", "--task", "sudoku", "--model", "ar", "--shots", "1"];
    assert!(refused(folder.path(), &sudoku, 2).contains("sudoku has no few-shot prompts"));
}

#[test]
fn the_data_folder_is_found_by_its_variable() {
    let folder = workplace();
    fs::create_dir_all(folder.path().join("data/gsm8k")).unwrap();
    for file in ["test.jsonl", "train.jsonl"] {
        fs::copy(folder.path().join(file), folder.path().join("data/gsm8k").join(file)).unwrap();
    }
    let eval = |more: &[&str]| {
        let eval = ["eval", "--task", "gsm8k", "--model", "ar", "--gen-length", "2", "--json"];
        let mut command = program::command(folder.path(), &[&eval[..], more].concat());
        let output = command.env("AFTERTHOUGHT_DATA", "data").output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).ok(), stderr)
    };
    let (_, test, _) = eval(&["--shots", "2"]);
    let test = test.unwrap();
    assert_eq!((&test["data"], &test["items"]), (&"data/gsm8k/test.jsonl".into(), &12.into()));
    assert_eq!(test["prompt"]["shots"]["count"], 2);
    let (_, train, _) = eval(&["--split", "train"]);
    assert_eq!(train.unwrap()["items"], 20);
    let (code, _, stderr) = eval(&["--split", "validation"]);
    assert!(code == Some(2) && stderr.contains("no data file for the part validation"), "{stderr}");
}

#[test]
fn a_prefill_is_part_of_the_prompt_and_of_what_is_graded() {
    let folder = workplace();
    let eval = [&GSM8K[..], &["test.jsonl", "--model", "ar", "--gen-length", "4"]].concat();
    let prefill = ["--prefill", "<answer>7</answer>", "--out", "o.jsonl"];
    let result = document(folder.path(), &[&eval[..], &prefill].concat());
    assert_eq!(result["prompt"]["prefill"], "<answer>7</answer>");
    let lines = lines(&folder.path().join("o.jsonl"));
    assert!(lines.iter().all(|line| line["grades"]["strict"]["answer"] == "7"));
    assert!(!lines[0]["completion"].as_str().unwrap().starts_with("<answer>7"));
    let plain = document(folder.path(), &[&eval[..], &["--out", "plain.jsonl"]].concat());
    assert_eq!(plain["prompt"]["prefill"], "");
    let hash = |name: &str| workplace::lines(&folder.path().join(name))[0]["prompt_hash"].clone();
    assert_ne!(hash("o.jsonl"), hash("plain.jsonl"));
}

#[test]
fn wrong_data_is_named_by_file_line_and_key() {
    let folder = workplace();
    let good = rows(3, 1);
    let error = |text: &str, task: &str| {
        fs::write(folder.path().join("bad.jsonl"), text).unwrap();
        let eval = ["eval", "--task", task, "--data", "bad.jsonl", "--model", "nowhere"];
        refused(folder.path(), &eval, if text.trim().is_empty() { 2 } else { 1 })
    };
    // Found before the model is even looked for.
    let text = error(&format!("{good}\n{{\"question\": 5}}\n"), "gsm8k");
    assert!(
        text.contains("bad.jsonl:3") && text.contains("`question`: expected a string, found 5")
    );
    let text = error("{\"question\": \"?\", \"answer\": \"4\"}", "gsm8k");
    assert!(
        text.contains("bad.jsonl:1") && text.contains("`answer`: expected a solution"),
        "{text}"
    );
    let text = error(&good, "math500");
    assert!(text.contains("bad.jsonl:1") && text.contains("`problem`"), "{text}");
    let text = error(&good[..good.len() / 2], "gsm8k");
    assert!(text.contains("bad.jsonl:1") && text.contains("not valid JSON"), "{text}");
    assert!(error("\n", "gsm8k").contains("bad.jsonl holds no problems"));
    let missing = ["eval", "--task", "math500", "--model", "ar"];
    let text = refused(folder.path(), &missing, 2);
    assert!(
        text.contains("math needs --data FILE") && text.contains("math/math500.jsonl"),
        "{text}"
    );
}

#[test]
fn what_was_kept_can_be_graded_again_without_the_model() {
    let folder = workplace();
    for (task, more) in [
        ("gsm8k", &["--data", "test.jsonl", "--prefill", "7"][..]),
        ("gsm8k", &["--data", "test.jsonl", "--shots", "2", "--shots-data", "train.jsonl"]),
        ("sudoku", &["--limit", "9"]),
        ("countdown", &["--limit", "9"]),
    ] {
        let eval = ["eval", "--task", task, "--model", "ar", "--gen-length", "16"];
        let flags = ["--temperature", "1", "--samples", "3", "--out", "o.jsonl"];
        let made = document(folder.path(), &[&eval[..], &flags, more].concat());
        for profile in ["d1", "strict", "flexible"] {
            let grade = ["grade", "--task", task, "--profile", profile, "o.jsonl"];
            let graded = document(folder.path(), &grade);
            for key in ["total", "correct", "undecided", "score"] {
                assert_eq!(graded[key], made["profiles"][profile][key], "{task} {profile} {key}");
            }
        }
        fs::remove_file(folder.path().join("o.jsonl")).unwrap();
    }
}

#[test]
fn flags_of_the_other_kind_are_refused() {
    let folder = workplace();
    let refuse = |model: &str, flags: &[&str]| {
        let eval = [&GSM8K[..], &["test.jsonl", "--model", model], flags].concat();
        let error = refused(folder.path(), &eval, 2);
        let generate = ["generate", "--model", model, "--prompt", "a"];
        assert_eq!(refused(folder.path(), &[&generate[..], flags].concat(), 2), error);
        error
    };
    let error = refuse("ar", &["--steps", "4", "--cache", "exact"]);
    assert!(error.contains("--steps, --cache belong to masked-diffusion models"), "{error}");
    assert!(error.contains("ar is a model of the other kind, autoregressive"), "{error}");
    let error = refuse("dm", &["--top-k", "4"]);
    assert!(error.contains("--top-k belongs to autoregressive models"), "{error}");
    assert!(refuse("ar", &["--top-p", "0"]).contains("top_p is 0"));
    assert!(refuse("ar", &["--temperature", "-1"]).contains("temperature is -1"));
    assert!(refuse("ar", &["--batch", "0"]).contains("--batch is 0"));
    let long = [&GSM8K[..], &["test.jsonl", "--model", "ar", "--gen-length", "5000"]].concat();
    let error = refused(folder.path(), &long, 2);
    assert!(error.contains("item 0 has 29 tokens: with 5000 to generate that is 5029"), "{error}");
    let steps = ["generate", "--model", "ar", "--prompt", "a", "--show-steps"];
    assert!(ends(folder.path(), &steps, 2).1.contains("ar is autoregressive and has none"));
}

#[test]
fn a_causal_model_follows_its_generation_config() {
    let folder = workplace();
    let config = folder.path().join("ar/generation_config.json");
    let generate = ["generate", "--model", "ar", "--prompt", "what is 3 plus 4?"];
    let sampling = |flags: &[&str]| {
        document(folder.path(), &[&generate[..], flags].concat())["sampling"].clone()
    };
    assert_eq!(sampling(&["--max-tokens", "4"])["temperature"], 0.0);
    fs::write(
        &config,
        r#"{"do_sample": true, "temperature": 0.6, "top_k": 0, "top_p": 0.9,
                           "max_new_tokens": 5, "eos_token_id": [1, 7]}"#,
    )
    .unwrap();
    let read = sampling(&[]);
    assert_eq!((&read["temperature"], &read["top_p"]), (&0.6.into(), &0.9.into()));
    assert_eq!((&read["max_tokens"], &read["eos_ids"]), (&5.into(), &serde_json::json!([1, 7])));
    assert!(read.get("top_k").is_none());
    assert_eq!(sampling(&["--temperature", "0", "--top-k", "3"])["top_k"], 3);
    fs::write(&config, r#"{"do_sample": false, "temperature": 0.6, "top_p": 0.9}"#).unwrap();
    let read = sampling(&["--max-tokens", "4"]);
    assert_eq!((read["temperature"].as_f64(), read.get("top_p")), (Some(0.0), None));
    fs::write(&config, r#"{"eos_token_id": 9999}"#).unwrap();
    let error = refused(folder.path(), &generate, 2);
    assert!(error.contains("id 9999 is outside of the vocabulary"), "{error}");
}

/// The folder of the real data.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("AFTERTHOUGHT_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: AFTERTHOUGHT_DATA is unset");
    }
    folder
}

/// A model `real` that knows every character of some files.
fn real_model(folder: &Path, files: &[PathBuf]) {
    let mut characters: Vec<char> =
        "QuestionAnswerProblemSolution: \n#<>\\boxed{}".chars().collect();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            for key in ["question", "answer", "problem", "solution"] {
                characters.extend(row[key].as_str().unwrap_or("").chars());
            }
        }
    }
    characters.sort_unstable();
    characters.dedup();
    let alphabet: String = characters.into_iter().collect();
    let size = ["--hidden", "32", "--layers", "1", "--intermediate", "48", "--causal"];
    let new = ["model", "new", "--out", "real", "--alphabet", &alphabet];
    ends(folder, &[&new[..], &size].concat(), 0);
}

#[test]
fn the_published_files_are_measured() {
    let Some(data) = data() else { return };
    let folder = workplace();
    let [test, train, math] =
        ["gsm8k/test.jsonl", "gsm8k/train.jsonl", "math/math500.jsonl"].map(|file| data.join(file));
    real_model(folder.path(), &[test.clone(), train.clone(), math.clone()]);
    let [test, train, math] = [&test, &train, &math].map(|path| path.to_str().unwrap());
    for (task, file, limit, shots) in [
        ("gsm8k", test, "20", &[][..]),
        ("gsm8k", test, "4", &["--shots", "2", "--shots-data", train]),
        ("math500", math, "20", &[]),
        ("math500", math, "4", &["--shots", "1", "--shots-data", math, "--limit", "4"]),
    ] {
        let eval = ["eval", "--model", "real", "--task", task, "--data", file];
        let flags = ["--gen-length", "8", "--batch", "16"];
        // Examples out of the measured file itself are refused: all of it is measured.
        if shots.contains(&math) {
            let arguments = [&eval[..], &flags, shots].concat();
            assert!(refused(folder.path(), &arguments, 2).contains("0 of 500 can be used"));
            continue;
        }
        let arguments = [&eval[..], &flags, shots, &["--limit", limit]].concat();
        let result = document(folder.path(), &arguments);
        assert_eq!(result["items"].to_string(), limit);
        assert_eq!(result["task"], if task == "math500" { "math" } else { task });
    }
}

#[test]
fn examples_can_be_turns_of_a_conversation() {
    let folder = workplace();
    let template = "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}\n{% endfor %}<a>";
    let eval = [&GSM8K[..], &["test.jsonl", "--model", "ar", "--limit", "2", "--gen-length", "8"]];
    let shots = ["--shots", "2", "--shots-data", "train.jsonl"];
    let eval = [&eval.concat()[..], &shots].concat();
    let turns = [&eval[..], &["--few-shot-turns"]].concat();
    assert!(
        refused(folder.path(), &[&turns[..], &["-q"]].concat(), 2).contains("has no chat template")
    );
    fs::write(folder.path().join("ar/chat_template.jinja"), template).unwrap();
    let of = |arguments: &[&str], out: &str| {
        let result = document(folder.path(), &[arguments, &["--out", out]].concat());
        let lines = workplace::lines(&folder.path().join(out));
        (result["prompt"]["style"].clone(), lines[0]["prompt"].as_str().unwrap().to_owned())
    };
    let (style, listed) = of(&eval, "listed.jsonl");
    assert_eq!(style, "few-shot");
    let (style, prompt) = of(&turns, "turns.jsonl");
    assert_eq!(style, "few-shot turns");
    // The same examples and the same question, each under its speaker.
    let entries: Vec<&str> = listed.split("\n\n").collect();
    let mut expected = String::new();
    for entry in &entries[..2] {
        let (ask, worked) = entry.split_once("Answer: ").unwrap();
        expected += &format!("<u>{ask}Answer:\n<a>{worked}\n");
    }
    assert_eq!(prompt, format!("{expected}<u>{}\n<a>", entries[2]));
    let none = [&GSM8K[..], &["test.jsonl", "--model", "ar", "--few-shot-turns"]].concat();
    assert!(refused(folder.path(), &none, 2).contains("--shots is 0"));
}
