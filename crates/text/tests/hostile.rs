//! Templates, rows and files that mean harm or are broken: a typed error, soon, and no panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use afterthought_text::{BadRows, ChatTemplate, Dataset, Encoder, Error, Message, Rows};
use proptest::prelude::*;

fn outcome(source: &str) -> Result<String, Error> {
    let messages = [Message::new("user", "hi")];
    ChatTemplate::from_source("t.jinja", source)?.render(&messages, &[], false)
}

fn error(source: &str) -> Error {
    match outcome(source) {
        Err(error) => error,
        Ok(text) => panic!("{source}: {} bytes", text.len()),
    }
}

#[test]
fn templates_that_do_not_end() {
    let nested = "{% for a in range(9999) %}".repeat(3) + "x" + &"{% endfor %}".repeat(3);
    let growing = "{% set ns = namespace(x='x' * 1000000) %}{% for i in range(1000) %}{{ ns.x }}\
                   {% endfor %}";
    let captured = "{% set ns = namespace(x='x' * 1000000) %}{% set y %}{% for i in range(1000) %}\
                    {{ ns.x }}{% endfor %}{% endset %}";
    let wide = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}\
                {% endfor %}{{ ns.x }}";
    for source in [&nested, growing, captured, wide] {
        assert!(matches!(error(source), Error::Unbounded { .. }), "{source}: {}", error(source));
    }
    let json = wide.replace("{{ ns.x }}", "{{ ns.x | tojson }}");
    assert!(error(&json).to_string().contains("tojson of more than"), "{}", error(&json));
}

#[test]
fn templates_that_nest_without_end() {
    let macros = "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}";
    assert!(error(macros).to_string().contains("recursion"), "{}", error(macros));
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    let lists = format!("{{{{ {}1{} }}}}", "[".repeat(50_000), "]".repeat(50_000));
    let ifs = "{% if true %}".repeat(20_000) + &"{% endif %}".repeat(20_000);
    for source in [parens, lists, ifs] {
        assert!(matches!(error(&source), Error::Template { .. }), "{}", error(&source));
    }
    // A value as deep as fuel lets it be, dropped and printed.
    let chain = "{% set ns = namespace(x=[]) %}{% for i in range(60000) %}{% set ns.x = [ns.x] %}\
                 {% endfor %}";
    assert!(outcome(chain).is_ok_and(|text| text.is_empty()));
    let printed = outcome(&format!("{chain}{{{{ ns.x }}}}"));
    assert!(printed.is_ok_and(|text| text.len() == 120_002));
}

#[test]
fn templates_that_are_wrong_say_where() {
    for (source, expected) in [
        ("a\n{% if %}", "t.jinja:2: syntax error: "),
        ("{{ 'a }}", "t.jinja:1: syntax error: "),
        ("\r\n\r\n{% for x in messages %}", "t.jinja:3: syntax error: "),
        ("a\n{% generation %}", "t.jinja:2: `generation` without its partner"),
        ("{% endgeneration %}", "t.jinja:1: `endgeneration` without its partner"),
        ("\n{{ messages[0].a.b }}", "t.jinja:2: undefined value"),
        ("\n\n{{ nobody.knows }}", "t.jinja:3: undefined value"),
        ("{{ messages[0].content.fly() }}", "t.jinja:1: unknown method: string has no method fly"),
        ("{{ 1 | fly }}", "t.jinja:1: unknown filter: "),
        ("{{ fly(1) }}", "t.jinja:1: unknown function: "),
        ("{{ 1 / 0 }}", "t.jinja:1: invalid operation: "),
        ("{{ nobody | tojson }}", "t.jinja:1: could not serialize to value: "),
        ("{{ range(10000000) }}", "t.jinja:1: invalid operation: range has too many elements"),
        ("{{ strftime_now('%Q') }}", "t.jinja:1: invalid operation: strftime_now does not know %Q"),
        ("{% include 'x' %}", "t.jinja:1: template not found: "),
        (
            "\n{{ raise_exception('no ' + messages[0].role) }}",
            "t.jinja:2: the template refuses these messages: no user",
        ),
    ] {
        let error = error(source).to_string();
        assert!(error.starts_with(expected), "{source:?}: {error}");
    }
    let template = ChatTemplate::from_source("t", "x").unwrap();
    assert!(matches!(template.render(&[], &[], true), Err(Error::EmptyChat)));
    let long = "x".repeat((1 << 20) + 1);
    assert!(error(&long).to_string().contains("longer than"));
}

