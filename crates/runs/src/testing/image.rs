use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use super::journal::Effect;
use crate::storage::Kind;

pub(super) type Node = u64;
pub(super) const ROOT: Node = 0;

/// Directories and files at one moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    nodes: BTreeMap<Node, Content>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Content {
    File(Vec<u8>),
    Directory(BTreeMap<OsString, Node>),
}

impl Content {
    pub(super) fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Directory => Self::Directory(BTreeMap::new()),
            Kind::File | Kind::Other => Self::File(Vec::new()),
        }
    }
}

impl Default for Image {
    /// An empty root directory.
    fn default() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Content::empty(Kind::Directory))]) }
    }
}

impl Image {
    /// Every file with its content and every directory with `None`, by path from the root.
    pub fn paths(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut paths = BTreeMap::new();
        let mut open = vec![(ROOT, String::new())];
        while let Some((node, path)) = open.pop() {
            for (name, child) in self.entries(node).into_iter().flatten() {
                let path = format!("{path}/{}", name.to_string_lossy());
                let content = self.file(*child).ok().map(<[u8]>::to_vec);
                if content.is_none() {
                    open.push((*child, path.clone()));
                }
                paths.insert(path, content);
            }
        }
        paths
    }

    /// Changes the content of a file in place, as a failing disk does.
    ///
    /// # Errors
    /// There is no such file.
    pub fn corrupt(&mut self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let node = self.find(path)?;
        match self.nodes.get_mut(&node) {
            Some(Content::File(bytes)) => {
                change(bytes);
                Ok(())
            }
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        path.components().try_fold(ROOT, |node, component| match component {
            Component::RootDir | Component::CurDir => Ok(node),
            Component::Normal(name) => self.child(node, name),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        })
    }

    pub(super) fn child(&self, directory: Node, name: &OsStr) -> io::Result<Node> {
        self.entries(directory)?.get(name).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn entries(&self, node: Node) -> io::Result<&BTreeMap<OsString, Node>> {
        match self.nodes.get(&node) {
            Some(Content::Directory(entries)) => Ok(entries),
            Some(Content::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file(&self, node: Node) -> io::Result<&[u8]> {
        match self.nodes.get(&node) {
            Some(Content::File(bytes)) => Ok(bytes),
            Some(Content::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A file or directory that has no name yet.
    pub(super) fn add(&mut self, node: Node, content: Content) {
        self.nodes.entry(node).or_insert(content);
    }

    pub(super) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Link { directory, name, node, .. } => self.names(*directory, |names| {
                names.insert(name.clone(), *node);
            }),
            Effect::Unlink { directory, name } => self.names(*directory, |names| {
                names.remove(name);
            }),
            Effect::Rename { directory, from, to, node } => self.names(*directory, |names| {
                // Unless another file has taken the name, as when this was done late.
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }),
            Effect::Write { node, offset, bytes } => {
                if let Some(Content::File(content)) = self.nodes.get_mut(node) {
                    let end = offset + bytes.len();
                    // What lies between is a hole.
                    content.resize(content.len().max(end), 0);
                    content[*offset..end].copy_from_slice(bytes);
                }
            }
        }
    }

    fn names(&mut self, directory: Node, change: impl FnOnce(&mut BTreeMap<OsString, Node>)) {
        if let Some(Content::Directory(names)) = self.nodes.get_mut(&directory) {
            change(names);
        }
    }

    /// The same tree with its nodes numbered by their place and without those that have no name, so
    /// that equal trees are equal.
    pub(super) fn canonical(&self) -> Self {
        let mut nodes = BTreeMap::new();
        let mut open = vec![(ROOT, ROOT)];
        let mut next = ROOT + 1;
        while let Some((old, new)) = open.pop() {
            let content = match self.nodes.get(&old) {
                Some(Content::Directory(entries)) => {
                    let number = |(name, child): (&OsString, &Node)| {
                        let number = next;
                        next += 1;
                        open.push((*child, number));
                        (name.clone(), number)
                    };
                    Content::Directory(entries.iter().map(number).collect())
                }
                Some(file) => file.clone(),
                None => Content::File(Vec::new()),
            };
            nodes.insert(new, content);
        }
        Self { nodes }
    }

    /// A number that no node has.
    pub(super) fn free_node(&self) -> Node {
        self.nodes.last_key_value().map_or(ROOT, |(node, _)| node + 1)
    }
}
