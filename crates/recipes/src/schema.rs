use crate::check::default;
use crate::{Field, Kind, Layout, Presence, Section, Sections};
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of a layout, for editors.
///
/// It is what can be said without looking at the selector: which keys apply to which method is in
/// their descriptions, and checked when the recipe is read.
pub fn json_schema(layout: &Layout) -> Value {
    let mut properties = Map::new();
    for field in layout.top {
        properties.insert(field.key.to_owned(), of_field(field));
    }
    for section in layout.sections {
        properties.insert(section.name.to_owned(), of_section(section));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Recipe of afterthought {}", layout.command),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn of_section(section: &Section) -> Value {
    let properties: Map<String, Value> =
        section.fields.iter().map(|field| (field.key.to_owned(), of_field(field))).collect();
    let mut table = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    match section.sections {
        Sections::Repeated(_) => {
            json!({"description": section.doc, "type": "array", "items": table})
        }
        Sections::Always | Sections::IfGiven => {
            table["description"] = section.doc.into();
            table
        }
    }
}

fn of_field(field: &Field) -> Value {
    let text = || json!({"type": "string", "minLength": 1});
    let texts = || json!({"type": "array", "items": text(), "minItems": 1});
    let integer = |low, high| json!({"type": "integer", "minimum": low, "maximum": high});
    let mut schema = match field.kind {
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Integer(low, high) => integer(low, high),
        Kind::Number(low, high) => json!({"type": "number", "minimum": low, "maximum": high}),
        Kind::Text => text(),
        Kind::Choice(words) => {
            json!({"enum": words.iter().map(|(word, _)| *word).collect::<Vec<_>>()})
        }
        Kind::Texts => texts(),
        Kind::TextsOr(word) => json!({"anyOf": [texts(), {"const": word}]}),
        Kind::IntegerOr(word, low, high) => {
            json!({"anyOf": [integer(low, high), {"const": word}]})
        }
        Kind::Names => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    };
    let only = match field.only {
        [] => String::new(),
        only => format!(" Only with {}.", only.join(", ")),
    };
    schema["description"] = format!("{}{only}", field.doc).into();
    if let Presence::Default(text) = field.presence {
        schema["default"] = default(text);
    }
    schema
}
