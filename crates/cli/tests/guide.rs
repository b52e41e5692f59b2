//! docs/guide.md, run as it stands: its files are written, its commands run in their order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A fenced block: the words behind the fence, and what it holds.
struct Block {
    language: String,
    file: Option<String>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```") else { continue };
        let mut words = words.split_whitespace().map(str::to_owned);
        let (language, file) = (words.next().unwrap_or_default(), words.next());
        let text = lines.by_ref().take_while(|line| *line != "```");
        let text = text.flat_map(|line| [line, "\n"]).collect();
        blocks.push(Block { language, file, text });
    }
    blocks
}

#[test]
fn the_guide_leads_to_a_trained_adapter() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md");
    let page = fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_afterthought"));
    if Command::new("python3").arg("--version").output().is_err() {
        println!("python3 is not here: the guide was not tried");
        return;
    }
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let mut said = Vec::new();
    for block in blocks(&page) {
        if let Some(file) = block.file {
            fs::write(folder.path().join(file), block.text).unwrap();
            continue;
        }
        if block.language != "sh" {
            continue;
        }
        for command in block.text.lines() {
            let output = Command::new("sh")
                .args(["-c", command])
                .current_dir(folder.path())
                .env("PATH", &path)
                .env("NO_COLOR", "1")
                .output()
                .unwrap();
            let [stdout, stderr] =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
            assert!(output.status.success(), "{command}: {stdout}\n{stderr}");
            if command.contains(" generate ") {
                said.push(stdout.trim().to_owned());
            }
        }
    }
    assert_eq!(said, ["seven", "7", "7"]);
    let metrics = fs::read_to_string(folder.path().join("runs/digits/metrics.jsonl")).unwrap();
    let rewards: Vec<f64> = (metrics.lines())
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["eval_reward"].as_f64()
        })
        .collect();
    let best = rewards.iter().copied().fold(f64::MIN, f64::max);
    assert!(rewards[0] < 0.3 && best > 1.0, "{rewards:?}");
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        assert!(folder.path().join("runs/digits/final").join(file).is_file(), "{file}");
    }
}
