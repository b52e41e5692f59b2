use std::fs;

use serde_json::Value;

use crate::folder::{Folder, recipe};

#[test]
fn the_report_holds_curves_numbers_samples_and_asks_for_nothing() {
    let folder = Folder::new();
    folder.train("grpo", recipe(0.04), "complete", 10, 0.1);
    let output = folder.run(&["show", "grpo", "--report"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("wrote runs/grpo/report.html"));

    let run = folder.run_path("grpo");
    let report: Value =
        serde_json::from_str(&fs::read_to_string(run.join("report.json")).unwrap()).unwrap();
    assert_eq!(report["schema"], "afterthought.report/1");
    assert_eq!((&report["command"], &report["seed"]), (&"train diffu-grpo".into(), &7.into()));
    let points = report["curves"]["reward"]["series"][0]["points"].as_array().unwrap();
    assert_eq!(points.len(), 10);
    let rows = report["tables"]["numbers"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    // What was to get better comes first.
    assert_eq!(rows[0][0], "reward");
    assert_eq!(report["machine"]["processor"], "Example Processor");
    // Most and least of the last step, most and least of the first.
    assert_eq!(report["samples"].as_array().unwrap().len(), 4);
    assert!(report["hints"][0].as_str().unwrap().contains("loss is 0"));
    assert_eq!(report["recipe"]["objective"]["mu"], 4);

    let shown = folder.result(&["show", "grpo"]);
    assert!(shown.contains("runs/grpo/report.html") && !shown.contains("runs/grpo/final"));

    let html = fs::read_to_string(run.join("report.html")).unwrap();
    for request in ["http://", "https://", "<script", "<link", "<img", "@import", "url("] {
        assert!(!html.contains(request), "{request}");
    }
    assert!(html.contains("prefers-color-scheme: dark"));
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains('\u{1b}'));
}

#[test]
fn a_run_of_another_command_is_left_alone() {
    let folder = Folder::new();
    let run = folder.run_path("d1");
    fs::create_dir_all(run.join("stages")).unwrap();
    fs::write(run.join("request.json"), "{\"command\":\"reproduce d1\",\"recipe\":{}}").unwrap();
    assert!(folder.refused(&["show", "d1", "--report"]).contains("no run of `train`"));
    assert!(!run.join("report.json").exists());
}
