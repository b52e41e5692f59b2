//! Conversations: from JSON to messages, and whether the turns follow each other as they should.

use serde_json::{Map, Value};

use super::locate::{Step, locate};
use super::problem::{Finding, ProblemKind};
use super::record::type_name;
use crate::message::Message;

/// Roles that some chat template in use knows.
const ROLES: [&str; 7] =
    ["system", "developer", "user", "assistant", "tool", "function", "ipython"];

/// Reads the value of `messages`.
pub(super) fn read(messages: Value, text: &str) -> Result<Vec<Message>, Finding> {
    let column = Step::Key("messages");
    let fail = |kind, path: &[Step<'_>], message: String| {
        Err(Finding::new(kind, locate(text, path), message))
    };
    let messages = match messages {
        Value::Array(messages) => messages,
        other => {
            let message = format!("`messages` is {}, expected a list", type_name(&other));
            return fail(ProblemKind::WrongType, &[column], message);
        }
    };
    if messages.is_empty() {
        let message = "`messages` is empty".to_owned();
        return fail(ProblemKind::EmptyContent, &[column], message);
    }
    let mut turns = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let at = [column, Step::Index(index)];
        let turn = match message {
            Value::Object(object) => turn(object),
            other => Err(Fault::new(
                ProblemKind::WrongType,
                None,
                format!("is {}, expected an object", type_name(&other)),
            )),
        };
        let ordered = turn.and_then(|turn| match misplaced(&turns, &turn) {
            Some(message) => Err(Fault::new(ProblemKind::RoleOrder, Some("role"), message)),
            None => Ok(turn),
        });
        match ordered {
            Ok(turn) => turns.push(turn),
            Err(Fault { kind, key, message }) => {
                let path: Vec<Step<'_>> = at.into_iter().chain(key.map(Step::Key)).collect();
                return fail(kind, &path, format!("message {index} {message}"));
            }
        }
    }
    let last = turns.len() - 1;
    if !turns[last].is_assistant() {
        let path = [column, Step::Index(last), Step::Key("role")];
        let message = format!(
            "the conversation ends with `{}`, so that nothing is left to learn",
            turns[last].role
        );
        return fail(ProblemKind::RoleOrder, &path, message);
    }
    Ok(turns)
}

/// Something wrong with a message, and in which of its keys.
struct Fault {
    kind: ProblemKind,
    key: Option<&'static str>,
    message: String,
}

impl Fault {
    fn new(kind: ProblemKind, key: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { kind, key, message: message.into() }
    }
}

fn turn(mut object: Map<String, Value>) -> Result<Message, Fault> {
    let role = match object.shift_remove("role") {
        Some(Value::String(role)) => role,
        None | Some(Value::Null) => {
            return Err(Fault::new(ProblemKind::MissingColumn, None, "has no `role`"));
        }
        Some(other) => {
            let message = format!("has a `role` that is {}", type_name(&other));
            return Err(Fault::new(ProblemKind::WrongType, Some("role"), message));
        }
    };
    if !ROLES.contains(&role.as_str()) {
        let message = format!("has the role {role:?}, expected one of {}", ROLES.join(", "));
        return Err(Fault::new(ProblemKind::UnknownRole, Some("role"), message));
    }
    let content = match object.shift_remove("content") {
        Some(Value::String(content)) => Some(content),
        None | Some(Value::Null) => None,
        Some(other) => {
            let message =
                format!("has a `content` that is {}, expected a string", type_name(&other));
            return Err(Fault::new(ProblemKind::WrongType, Some("content"), message));
        }
    };
    let content_fault = |kind, message| Err(Fault::new(kind, Some("content"), message));
    if content.as_deref().is_some_and(|content| content.contains('\0')) {
        return content_fault(ProblemKind::Nul, "has a NUL character");
    }
    // An empty system turn says something: it takes the place of the template's own. An empty tool
    // result is an answer too.
    let says_nothing = content.as_deref().is_none_or(|content| content.trim().is_empty());
    let calls = object.get("tool_calls").is_some_and(|calls| !calls.is_null());
    if says_nothing && (role == "user" || role == "assistant" && !calls) {
        return match content {
            Some(_) => content_fault(ProblemKind::EmptyContent, "says nothing"),
            None => Err(Fault::new(ProblemKind::MissingColumn, None, "has no `content`")),
        };
    }
    Ok(Message { role, content, fields: object })
}

/// Why `turn` may not follow `earlier`, if it may not.
fn misplaced(earlier: &[Message], turn: &Message) -> Option<String> {
    let role = turn.role.as_str();
    let before = earlier.last().map(|turn| turn.role.as_str());
    let fits = match (before, role) {
        (None, "system" | "developer" | "user") => true,
        (Some("system" | "developer"), "user") => true,
        (Some("system"), "developer") => true,
        (Some("user"), "assistant") => true,
        (Some("assistant"), "user" | "tool" | "function" | "ipython") => true,
        (Some("tool" | "function" | "ipython"), "assistant") => true,
        // One turn may call several tools.
        (Some(before @ ("tool" | "function" | "ipython")), role) => before == role,
        _ => false,
    };
    match (fits, before) {
        (true, _) => None,
        (false, None) => Some(format!("has the role `{role}`, which cannot begin a conversation")),
        (false, Some(before)) => {
            Some(format!("has the role `{role}`, which cannot follow `{before}`"))
        }
    }
}
