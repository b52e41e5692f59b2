//! Writes a run directory with invented numbers, to look at what shows runs and to check what
//! reads them: 300 steps of reinforcement learning, interrupted at step 221 and resumed from 200.
//!
//! `cargo run --release -p afterthought-runs --example invented_run -- DIR`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::fs;
use std::path::Path;

use afterthought_runs::log::{Completion, Notice, RunLog};
use serde_json::{Map, Value, json};

const STEPS: u64 = 300;

fn main() {
    let run = std::env::args_os().nth(1).expect("the directory to write");
    let run = Path::new(&run);
    fs::create_dir_all(run).unwrap();
    let recipe = recipe();
    let about = json!({
        "schema": "afterthought.run/1", "command": "train", "program": "0.1.0",
        "method": "diffu-grpo", "model": "models/base", "recipe": recipe,
        "created": "2026-11-27T09:14:03Z", "total_steps": STEPS,
    });
    write(run, "run.json", &about);
    fs::write(run.join("recipe.toml"), RECIPE).unwrap();
    for step in [100, 200, 300] {
        fs::create_dir_all(run.join(format!("checkpoints/step-{step:08}"))).unwrap();
    }
    log(run, None, 1..=221);
    log(run, Some(200), 201..=STEPS);
    write(
        run,
        "state.json",
        &json!({
            "status": "complete", "step": STEPS, "updated": "2026-11-27T10:02:41Z",
        }),
    );
}

const RECIPE: &str = "name = \"countdown-grpo\"\nseed = 7\n\n[method]\nname = \"diffu-grpo\"\n";

fn recipe() -> Value {
    json!({
        "name": "countdown-grpo", "seed": 7,
        "model": {"path": "models/base", "adapter": {"rank": 16, "targets": ["q", "k", "v", "o"]}},
        "data": {"path": "data/countdown.jsonl", "on_bad_row": "error"},
        "rollout": {"group_size": 8, "length": 64, "block_length": 32, "temperature": 0.9},
        "objective": {"beta": 0.04, "epsilon": 0.2, "mu": 4, "mask_prompt": 0.15},
        "optimizer": {"learning_rate": 3e-5, "warmup_steps": 10, "clip_norm": 0.2},
        "rewards": {"accuracy": {"weight": 1.0}, "format": {"weight": 0.2}},
    })
}

fn log(run: &Path, resume: Option<u64>, steps: std::ops::RangeInclusive<u64>) {
    let (mut log, notices) = RunLog::open(run, resume).unwrap();
    tell(notices);
    tell(log.text("recipe", &format!("```toml\n{RECIPE}```")));
    for step in steps {
        let values = numbers(step);
        let values: Vec<(&str, f64)> =
            values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        tell(log.scalars(step, &values));
        if step == 1 || step.is_multiple_of(50) {
            tell(log.completions(step, &completions(step)));
        }
    }
    assert_eq!(log.lost(), 0);
}

fn tell(notices: Vec<Notice>) {
    for notice in notices {
        eprintln!("{notice}");
    }
}

fn write(run: &Path, name: &str, value: &Value) {
    fs::write(run.join(name), serde_json::to_string_pretty(value).unwrap() + "\n").unwrap();
}

/// Noise in -1..1 that is the same in every run.
fn noise(step: u64, salt: u64) -> f64 {
    let mut bits =
        step.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd1b5_4a32_d192_ed03);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 32;
    (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn numbers(step: u64) -> Vec<(String, f64)> {
    let x = step as f64;
    let learnt = 1.0 - (-x / 90.0).exp();
    let accuracy = (0.12 + 0.58 * learnt + 0.07 * noise(step, 1)).clamp(0.0, 1.0);
    let format = (0.55 + 0.44 * (1.0 - (-x / 25.0).exp()) + 0.03 * noise(step, 2)).clamp(0.0, 1.0);
    let first = step == 1;
    let spike = if step == 143 { 14.0 } else { 0.0 };
    let mut values = vec![
        ("loss", if first { 0.0 } else { 0.004 * noise(step, 3) + 0.0005 * x / 300.0 }),
        ("reward", accuracy + 0.2 * format),
        ("reward_std", 0.42 - 0.2 * learnt + 0.03 * noise(step, 4)),
        ("rewards/accuracy/mean", accuracy),
        ("rewards/format/mean", format),
        (
            "frac_reward_zero_std",
            (0.3 + 0.55 * learnt * learnt + 0.1 * noise(step, 5)).clamp(0.0, 1.0),
        ),
        ("completions/mean_length", 58.0 - 18.0 * learnt + 2.0 * noise(step, 6)),
        ("completions/min_length", 21.0 + 3.0 * noise(step, 7)),
        ("completions/max_length", 64.0),
        (
            "completions/clipped_ratio",
            (0.36 - 0.34 * learnt + 0.04 * noise(step, 8)).clamp(0.0, 1.0),
        ),
        ("kl", if first { 0.0 } else { 0.11 * learnt + 0.01 * noise(step, 9).abs() }),
        ("clip_ratio", (0.02 + 0.02 * noise(step, 10)).max(0.0)),
        ("grad_norm", 0.9 - 0.4 * learnt + 0.15 * noise(step, 11) + spike),
        ("learning_rate", 3e-5 * (x / 10.0).min(1.0) * (1.0 - x / 320.0)),
        ("num_tokens", 20_480.0 * x),
        ("step_time", 8.1 + 0.4 * noise(step, 12)),
    ];
    if step.is_multiple_of(25) {
        values.push(("eval_reward", 0.14 + 0.72 * learnt));
    }
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn completions(step: u64) -> Vec<Completion> {
    let solved =
        "<reasoning>\n7 * 3 = 21\n21 + 4 = 25\n</reasoning>\n<answer>\n7 * 3 + 4\n</answer>";
    let wrong = "<reasoning>\n7 + 3 = 10\n10 * 4 = 40, too large\n7 + 3 + 4 = 14\n</reasoning>\n\
                 <answer>\n7 + 3 * 4\n</answer>";
    let cut_off = "<reasoning>\n7 * 3 = 21\n7 * 4 = 28\n3 * 4 = 12\n28 - 3 = 25, but then 7 * 4 - 3 = 25 uses";
    let problems = [("3, 4, 7", 25), ("2, 5, 9", 43), ("1, 6, 8", 14)];
    let mut all = Vec::new();
    for (index, (numbers, target)) in problems.iter().enumerate() {
        let prompt = format!(
            "Using the numbers {numbers}, create an expression that equals {target}.\n\
             Respond with <reasoning> and <answer>."
        );
        for sample in 0..8u64 {
            let luck = noise(step + 31 * index as u64, 20 + sample);
            let skill = 1.4 * (1.0 - (-(step as f64) / 90.0).exp()) - 0.7;
            let (text, accuracy, format) = match luck {
                luck if luck < skill => (solved, 1.0, 1.0),
                luck if luck < 0.8 => (wrong, 0.0, 1.0),
                _ => (cut_off, 0.0, 0.0),
            };
            all.push(Completion {
                prompt: prompt.clone(),
                completion: text.to_owned(),
                reward: Some(accuracy + 0.2 * format),
                parts: Map::from_iter([
                    ("accuracy".to_owned(), json!(accuracy)),
                    ("format".to_owned(), json!(format)),
                ]),
                more: Map::new(),
            });
        }
    }
    all
}
