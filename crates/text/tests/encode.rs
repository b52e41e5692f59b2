//! From rows to tokens with a loss mask: where rows begin and end, and what is learnt.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use afterthought_text::{
    ChatTemplate, Content, Encoded, Encoder, Error, Message, Record, SpecialInContent,
    SpecialTokens, Tokenizer, Warning, char_level,
};

/// Letters, and `ab` as one token. Ids: 0 `<bos>`, 1 `<eos>`, 2 `<unk>`, then a, b, c, x, ab.
fn tokenizer(post_processor: &str) -> Tokenizer {
    let special = |id: u32, content: &str| {
        format!(
            r#"{{"id": {id}, "content": "{content}", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}}"#
        )
    };
    let added = [special(0, "<bos>"), special(1, "<eos>"), special(2, "<unk>")].join(",");
    Tokenizer::from_bytes(format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [{added}],
            "normalizer": null, "pre_tokenizer": null, "post_processor": {post_processor},
            "decoder": {{"type": "Fuse"}},
            "model": {{"type": "BPE", "dropout": null, "unk_token": "<unk>",
                "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
                "byte_fallback": false, "merges": ["a b", "< e", "<e o"],
                "vocab": {{"<bos>": 0, "<eos>": 1, "<unk>": 2, "a": 3, "b": 4, "c": 5, "x": 6,
                    "ab": 7, "<": 8, "e": 9, "o": 10, "s": 11, ">": 12, "<e": 13, "<eo": 14}}}}}}"#
    ))
    .unwrap()
}

const ADDS_BOS: &str = r#"{"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<bos>": {"id": "<bos>", "ids": [0], "tokens": ["<bos>"]}}}"#;

fn row(prompt: &str, completion: &str) -> Record {
    let content = Content::Completion { prompt: prompt.into(), completion: completion.into() };
    Record { content, ..Record::prompt("") }
}

fn mask(encoded: &Encoded) -> String {
    encoded.loss_mask.iter().map(|trained| if *trained { '1' } else { '0' }).collect()
}

#[test]
fn a_row_without_template_begins_and_ends_once() {
    let encoder = Encoder::new(tokenizer("null"), Some(0), Some(1));
    let encoded = encoder.record(&row("ac", "xb")).unwrap();
    assert_eq!(
        (encoded.ids.as_slice(), mask(&encoded).as_str()),
        (&[0, 3, 5, 6, 4, 1][..], "000111")
    );
    assert_eq!((encoded.offsets[0], encoded.offsets[5]), ((0, 0), (4, 4)));
    assert_eq!(encoded.warnings, []);
    let spelt = encoder.record(&row("<bos>ac", "xb<eos>")).unwrap();
    assert_eq!((spelt.ids, spelt.loss_mask), (encoded.ids, encoded.loss_mask));
    let prompt = encoder.record(&Record::prompt("ac")).unwrap();
    assert_eq!((prompt.ids.as_slice(), prompt.trained()), (&[0, 3, 5][..], 0));
    assert_eq!(prompt.warnings, []);
    let turns = Content::Messages(vec![Message::new("user", "a"), Message::new("assistant", "b")]);
    let turns = Record { content: turns, ..Record::prompt("") };
    assert!(matches!(encoder.record(&turns), Err(Error::NoTemplate { .. })));
}

#[test]
fn a_token_across_the_edge_is_learnt_and_counted() {
    let encoder = Encoder::new(tokenizer("null"), None, None);
    let encoded = encoder.record(&row("ca", "bc")).unwrap();
    assert_eq!((encoded.ids.as_slice(), mask(&encoded).as_str()), (&[5, 7, 5][..], "011"));
    assert_eq!(encoded.warnings, [Warning::StraddlingTokens(1), Warning::MissingEos]);
}

#[test]
fn what_the_vocabulary_cannot_say_is_counted() {
    let encoder = Encoder::new(tokenizer("null"), None, Some(1));
    let encoded = encoder.record(&row("a{}", "b")).unwrap();
    assert_eq!(encoded.warnings, [Warning::UnknownTokens(2)]);
}

fn chat(source: &str, post_processor: &str) -> Encoder {
    let template = ChatTemplate::from_source("t", source).unwrap();
    Encoder::new(tokenizer(post_processor), Some(0), Some(1)).with_template(Some(template))
}

#[test]
fn a_conversation_has_the_begin_token_of_its_template_only() {
    let body = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<eos>{% endif %}\
                {% endfor %}";
    for (start, processor, ids, warnings) in [
        ("<bos>", "null", &[0, 5, 6, 1][..], &[][..]),
        ("<bos>", ADDS_BOS, &[0, 5, 6, 1], &[]),
        ("", ADDS_BOS, &[5, 6, 1], &[Warning::MissingBos]),
        ("", "null", &[5, 6, 1], &[]),
        ("<bos><bos>", "null", &[0, 0, 5, 6, 1], &[Warning::RepeatedBos]),
    ] {
        let encoded = chat(&format!("{start}{body}"), processor).record(&row("c", "x")).unwrap();
        assert_eq!((encoded.ids.as_slice(), encoded.warnings.as_slice()), (ids, warnings));
        assert!(mask(&encoded).ends_with("011"));
    }
}

