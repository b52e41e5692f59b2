use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Damage, names};

/// Version of the layout of a checkpoint. A change that older programs would misread gets a new one.
const FORMAT: &str = "afterthought.checkpoint/1";
/// Stands for the manifest's own hash while that is taken.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a checkpoint holds, and what it belongs to: `MANIFEST.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name and version of the layout.
    pub format: String,
    /// The step whose state this is.
    pub step: u64,
    /// The step of the checkpoint that the run was resumed from or saved before, if any.
    pub parent: Option<u64>,
    /// How good the state is, higher is better, if that was measured.
    pub metric: Option<f64>,
    /// What must be equal for an exact resume.
    pub fingerprint: serde_json::Value,
    /// The files, by name.
    pub files: BTreeMap<String, FileRecord>,
    /// Hash of the manifest itself, taken with zeros in this place.
    blake3: String,
}

/// A file as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3 hash, 64 hexadecimal digits.
    pub blake3: String,
}

/// What any version's manifest says.
#[derive(Deserialize)]
struct AnyFormat {
    format: String,
}

impl Manifest {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }

    /// A manifest and its text.
    ///
    /// What comes back is read from the text, so that it is what a later process will see: a number
    /// may differ in its last bit from what it was before it was written.
    pub(super) fn write(
        step: u64,
        parent: Option<u64>,
        metric: Option<f64>,
        fingerprint: &serde_json::Value,
        files: BTreeMap<String, FileRecord>,
    ) -> serde_json::Result<(Self, String)> {
        let format = FORMAT.to_owned();
        let fingerprint = fingerprint.clone();
        let blank =
            Self { format, step, parent, metric, fingerprint, files, blake3: NO_HASH.to_owned() };
        let text = serde_json::to_string_pretty(&blank)? + "\n";
        let hash = blake3::hash(text.as_bytes()).to_hex();
        // The hash is the last value, so the last run of zeros is its place.
        let text = match text.rfind(NO_HASH) {
            Some(at) => format!("{}{hash}{}", &text[..at], &text[at + NO_HASH.len()..]),
            None => text,
        };
        Ok((serde_json::from_str(&text)?, text))
    }

    /// Reads the text of a manifest in the directory of `step`.
    pub(super) fn read(text: &[u8], step: u64) -> Result<Self, Damage> {
        let broken = |error: &dyn std::fmt::Display| Damage::Manifest(error.to_string());
        let text = str::from_utf8(text).map_err(|error| broken(&error))?;
        let any: AnyFormat = serde_json::from_str(text).map_err(|error| broken(&error))?;
        if any.format != FORMAT {
            return Err(Damage::Format { found: any.format, expected: FORMAT });
        }
        let manifest: Self = serde_json::from_str(text).map_err(|error| broken(&error))?;
        let whole = text.rfind(&manifest.blake3).is_some_and(|at| {
            manifest.blake3.len() == NO_HASH.len() && {
                let (head, tail) = (&text[..at], &text[at + NO_HASH.len()..]);
                blake3::hash(format!("{head}{NO_HASH}{tail}").as_bytes()).to_hex().as_str()
                    == manifest.blake3
            }
        });
        if !whole {
            return Err(Damage::Manifest("its own hash does not agree".to_owned()));
        }
        if manifest.step != step {
            return Err(Damage::Step { found: manifest.step });
        }
        // Names lead to files: nothing outside the directory may be reached.
        if let Some((name, problem)) =
            manifest.files.keys().find_map(|name| Some((name, names::problem(name)?)))
        {
            return Err(Damage::Manifest(format!("file {name:?}: {problem}")));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn text() -> String {
        let files = BTreeMap::from([(
            "model".to_owned(),
            FileRecord { bytes: 3, blake3: blake3::hash(b"abc").to_hex().to_string() },
        )]);
        let fingerprint = serde_json::json!({ "recipe": { "steps": 10 } });
        Manifest::write(7, Some(3), Some(0.1), &fingerprint, files).unwrap().1
    }

    #[test]
    fn what_is_written_is_read() {
        let manifest = Manifest::read(text().as_bytes(), 7).unwrap();
        assert_eq!((manifest.step, manifest.parent, manifest.metric), (7, Some(3), Some(0.1)));
        assert_eq!(manifest.fingerprint["recipe"]["steps"], 10);
        assert_eq!(manifest.bytes(), 3);
        assert!(matches!(Manifest::read(text().as_bytes(), 8), Err(Damage::Step { found: 7 })));
    }

    /// Row 15: a torn manifest, and one with any bit changed, is no manifest.
    #[test]
    fn row_15_every_prefix_and_every_flipped_bit_is_noticed() {
        let text = text().into_bytes();
        // The last byte is a line end, without which the hash no longer agrees.
        for end in 0..text.len() {
            assert!(Manifest::read(&text[..end], 7).is_err(), "prefix of {end} bytes");
        }
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::read(&flipped, 7).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_is_told_apart_from_damage() {
        let newer = text().replace("checkpoint/1", "checkpoint/2");
        let damage = Manifest::read(newer.as_bytes(), 7).unwrap_err();
        assert!(matches!(&damage, Damage::Format { found, .. } if found.ends_with("/2")));
        assert!(!damage.is_certain());
    }

    #[test]
    fn a_name_that_leaves_the_directory_is_damage() {
        let files = BTreeMap::from([(
            "../outside".to_owned(),
            FileRecord { bytes: 0, blake3: NO_HASH.to_owned() },
        )]);
        let (_, text) = Manifest::write(1, None, None, &serde_json::Value::Null, files).unwrap();
        assert!(matches!(Manifest::read(text.as_bytes(), 1), Err(Damage::Manifest(_))));
    }
}
