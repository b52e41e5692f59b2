//! Rotary frequencies that grow with the length, token by token: tools/golden_dynamic_rope.py.

use super::KEY;
use afterthought_models::hub;
use afterthought_sampling::autoregressive::{AutoregressiveParams, Prompt, generate};
use serde_json::Value;
use std::path::Path;

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Keys in the cache keep the angles of the length at which they were written. The goldens tell that
/// from full passes, in which all keys have those of the last length.
#[test]
fn decoding_past_the_window_is_that_of_transformers() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(tests.join("tests/goldens/dynamic_rope.json")).unwrap();
    let goldens: Value = serde_json::from_slice(&text).unwrap();
    let model = tests.join("../models/tests/goldens/families/llama-dynamic");
    let model = hub::load_inference(&model).unwrap();
    let cases = goldens["cases"].as_array().unwrap();
    let prompts: Vec<Vec<u32>> = cases.iter().map(|case| ids(&case["prompt"])).collect();
    assert!(prompts.iter().any(|prompt| prompt.len() as u64 > goldens["window"].as_u64().unwrap()));
    for max_rows in [1, 8] {
        let prompts: Vec<Prompt<'_>> =
            prompts.iter().map(|tokens| Prompt { tokens, samples: &[0] }).collect();
        let most = ids(&cases[0]["completion"]).len();
        let params = AutoregressiveParams {
            temperature: 0.0,
            max_rows,
            ..AutoregressiveParams::new(most, Vec::new())
        };
        let result = generate(&model, &prompts, &params, KEY).unwrap();
        for (case, completions) in cases.iter().zip(&result.completions) {
            assert_eq!(completions[0].tokens, ids(&case["completion"]));
            assert_ne!(completions[0].tokens, ids(&case["full_passes"]));
        }
    }
}
