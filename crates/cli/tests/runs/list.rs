use std::fs;

use crate::folder::{Folder, recipe};

#[test]
fn runs_are_listed_and_everything_else_is_named() {
    let folder = Folder::new();
    folder.train("first", recipe(0.04), "complete", 4, 0.1);
    folder.train("second", recipe(0.0), "running", 3, 0.2);
    folder.train("torn", recipe(0.0), "complete", 1, 0.0);
    fs::write(folder.run_path("torn").join("run.json"), "{\"schema\":").unwrap();
    fs::create_dir(folder.run_path("photos")).unwrap();

    let text = folder.result(&["list"]);
    let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
    for part in
        ["train diffu-grpo", "countdown", "models/base", "complete", "4 of 10", "reward 0.4000"]
    {
        assert!(line("first").contains(part), "{part}: {text}");
    }
    // No process holds it any more.
    assert!(line("second").contains("interrupted"), "{text}");
    assert!(line("torn").starts_with("not a run: torn: run.json: EOF"), "{text}");
    assert_eq!(line("photos"), "not a run: photos: nothing of a run in it");

    let document = folder.document(&["list", "runs"]);
    assert_eq!(document["runs"].as_array().unwrap().len(), 2);
    assert_eq!(document["runs"][0]["name"], "first");
    assert_eq!(document["runs"][1]["state"], "interrupted");
    assert_eq!(document["runs"][1]["metrics"][1]["name"], "reward");
    assert_eq!(document["others"][0]["reason"], "nothing of a run in it");
}

#[test]
fn an_empty_folder_and_one_that_is_not_there() {
    let folder = Folder::new();
    assert_eq!(folder.result(&["list"]), "no runs in runs\n");
    assert!(folder.refused(&["list", "rusn"]).contains("hint: did you mean runs?"));
    fs::write(folder.path().join("file"), "").unwrap();
    assert!(folder.refused(&["list", "file"]).contains("is a file, not a directory"));
}
