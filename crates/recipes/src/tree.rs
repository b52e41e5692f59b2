//! A recipe as it was written: values with the places they come from.

use crate::{Origin, Problem};
use serde_json::{Number, Value};
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A table: keys, in their order.
    Table(Vec<(String, Node)>),
    /// A list of tables.
    Tables(Vec<Node>),
    /// Anything else.
    Value(Value),
}

impl Node {
    pub(crate) fn empty() -> Self {
        let origin = Origin { source: "".into(), place: None };
        Self { origin, content: Content::Table(Vec::new()) }
    }

    /// Reads TOML. What cannot be read is added to `problems`.
    pub(crate) fn parse(source: &Arc<str>, text: &str, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let origin = error.span().map(|span| Origin::in_text(source, text, span.start));
            let message = error.message().to_owned();
            problems.push(Problem { origin, message, hint: None });
        }
        let mut reader = Reader { source, text, problems };
        let origin = Origin::in_text(source, text, 0);
        Self { origin, content: reader.table(table.get_ref()) }
    }

    /// Puts `over` on top: its values replace ours, tables are merged key by key.
    pub(crate) fn merge(&mut self, over: Node) {
        match (&mut self.content, over.content) {
            (Content::Table(own), Content::Table(others)) => {
                for (key, node) in others {
                    match own.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, known)) => known.merge(node),
                        None => own.push((key, node)),
                    }
                }
            }
            (own, others) => {
                *own = others;
                self.origin = over.origin;
            }
        }
    }

    /// A table that holds one value, at the end of a path of keys.
    pub(crate) fn at_path(path: &[&str], value: Node) -> Self {
        let origin = value.origin.clone();
        path.iter().rev().fold(value, |node, key| Self {
            origin: origin.clone(),
            content: Content::Table(vec![((*key).to_owned(), node)]),
        })
    }
}

struct Reader<'a> {
    source: &'a Arc<str>,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn origin(&self, at: usize) -> Origin {
        Origin::in_text(self.source, self.text, at)
    }

    fn table(&mut self, table: &DeTable<'_>) -> Content {
        // The parser hands keys out sorted; people expect problems and records in the order written.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut read = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let content = self.value(value);
            // A key says more than the value about what is wrong with either.
            let origin = self.origin(key.span().start);
            read.push((key.get_ref().to_string(), Node { origin, content }));
        }
        Content::Table(read)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>) -> Content {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table),
            DeValue::Array(items)
                if !items.is_empty() && items.iter().all(|item| item.get_ref().is_table()) =>
            {
                let items: Vec<&Spanned<DeValue<'_>>> = items.iter().collect();
                let read = |item: &Spanned<DeValue<'_>>| Node {
                    origin: self.origin(item.span().start),
                    content: self.value(item),
                };
                Content::Tables(items.into_iter().map(read).collect())
            }
            _ => Content::Value(self.leaf(value)),
        }
    }

    fn leaf(&mut self, value: &Spanned<DeValue<'_>>) -> Value {
        let number = match value.get_ref() {
            DeValue::String(text) => return Value::String(text.to_string()),
            DeValue::Boolean(flag) => return Value::Bool(*flag),
            DeValue::Array(items) => {
                let items: Vec<&Spanned<DeValue<'_>>> = items.iter().collect();
                return Value::Array(items.into_iter().map(|item| self.leaf(item)).collect());
            }
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(Number::from)
            }
            DeValue::Float(float) => float.as_str().parse().ok().and_then(Number::from_f64),
            DeValue::Datetime(_) | DeValue::Table(_) => None,
        };
        if let Some(number) = number {
            return Value::Number(number);
        }
        let what = match value.get_ref() {
            DeValue::Integer(_) => "a whole number of more than 64 bits",
            DeValue::Float(_) => "a number that is not finite",
            DeValue::Datetime(_) => "a date",
            _ => "a table in a list of other values",
        };
        self.problems.push(Problem {
            origin: Some(self.origin(value.span().start)),
            message: format!("{what} is not a setting"),
            hint: None,
        });
        Value::Null
    }
}
