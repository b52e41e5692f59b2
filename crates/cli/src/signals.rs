//! SIGINT and SIGTERM: the first asks for a stop at the next safe point, the second ends at once.

use anyhow::Context;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Starts listening; the returned function says whether a stop was asked for.
pub(crate) fn install() -> anyhow::Result<impl Fn() -> bool> {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            // What draws in place hides the cursor, and nothing else will show it again.
            let mut stderr = io::stderr();
            if stderr.is_terminal() {
                let _ = stderr.write_all(b"\x1b[?7h\x1b[?25h");
            }
            // The conventional code of a process that SIGINT ended.
            #[expect(clippy::exit)]
            std::process::exit(130);
        }
    })
    .context("cannot listen for signals")?;
    Ok(move || asked.load(Ordering::SeqCst))
}
