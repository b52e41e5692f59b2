//! `data check`, `data preview` and conversations in `generate`, run as a program:
//!
//! - every bad row is a line `file:line:column: kind: message`, and the exit code is 1
//! - lengths and masks are those of the model's tokenizer and chat template
//! - wrong requests exit with 2 and name what is wrong
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use program::{document_of, ends, new_model};
use tempfile::TempDir;

const TEMPLATE: &str = "<bos>{% for m in messages %}{{ m.role[0] }}:{{ m.content }}<eos>{% endfor %}\
                        {% if add_generation_prompt %}a:{% endif %}";

/// A folder with a character-level model `model` of random weights and rows in `rows.jsonl`.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    new_model(folder.path(), "model", "abcdexyzsu: \n", &[]);
    let rows = "{\"prompt\": \"abc\", \"completion\": \"xy\"}\n\
                {\"prompt\": \"a\", \"completion\": \"z\\n\"}\n";
    fs::write(folder.path().join("rows.jsonl"), rows).unwrap();
    folder
}

#[test]
fn every_bad_row_is_a_line_and_a_count() {
    let folder = tempfile::tempdir().unwrap();
    let rows = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, \
                {\"role\": \"assistant\", \"content\": \"b\"}], \"id\": 7}\r\n\
                {\"messages\": [{\"role\": \"assistant\", \"content\": \"\\u001b[2J\"}]}\r\n\
                {\"prompt\": \"a\"}\n\n{\"messages\": [{\"role\": \"us";
    fs::write(folder.path().join("r.jsonl"), rows).unwrap();
    let (stdout, stderr) = ends(folder.path(), &["data", "check", "r.jsonl"], 1);
    let expected = "\
r.jsonl:1:97: carriage_return: the line ends with a carriage return and a line feed (so 2 lines)
r.jsonl:2:24: role_order: message 0 has the role `assistant`, which cannot begin a conversation
r.jsonl:3:1: mixed_formats: the row has prompt, line 1 has messages
r.jsonl:4:1: blank_line: the line is blank
r.jsonl:5:26: cut_last_line: the file ends in the middle of a row (EOF while parsing a string)
r.jsonl: 4 rows, 3 bad
  blank_line: 1
  carriage_return: 2
  cut_last_line: 1
  mixed_formats: 1
  role_order: 1
";
    assert_eq!(stdout, expected);
    assert!(stderr.starts_with("error: 3 of 4 rows are bad\nhint: "), "{stderr}");
    let skip = ["data", "check", "r.jsonl", "--on-bad-row", "skip"];
    assert_eq!(ends(folder.path(), &skip, 0), (expected.to_owned(), String::new()));
    let found = document_of(folder.path(), &["data", "check", "r.jsonl"], 1);
    assert_eq!((&found["rows"], &found["bad"]), (&4.into(), &3.into()));
    let problem = &found["files"][0]["problems"][1];
    assert_eq!((&problem["line"], &problem["kind"]), (&2.into(), &"role_order".into()));
    // Asked for prompts, the one conversation that was good is bad too, and the prompt is not.
    let prompts = [&skip[..], &["--format", "prompt"]].concat();
    assert!(ends(folder.path(), &prompts, 0).0.contains("r.jsonl: 4 rows, 3 bad"));
    let completions = [&skip[..], &["--format", "completion"]].concat();
    let (_, stderr) = ends(folder.path(), &completions, 1);
    assert_eq!(stderr, "error: r.jsonl has no row that can be used\n");
}

#[test]
fn lengths_are_those_of_the_model() {
    let folder = workplace();
    let check = ["data", "check", "rows.jsonl", "--model", "model", "--max-length", "6"];
    let found = document_of(folder.path(), &check, 0);
    let tokens = &found["files"][0]["tokens"];
    // <bos>abcxy<eos> and <bos>az\n<eos>; what is learnt is the completion and its end.
    assert_eq!((&tokens["longest"], &tokens["shortest"]), (&7.into(), &5.into()));
    assert_eq!((&tokens["total"], &tokens["learnt"]), (&12.into(), &6.into()));
    assert_eq!(tokens["longer"], 1);
    fs::write(folder.path().join("chat.jinja"), TEMPLATE).unwrap();
    // <bos>u:abc<eos>a:xy<eos> and <bos>u:a<eos>a:z\n<eos>.
    let chat = [&check[..], &["--template", "chat.jinja"]].concat();
    let tokens = &document_of(folder.path(), &chat, 0)["files"][0]["tokens"];
    assert_eq!((&tokens["longest"], &tokens["learnt"]), (&12.into(), &6.into()));
    assert!(ends(folder.path(), &chat, 0).0.contains("longer than 6 tokens: 2 rows\n"));
    // A word that the vocabulary lacks is a bad row.
    let more =
        "{\"prompt\": \"q\", \"completion\": \"x\"}\n{\"prompt\": \"a\", \"completion\": \"x\"}\n";
    fs::write(folder.path().join("rows.jsonl"), more).unwrap();
    let (stdout, _) = ends(folder.path(), &check, 1);
    let line = "rows.jsonl:1:1: not_encodable: byte 0: \"q\" is not in the vocabulary\n";
    assert!(stdout.starts_with(line), "{stdout}");
}

#[test]
fn previews_mark_what_is_learnt() {
    let folder = workplace();
    let preview = ["data", "preview", "rows.jsonl", "--model", "model"];
    let (stdout, _) = ends(folder.path(), &preview, 0);
    let expected = "[learnt] and (not learnt) tokens\n\n\
                    rows.jsonl:1: 7 tokens, 3 learnt\n(<bos>)(a)(b)(c)[x][y][<eos>]\n\n\
                    rows.jsonl:2: 5 tokens, 3 learnt\n(<bos>)(a)[z][↵]\n[<eos>]\n";
    assert_eq!(stdout, expected);
    fs::write(folder.path().join("model/chat_template.jinja"), TEMPLATE).unwrap();
    let one = [&preview[..], &["--rows", "1", "--ids"]].concat();
    let (stdout, _) = ends(folder.path(), &one, 0);
    let line = "(<bos>:0)(u:14)(::15)(a:5)(b:6)(c:7)(<eos>:1)(a:5)(::15)[x:10][y:11][<eos>:1]";
    assert_eq!(stdout.lines().last(), Some(line));
    let raw = document_of(folder.path(), &[&preview[..], &["--raw"]].concat(), 0);
    assert_eq!(raw["rows"][0]["ids"], serde_json::json!([0, 5, 6, 7, 10, 11, 1]));
    let (stdout, _) = ends(folder.path(), &[&one[..], &["--color", "always"]].concat(), 0);
    assert!(stdout.contains("\u{1b}[1;32mx:10\u{1b}[0m"), "{stdout}");
    // A template that breaks says where.
    fs::write(folder.path().join("broken.jinja"), "\n{{ messages[0].a.b }}").unwrap();
    let broken = [&preview[..], &["--template", "broken.jinja"]].concat();
    let (_, stderr) = ends(folder.path(), &broken, 1);
    assert!(
        stderr.contains("rows.jsonl:1") && stderr.contains("broken.jinja:2: undefined"),
        "{stderr}"
    );
}

#[test]
fn generate_asks_in_a_conversation_where_there_is_a_template() {
    let folder = workplace();
    let generate = |flags: &[&str]| {
        let asked = ["generate", "--model", "model", "--prompt", "abc", "--gen-length", "4"];
        let found = document_of(folder.path(), &[&asked[..], flags].concat(), 0);
        let [calls, forward] = ["model_calls", "forward_tokens"]
            .map(|key| found["generations"][0][key].as_u64().unwrap());
        // Tokens of the prompt.
        forward / calls - 4
    };
    assert_eq!(generate(&[]), 4);
    let refused = |flags: &[&str]| {
        let asked = ["generate", "--model", "model", "--prompt", "abc"];
        ends(folder.path(), &[&asked[..], flags].concat(), 2).1
    };
    assert!(refused(&["--chat"]).contains("model has no chat template\nhint: "));
    fs::write(folder.path().join("model/chat_template.jinja"), TEMPLATE).unwrap();
    // <bos>u:abc<eos>a: and, with a system turn, s:xy<eos> before it.
    assert_eq!(generate(&[]), 9);
    assert_eq!(generate(&["--chat"]), 9);
    assert_eq!(generate(&["--system", "xy"]), 14);
    assert_eq!(generate(&["--raw"]), 4);
    assert!(refused(&["--raw", "--system", "xy"]).contains("cannot be used with"));
}

#[test]
fn wrong_requests_are_refused() {
    let folder = workplace();
    let refused = |arguments: &[&str]| ends(folder.path(), arguments, 2).1;
    assert!(refused(&["data", "check", "row.jsonl"]).contains("did you mean rows.jsonl?"));
    assert!(refused(&["data", "check", "rows.jsonl", "--max-length", "3"]).contains("--model"));
    let preview = ["data", "preview", "rows.jsonl", "--model"];
    assert!(refused(&[&preview[..], &["."]].concat()).contains("has no tokenizer.json"));
    let both = [&preview[..], &["model", "--raw", "--template", "x"]].concat();
    assert!(refused(&both).contains("cannot be used with"));
    assert!(refused(&[&preview[..], &["model", "--rows", "0"]].concat()).contains("--rows is 0"));
    let turns = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, \
                 {\"role\": \"assistant\", \"content\": \"b\"}]}\n";
    fs::write(folder.path().join("turns.jsonl"), turns).unwrap();
    for command in ["check", "preview"] {
        let stderr = refused(&["data", command, "turns.jsonl", "--model", "model"]);
        assert!(stderr.contains("model has no chat template\nhint: give one with --template"));
    }
}

#[test]
fn a_broken_template_stands_in_the_way_of_conversations_only() {
    let folder = workplace();
    let template = folder.path().join("model/chat_template.jinja");
    let generate = ["generate", "--model", "model", "--prompt", "abc", "--gen-length", "8"];
    let plain = document_of(folder.path(), &generate, 0);
    // One that is malformed, and one that fails.
    for broken in ["{% if messages %}", "{{ raise_exception('never') }}"] {
        fs::write(&template, broken).unwrap();
        let raw = document_of(folder.path(), &[&generate[..], &["--raw"]].concat(), 0);
        assert_eq!(raw["generations"][0]["completion"], plain["generations"][0]["completion"]);
        let (stdout, stderr) = ends(folder.path(), &generate, 1);
        assert!(stdout.is_empty() && stderr.contains("chat_template.jinja"), "{stderr}");
        let preview = ["data", "preview", "rows.jsonl", "--model", "model"];
        ends(folder.path(), &[&preview[..], &["--raw"]].concat(), 0);
        ends(folder.path(), &preview, 1);
    }
}
