use std::io;
use std::sync::Arc;

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, Value};
use serde_json::Map;

use super::environment::{self, OUTPUT_CAP, Raised, Rendering, TooMuch};
use super::generation;
use super::sandbox::{self, Stopped};
use crate::Error;

/// Longest template source: 1 MiB.
pub(super) const SOURCE_CAP: usize = 1 << 20;

/// One template, parsed.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    environment: Arc<Environment<'static>>,
    origin: Arc<str>,
    source: Arc<str>,
    generation: bool,
}

impl Compiled {
    /// Parses `source`; errors call it `origin`.
    pub(super) fn new(origin: &str, source: &str) -> Result<Self, Error> {
        let fail = |line, reason| Error::Template { origin: origin.to_owned(), line, reason };
        if source.len() > SOURCE_CAP {
            return Err(fail(0, format!("the template is longer than {SOURCE_CAP} bytes")));
        }
        // Jinja reads every kind of line end as a line feed.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let (replaced, generation) = generation::replace_tags(&source)
            .map_err(|found| fail(found.line, format!("`{}` without its partner", found.tag)))?;
        let name = origin.to_owned();
        // Parsing is recursive, and the caller may stand on a small stack.
        let environment = sandbox::run(move || environment::build(&name, replaced))
            .map_err(|stopped| unbounded(origin, &stopped))?
            .map_err(|error| explain(origin, &error))?;
        Ok(Self {
            environment: Arc::new(environment),
            origin: origin.into(),
            source: source.into(),
            generation,
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The source with line feeds alone.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template says itself what the assistant writes.
    pub(super) fn has_generation_blocks(&self) -> bool {
        self.generation
    }

    /// The text for these variables.
    pub(super) fn render(
        &self,
        variables: Map<String, serde_json::Value>,
        rendering: Rendering,
    ) -> Result<String, Error> {
        let (environment, origin) = (self.environment.clone(), self.origin.clone());
        let job = move || {
            environment::enter(rendering);
            let template = environment.get_template(&origin)?;
            let mut output = Capped(Vec::new());
            template.render_captured_to(Value::from(Serde(&variables)), &mut output)?;
            Ok(output.0)
        };
        let bytes = sandbox::run(job)
            .map_err(|stopped| unbounded(&self.origin, &stopped))?
            .map_err(|error| explain(&self.origin, &error))?;
        // The engine writes strings only.
        String::from_utf8(bytes).map_err(|error| Error::Template {
            origin: self.origin.to_string(),
            line: 0,
            reason: error.to_string(),
        })
    }
}

/// Refuses to grow beyond the cap.
struct Capped(Vec<u8>);

impl io::Write for &mut Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_CAP {
            return Err(io::Error::other(TooMuch));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn unbounded(origin: &str, stopped: &Stopped) -> Error {
    Error::Unbounded { origin: origin.to_owned(), limit: stopped.to_string() }
}

fn explain(origin: &str, error: &minijinja::Error) -> Error {
    let (origin, line) = (origin.to_owned(), error.line().unwrap_or(0));
    if let Some(Raised(message)) = environment::cause(error) {
        return Error::Refused { origin, line, message: message.clone() };
    }
    let in_writer = environment::cause::<io::Error>(error)
        .is_some_and(|error| error.get_ref().is_some_and(|inner| inner.is::<TooMuch>()));
    if in_writer || environment::cause::<TooMuch>(error).is_some() {
        return Error::Unbounded { origin, limit: TooMuch.to_string() };
    }
    if error.kind() == ErrorKind::OutOfFuel {
        let limit = "it ran more instructions than a chat can need".to_owned();
        return Error::Unbounded { origin, limit };
    }
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    Error::Template { origin, line, reason }
}
