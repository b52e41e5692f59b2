use serde_json::json;

use crate::folder::{Folder, recipe};

#[test]
fn what_differs_is_shown_and_what_does_not_is_left_out() {
    let folder = Folder::new();
    folder.train("a", recipe(0.04), "complete", 4, 0.1);
    folder.train("b", recipe(0.0), "interrupted", 2, 0.3);
    let text = folder.result(&["compare", "a", "b"]);
    assert!(text.contains("objective.beta"), "{text}");
    assert!(!text.contains("objective.mu") && !text.contains("seed"), "{text}");
    assert!(text.contains("at step 2, the last of all"), "{text}");

    let document = folder.document(&["compare", "a", "runs/b"]);
    assert_eq!(document["runs"], json!(["a", "b"]));
    assert_eq!(document["settings"], json!([{"key": "objective.beta", "values": [0.04, 0.0]}]));
    assert_eq!(document["common_step"], 2);
    let metrics = document["metrics"].as_array().unwrap();
    let reward = metrics.iter().find(|metric| metric["name"] == "reward").unwrap();
    assert_eq!(reward["last"], json!([0.4, 0.6]));
    assert_eq!(reward["at_common_step"], json!([0.2, 0.6]));
    assert_eq!(reward["best"][0], json!({"step": 4, "value": 0.4}));
    // A policy loss is neither better nor worse.
    let loss = metrics.iter().find(|metric| metric["name"] == "loss").unwrap();
    assert_eq!(loss["best"], json!([null, null]));
    let rows = &document["series"][0]["rows"];
    assert_eq!(document["series"][0]["name"], "reward");
    assert_eq!(rows[1], json!({"step": 2, "values": [0.2, 0.6]}));
    assert_eq!(rows[3], json!({"step": 4, "values": [0.4, null]}));
}

#[test]
fn the_same_recipe_twice_and_too_few_runs() {
    let folder = Folder::new();
    folder.train("a", recipe(0.04), "complete", 4, 0.1);
    folder.train("b", recipe(0.04), "complete", 4, 0.1);
    let text = folder.result(&["compare", "a", "b", "--metric", "kl"]);
    assert!(text.contains("the recipes are the same"), "{text}");
    assert!(text.contains("kl at step") && !text.contains("the last of all"), "{text}");
    assert!(folder.refused(&["compare", "a"]).contains("2 values required"));
    assert!(folder.refused(&["compare", "a", "b", "--metric", "x"]).contains("there are kl, loss"));
}
