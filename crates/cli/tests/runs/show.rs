use serde_json::json;

use crate::folder::{Folder, recipe};

#[test]
fn a_run_is_found_by_name_and_by_path() {
    let folder = Folder::new();
    folder.train("grpo", recipe(0.04), "interrupted", 4, 0.1);
    let by_name = folder.result(&["show", "grpo"]);
    let by_path = folder.result(&["show", "runs/grpo"]);
    assert_eq!(by_name, by_path);
    for part in [
        "interrupted",
        "4 of 10",
        "checkpoints",
        "  afterthought train runs/grpo/recipe.toml --resume --out runs/grpo\n",
        "objective.beta",
        "hint: step 1: loss is 0 at the first inner update",
        "▁▃▆█",
    ] {
        assert!(by_name.contains(part), "{part}: {by_name}");
    }
}

#[test]
fn a_finished_run_is_not_to_be_continued() {
    let folder = Folder::new();
    folder.train("grpo", recipe(0.04), "complete", 10, 0.1);
    assert!(!folder.result(&["show", "grpo"]).contains("--resume"));
}

#[test]
fn one_metric_is_shown_value_by_value() {
    let folder = Folder::new();
    folder.train("grpo", recipe(0.04), "complete", 10, 0.1);
    let text = folder.result(&["show", "grpo", "--metric", "reward"]);
    assert!(text.contains("best 1.00 at step 10"), "{text}");
    let bars: Vec<usize> =
        text.lines().filter(|line| line.contains('█')).map(|l| l.matches('█').count()).collect();
    // A tenth more of 32 characters each step, in whole blocks.
    assert_eq!(bars, [3, 6, 9, 12, 16, 19, 22, 25, 28, 32]);
    let document = folder.document(&["show", "grpo", "--metric", "kl"]);
    assert_eq!(document["series"]["kl"][1], json!([2, 0.002]));
    assert_eq!(document["hints"][0]["id"], "loss-zero");
    assert_eq!(document["recipe"]["objective"]["beta"], 0.04);
}

#[test]
fn misspelt_names_are_put_right() {
    let folder = Folder::new();
    folder.train("countdown-grpo", recipe(0.04), "complete", 4, 0.1);
    let error = folder.refused(&["show", "countdown-gpro"]);
    assert_eq!(
        error,
        "error: there is no run countdown-gpro\nhint: did you mean countdown-grpo?\n"
    );
    let error = folder.refused(&["show", "run/countdown-grpo"]);
    assert!(error.contains("did you mean countdown-grpo?"), "{error}");
    let error = folder.refused(&["show", "countdown-grpo", "--metric", "rewrad"]);
    assert!(error.contains("hint: did you mean reward?"), "{error}");
    std::fs::create_dir(folder.run_path("photos")).unwrap();
    let error = folder.refused(&["show", "photos"]);
    assert!(error.contains("runs/photos is not a run: nothing of a run in it"), "{error}");
}
