use crate::check::check;
use crate::tree::{Content, Node};
use crate::{Layout, Origin, Problem, Problems};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Text of a recipe, and what it is called.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path of the file.
    pub name: String,
    /// Its text, TOML.
    pub text: String,
}

/// A recipe that fits its layout.
#[derive(Clone, Debug)]
pub struct Recipe {
    value: Value,
    origins: HashMap<String, Origin>,
}

impl Recipe {
    /// Merges the sources, later ones on top, and `sets` (`key.path=value`) above them all; checks
    /// the result; fills in the defaults.
    ///
    /// The value of a set is TOML; what is not TOML is a text.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(layout: &Layout, sources: &[Source], sets: &[String]) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut tree = Node::empty();
        for source in sources {
            let name: Arc<str> = source.name.as_str().into();
            tree.merge(Node::parse(&name, &source.text, &mut problems));
        }
        for set in sets {
            match read_set(set) {
                Ok(node) => tree.merge(node),
                Err(problem) => problems.push(problem),
            }
        }
        let mut origins = HashMap::new();
        let value = check(layout, &tree, &mut origins, &mut problems);
        if problems.is_empty() {
            return Ok(Self { value, origins });
        }
        problems.sort();
        problems.dedup();
        Err(Problems(problems))
    }

    /// The settings, defaults included.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// A problem with the setting at a path (`section.key`, or `section.index.key`).
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        // A default has no place; its section may have one.
        let section = path.rsplit_once('.').map_or("", |(section, _)| section);
        let origin = self.origins.get(path).or_else(|| self.origins.get(section)).cloned();
        Problem { origin, message: format!("`{path}` {}", message.into()), hint: None }
    }

    /// The resolved settings as TOML.
    pub fn to_toml(&self) -> String {
        // Every value came from TOML or from a default, so that it can be written as such.
        toml::to_string_pretty(&self.value).unwrap_or_default()
    }
}

fn read_set(set: &str) -> Result<Node, Problem> {
    let origin = Origin { source: format!("--set {set}").into(), place: None };
    let fail = |message: &str| Problem {
        origin: Some(origin.clone()),
        message: message.into(),
        hint: Some("write --set section.key=value".into()),
    };
    let Some((path, value)) = set.split_once('=') else {
        return Err(fail("there is no `=`"));
    };
    let path: Vec<&str> = path.trim().split('.').collect();
    if path.iter().any(|key| key.is_empty()) {
        return Err(fail("there is no key before `=`"));
    }
    let mut unread = Vec::new();
    let name: Arc<str> = origin.source.clone();
    let parsed = Node::parse(&name, &format!("value = {}", value.trim()), &mut unread);
    let content = match (parsed.content, unread.is_empty()) {
        (Content::Table(mut entries), true) if entries.len() == 1 => entries.remove(0).1.content,
        _ => Content::Value(Value::String(value.to_owned())),
    };
    let node = Node { origin, content };
    Ok(Node::at_path(&path, strip_places(node)))
}

/// Places within the value of a flag help nobody.
fn strip_places(mut node: Node) -> Node {
    let origin = node.origin.clone();
    match &mut node.content {
        Content::Table(entries) => {
            for (_, entry) in entries {
                entry.origin = origin.clone();
                *entry = strip_places(entry.clone());
            }
        }
        Content::Tables(items) => {
            for item in items {
                item.origin = origin.clone();
                *item = strip_places(item.clone());
            }
        }
        Content::Value(_) => {}
    }
    node
}
