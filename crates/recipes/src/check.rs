//! Does what was written fit the layout?

use crate::problem::nearest;
use crate::tree::{Content, Node};
use crate::{Field, Kind, Layout, Origin, Presence, Problem, Section, Sections};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The settings with their defaults, `origins` by path; problems are added.
pub(crate) fn check(
    layout: &Layout,
    tree: &Node,
    origins: &mut HashMap<String, Origin>,
    problems: &mut Vec<Problem>,
) -> Value {
    let empty = Vec::new();
    let entries = match &tree.content {
        Content::Table(entries) => entries,
        _ => &empty,
    };
    let selected = selected(entries, layout.top, layout.selector);
    let mut checker = Checker { origins, problems };
    let sections = layout.sections.iter().map(|section| section.name);
    let known: Vec<&str> = layout.top.iter().map(|field| field.key).chain(sections).collect();
    let mut result = Map::new();
    let own: Vec<&(String, Node)> =
        entries.iter().filter(|(key, _)| layout.sections.iter().all(|s| s.name != key)).collect();
    let scope = Scope { path: "", fields: layout.top, selector: layout.selector, selected };
    checker.fields(scope, &own, &known, &mut result);
    for section in layout.sections {
        let given = entries.iter().find(|(key, _)| key == section.name).map(|(_, node)| node);
        if let Some(value) = checker.section(section, given, layout.selector, selected) {
            result.insert(section.name.to_owned(), value);
        }
    }
    Value::Object(result)
}

/// The value of a selector, if it is one of its words.
fn selected<'a>(
    entries: &'a [(String, Node)],
    fields: &[Field],
    selector: &str,
) -> Option<&'a str> {
    let (_, node) = entries.iter().find(|(key, _)| key == selector)?;
    let Content::Value(Value::String(word)) = &node.content else { return None };
    let field = fields.iter().find(|field| field.key == selector)?;
    match field.kind {
        Kind::Choice(words) => words.iter().any(|(known, _)| known == word).then_some(word),
        _ => None,
    }
}

/// The fields of one table.
#[derive(Clone, Copy)]
struct Scope<'a> {
    path: &'a str,
    fields: &'a [Field],
    selector: &'a str,
    selected: Option<&'a str>,
}

impl Scope<'_> {
    fn join(&self, key: &str) -> String {
        match self.path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

struct Checker<'a> {
    origins: &'a mut HashMap<String, Origin>,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn report(&mut self, origin: Option<&Origin>, message: String, hint: Option<String>) {
        self.problems.push(Problem { origin: origin.cloned(), message, hint });
    }

    fn section(
        &mut self,
        section: &Section,
        given: Option<&Node>,
        selector: &str,
        selected: Option<&str>,
    ) -> Option<Value> {
        let name = section.name;
        if let Some(node) = given {
            self.origins.insert(name.to_owned(), node.origin.clone());
            if !section.applies(selected) {
                let (method, only) = (selected.unwrap_or_default(), section.only.join(", "));
                let message = format!("`{name}` has no effect with {selector} = \"{method}\"");
                self.report(Some(&node.origin), message, Some(format!("only with {only}")));
                return None;
            }
        }
        let scope = Scope { path: name, fields: section.fields, selector, selected };
        match (section.sections, given.map(|node| (&node.content, &node.origin))) {
            (Sections::Always, None) if section.applies(selected) => Some(self.table(scope, &[])),
            (_, None) => None,
            (Sections::Always | Sections::IfGiven, Some((Content::Table(entries), _))) => {
                Some(self.table(scope, entries))
            }
            (Sections::Repeated(selector), Some((Content::Tables(items), _))) => {
                let mut values = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let Content::Table(entries) = &item.content else { continue };
                    let path = format!("{name}.{index}");
                    self.origins.insert(path.clone(), item.origin.clone());
                    let own = self::selected(entries, section.fields, selector);
                    let scope =
                        Scope { path: &path, fields: section.fields, selector, selected: own };
                    values.push(self.table(scope, entries));
                }
                Some(Value::Array(values))
            }
            (sections, Some((_, origin))) => {
                let (expected, example) = match sections {
                    Sections::Repeated(_) => ("a list of tables", format!("[[{name}]]")),
                    _ => ("a table", format!("[{name}]")),
                };
                let message = format!("`{name}` must be {expected}");
                self.report(Some(origin), message, Some(format!("write {example}")));
                None
            }
        }
    }

    fn table(&mut self, scope: Scope<'_>, entries: &[(String, Node)]) -> Value {
        let known: Vec<&str> = scope.fields.iter().map(|field| field.key).collect();
        let mut result = Map::new();
        self.fields(scope, &entries.iter().collect::<Vec<_>>(), &known, &mut result);
        Value::Object(result)
    }

    fn fields(
        &mut self,
        scope: Scope<'_>,
        entries: &[&(String, Node)],
        known: &[&str],
        result: &mut Map<String, Value>,
    ) {
        for (key, node) in entries.iter().map(|entry| (&entry.0, &entry.1)) {
            let path = scope.join(key);
            self.origins.insert(path.clone(), node.origin.clone());
            let Some(field) = scope.fields.iter().find(|field| field.key == key) else {
                let hint = match nearest(key, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", known.join(", ")),
                };
                self.report(Some(&node.origin), format!("unknown key `{path}`"), Some(hint));
                continue;
            };
            if !field.applies(scope.selected) {
                let (word, only) = (scope.selected.unwrap_or_default(), field.only.join(", "));
                let message =
                    format!("`{path}` has no effect with {} = \"{word}\"", scope.selector);
                self.report(Some(&node.origin), message, Some(format!("only with {only}")));
                continue;
            }
            let value = match &node.content {
                Content::Value(value) => fits(field.kind, value),
                Content::Table(entries) if field.kind == Kind::Names => names(entries),
                Content::Table(_) | Content::Tables(_) => None,
            };
            match value {
                Some(value) => {
                    result.insert(key.clone(), value);
                }
                None => self.misfit(&path, field, node),
            }
        }
        for field in scope.fields.iter().filter(|field| field.applies(scope.selected)) {
            if entries.iter().any(|(key, _)| key == field.key) {
                continue;
            }
            match field.presence {
                Presence::Optional => {}
                Presence::Required => {
                    let path = scope.join(field.key);
                    let origin = self.origins.get(scope.path).cloned();
                    let message = format!("`{path}` is missing");
                    let hint = format!("it is {}", field.kind.expected());
                    self.report(origin.as_ref(), message, Some(hint));
                }
                Presence::Default(text) => {
                    result.insert(field.key.to_owned(), default(text));
                }
            }
        }
    }

    fn misfit(&mut self, path: &str, field: &Field, node: &Node) {
        let found = match &node.content {
            Content::Table(_) => "a table".to_owned(),
            Content::Tables(_) => "a list of tables".to_owned(),
            // Reported where it was read.
            Content::Value(Value::Null) => return,
            Content::Value(value) => value.to_string(),
        };
        let hint = match (field.kind, &node.content) {
            (Kind::Choice(words), Content::Value(Value::String(word))) => {
                nearest(word, words.iter().map(|(known, _)| *known))
                    .map(|near| format!("did you mean \"{near}\"?"))
            }
            _ => None,
        };
        let message = format!("`{path}` is {found}; expected {}", field.kind.expected());
        self.report(Some(&node.origin), message, hint);
    }
}

