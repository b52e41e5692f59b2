//! Chat templates against transformers (`tools/golden_chat.py`), byte for byte and token for token.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use afterthought_text::{
    ChatTemplate, Content, Encoder, Error, Message, Record, SpecialInContent, Tokenizer, Warning,
};
use serde_json::{Map, Value};

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

struct Golden(Value);

impl Golden {
    fn read() -> Self {
        let text = std::fs::read_to_string(goldens().join("chat.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// The template of a case from its `source` or from `bare`, the source without tags.
    fn template(&self, case: &Value, key: &str) -> ChatTemplate {
        let name = case["template"].as_str().unwrap();
        let template = &self.0["templates"][name];
        let mut built = ChatTemplate::from_source(name, template[key].as_str().unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"))
            .at(self.0["now"].as_u64().unwrap());
        for token in ["bos_token", "eos_token"] {
            if !template[token].is_null() {
                built = built.with_variable(token, template[token].clone());
            }
        }
        built
    }

    fn encoder(&self, case: &Value, key: &str) -> Encoder {
        let template = &self.0["templates"][case["template"].as_str().unwrap()];
        let file = format!("chat_tokenizer_{}.json", template["tokenizer"].as_str().unwrap());
        let tokenizer = Tokenizer::from_file(goldens().join(file)).unwrap();
        let id = |key: &str| template[key].as_str().map(|t| tokenizer.token_to_id(t).unwrap());
        let (bos, eos) = (id("bos_token"), id("eos_token"));
        Encoder::new(tokenizer, bos, eos).with_template(Some(self.template(case, key)))
    }

    fn record(&self, case: &Value) -> Record {
        let conversation = &self.0["conversations"][case["conversation"].as_str().unwrap()];
        let mut columns = Map::new();
        columns.insert("tools".to_owned(), conversation["tools"].clone());
        Record { content: Content::Messages(messages(&conversation["messages"])), columns }
    }

    fn cases(&self) -> impl Iterator<Item = &Value> {
        self.0["cases"].as_array().unwrap().iter()
    }
}

fn messages(json: &Value) -> Vec<Message> {
    let message = |json: &Value| {
        let mut fields = json.as_object().unwrap().clone();
        let role = fields.shift_remove("role").unwrap().as_str().unwrap().to_owned();
        let content = fields.shift_remove("content").unwrap().as_str().map(str::to_owned);
        Message { role, content, fields }
    };
    json.as_array().unwrap().iter().map(message).collect()
}

fn called(case: &Value) -> String {
    format!("{} {} prompt {}", case["template"], case["conversation"], case["prompt"])
}

#[test]
fn texts_are_those_of_transformers() {
    let golden = Golden::read();
    let mut compared = 0;
    for case in golden.cases() {
        let record = golden.record(case);
        let Content::Messages(messages) = &record.content else { panic!() };
        let prompt = case["prompt"].as_bool().unwrap();
        for key in ["source", "bare"] {
            let template = golden.template(case, key);
            match (template.render(messages, record.tools(), prompt), case.get("error")) {
                (Ok(text), None) => {
                    assert_eq!(text, case["text"].as_str().unwrap(), "{}", called(case))
                }
                (Err(Error::Refused { message, .. }), Some(expected)) => {
                    assert_eq!(message, expected.as_str().unwrap(), "{}", called(case));
                }
                (Err(Error::Template { reason, line, .. }), Some(expected)) => {
                    assert_eq!(expected, "undefined", "{}: {reason}", called(case));
                    assert!(line > 0, "{}", called(case));
                }
                (result, expected) => {
                    panic!("{}: {result:?}, expected {expected:?}", called(case));
                }
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 360);
}

/// Ids and mask of a case, the mask as the golden writes it.
fn encoded(encoder: &Encoder, record: &Record) -> Result<(Vec<u32>, String), Error> {
    let encoded = encoder.record(record)?;
    let digit = |trained: &bool| if *trained { '1' } else { '0' };
    Ok((encoded.ids, encoded.loss_mask.iter().map(digit).collect()))
}

fn ids(json: &Value) -> Vec<u32> {
    json.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

#[test]
fn tokens_and_masks_are_those_of_transformers() {
    let golden = Golden::read();
    let mut compared = 0;
    for case in golden.cases().filter(|case| case.get("ids").is_some()) {
        let (tokens, mask) =
            encoded(&golden.encoder(case, "source"), &golden.record(case)).unwrap();
        assert_eq!(tokens, ids(&case["ids"]), "{}", called(case));
        assert_eq!(mask, case["mask"].as_str().unwrap(), "{}", called(case));
        compared += 1;
    }
    assert_eq!(compared, 84);
}

#[test]
fn without_tags_the_same_mask_or_a_refusal() {
    let golden = Golden::read();
    let mut refused = Vec::new();
    let mut compared = 0;
    for case in golden.cases().filter(|case| case.get("ids").is_some()) {
        match encoded(&golden.encoder(case, "bare"), &golden.record(case)) {
            Ok((tokens, mask)) => {
                assert_eq!(tokens, ids(&case["ids"]), "{}", called(case));
                let mut expected = case["mask"].as_str().unwrap().to_owned();
                let system = ["system", "empty_system"].iter().any(|c| case["conversation"] == *c);
                if case["template"] == "mistral" && system {
                    // The template moves the system text once the question is answered, so that
                    // the prompt is no part of the text: the space before the answer, where it is
                    // a token, then counts as the question's.
                    let (first, space) = (expected.find('1').unwrap(), mask.find('1').unwrap());
                    assert!(space - first <= 1, "{}", called(case));
                    expected.replace_range(first..space, &"0".repeat(space - first));
                }
                assert_eq!(mask, expected, "{}", called(case));
                compared += 1;
            }
            Err(Error::NoMask { .. }) => refused.push(called(case)),
            Err(error) => panic!("{}: {error}", called(case)),
        }
    }
    // The template takes the thoughts out of earlier answers, and nothing else says where those are.
    assert_eq!(refused, [r#""thinking" "thoughts" prompt false"#]);
    assert_eq!(compared, 83);
}

#[test]
fn special_tokens_in_messages_can_be_text() {
    let golden = Golden::read();
    let mut compared = 0;
    for case in golden.cases().filter(|case| case.get("sanitised").is_some()) {
        let encoder = golden.encoder(case, "source");
        let as_text = encoder.clone().with_special_in_content(SpecialInContent::Text);
        let record = golden.record(case);
        let (tokens, mask) = encoded(&as_text, &record).unwrap();
        assert_eq!(tokens, ids(&case["sanitised"]), "{}", called(case));
        let injected = case["conversation"] == "injection";
        let plain = encoder.record(&record).unwrap();
        let warned = |warning: &Warning| matches!(warning, Warning::SpecialTokensInContent(_));
        assert_eq!(plain.warnings.iter().any(warned), injected, "{}", called(case));
        assert_eq!(plain.ids == tokens, !injected, "{}", called(case));
        // The answer and the token that ends it, whatever the question says.
        let words = tokens.iter().zip(mask.chars()).filter(|(_, digit)| *digit == '1');
        let learnt: Vec<u32> = words.map(|(id, _)| *id).collect();
        if injected {
            let said = encoder.tokenizer().decode(&learnt[..learnt.len() - 1], false).unwrap();
            assert!(said.ends_with("no</s>"), "{}: {said:?}", called(case));
        }
        compared += 1;
    }
    assert!(compared >= 14, "{compared}");
}