#[test]
fn a_template_without_end_token_is_named() {
    let encoder = chat("{% for m in messages %}{{ m.content }}{% endfor %}", "null");
    let encoded = encoder.record(&row("c", "x")).unwrap();
    assert_eq!(
        (mask(&encoded).as_str(), &encoded.warnings[..]),
        ("01", &[Warning::MissingEos][..])
    );
    assert_eq!(encoder.end_of_turn().unwrap(), None);
    let silent =
        chat("{% for m in messages %}{{ m.role[0] | replace('u', 'c') }}{% endfor %}", "null");
    assert!(matches!(silent.record(&row("c", "x")), Ok(_) | Err(Error::NoMask { .. })));
    let ended = chat("{% for m in messages %}{{ m.content }}<eos>{% endfor %}", "null");
    assert_eq!(ended.end_of_turn().unwrap(), Some(1));
}

#[test]
fn generation_blocks_that_leave_out_the_answer_teach_nothing() {
    let source =
        "{% for m in messages %}{{ m.content }}{% endfor %}{% generation %}{% endgeneration %}";
    let encoded = chat(source, "null").record(&row("c", "x")).unwrap();
    assert_eq!(encoded.warnings, [Warning::NothingLearnt]);
    let nested = "{% generation %}a{% generation %}b{% endgeneration %}{% endgeneration %}";
    assert!(matches!(chat(nested, "null").record(&row("c", "x")), Err(Error::NoMask { .. })));
}

#[test]
fn private_characters_of_a_template_stay_in_the_text() {
    let source = "\u{e000}\u{e002}{% for m in messages %}{{ m.content }}{% endfor %}";
    let encoded = chat(source, "null").record(&row("c", "x")).unwrap();
    assert_eq!(encoded.text, "\u{e000}\u{e002}cx");
    let escaped = chat("{{ '\\ue002' }}{% for m in messages %}{{ m.content }}{% endfor %}", "null");
    assert!(matches!(escaped.record(&row("c", "x")), Err(Error::NoMask { .. })));
}

#[test]
fn nobody_ends_a_turn_by_writing_so() {
    let source = "{% for m in messages %}{{ m.content }}<eos>{% endfor %}";
    let encoder = chat(source, "null");
    let obeyed = encoder.record(&row("c<eos>", "x")).unwrap();
    assert_eq!(obeyed.ids, [5, 1, 1, 6, 1]);
    assert_eq!(obeyed.warnings, [Warning::SpecialTokensInContent(1)]);
    let encoder = encoder.with_special_in_content(SpecialInContent::Text);
    let text = encoder.record(&row("c<eos>", "x")).unwrap();
    assert_eq!(text.ids, [5, 14, 11, 12, 1, 6, 1]);
    assert_eq!((mask(&text).as_str(), &text.warnings[..]), ("0000011", &[][..]));
    let offsets: Vec<&str> = text.offsets.iter().map(|&(a, b)| &text.text[a..b]).collect();
    assert_eq!(offsets, ["c", "<eo", "s", ">", "<eos>", "x", "<eos>"]);
    // A closed vocabulary has no other way to say it.
    let special = SpecialTokens::default();
    let letters = char_level("cx", &special).unwrap();
    let template = ChatTemplate::from_source("t", source).unwrap();
    let encoder = Encoder::new(letters, None, Some(1))
        .with_template(Some(template))
        .with_special_in_content(SpecialInContent::Text);
    assert!(matches!(encoder.record(&row("c<eos>", "x")), Err(Error::UnknownWord { .. })));
}

#[test]
fn a_directory_says_where_rows_begin_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let ids = || {
        let encoder = Encoder::load(dir.path()).unwrap();
        encoder.record(&row("c", "x")).unwrap().ids
    };
    tokenizer("null").save(dir.path().join("tokenizer.json")).unwrap();
    assert_eq!(ids(), [5, 6]);
    // A model made here: config.json alone.
    write("config.json", r#"{"bos_token_id": 0, "eos_token_id": [1, 2]}"#);
    assert_eq!(ids(), [0, 5, 6, 1]);
    // A directory of someone else: having the token is not beginning with it.
    write("tokenizer_config.json", r#"{"bos_token": "<bos>", "eos_token": "<eos>"}"#);
    assert_eq!(ids(), [5, 6, 1]);
    tokenizer(ADDS_BOS).save(dir.path().join("tokenizer.json")).unwrap();
    assert_eq!(ids(), [0, 5, 6, 1]);
    write("tokenizer_config.json", r#"{"bos_token": "<bos>", "add_bos_token": false}"#);
    assert_eq!(ids(), [5, 6, 1]);
    write("tokenizer_config.json", r#"{"eos_token": "</s>"}"#);
    assert!(matches!(Encoder::load(dir.path()), Err(Error::UnknownToken { .. })));
    write("tokenizer_config.json", "{}");
    write("config.json", r#"{"eos_token_id": 99}"#);
    assert!(matches!(Encoder::load(dir.path()), Err(Error::UnknownId { id: 99, .. })));
    write("config.json", r#"{"eos_token_id": "x"}"#);
    assert!(matches!(Encoder::load(dir.path()), Err(Error::ChatFile { .. })));
}

#[test]
fn a_system_turn_stands_before_the_prompt() {
    let source = "{% for m in messages %}{{ m.role[0] | replace('u', 'x') }}{{ m.content }}\
                  {% endfor %}{% if add_generation_prompt %}a{% endif %}";
    let encoder = chat(source, "null");
    assert_eq!(encoder.prompt("c").unwrap().text, "xca");
    assert_eq!(encoder.with_system(Some("b".into())).prompt("c").unwrap().text, "sbxca");
}
