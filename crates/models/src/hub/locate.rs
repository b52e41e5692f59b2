//! Where a model's files are: a plain directory or a Hugging Face cache, one weights file or
//! several.

use crate::Error;
use afterthought_strict_json::parse_object;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Name of the weights file of a model that fits into one.
pub const WEIGHTS: &str = "model.safetensors";
/// Name of the file that says which tensor is in which of several.
pub const INDEX: &str = "model.safetensors.index.json";
/// Most bytes of an index.
const MAX_INDEX: u64 = 100_000_000;
/// Most weights files of a model.
const MAX_SHARDS: usize = 10_000;

/// The weights files of a model.
#[derive(Debug)]
pub struct Located {
    /// The files, by name.
    pub files: Vec<PathBuf>,
    /// Which tensor is in which of them, if an index says so.
    pub index: Option<Index>,
}

/// `model.safetensors.index.json`.
#[derive(Debug)]
pub struct Index {
    /// The index itself.
    pub path: PathBuf,
    /// Number of a file, by the name of a tensor.
    pub shard_of: BTreeMap<String, usize>,
}

/// The directory that holds the files: `directory` itself, or the snapshot that `refs/main` names
/// if it is the `models--organisation--name` directory of a Hugging Face cache.
///
/// # Errors
/// [`Error::Io`], or [`Error::Directory`] for a cache without a usable snapshot.
pub fn model_directory(directory: &Path) -> Result<PathBuf, Error> {
    let snapshots = directory.join("snapshots");
    if directory.join("config.json").exists() || !snapshots.is_dir() {
        return Ok(directory.to_owned());
    }
    let fail = |problem: String| Err(Error::Directory { path: directory.into(), problem });
    let main = directory.join("refs").join("main");
    let revision = if main.is_file() {
        let text = read_small(&main, 4096)?;
        String::from_utf8_lossy(&text).trim().to_owned()
    } else {
        let entries = fs::read_dir(&snapshots).map_err(|source| io("read", &snapshots, source))?;
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).take(2).collect();
        match &names[..] {
            [only] => only.to_string_lossy().into_owned(),
            _ => return fail("has no refs/main and not exactly one snapshot".to_owned()),
        }
    };
    if !plain_name(&revision) {
        return fail(format!("names the revision {revision:?} in refs/main"));
    }
    let snapshot = snapshots.join(&revision);
    match snapshot.is_dir() {
        true => Ok(snapshot),
        false => fail(format!("has no snapshot {revision}, which refs/main names")),
    }
}

/// Finds the weights files of a directory that [`model_directory`] gave.
///
/// # Errors
/// [`Error::Directory`] if there are none, or formats that are not read; [`Error::Index`] for an
/// index that is malformed, names files outside of the directory or files that are not there.
pub fn locate(directory: &Path) -> Result<Located, Error> {
    let single = directory.join(WEIGHTS);
    let index = directory.join(INDEX);
    match (single.exists(), index.exists()) {
        (true, true) => Err(Error::Directory {
            path: directory.into(),
            problem: format!("has both {WEIGHTS} and {INDEX}; remove the one that is not meant"),
        }),
        (true, false) => {
            stays_inside(directory, &single)?;
            Ok(Located { files: vec![single], index: None })
        }
        (false, true) => sharded(directory, &index),
        (false, false) => Err(no_weights(directory)),
    }
}

fn sharded(directory: &Path, path: &Path) -> Result<Located, Error> {
    stays_inside(directory, path)?;
    let fail = |problems: Vec<String>| Err(Error::Index { path: path.into(), problems });
    let json = parse_object(&read_small(path, MAX_INDEX)?)
        .map_err(|source| Error::Json { path: path.into(), source })?;
    let Some(Value::Object(map)) = json.get("weight_map") else {
        return fail(vec!["has no weight_map".to_owned()]);
    };
    let mut problems = Vec::new();
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shard_of = BTreeMap::new();
    for (tensor, file) in map {
        let Some(file) = file.as_str() else {
            problems.push(format!("has {file} as the file of {tensor}"));
            continue;
        };
        if !plain_name(file) || !file.ends_with(".safetensors") {
            problems.push(format!("has {file:?} as the file of {tensor}: not a name of a file"));
            continue;
        }
        let next = numbers.len();
        shard_of.insert(tensor.clone(), *numbers.entry(file).or_insert(next));
    }
    if numbers.len() > MAX_SHARDS {
        problems.push(format!("names {} files; the most is {MAX_SHARDS}", numbers.len()));
    }
    let mut files = vec![PathBuf::new(); numbers.len()];
    for (file, number) in numbers {
        files[number] = directory.join(file);
        match files[number].is_file() {
            false => problems.push(format!("names {file}, which is missing")),
            true => stays_inside(directory, &files[number])?,
        }
    }
    problems.truncate(100);
    if !problems.is_empty() {
        return fail(problems);
    }
    if files.is_empty() {
        return fail(vec!["names no tensor".to_owned()]);
    }
    Ok(Located { files, index: Some(Index { path: path.into(), shard_of }) })
}

/// Reads a small file whole.
pub(super) fn read_small(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let size = fs::metadata(path).map_err(|source| io("read", path, source))?.len();
    if size > most {
        let problem = format!("has {size} bytes; the most is {most}");
        return Err(Error::Directory { path: path.into(), problem });
    }
    fs::read(path).map_err(|source| io("read", path, source))
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io { action, path: path.into(), source }
}

/// Whether a text is a name within a directory rather than a path.
fn plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        && !name.contains(['/', '\\', '\0'])
}

/// Refuses links to files elsewhere. Those of a Hugging Face cache lead to its `blobs`.
fn stays_inside(directory: &Path, file: &Path) -> Result<(), Error> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|source| io("read", path, source));
    let (folder, target) = (real(directory)?, real(file)?);
    if target.starts_with(&folder) || in_cache(&target) {
        return Ok(());
    }
    let problem = format!("is a link to {}, which leaves the model directory", target.display());
    Err(Error::Directory { path: file.into(), problem })
}

/// Whether a path is that of a file in `models--*/blobs`.
fn in_cache(path: &Path) -> bool {
    let mut parents = path.ancestors().skip(1).filter_map(Path::file_name);
    parents.next().is_some_and(|name| name == "blobs")
        && parents.next().is_some_and(|name| name.to_string_lossy().starts_with("models--"))
}

fn no_weights(directory: &Path) -> Error {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let pickle =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).find(|name| {
            [".bin", ".pt", ".pth", ".ckpt"].iter().any(|end| name.ends_with(end))
                && !name.starts_with("training_args")
        });
    match pickle {
        Some(name) => Error::Pickle { path: directory.join(name) },
        None => Error::Io {
            action: "read",
            path: directory.join(WEIGHTS),
            source: std::io::ErrorKind::NotFound.into(),
        },
    }
}
