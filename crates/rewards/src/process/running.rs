use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::ProcessSettings;
use super::event::Event;
use super::stderr::Stderr;
use super::stdout::read_lines;
use super::stop::{kill, terminate, wait};
use crate::Log;
use crate::attempts::NoAnswer;
use crate::shown::quoted;

/// How long a process may take to end after its stdin was closed, and after it was asked to.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to wait for what goes with the end of a process: its status, the rest of its stderr.
const AFTERMATH: Duration = Duration::from_millis(500);
/// How long to wait for what a process that lives on may just have written to stderr.
const GLANCE: Duration = Duration::from_millis(20);

/// A process that was started and not stopped.
pub(crate) struct Running {
    child: Child,
    /// To the thread that writes its stdin; without it, stdin is closed.
    requests: Option<Sender<Vec<u8>>>,
    events: Receiver<Event>,
    stderr: Stderr,
    answered: bool,
    closed: bool,
}

impl Running {
    /// Starts `program` in a process group of its own.
    pub(crate) fn start(
        program: &Path,
        settings: &ProcessSettings,
        directory: &Path,
        name: &str,
        log: &Log,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(&settings.arguments).current_dir(directory);
        // Python would keep answers in a buffer, and might not read UTF-8.
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONUTF8", "1").envs(&settings.env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        match Self::serve(&mut child, settings.max_response_bytes, name, log) {
            Ok((requests, events, stderr)) => Ok(Self {
                child,
                requests: Some(requests),
                events,
                stderr,
                answered: false,
                closed: false,
            }),
            Err(error) => {
                kill(&mut child);
                Err(error)
            }
        }
    }

    /// The three threads at its pipes.
    fn serve(
        child: &mut Child,
        limit: usize,
        name: &str,
        log: &Log,
    ) -> io::Result<(Sender<Vec<u8>>, Receiver<Event>, Stderr)> {
        let missing = || io::Error::other("a pipe to the process is missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let (requests, to_write) = channel();
        // A process that writes without being asked is read no further than this.
        let (events, received) = sync_channel(1);
        let written = events.clone();
        let thread = |name: &str| thread::Builder::new().name(name.to_owned());
        thread("reward-stdin").spawn(move || write_requests(stdin, &to_write, &written))?;
        thread("reward-stdout")
            .spawn(move || read_lines(stdout, limit, |event| events.send(event).is_ok()))?;
        let stderr = Stderr::follow(stderr, name.to_owned(), log.clone())?;
        Ok((requests, received, stderr))
    }

    /// Writes a request and reads the line that answers it. After an error the process is of no use.
    pub(crate) fn call(
        &mut self,
        request: Vec<u8>,
        timeout: Duration,
        limit: usize,
    ) -> Result<Vec<u8>, NoAnswer> {
        let started = Instant::now();
        self.stderr.next_call();
        if self.answered
            && let Ok(event) = self.events.try_recv()
        {
            return Err(match event {
                Event::Line(line) => self.bad(format!(
                    "it wrote a line that answers nothing, {}; messages belong on stderr",
                    quoted(&line, 200)
                )),
                other => self.lost(other, limit),
            });
        }
        if let Some(requests) = &self.requests {
            // An error says that the writing thread has ended, which it has reported as an event.
            let _ = requests.send(request);
        }
        match self.events.recv_timeout(timeout.saturating_sub(started.elapsed())) {
            Ok(Event::Line(line)) => {
                self.answered = true;
                Ok(line)
            }
            Ok(other) => Err(self.lost(other, limit)),
            Err(RecvTimeoutError::Timeout) => Err(self.hung(timeout)),
            Err(RecvTimeoutError::Disconnected) => Err(self.lost(Event::Closed(Vec::new()), limit)),
        }
    }

    fn hung(&mut self, timeout: Duration) -> NoAnswer {
        kill(&mut self.child);
        let reason = format!(
            "no answer within {} s (timeout_s). If it writes its answers without flushing them, they \
             never arrive: in Python, print(..., flush=True)",
            timeout.as_secs_f64()
        );
        NoAnswer::lost(self.with_stderr(reason, AFTERMATH))
    }

    fn lost(&mut self, event: Event, limit: usize) -> NoAnswer {
        let (event, partial) = match event {
            Event::TooLong => {
                return self
                    .bad(format!("its answer is longer than {limit} bytes (max_response_bytes)"));
            }
            Event::Line(line) | Event::Closed(line) => ("it closed its stdout".to_owned(), line),
            Event::ReadFailed(error) => (format!("its stdout cannot be read: {error}"), Vec::new()),
            Event::WriteFailed(error) => {
                (format!("it does not read its stdin to the end: {error}"), Vec::new())
            }
        };
        let ended = wait(&mut self.child, AFTERMATH);
        kill(&mut self.child);
        let mut reason = match ended {
            Some(status) => format!("it ended before it answered ({})", status),
            None => format!("{event} and did not end"),
        };
        if !partial.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(reason, ", in the middle of the line {}", quoted(&partial, 200));
        }
        NoAnswer::lost(self.with_stderr(reason, AFTERMATH))
    }

    fn bad(&mut self, reason: String) -> NoAnswer {
        kill(&mut self.child);
        NoAnswer::Bad(self.with_stderr(reason, AFTERMATH))
    }

    /// The reason why an answer is bad, with the end of stderr so far.
    pub(crate) fn blame(&self, reason: String) -> String {
        self.with_stderr(reason, GLANCE)
    }

    /// The reason, with the end of stderr. Waits up to `patience` for stderr to end.
    fn with_stderr(&self, reason: String, patience: Duration) -> String {
        match self.stderr.tail(patience) {
            Some(tail) => format!("{reason}; its stderr ends with\n{tail}"),
            None => reason,
        }
    }

    /// Whether stdout ends within `patience`. What is still written there is of no interest.
    fn closes(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.closed {
            // One that writes without end always has something to receive.
            if Instant::now() >= deadline {
                return false;
            }
            match self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Line(_) | Event::WriteFailed(_)) => {}
                Ok(Event::Closed(_) | Event::TooLong | Event::ReadFailed(_)) => self.closed = true,
                Err(RecvTimeoutError::Disconnected) => self.closed = true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
        true
    }
}

impl Drop for Running {
    /// Closes stdin, which tells a process to end; asks it to; kills it and its group.
    fn drop(&mut self) {
        self.requests = None;
        let gone = |running: &mut Self| {
            running.closes(FAREWELL) && wait(&mut running.child, AFTERMATH).is_some()
        };
        if !gone(self) {
            terminate(&self.child);
            wait(&mut self.child, AFTERMATH);
        }
        kill(&mut self.child);
    }
}

fn write_requests(mut stdin: ChildStdin, requests: &Receiver<Vec<u8>>, events: &SyncSender<Event>) {
    for mut request in requests {
        request.push(b'\n');
        if let Err(error) = stdin.write_all(&request).and_then(|()| stdin.flush()) {
            // Nobody waits for events of a process that is being stopped.
            let _ = events.send(Event::WriteFailed(error));
            return;
        }
    }
}
