use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How long a killed process may take to be gone.
const DEATH: Duration = Duration::from_secs(5);

/// The exit status, if the process ends within `patience`.
pub(crate) fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    const LOOK_EVERY: Duration = Duration::from_millis(2);
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK_EVERY),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Kills the process and everything it started and left in its group, and waits for the process.
/// Returns its exit status.
///
/// The group is signalled even if the process itself has ended: what it started may be alive. Its
/// number cannot be another's yet, because numbers are handed out in turn.
pub(crate) fn kill(child: &mut Child) -> Option<ExitStatus> {
    kill_group(child);
    wait(child, DEATH)
}

#[cfg(unix)]
fn kill_group(child: &mut Child) {
    signal_group(child, nix::sys::signal::Signal::SIGKILL);
}

#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    // An error says that it has ended, which is what was wanted.
    let _ = child.kill();
}

/// Asks the process and its group to end.
#[cfg(unix)]
pub(crate) fn terminate(child: &Child) {
    signal_group(child, nix::sys::signal::Signal::SIGTERM);
}

/// There is no such request here; killing follows.
#[cfg(not(unix))]
pub(crate) fn terminate(_child: &Child) {}

#[cfg(unix)]
fn signal_group(child: &Child, signal: nix::sys::signal::Signal) {
    use nix::sys::signal::killpg;
    use nix::unistd::Pid;
    // The process leads a group of its own, which has its number; 0 and 1 would be others.
    if let Ok(group) = i32::try_from(child.id())
        && group > 1
    {
        // An error says that nobody is left in the group, which is what was wanted.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}