#[test]
fn line_ends_of_every_kind_are_line_feeds() {
    let text = outcome("a\r\nb\rc\n{% if true %}\r\nd{% endif %}\r\n").unwrap();
    assert_eq!(text, "a\nb\nc\nd");
}

#[test]
fn directories_without_or_with_broken_templates() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("tokenizer_config.json");
    let load = || ChatTemplate::load(dir.path());
    assert!(matches!(load(), Err(Error::NoTemplate { .. })));
    for (text, expected) in [
        ("[]", "not a JSON object"),
        ("{\"chat_template\": 1}", "neither a string nor a list"),
        ("{\"chat_template\": [{\"name\": \"default\"}]}", "no name or template"),
        (
            "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"\"}]}",
            "none of the chat templates",
        ),
        ("{\"chat_template\": \"{% if %}\"}", "tokenizer_config.json (chat_template):1: syntax"),
    ] {
        fs::write(&config, text).unwrap();
        let error = load().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("tokenizer_config.json"), "{error}");
    }
    // The file of its own wins, and takes the special tokens of the other.
    let text = "{\"chat_template\": \"old\", \"bos_token\": {\"content\": \"<s>\"}, \
                \"add_bos_token\": true, \"eos_token\": null}";
    fs::write(&config, text).unwrap();
    fs::write(dir.path().join("special_tokens_map.json"), "{\"eos_token\": \"</s>\"}").unwrap();
    fs::write(dir.path().join("chat_template.jinja"), "{{ bos_token }}new{{ eos_token }}").unwrap();
    let messages = [Message::new("user", "hi")];
    assert_eq!(load().unwrap().render(&messages, &[], false).unwrap(), "<s>new</s>");
    fs::write(dir.path().join("chat_template.jinja"), b"\xff").unwrap();
    assert!(load().unwrap_err().to_string().ends_with("byte 0 is not UTF-8"));
}

#[test]
fn the_template_for_tools_is_used_with_tools() {
    let dir = tempfile::tempdir().unwrap();
    let config = "{\"chat_template\": [{\"name\": \"default\", \"template\": \"plain\"}, \
                  {\"name\": \"tool_use\", \"template\": \"{{ tools | length }} tools\"}]}";
    fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
    let template = ChatTemplate::load(dir.path()).unwrap();
    let messages = [Message::new("user", "hi")];
    assert_eq!(template.render(&messages, &[], false).unwrap(), "plain");
    assert_eq!(template.render(&messages, &[1.into()], false).unwrap(), "1 tools");
}

#[test]
fn tokenizers_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    for bytes in [&b""[..], b"{", b"[1]", b"\xff", b"{\"version\": \"9\"}"] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(Encoder::load(dir.path()), Err(Error::Tokenizer { .. })));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(Encoder::load(dir.path()), Err(Error::Io { .. })));
}

/// Bytes that come near to being a JSONL file.
fn nearly_jsonl() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"{\"prompt\":\"a\"}".to_vec()),
        Just(b"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}".to_vec()),
        Just(b",{\"role\":\"assistant\",\"content\":\"y\"}]}".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just("\u{2028}".as_bytes().to_vec()),
        Just(b"\\ud800\"\0[[{:".to_vec()),
        prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_line_is_a_record_or_a_problem(bytes in nearly_jsonl(), cap in 1usize..200) {
        let rows: Vec<_> =
            Rows::new(&bytes[..], "f").line_cap(cap).map(Result::unwrap).collect();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').count();
        prop_assert_eq!(rows.len(), lines);
        for (row, line) in rows.iter().zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            prop_assert!(row.record.is_some() || !row.problems.is_empty());
            prop_assert!(row.record.is_none() || row.fatal().is_none());
            for problem in &row.problems {
                prop_assert_eq!(problem.line, row.line);
                prop_assert!(problem.column >= 1 && problem.column <= line.len() + 1);
            }
        }
        let all = Dataset::read(Rows::new(&bytes[..], "f"), BadRows::Skip).unwrap();
        let strict = Dataset::read(Rows::new(&bytes[..], "f"), BadRows::Refuse);
        prop_assert_eq!(strict.is_ok(), all.skipped == 0);
    }

    #[test]
    fn any_template_ends(source in "[{}%# a-z'\"()|.\\[\\]\n-]{0,60}") {
        let _ = outcome(&source);
    }
}
