use crate::value::object;
use serde_json::{Map, Value};

/// Parses the bytes of a file that holds one object, a byte order mark in front or not.
///
/// # Errors
/// [`serde_json::Error`], also for a key that occurs twice.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    // Editors on Windows begin files with this mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map(object)
}
