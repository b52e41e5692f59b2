use serde_json::{Map, json};

use super::document::{Better, Cell, Claim, Curve, Report, Sample, Series, Table, Unit};
use super::machine::Machine;

/// A report that uses every part of the schema, with invented numbers, for tests and for looking
/// at the page.
pub(super) fn example() -> Report {
    let mut report = Report::new("reproduce d1", "laptop", 42);
    report.machine = Machine {
        processor: Some("Example Processor 8000 @ 2.60GHz".into()),
        cores: Some(2),
        memory_bytes: Some(8 << 30),
        os: "linux x86_64".into(),
        features: ["avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16"].map(String::from).into(),
    };
    report.elapsed_s = 1153.0;
    report.summary = Some(
        "Invented numbers. Four variants of one masked-diffusion model, trained from nothing on \
         4×4 Sudoku and measured on 512 puzzles whose solutions no variant has seen."
            .into(),
    );
    report.tables.insert("main_results", main_results());
    report.tables.insert("cost", cost());
    report.claims = claims();
    report.curves.insert("training_reward", rewards());
    report.curves.insert("pre-training_loss", losses());
    report.samples = samples();
    report.warnings = vec![
        "12 of 4096 training traces were longer than the context and were left out.".into(),
        "The ablation without prompt masking was not run (add --ablations).".into(),
    ];
    report.hints = vec!["Step 1: loss is 0 and that is as it should be.".into()];
    let recipe = json!({
        "model": {"hidden": 96, "layers": 3, "heads": 4, "intermediate": 256},
        "sft": {"steps": 150, "learning_rate": 3e-4, "batch": 64},
        "rl": {"steps": 300, "group": 8, "mu": 8, "beta": 0.04, "epsilon": 0.5,
               "mask_prompt": 0.15, "blocks": [8, 8, 8, 8]},
    });
    report.recipe = recipe.as_object().cloned().unwrap_or_default();
    report
}

fn estimate(value: f64, half: f64) -> Cell {
    Cell::Estimate { value, low: value - half, high: value + half }
}

fn main_results() -> Table {
    let columns = ["model", "cells", "exact", "format", "exact at T = 0.8", "tokens"];
    let rows = [
        ("base", 0.732, 0.164, 0.981, 0.121, 31.2),
        ("+ SFT", 0.834, 0.482, 0.998, 0.402, 30.8),
        ("+ diffu-GRPO", 0.801, 0.351, 1.0, 0.334, 29.9),
        ("+ SFT + diffu-GRPO (d1)", 0.871, 0.616, 1.0, 0.571, 30.1),
    ];
    let mut table = Table {
        columns: columns.map(String::from).into(),
        rows: rows
            .map(|(model, cells, exact, format, warm, tokens)| {
                vec![
                    model.into(),
                    estimate(cells, 0.011),
                    estimate(exact, 0.043),
                    Cell::Number(format),
                    estimate(warm, 0.041),
                    Cell::Number(tokens),
                ]
            })
            .into(),
        caption: Some(
            "Greedy decoding on 512 unseen puzzles with 8 empty cells; 95 % intervals over puzzles."
                .into(),
        ),
        ..Table::default()
    };
    for column in ["cells", "exact", "format", "exact at T = 0.8"] {
        table.better.insert(column, Better::Higher);
        table.units.insert(column, Unit::Percent);
    }
    table
}

fn cost() -> Table {
    let mut table = Table {
        columns: ["stage", "steps", "tokens", "time", "tokens/s"].map(String::from).into(),
        rows: vec![
            vec![
                "pre-training".into(),
                Cell::Count(1800),
                Cell::Count(11_520_000),
                Cell::Number(412.0),
                Cell::Count(27_961),
            ],
            vec![
                "supervised fine-tuning".into(),
                Cell::Count(150),
                Cell::Count(480_000),
                Cell::Number(17.5),
                Cell::Count(27_428),
            ],
            vec![
                "diffu-GRPO".into(),
                Cell::Count(300),
                Cell::Count(921_600),
                Cell::Number(655.0),
                Cell::Missing,
            ],
        ],
        caption: Some("Where the time went.".into()),
        ..Table::default()
    };
    table.units.insert("time", Unit::Seconds);
    table
}

