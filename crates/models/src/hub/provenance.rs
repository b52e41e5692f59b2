use super::locate::read_small;
use crate::Error;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where a model comes from, as whoever made it wrote down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Provenance {
    /// The model that training started from.
    pub base: Option<String>,
    /// What it was trained on.
    pub data: Option<String>,
    /// The recipe, in full.
    pub recipe: Option<String>,
    /// Measured results, a line each.
    pub results: Vec<String>,
}

impl Provenance {
    /// Its file in a model directory.
    pub const FILE: &'static str = "afterthought.json";

    /// Reads the file of a model directory; nothing is known if there is none.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Json`].
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(Self::FILE);
        if !path.is_file() {
            return Ok(Self::default());
        }
        let bytes = read_small(&path, 16 << 20)?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })
    }
}
