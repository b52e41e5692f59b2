//! `json.dumps` of Python, which chat templates count on to the letter.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// Deepest nesting.
const MAX_DEPTH: usize = 200;

/// The filter `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`, as
/// transformers defines it for chat templates. Writes at most `cap` bytes.
pub(super) fn tojson(
    value: &Value,
    ensure_ascii: Option<bool>,
    kwargs: &Kwargs,
    cap: usize,
) -> Result<String, Error> {
    let ensure_ascii = match ensure_ascii {
        Some(given) => given,
        None => kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
    };
    let indent = match kwargs.get::<Option<Value>>("indent")? {
        None => None,
        Some(indent) if indent.is_none() => None,
        Some(indent) => Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(u8::try_from(indent)?.into()),
        }),
    };
    let (item, key) = match kwargs.get::<Option<Value>>("separators")? {
        Some(given) if !given.is_none() => pair(&given)?,
        _ if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        _ => (", ".to_owned(), ": ".to_owned()),
    };
    let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    kwargs.assert_all_used()?;
    let mut writer = Writer { out: String::new(), ensure_ascii, indent, item, key, sort_keys, cap };
    writer.value(value, 0)?;
    Ok(writer.out)
}

fn pair(separators: &Value) -> Result<(String, String), Error> {
    let parts: Vec<Value> = separators.try_iter()?.collect();
    match &parts[..] {
        [item, key] => Ok((item.to_string(), key.to_string())),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "separators are two strings")),
    }
}

struct Writer {
    out: String,
    ensure_ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sort_keys: bool,
    cap: usize,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let fail = |message: String| Err(Error::new(ErrorKind::BadSerialization, message));
        if depth > MAX_DEPTH {
            return fail(format!("tojson of more than {MAX_DEPTH} levels"));
        }
        if self.out.len() > self.cap {
            return fail(format!("tojson of more than {} bytes", self.cap));
        }
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list('[', ']', items, depth, |writer, item| writer.value(&item, depth + 1))
            }
            ValueKind::Map => {
                let keys = value.try_iter()?;
                let mut items: Vec<(String, Value)> = keys
                    .map(|key| Ok((key_text(&key)?, value.get_item(&key)?)))
                    .collect::<Result<_, Error>>()?;
                if self.sort_keys {
                    items.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.list('{', '}', items, depth, |writer, (key, item)| {
                    writer.string(&key);
                    let separator = writer.key.clone();
                    writer.out.push_str(&separator);
                    writer.value(&item, depth + 1)
                })
            }
            ValueKind::String => {
                self.string(value.as_str().unwrap_or_default());
                Ok(())
            }
            _ => {
                self.out.push_str(&scalar(value)?);
                Ok(())
            }
        }
    }

    fn list<T>(
        &mut self,
        open: char,
        close: char,
        items: Vec<T>,
        depth: usize,
        mut write: impl FnMut(&mut Self, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        let empty = items.is_empty();
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                let separator = self.item.clone();
                self.out.push_str(&separator);
            }
            self.line(depth + 1);
            write(self, item)?;
        }
        if !empty {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            (0..depth).for_each(|_| self.out.push_str(indent));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\0'..='\u{1f}' => self.escape(character),
                '\u{7f}'.. if self.ensure_ascii && character != '\u{7f}' => self.escape(character),
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }

    fn escape(&mut self, character: char) {
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => scalar(key),
    }
}

fn scalar(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number if value.is_integer() => value.to_string(),
        ValueKind::Number => float(f64::try_from(value.clone())?),
        kind => {
            let message = format!("{kind} is not JSON serializable");
            return Err(Error::new(ErrorKind::BadSerialization, message));
        }
    })
}

/// `repr` of a Python float: the shortest digits that read back as the same number, with an
/// exponent below 1e-4 and from 1e16 on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{value:?}");
    }
    let short = format!("{value:e}");
    match short.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => short,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use minijinja::value::Serde;
    use serde_json::json;

    fn dumps(value: serde_json::Value, kwargs: &[(&str, Value)]) -> Result<String, Error> {
        let kwargs = kwargs.iter().map(|(key, value)| (*key, value.clone()));
        tojson(&Value::from(Serde(&value)), None, &Kwargs::from_iter(kwargs), 10_000)
    }

    // Expected values are those of Python's json.dumps.
    #[test]
    fn as_python_writes_it() {
        let value = json!({"b": [1, -2.5, 1e16, 1e-5, 123456789.0, 1e22], "a": {"é\n": null},
                           "c": [], "d": {}, "e": "<&'\u{7f}\u{1}😀\u{8}"});
        assert_eq!(
            dumps(value.clone(), &[]).unwrap(),
            "{\"b\": [1, -2.5, 1e+16, 1e-05, 123456789.0, 1e+22], \"a\": {\"é\\n\": null}, \
             \"c\": [], \"d\": {}, \"e\": \"<&'\u{7f}\\u0001😀\\b\"}"
        );
        let kwargs = [("ensure_ascii", Value::from(true)), ("sort_keys", Value::from(true))];
        let sorted = dumps(value, &kwargs).unwrap();
        assert!(sorted.starts_with("{\"a\": {\"\\u00e9\\n\": null}, \"b\""), "{sorted}");
        assert!(sorted.ends_with("\\u0001\\ud83d\\ude00\\b\"}"), "{sorted}");
        let indented = dumps(json!({"a": [1, {}], "b": []}), &[("indent", Value::from(2))]);
        assert_eq!(indented.unwrap(), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let kwargs = Kwargs::from_iter(Vec::<(&str, Value)>::new());
        assert!(tojson(&Value::UNDEFINED, None, &kwargs, 100).is_err());
        assert!(dumps(json!(1), &[("indention", Value::from(2))]).is_err());
        let twice = |value: &Value| Value::from(vec![value.clone(), value.clone()]);
        let wide = (0..60).fold(Value::from(1), |value, _| twice(&value));
        assert!(tojson(&wide, None, &kwargs, 1000).unwrap_err().to_string().contains("1000 bytes"));
        let deep = (0..300).fold(Value::from(1), |value, _| Value::from(vec![value]));
        assert!(tojson(&deep, None, &kwargs, 1000).unwrap_err().to_string().contains("levels"));
    }
}
