//! The protocol between the benchmark and its workers, the same on both sides. JSON lines.
//!
//! After set-up a worker prints `{"ready": true, ...}` with what both sides must agree on. It
//! answers each line `go` with one repetition, `{"seconds": ..., ...}`, and `quit` (or the end of
//! its input) with `{"peak_rss_bytes": ...}`.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use anyhow::Context;
use serde_json::{Map, Value};

/// Serves repetitions of `once`, which returns what it counted.
pub(crate) fn serve(
    mut ready: Map<String, Value>,
    mut once: impl FnMut() -> anyhow::Result<Map<String, Value>>,
) -> anyhow::Result<()> {
    ready.insert("ready".into(), true.into());
    say(ready)?;
    for line in io::stdin().lock().lines() {
        match line?.trim() {
            "go" => {
                let begun = Instant::now();
                let mut counted = once()?;
                counted.insert("seconds".into(), begun.elapsed().as_secs_f64().into());
                say(counted)?;
            }
            "quit" => break,
            other => anyhow::bail!("unknown line {other:?}; expected go or quit"),
        }
    }
    say(object([("peak_rss_bytes", peak_rss_bytes()?.into())]))
}

/// A JSON object.
pub(crate) fn object<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn say(object: Map<String, Value>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", Value::Object(object))?;
    Ok(out.flush()?)
}

/// `VmHWM` of this process.
fn peak_rss_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("peak memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).context("no VmHWM")?;
    Ok(kib.parse::<u64>()? * 1024)
}
