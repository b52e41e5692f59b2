use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Change, changes};
use crate::Error;

/// What decides the numbers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// The resolved recipe.
    pub recipe: serde_json::Value,
    /// The data sets, by path.
    pub datasets: BTreeMap<String, Dataset>,
    /// The program.
    pub program: Program,
    /// Threads that share a sum.
    pub threads: usize,
    /// Instruction set and kernels, in the words of the program.
    pub kernels: String,
    /// Precision of matrix products.
    pub precision: String,
}

/// A data set as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// BLAKE3 hash of the file, 64 hexadecimal digits.
    pub blake3: String,
    /// Rows used.
    pub rows: u64,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its version.
    pub version: String,
    /// BLAKE3 hash of the executable, 64 hexadecimal digits.
    pub blake3: String,
}

impl Fingerprint {
    /// What is different now, in `other`, from what was, in `self`. Recipes are compared by key.
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        changes::between(self, other)
    }
}

impl Dataset {
    /// Hashes a file of which `rows` rows are used.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub fn of_file(path: &Path, rows: u64) -> Result<Self, Error> {
        Ok(Self { blake3: hash_of(path)?, rows })
    }
}

impl Program {
    /// The running executable, as it was when it was started where the system keeps that (Linux).
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be found or read.
    pub fn running(version: &str) -> Result<Self, Error> {
        Ok(Self { version: version.to_owned(), blake3: hash_of(&executable()?)? })
    }
}

fn executable() -> Result<PathBuf, Error> {
    // The file that runs, also after another took its name, as a build in the meantime does.
    let running = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().map_err(|source| Error::Io {
        action: "find",
        path: "the running executable".into(),
        source,
    })
}

fn hash_of(path: &Path) -> Result<String, Error> {
    let hash = || -> io::Result<String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        Ok(hasher.finalize().to_hex().to_string())
    };
    hash().map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_and_a_data_set_are_known_by_their_bytes() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let program = Program::running("1.2.3").unwrap();
        assert_eq!(program.blake3, blake3::hash(&bytes).to_hex().as_str());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.jsonl");
        let missing = Dataset::of_file(&path, 1).unwrap_err();
        assert!(missing.to_string().ends_with("rows.jsonl"), "{missing}");
        std::fs::write(&path, "{}\n").unwrap();
        let one = Dataset::of_file(&path, 1).unwrap();
        assert_eq!(one.blake3, blake3::hash(b"{}\n").to_hex().as_str());
        std::fs::write(&path, "{} \n").unwrap();
        assert_ne!(Dataset::of_file(&path, 1).unwrap(), one);
    }
}
