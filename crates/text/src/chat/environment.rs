//! The template engine with what chat templates take from Python and from transformers.

use std::cell::Cell;
use std::error::Error as _;
use std::fmt::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use minijinja_contrib::pycompat;

use super::clock;
use super::generation::FILTER;

/// Instructions that a template may run. A chat of a thousand turns takes about a hundred thousand.
const FUEL: u64 = 500_000;
/// Bytes that a template may write, captured text included.
pub(super) const OUTPUT_CAP: usize = 64 << 20;

/// What a rendering knows beside its variables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rendering {
    /// Put around generation blocks.
    pub(super) marks: Option<(char, char)>,
    /// Seconds since 1970.
    pub(super) now: u64,
}

thread_local! {
    // Filters and functions cannot see the caller, but each rendering has its thread.
    static RENDERING: Cell<Rendering> = const { Cell::new(Rendering { marks: None, now: 0 }) };
    static BUDGET: Cell<usize> = const { Cell::new(OUTPUT_CAP) };
}

/// Prepares this thread for one rendering.
pub(super) fn enter(rendering: Rendering) {
    RENDERING.set(rendering);
    BUDGET.set(OUTPUT_CAP);
}

/// An environment with the one template `source`, called `name`.
pub(super) fn build(name: &str, source: String) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(format);
    environment.set_unknown_method_callback(method);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment.add_filter(FILTER, mark);
    environment.add_template_owned(name.to_owned(), source)?;
    Ok(environment)
}

/// What a template says when it refuses its messages.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

/// A template wrote more than [`OUTPUT_CAP`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it wrote more than {} MiB", OUTPUT_CAP >> 20)]
pub(super) struct TooMuch;

/// The error of type `E` beneath an error of the engine.
pub(super) fn cause<E: std::error::Error + 'static>(error: &Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    clock::strftime(RENDERING.get().now, format).map_err(|code| {
        let message = format!("strftime_now does not know %{code}");
        Error::new(ErrorKind::InvalidOperation, message)
    })
}

fn tojson(value: &Value, ensure_ascii: Option<bool>, kwargs: Kwargs) -> Result<String, Error> {
    super::python_json::tojson(value, ensure_ascii, &kwargs, BUDGET.get())
}

/// The body of a generation block, between marks if someone asked for them.
fn mark(body: String) -> String {
    match RENDERING.get().marks {
        Some((begin, end)) => format!("{begin}{body}{end}"),
        None => body,
    }
}

fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let result = pycompat::unknown_method_callback(state, value, name, args);
    result.map_err(|error| match error.kind() {
        ErrorKind::UnknownMethod if error.detail().is_none() => {
            Error::new(ErrorKind::UnknownMethod, format!("{} has no method {name}", value.kind()))
        }
        _ => error,
    })
}

/// Writes a value and charges the budget for it. The engine itself bounds neither captured text nor
/// values that contain themselves many times over.
fn format(output: &mut Output<'_>, _: &mut State, value: &Value) -> Result<(), Error> {
    write!(Charged { output, exceeded: false }, "{value}")
        .map_err(|_| Error::new(ErrorKind::WriteFailure, TooMuch.to_string()).with_source(TooMuch))
}

struct Charged<'a, 'b> {
    output: &'a mut Output<'b>,
    exceeded: bool,
}

impl fmt::Write for Charged<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = BUDGET.get().checked_sub(text.len());
        self.exceeded |= left.is_none();
        if self.exceeded {
            return Err(fmt::Error);
        }
        BUDGET.set(left.unwrap_or(0));
        self.output.write_str(text)
    }
}
