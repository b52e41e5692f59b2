use crate::Error;
use serde_json::{Map, Value};

/// A `config.json`, key by key: a value of the wrong kind is an error that shows it.
///
/// `missing` is what the class in `transformers` takes for a key that is not there. A key that is
/// there with the value `null` is not missing.
pub(crate) struct Settings<'a>(&'a Map<String, Value>);

impl<'a> Settings<'a> {
    pub(crate) fn new(json: &'a Map<String, Value>) -> Self {
        Self(json)
    }

    /// A value as it is, unless it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn wrong<T>(key: &'static str, value: &Value, expected: &str) -> Result<T, Error> {
        let mut shown = value.to_string();
        if shown.len() > 200 {
            shown = shown.chars().take(200).chain("...".chars()).collect();
        }
        Err(Error::Config { key, problem: format!("is {shown}; expected {expected}") })
    }

    /// A value of one kind, `None` if it is missing.
    fn typed<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Self::wrong(key, value, expected),
        }
    }

    /// A whole number.
    pub(crate) fn size(&self, key: &'static str, missing: usize) -> Result<usize, Error> {
        Ok(self.typed(key, "a whole number", as_size)?.unwrap_or(missing))
    }

    /// A whole number or null.
    pub(crate) fn size_or_null(
        &self,
        key: &'static str,
        missing: Option<usize>,
    ) -> Result<Option<usize>, Error> {
        let read = |value: &Value| match value {
            Value::Null => Some(None),
            value => as_size(value).map(Some),
        };
        Ok(self.typed(key, "a whole number or null", read)?.unwrap_or(missing))
    }

    /// A whole number that must be there.
    pub(crate) fn required_size(&self, key: &'static str) -> Result<usize, Error> {
        match self.typed(key, "a whole number", as_size)? {
            Some(size) => Ok(size),
            None => missing(key),
        }
    }

    /// A number.
    pub(crate) fn number(&self, key: &'static str, missing: f64) -> Result<f64, Error> {
        Ok(self.typed(key, "a number", Value::as_f64)?.unwrap_or(missing))
    }

    /// A number, null or nothing.
    pub(crate) fn number_or_null(&self, key: &'static str) -> Result<Option<f64>, Error> {
        let read = |value: &Value| match value {
            Value::Null => Some(None),
            value => value.as_f64().map(Some),
        };
        Ok(self.typed(key, "a number or null", read)?.flatten())
    }

    /// A number that must be there.
    pub(crate) fn required_number(&self, key: &'static str) -> Result<f64, Error> {
        match self.typed(key, "a number", Value::as_f64)? {
            Some(number) => Ok(number),
            None => missing(key),
        }
    }

    /// True or false.
    pub(crate) fn flag(&self, key: &'static str, missing: bool) -> Result<bool, Error> {
        Ok(self.typed(key, "true or false", Value::as_bool)?.unwrap_or(missing))
    }

    /// A text, `None` if it is missing or null.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'a str>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text)),
                None => Self::wrong(key, value, "a text"),
            },
        }
    }

    /// A text that must be there.
    pub(crate) fn required_text(&self, key: &'static str) -> Result<&'a str, Error> {
        self.text(key)?.map_or_else(|| missing(key), Ok)
    }

    /// A token id or null.
    pub(crate) fn token_id(
        &self,
        key: &'static str,
        missing: Option<u32>,
    ) -> Result<Option<u32>, Error> {
        let read = |value: &Value| match value {
            Value::Null => Some(None),
            value => as_id(value).map(Some),
        };
        Ok(self.typed(key, "a token id or null", read)?.unwrap_or(missing))
    }

    /// A token id, a list of them, or null.
    pub(crate) fn token_ids(
        &self,
        key: &'static str,
        missing: Option<u32>,
    ) -> Result<Vec<u32>, Error> {
        let read = |value: &Value| match value {
            Value::Null => Some(Vec::new()),
            Value::Array(ids) if ids.len() <= 1024 => ids.iter().map(as_id).collect(),
            value => as_id(value).map(|id| vec![id]),
        };
        let found = self.typed(key, "a token id, a list of them or null", read)?;
        Ok(found.unwrap_or_else(|| missing.into_iter().collect()))
    }

    /// Refuses every value but one; missing counts as that one.
    pub(crate) fn only(&self, key: &'static str, supported: &Value) -> Result<(), Error> {
        match self.get(key) {
            Some(value) if value != supported => {
                let problem = format!("is {value}; this version supports {supported} only");
                Err(Error::Config { key, problem })
            }
            _ => Ok(()),
        }
    }

    /// An object, `None` if it is missing or null.
    pub(crate) fn object(&self, key: &'static str) -> Result<Option<Settings<'a>>, Error> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Settings(object))),
            Some(value) => Self::wrong(key, value, "an object or null"),
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a String> {
        self.0.keys()
    }
}

fn missing<T>(key: &'static str) -> Result<T, Error> {
    Err(Error::Config { key, problem: "is missing".to_owned() })
}

fn as_size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|value| usize::try_from(value).ok())
}

fn as_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|value| u32::try_from(value).ok())
}
