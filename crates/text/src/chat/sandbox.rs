//! Runs a rendering where it can do no harm but cost a moment.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// How long a rendering may take. Fuel ends one after a few hundredths of a second, so this is met
/// only by a template that keeps doubling a string, which costs no fuel.
const DEADLINE: Duration = Duration::from_secs(5);
/// Stack of the thread. The engine drops and prints nested values recursively, and fuel bounds how
/// deep a template can nest them. Pages that are not touched cost nothing.
const STACK: usize = 256 << 20;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("it was still running after {} s", DEADLINE.as_secs())]
    Late,
    #[error("the template engine failed")]
    Panicked,
    #[error("no thread for it: {0}")]
    NoThread(#[from] std::io::Error),
}

/// The result of `job`, run on a thread of its own. One that is late is left behind.
pub(super) fn run<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stopped> {
    let (sender, receiver) = sync_channel(1);
    thread::Builder::new().name("chat-template".to_owned()).stack_size(STACK).spawn(move || {
        // Nobody waits any more if this comes late.
        let _ = sender.send(job());
    })?;
    receiver.recv_timeout(DEADLINE).map_err(|error| match error {
        RecvTimeoutError::Timeout => Stopped::Late,
        RecvTimeoutError::Disconnected => Stopped::Panicked,
    })
}
