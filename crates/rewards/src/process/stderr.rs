use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Log;
use crate::shown::plain;

/// What is kept of it for error messages.
const TAIL: usize = 4 << 10;
/// The longest line that the log gets.
const LINE: usize = 2_000;
/// Lines that the log gets between two calls; the others are counted.
const LINES: usize = 200;

/// Reads the stderr of a process to its end, whatever comes, so that it never blocks on it.
pub(crate) struct Stderr {
    state: Arc<Mutex<State>>,
    ended: Receiver<()>,
    name: String,
    log: Log,
}

#[derive(Default)]
struct State {
    /// The last bytes, at most twice [`TAIL`].
    tail: Vec<u8>,
    forwarded: usize,
    dropped: usize,
}

impl Stderr {
    pub(crate) fn follow(
        stderr: impl Read + Send + 'static,
        name: String,
        log: Log,
    ) -> std::io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let (send_ended, ended) = channel();
        let reader = Reader {
            state: Arc::clone(&state),
            name: name.clone(),
            log: log.clone(),
            line: Vec::new(),
            _ended: send_ended,
        };
        thread::Builder::new().name("reward-stderr".into()).spawn(move || reader.run(stderr))?;
        Ok(Self { state, ended, name, log })
    }

    /// Lets the log have lines again, after saying how many it did not get.
    pub(crate) fn next_call(&self) {
        let mut state = lock(&self.state);
        let dropped = std::mem::take(&mut state.dropped);
        state.forwarded = 0;
        drop(state);
        if dropped > 0 {
            self.log.line(&self.name, &format!("{dropped} more lines of stderr are not shown"));
        }
    }

    /// The end of it, without escape sequences, its lines indented; waits up to `patience` for a
    /// process that has just ended. `None` where it is empty.
    pub(crate) fn tail(&self, patience: Duration) -> Option<String> {
        // An error either way: nothing is ever sent, the other end is dropped at the end of stderr.
        let _ = self.ended.recv_timeout(patience);
        let tail = lock(&self.state).tail.clone();
        let tail = &tail[tail.len().saturating_sub(TAIL)..];
        let lines = tail.split(|byte| *byte == b'\n').map(|line| plain(line, TAIL));
        let lines: Vec<String> =
            lines.filter(|line| !line.is_empty()).map(|line| format!("    {line}")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

struct Reader {
    state: Arc<Mutex<State>>,
    name: String,
    log: Log,
    /// The line that is not complete yet, cut.
    line: Vec<u8>,
    _ended: Sender<()>,
}

impl Reader {
    fn run(mut self, mut stderr: impl Read) {
        let mut buffer = [0; 8 << 10];
        loop {
            match stderr.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => self.take(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.forward();
    }

    fn take(&mut self, bytes: &[u8]) {
        {
            let mut state = lock(&self.state);
            state.tail.extend_from_slice(bytes);
            let excess = state.tail.len().saturating_sub(TAIL);
            if excess > TAIL {
                state.tail.drain(..excess);
            }
        }
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            // Escape sequences count, so leave room for them.
            let room = (4 * LINE).saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                self.forward();
            }
        }
    }

    fn forward(&mut self) {
        let text = plain(&std::mem::take(&mut self.line), LINE);
        if text.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        if state.forwarded == LINES {
            state.dropped += 1;
            return;
        }
        state.forwarded += 1;
        drop(state);
        self.log.line(&self.name, &text);
    }
}

/// The state stays whole whatever panics while it is held: it is a few numbers and bytes.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn follow(text: &'static [u8]) -> (Stderr, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let log = Log::new(move |line| sink.lock().unwrap().push(line.text.to_owned()));
        let stderr = Stderr::follow(text, "mine".into(), log).unwrap();
        (stderr, lines)
    }

    #[test]
    fn escape_sequences_are_taken_out() {
        let (stderr, lines) = follow(b"\x1b[31mTraceback\x1b[0m\n\n  File \"a\"\r\nlast");
        let tail = stderr.tail(Duration::from_secs(60)).unwrap();
        assert_eq!(tail, "    Traceback\n      File \"a\"\n    last");
        assert_eq!(*lines.lock().unwrap(), ["Traceback", "  File \"a\"", "last"]);
        assert!(follow(b"\n\x1b[0m\n").0.tail(Duration::from_secs(60)).is_none());
    }

    #[test]
    fn row_23_a_flood_is_read_to_its_end_kept_short_and_counted() {
        let flood: &'static [u8] = Box::leak(b"0123456789\n".repeat(100_000).into_boxed_slice());
        let (stderr, lines) = follow(flood);
        let tail = stderr.tail(Duration::from_secs(60)).unwrap();
        assert!(tail.len() < 2 * TAIL && tail.ends_with("    0123456789"), "{}", tail.len());
        stderr.next_call();
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), LINES + 1);
        assert_eq!(lines[LINES], "99800 more lines of stderr are not shown");
    }
}