/// The value, if it is of its kind.
fn fits(kind: Kind, value: &Value) -> Option<Value> {
    let texts = |value: &Value| {
        let items = value.as_array()?;
        let fine = !items.is_empty()
            && items.iter().all(|item| item.as_str().is_some_and(|text| !text.is_empty()));
        fine.then(|| value.clone())
    };
    match kind {
        Kind::Flag => value.is_boolean().then(|| value.clone()),
        Kind::Integer(low, high) => {
            let integer = value.as_u64()?;
            (low..=high).contains(&integer).then(|| value.clone())
        }
        Kind::Number(low, high) => {
            let number = value.as_f64()?;
            // One type, however it was written, so that equal recipes are equal.
            (low..=high).contains(&number).then(|| Value::from(number))
        }
        Kind::Text => value.as_str().filter(|text| !text.is_empty()).map(Value::from),
        Kind::Choice(words) => {
            let word = value.as_str()?;
            words.iter().any(|(known, _)| *known == word).then(|| value.clone())
        }
        Kind::Texts => texts(value),
        Kind::TextsOr(word) => match value.as_str() {
            Some(text) => (text == word).then(|| value.clone()),
            None => texts(value),
        },
        Kind::Names => None,
        Kind::IntegerOr(word, low, high) => match value.as_str() {
            Some(text) => (text == word).then(|| value.clone()),
            None => fits(Kind::Integer(low, high), value),
        },
    }
}

/// A table of texts.
fn names(entries: &[(String, Node)]) -> Option<Value> {
    let entry = |(key, node): &(String, Node)| match &node.content {
        Content::Value(value @ Value::String(_)) => Some((key.clone(), value.clone())),
        _ => None,
    };
    entries.iter().map(entry).collect::<Option<Map<String, Value>>>().map(Value::Object)
}

/// A default, which is TOML; a test reads all of them.
pub(crate) fn default(text: &str) -> Value {
    let mut problems = Vec::new();
    let node = Node::parse(&"default".into(), &format!("value = {text}"), &mut problems);
    match node.content {
        Content::Table(mut entries) if entries.len() == 1 => match entries.remove(0).1.content {
            Content::Value(value) => value,
            _ => Value::Null,
        },
        _ => Value::Null,
    }
}

#[cfg(test)]
pub(crate) fn default_fits(field: &Field) -> bool {
    match field.presence {
        Presence::Default(text) => fits(field.kind, &default(text)).is_some(),
        Presence::Required | Presence::Optional => true,
    }
}
