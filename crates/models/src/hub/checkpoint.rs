use super::header::{StoredType, TensorEntry};
use super::locate::{Index, Located, locate, model_directory};
use super::tensor_file::TensorFile;
use crate::{Error, WeightValues};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Problems of one kind that are listed before the rest is counted.
const LISTED: usize = 200;

/// The weights of a model directory: headers checked, nothing read.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    files: Vec<TensorFile>,
    /// Number of the file, by the name of a tensor.
    file_of: HashMap<String, usize>,
}

/// What a model expects of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// The name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Checkpoint {
    /// Opens the weights of a model directory or a Hugging Face cache directory.
    ///
    /// # Errors
    /// Those of [`locate`] and [`TensorFile::open`]; [`Error::Tensors`] for tensors that occur in
    /// two files; [`Error::Index`] if the index and the files disagree.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let directory = model_directory(directory)?;
        let Located { files, index } = locate(&directory)?;
        let files =
            files.iter().map(|path| TensorFile::open(path)).collect::<Result<Vec<_>, _>>()?;
        let mut file_of: HashMap<String, usize> = HashMap::new();
        let mut problems = Vec::new();
        for (number, file) in files.iter().enumerate() {
            for tensor in file.tensors() {
                if let Some(other) = file_of.insert(tensor.name.clone(), number) {
                    let (first, second) = (files[other].path(), file.path());
                    let (first, second) = (first.display(), second.display());
                    problems.push(format!("{} is in {first} and in {second}", tensor.name));
                }
            }
        }
        let checkpoint = Self { directory, files, file_of };
        checkpoint.unless(problems)?;
        if let Some(index) = index {
            checkpoint.agrees_with(&index)?;
        }
        Ok(checkpoint)
    }

    fn agrees_with(&self, index: &Index) -> Result<(), Error> {
        let mut problems = Vec::new();
        for (name, shard) in &index.shard_of {
            let path = self.files[*shard].path().display();
            match self.file_of.get(name) {
                Some(found) if found == shard => {}
                Some(found) => {
                    let found = self.files[*found].path().display();
                    problems.push(format!("has {name} in {path}, but it is in {found}"));
                }
                None => problems.push(format!("has {name} in {path}, which lacks it")),
            }
        }
        let listed = |name: &&String| !index.shard_of.contains_key(*name);
        let unlisted: BTreeSet<&String> = self.file_of.keys().filter(listed).collect();
        problems.extend(unlisted.iter().map(|name| format!("does not list {name}")));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Error::Index { path: index.path.clone(), problems: shortened(problems) }),
        }
    }

    /// The directory that holds the files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The files.
    pub fn files(&self) -> &[TensorFile] {
        &self.files
    }

    /// Names of all tensors, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.file_of.keys().map(String::as_str)
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> usize {
        self.files.iter().map(TensorFile::bytes).sum()
    }

    /// A tensor and the file that has it.
    pub fn get(&self, name: &str) -> Option<(&TensorFile, &TensorEntry)> {
        let file = &self.files[*self.file_of.get(name)?];
        Some((file, file.get(name)?))
    }

    /// Checks that the tensors are those that a model expects, and of a type that weights can
    /// have. Those that `optional` names may be missing, those that `ignored` recognises may be
    /// there.
    ///
    /// # Errors
    /// [`Error::Tensors`] listing every missing, unexpected or misshapen tensor.
    pub fn require(
        &self,
        expected: &[ExpectedTensor],
        optional: &[ExpectedTensor],
        ignored: &dyn Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let mut problems = Vec::new();
        let mut known = HashSet::new();
        let all = expected.iter().map(|tensor| (tensor, true));
        for (ExpectedTensor { name, shape }, needed) in
            all.chain(optional.iter().map(|tensor| (tensor, false)))
        {
            known.insert(name.as_str());
            match self.get(name) {
                None if needed => problems.push(format!("missing {name}, expected {shape:?}")),
                None => {}
                Some((_, found)) if found.shape != *shape => {
                    let found = &found.shape;
                    problems.push(format!("{name} has shape {found:?}, expected {shape:?}"));
                }
                Some((_, TensorEntry { dtype: StoredType::Other(dtype, _), .. })) => {
                    problems.push(format!("{name} has type {dtype}, expected F32, F16 or BF16"));
                }
                Some(_) => {}
            }
        }
        let mut extra: Vec<&str> =
            self.names().filter(|name| !known.contains(name) && !ignored(name)).collect();
        extra.sort_unstable();
        problems.extend(extra.iter().map(|name| format!("unexpected {name}")));
        self.unless(problems)
    }

    /// The values of a tensor that [`require`](Self::require) has seen.
    ///
    /// # Errors
    /// [`Error::Tensors`] if it is not there or has another shape or type.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<WeightValues<'_>, Error> {
        let found = self.get(name).filter(|(_, tensor)| tensor.shape == shape);
        match found.and_then(|(file, tensor)| file.values(tensor)) {
            Some(values) => Ok(values),
            None => Err(Error::Tensors {
                path: self.path(),
                problems: vec![format!("missing {name}, expected {shape:?}")],
            }),
        }
    }

    /// The file, or the directory if there are several.
    pub fn path(&self) -> PathBuf {
        match &self.files[..] {
            [only] => only.path().to_owned(),
            _ => self.directory.clone(),
        }
    }

    fn unless(&self, problems: Vec<String>) -> Result<(), Error> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Error::Tensors { path: self.path(), problems: shortened(problems) }),
        }
    }
}

/// A list that a person can read.
fn shortened(mut problems: Vec<String>) -> Vec<String> {
    if problems.len() > LISTED {
        let more = problems.len() - LISTED;
        problems.truncate(LISTED);
        problems.push(format!("and {more} more"));
    }
    problems
}
