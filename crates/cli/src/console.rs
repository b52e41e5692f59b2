//! What people see: messages on stderr, results on stdout. [`crate::progress`] draws the bars.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comfy_table::{ContentLineStyle, LineStyle, Table, TableStyle};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::args::ColorWhen;

/// The least time between two plain progress lines of one stage.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The stderr side of a command; clones share it.
#[derive(Clone)]
pub(crate) struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    quiet: bool,
    color: bool,
    color_when: ColorWhen,
    live: bool,
    line_every: Duration,
    output: Mutex<Output>,
}

struct Output {
    sink: Box<dyn Write + Send>,
    /// The bar on screen: lines must be printed above it.
    bar: Option<ProgressBar>,
}

impl Console {
    /// The console of the process; `quiet` drops notes and progress, never warnings.
    pub(crate) fn new(quiet: bool, color: ColorWhen) -> Self {
        let terminal = io::stderr().is_terminal();
        Self::with_sink(Box::new(io::stderr()), quiet, terminal && !dumb(), color, LINE_EVERY)
    }

    /// A console that writes to `sink` instead of stderr.
    pub(crate) fn with_sink(
        sink: Box<dyn Write + Send>,
        quiet: bool,
        live: bool,
        color: ColorWhen,
        line_every: Duration,
    ) -> Self {
        let output = Mutex::new(Output { sink, bar: None });
        let (color_when, color) = (color, colored(color, live));
        Self { shared: Arc::new(Shared { quiet, color, color_when, live, line_every, output }) }
    }

    /// Whether stderr takes ANSI colours.
    pub(crate) fn color(&self) -> bool {
        self.shared.color
    }

    /// Whether stdout takes ANSI colours.
    pub(crate) fn color_stdout(&self) -> bool {
        colored(self.shared.color_when, io::stdout().is_terminal() && !dumb())
    }

    /// Whether stderr is a terminal that can be redrawn.
    pub(crate) fn live(&self) -> bool {
        self.shared.live
    }

    /// A line of information; dropped by `--quiet`.
    pub(crate) fn note(&self, text: &str) {
        if !self.shared.quiet {
            self.line(text);
        }
    }

    /// A line that the user must see, `--quiet` or not.
    pub(crate) fn warn(&self, text: &str) {
        let label = if self.shared.color { "\u{1b}[1;33mwarning:\u{1b}[0m" } else { "warning:" };
        self.line(&format!("{label} {text}"));
    }

    /// How progress is shown.
    pub(crate) fn progress_mode(&self) -> ProgressMode {
        match &*self.shared {
            Shared { quiet: true, .. } => ProgressMode::Silent,
            Shared { live: true, .. } => ProgressMode::Bar,
            Shared { line_every, .. } => ProgressMode::Lines { every: *line_every },
        }
    }

    /// Puts a bar on screen; lines are printed above it until it is taken down.
    pub(crate) fn put_bar(&self, bar: ProgressBar) {
        self.output().bar = Some(bar);
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear_bar(&self) {
        if let Some(bar) = self.output().bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        let mut output = self.output();
        let Output { sink, bar } = &mut *output;
        // Nobody is left to tell when stderr is closed, so its errors are dropped.
        match bar {
            Some(bar) => bar.suspend(|| drop(writeln!(sink, "{text}"))),
            None => drop(writeln!(sink, "{text}")),
        }
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        // A holder that panicked left only display state behind.
        self.shared.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether to colour a stream that is a terminal or not.
fn colored(when: ColorWhen, terminal: bool) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => {
            terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressMode {
    /// Not at all.
    Silent,
    /// A bar that redraws itself.
    Bar,
    /// Lines, at most one `every` so often while a stage runs.
    Lines {
        /// The least time between two lines.
        every: Duration,
    },
}

/// Columns of the terminal on stderr; 80 where there is none.
pub(crate) fn stderr_width() -> usize {
    let mut table = Table::new();
    table.use_stderr();
    table.width().map_or(80, usize::from).max(20)
}

/// Text from a model or a file, with control characters escaped so that it cannot drive the
/// terminal; newlines and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => safe.push(character),
            _ if character.is_control() => safe.extend(character.escape_default()),
            _ => safe.push(character),
        }
    }
    safe
}

/// Writes the result of a command to stdout.
pub(crate) fn print_text(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        stdout.write_all(b"\n")?;
    }
    stdout.flush()
}

/// Writes the result of a command to stdout as one JSON document.
pub(crate) fn print_json(document: &impl Serialize) -> anyhow::Result<()> {
    Ok(print_text(&serde_json::to_string_pretty(document)?)?)
}

/// An empty table for stdout in the style of all commands.
pub(crate) fn table(header: &[&str]) -> Table {
    let style = TableStyle::new()
        .header_lines(ContentLineStyle::none().junction(' '))
        .header_separator(LineStyle::none().fill('─').junction(' '))
        .content_lines(ContentLineStyle::none().junction(' '));
    let mut table = Table::new();
    table.load_style(style).set_header(header.to_vec());
    table
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// A sink that the test can read back.
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn transcript(quiet: bool, color: ColorWhen) -> String {
        let buffer = Buffer::default();
        let console =
            Console::with_sink(Box::new(buffer.clone()), quiet, false, color, Duration::ZERO);
        console.note("loading");
        console.warn("3 rows dropped");
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn quiet_drops_notes_and_keeps_warnings() {
        assert_eq!(transcript(false, ColorWhen::Never), "loading\nwarning: 3 rows dropped\n");
        assert_eq!(transcript(true, ColorWhen::Never), "warning: 3 rows dropped\n");
    }

    #[test]
    fn colour_is_off_away_from_a_terminal_unless_forced() {
        assert!(!transcript(false, ColorWhen::Auto).contains('\u{1b}'));
        assert!(transcript(false, ColorWhen::Always).contains('\u{1b}'));
    }

    #[test]
    fn control_characters_cannot_reach_the_terminal() {
        assert_eq!(printable("a\tb\nc"), "a\tb\nc");
        assert_eq!(printable("\u{1b}[2Jx\r\u{7}"), "\\u{1b}[2Jx\\r\\u{7}");
    }
}