fn claims() -> Vec<Claim> {
    let claim = |id: &str, statement: &str, holds, evidence: serde_json::Value| Claim {
        id: id.into(),
        statement: statement.into(),
        holds,
        evidence: evidence.as_object().cloned().unwrap_or_default(),
    };
    vec![
        claim(
            "d1-best",
            "SFT followed by diffu-GRPO beats every other variant.",
            true,
            json!({"gain_over_SFT": {"value": 0.134, "low": 0.081, "high": 0.187}, "puzzles": 512,
                   "test": "paired bootstrap"}),
        ),
        claim(
            "rl-beats-base",
            "diffu-GRPO alone beats the base model.",
            true,
            json!({"gain": {"value": 0.187, "low": 0.135, "high": 0.239}, "puzzles": 512}),
        ),
        claim(
            "rl-beats-sft",
            "diffu-GRPO alone beats SFT alone.",
            false,
            json!({"gain": {"value": -0.131, "low": -0.188, "high": -0.074}, "puzzles": 512}),
        ),
    ]
}

/// A smooth saturating curve with a little deterministic ripple.
fn rising(name: &str, from: f64, to: f64, speed: f64) -> Series {
    let point = |step: u32| {
        let x = f64::from(step) * 15.0;
        let y = from + (to - from) * (1.0 - (-x / speed).exp()) + 0.008 * (x / 17.0).sin();
        [x, y, y - 0.03, y + 0.03]
    };
    Series { name: name.into(), points: (0..=20).map(point).collect() }
}

fn rewards() -> Curve {
    Curve {
        x_label: "optimiser step".into(),
        y_label: "mean reward of a rollout".into(),
        series: vec![
            rising("diffu-GRPO", 0.52, 0.79, 120.0),
            rising("SFT + diffu-GRPO", 0.71, 0.90, 90.0),
            rising("no prompt masking", 0.52, 0.72, 140.0),
        ],
    }
}

fn losses() -> Curve {
    let point = |step: u32| {
        let x = f64::from(step) * 12.0;
        let y = 0.35 + 2.2 * (-x / 300.0).exp() + 0.03 * (x / 31.0).sin();
        [x, y, y, y]
    };
    let points = (0..=150).map(point).collect();
    let series = vec![Series { name: "cross-entropy on masked tokens".into(), points }];
    Curve { x_label: "step".into(), y_label: "nats per token".into(), series }
}

fn samples() -> Vec<Sample> {
    let sample = |title: &str, prompt: &str, variant: &str, text: &str, reward, verdict: &str| {
        let mut more = Map::new();
        more.insert("verdict".into(), verdict.into());
        Sample {
            title: title.into(),
            variant: variant.into(),
            prompt: prompt.into(),
            text: text.into(),
            reward: Some(reward),
            more,
        }
    };
    let easy = "3 0 | 0 2\n0 2 | 3 0\n----+----\n2 0 | 0 3\n0 3 | 2 0";
    let hard = "0 0 | 4 0\n4 0 | 0 1\n----+----\n0 4 | 0 0\n0 0 | 2 4";
    let good = "<reasoning>\nr1c2=4 r1c3=1 r2c1=1 r2c4=4\nr3c2=1 r3c3=4 r4c1=4 r4c4=1\n\
                </reasoning>\n<answer>\n3412 1234 2143 4321\n</answer>";
    let lazy = "<answer>\n3412 1234 2141 4323\n</answer>";
    vec![
        sample("A puzzle that RL learned", easy, "base", lazy, 0.5, "wrong"),
        sample("A puzzle that RL learned", easy, "SFT", good, 1.0, "correct"),
        sample("A puzzle that RL learned", easy, "d1", good, 1.0, "correct"),
        sample("A puzzle that nobody solves", hard, "base", "<answer>\n1243", 0.0, "no_answer"),
        sample("A puzzle that nobody solves", hard, "SFT", lazy, 0.25, "wrong"),
        sample("A puzzle that nobody solves", hard, "d1", lazy, 0.375, "wrong"),
    ]
}
