use crate::{Error, Modules};
use serde_json::{Map, Value};

/// The keys of an `adapter_config.json`, read with their types checked. Absent and null are the
/// same.
pub(super) struct Keys<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Keys<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// `convert` of the value, if there is one; `expected` says what it takes.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.get(key)
            .map(|value| convert(value).ok_or_else(|| unexpected(key, value, expected)))
            .transpose()
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, Error> {
        Ok(self.optional(key, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// A list of names, or one string, read by `single`. Empty is absent.
    pub(super) fn modules(&self, key: &str) -> Result<Option<Modules>, Error> {
        let expected = "a list of names or a string";
        let modules = self.optional(key, expected, |value| match value {
            Value::String(text) if text.eq_ignore_ascii_case("all-linear") => {
                Some(Modules::AllLinear)
            }
            Value::String(text) => Some(Modules::Pattern(text.clone())),
            other => strings(other).map(Modules::Names),
        })?;
        Ok(modules.filter(|modules| match modules {
            Modules::Names(names) => !names.is_empty(),
            Modules::Pattern(text) => !text.is_empty(),
            Modules::AllLinear => true,
        }))
    }

    /// One string or a list of them.
    pub(super) fn strings(&self, key: &str) -> Result<Vec<String>, Error> {
        let one_or_more = |value: &Value| match value {
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            Value::String(text) => Some(vec![text.clone()]),
            other => strings(other),
        };
        Ok(self.optional(key, "a string or a list of strings", one_or_more)?.unwrap_or_default())
    }

    /// One index or a list of them. Empty is absent.
    pub(super) fn indices(&self, key: &str) -> Result<Option<Vec<usize>>, Error> {
        let one_or_more = |value: &Value| match value {
            Value::Array(items) => items.iter().map(index).collect(),
            other => Some(vec![index(other)?]),
        };
        let indices = self.optional(key, "an index or a list of indices", one_or_more)?;
        Ok(indices.filter(|indices| !indices.is_empty()))
    }

    /// An object from patterns to values.
    pub(super) fn patterns<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<(String, T)>, Error> {
        let entries = self.optional(key, expected, |value| {
            value
                .as_object()?
                .iter()
                .map(|(pattern, value)| Some((pattern.clone(), convert(value)?)))
                .collect()
        })?;
        Ok(entries.unwrap_or_default())
    }
}

/// A count or index that fits the machine.
pub(super) fn index(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

pub(super) fn unexpected(key: &str, value: &Value, expected: &str) -> Error {
    Error::Setting { key: key.into(), problem: format!("is {value}; expected {expected}") }
}
