//! Progress of long commands.
//!
//! On a terminal a [`Progress`] is a bar with the time left; elsewhere it is a line when a stage
//! starts, one when it ends, and at most one every ten seconds between. A [`Plan`] numbers the
//! stages of a long command and estimates the time left over all of them from their weights.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::{Console, ProgressMode};

/// The stages of a command, started in order.
pub(crate) struct Plan {
    console: Console,
    names: Vec<String>,
    timeline: Timeline,
    begun: Instant,
}

impl Plan {
    /// A plan of named stages; a weight is the stage's share of the time, in any unit.
    pub(crate) fn new(console: &Console, stages: &[(&str, f64)]) -> Self {
        Self {
            console: console.clone(),
            names: stages.iter().map(|(name, _)| (*name).to_owned()).collect(),
            timeline: Timeline::new(stages.iter().map(|(_, weight)| *weight).collect()),
            begun: Instant::now(),
        }
    }

    /// Starts the next stage, of `total` steps (0 where the number is not known). The stage
    /// before it must have finished.
    pub(crate) fn start(&mut self, total: u64) -> Progress {
        let index = self.timeline.begin();
        let name = self.names.get(index).map_or("more work", String::as_str);
        let label = match self.names.len() {
            0 | 1 => name.to_owned(),
            stages => format!("[{}/{stages}] {name}", index + 1),
        };
        let plan = (self.names.len() > 1).then(|| (self.timeline.clone(), self.begun));
        Progress::begin(self.console.clone(), label, total, plan)
    }

    /// Passes over the next stage because an earlier run finished it (a resumed command).
    pub(crate) fn skip(&mut self) {
        let index = self.timeline.skip();
        if let Some(name) = self.names.get(index) {
            let stages = self.names.len();
            self.console.note(&format!("{} [{}/{stages}] {name}: done earlier", utc(), index + 1));
        }
    }
}

/// One running stage. Methods take `&self`, so that callbacks and threads can share it.
pub(crate) struct Progress {
    console: Console,
    label: String,
    total: u64,
    begun: Instant,
    plan: Option<(Timeline, Instant)>,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: u64,
    metrics: Vec<(String, f64)>,
    last_line: Duration,
    finished: bool,
}

impl Progress {
    /// Starts a stage of `total` steps (0 where the number is not known) outside any plan.
    pub(crate) fn single(console: &Console, name: &str, total: u64) -> Self {
        Self::begin(console.clone(), name.to_owned(), total, None)
    }

    fn begin(
        console: Console,
        label: String,
        total: u64,
        plan: Option<(Timeline, Instant)>,
    ) -> Self {
        let bar = (console.progress_mode() == ProgressMode::Bar)
            .then(|| new_bar(&label, total, console.color()));
        match &bar {
            Some(bar) => console.put_bar(bar.clone()),
            None => {
                let steps = if total > 0 { format!(" ({total})") } else { String::new() };
                console.note(&format!("{} {label}: started{steps}", utc()));
            }
        }
        let (begun, state) = (Instant::now(), Mutex::default());
        Self { console, label, total, begun, plan, bar, state }
    }

    /// Adds to the number of steps done.
    pub(crate) fn inc(&self, steps: u64) {
        self.update(|state| state.done += steps);
    }

    /// Shows the latest value of a metric: `loss`, `reward`, `tokens/s`. It appears with the
    /// next step.
    pub(crate) fn metric(&self, name: &str, value: f64) {
        let mut state = self.state();
        match state.metrics.iter_mut().find(|(known, _)| known == name) {
            Some((_, shown)) => *shown = value,
            None => state.metrics.push((name.to_owned(), value)),
        }
    }

    /// Ends the stage. A stage that is dropped before all its steps are done and without this
    /// call is reported as stopped.
    pub(crate) fn finish(self) {
        self.state().finished = true;
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let elapsed = self.begun.elapsed();
        if let Some(bar) = &self.bar {
            bar.set_message(self.details(&state, elapsed).join(" · "));
            bar.set_position(state.done);
        } else if let ProgressMode::Lines { every } = self.console.progress_mode()
            && elapsed.saturating_sub(state.last_line) >= every
        {
            state.last_line = elapsed;
            let mut parts = vec![match self.total {
                0 => state.done.to_string(),
                total => format!("{}/{total} ({:.0}%)", state.done, 100.0 * self.fraction(&state)),
            }];
            parts.extend(self.details(&state, elapsed));
            self.console.note(&format!("{} {}: {}", utc(), self.label, parts.join(" · ")));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A holder that panicked left only display state behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fraction(&self, state: &State) -> f64 {
        if self.total == 0 { 0.0 } else { (state.done as f64 / self.total as f64).min(1.0) }
    }

    /// Time left, then metrics: a narrow terminal cuts off the end.
    fn details(&self, state: &State, elapsed: Duration) -> Vec<String> {
        let mut parts = Vec::new();
        let fraction = self.fraction(state);
        if let Some(left) = time_left(elapsed, fraction) {
            parts.push(format!("{} left", clock(left)));
        }
        if let Some((timeline, begun)) = &self.plan
            && let Some(left) = timeline.time_left(begun.elapsed(), fraction)
        {
            parts.push(format!("all stages {} left", clock(left)));
        }
        parts.extend(metric_texts(state));
        parts
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let state = self.state();
        if self.bar.is_some() {
            self.console.clear_bar();
        }
        let after = clock(self.begun.elapsed());
        let all = self.total > 0 && state.done >= self.total;
        let mut parts = vec![match (all || state.finished, self.total) {
            (true, _) => format!("done in {after}"),
            // An error or a signal: never claim more than what was done.
            (false, 0) => format!("stopped at {} after {after}", state.done),
            (false, total) => format!("stopped at {}/{total} after {after}", state.done),
        }];
        parts.extend(metric_texts(&state));
        self.console.note(&format!("{} {}: {}", utc(), self.label, parts.join(" · ")));
    }
}

/// A bar for one stage, redrawn as steps are done.
fn new_bar(label: &str, total: u64, color: bool) -> ProgressBar {
    let template = match (total, color) {
        (0, _) => "{prefix} {spinner} {pos} {wide_msg}",
        (_, true) => "{prefix:.bold} {bar:20.cyan/dim} {pos}/{len} {wide_msg:.dim}",
        (_, false) => "{prefix} {bar:20} {pos}/{len} {wide_msg}",
    };
    let length = (total > 0).then_some(total);
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    // The templates are constants that a test parses; the library's own style is the fallback.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_prefix(label.to_owned());
    bar
}

/// The weights of a plan's stages and where it stands: pure arithmetic.
#[derive(Clone, Debug)]
struct Timeline {
    weights: Vec<f64>,
    next: usize,
    /// Weight of the stages that this process itself has finished.
    finished: f64,
    running: bool,
}

impl Timeline {
    fn new(weights: Vec<f64>) -> Self {
        Self { weights, next: 0, finished: 0.0, running: false }
    }

    /// Ends the running stage, begins the next one and returns its index.
    fn begin(&mut self) -> usize {
        self.settle();
        self.running = true;
        self.next += 1;
        self.next - 1
    }

    /// Ends the running stage, passes over the next one and returns its index.
    fn skip(&mut self) -> usize {
        self.settle();
        self.next += 1;
        self.next - 1
    }

    fn settle(&mut self) {
        if self.running {
            self.finished += self.weight(self.next - 1);
            self.running = false;
        }
    }

    fn weight(&self, index: usize) -> f64 {
        self.weights.get(index).copied().unwrap_or(0.0)
    }

    /// Time left over all stages when `fraction` of the running one is done: work left at the
    /// rate of the work done. None before anything is done.
    fn time_left(&self, elapsed: Duration, fraction: f64) -> Option<Duration> {
        let current = if self.running { self.weight(self.next - 1) } else { 0.0 };
        let done = self.finished + current * fraction;
        let later: f64 = self.weights.iter().skip(self.next).sum();
        time_left(elapsed, done / (self.finished + current + later))
    }
}

/// Time left at constant speed once `fraction` of the work took `elapsed`.
fn time_left(elapsed: Duration, fraction: f64) -> Option<Duration> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return None;
    }
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * (1.0 - fraction) / fraction).ok()
}

fn metric_texts(state: &State) -> Vec<String> {
    state.metrics.iter().map(|(name, value)| format!("{name} {}", compact(*value))).collect()
}

/// `0:42`, `12:05`, `1:02:03`.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// A metric in few characters: `27.1k`, `0.5321`, `3.0e-6`.
pub(crate) fn compact(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{:.2}M", value / 1e6),
        size if size >= 1e4 => format!("{:.1}k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 1e-3 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

/// The time of day in UTC, `22:53:07Z`.
fn utc() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}Z", now / 3600, now / 60 % 60, now % 60)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use super::*;
    use crate::args::ColorWhen;

    const NEVER: Duration = Duration::MAX;

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

    impl Buffer {
        fn console(&self, quiet: bool, every: Duration) -> Console {
            Console::with_sink(Box::new(self.clone()), quiet, false, ColorWhen::Never, every)
        }

        /// The lines without their time of day.
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(|line| line.split_once("Z ").unwrap().1.to_owned()).collect()
        }
    }

    #[test]
    fn a_fast_stage_prints_its_start_and_its_end() {
        let buffer = Buffer::default();
        let console = buffer.console(false, NEVER);
        let mut plan = Plan::new(&console, &[("base", 1.0), ("sft", 2.0), ("rl", 5.0)]);
        plan.skip();
        let progress = plan.start(100);
        for _ in 0..=100 {
            progress.metric("loss", 0.5321);
            progress.inc(1);
        }
        progress.finish();
        let lines = buffer.lines();
        assert_eq!(lines[0], "[1/3] base: done earlier");
        assert_eq!(lines[1], "[2/3] sft: started (100)");
        assert!(lines[2].starts_with("[2/3] sft: done in "), "{}", lines[2]);
        assert!(lines[2].ends_with(" · loss 0.5321"), "{}", lines[2]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn lines_carry_counts_metrics_and_the_time_left() {
        let buffer = Buffer::default();
        let console = buffer.console(false, Duration::ZERO);
        let mut plan = Plan::new(&console, &[("base", 1.0), ("rl", 3.0)]);
        let progress = plan.start(4);
        progress.metric("tokens/s", 27_130.0);
        progress.inc(1);
        let line = &buffer.lines()[1];
        assert!(line.starts_with("[1/2] base: 1/4 (25%) · "), "{line}");
        assert!(line.contains(" left · all stages "), "{line}");
        assert!(line.ends_with(" left · tokens/s 27.1k"), "{line}");
    }

    #[test]
    fn an_early_stop_is_not_called_done() {
        let buffer = Buffer::default();
        let progress = Progress::single(&buffer.console(false, NEVER), "rollouts", 10);
        progress.inc(3);
        drop(progress);
        assert!(buffer.lines()[1].starts_with("rollouts: stopped at 3/10 after "));
    }

    #[test]
    fn quiet_is_silent() {
        let buffer = Buffer::default();
        let progress = Progress::single(&buffer.console(true, Duration::ZERO), "rollouts", 2);
        progress.inc(2);
        progress.finish();
        assert!(buffer.lines().is_empty());
    }

    #[test]
    fn the_bar_templates_parse() {
        for (total, color) in [(0, true), (9, true), (9, false)] {
            let bar = new_bar("stage", total, color);
            bar.set_draw_target(ProgressDrawTarget::hidden());
            assert_eq!(bar.prefix(), "stage");
            assert_eq!(bar.length(), (total > 0).then_some(total));
        }
    }

    #[test]
    fn time_left_follows_the_weights() {
        let mut timeline = Timeline::new(vec![10.0, 30.0, 60.0]);
        let seconds = Duration::from_secs;
        assert_eq!(timeline.begin(), 0);
        assert_eq!(timeline.time_left(seconds(5), 0.0), None);
        // Half of the first stage is 5 of 100 units in 5 s: 95 s remain.
        assert_eq!(timeline.time_left(seconds(5), 0.5), Some(seconds(95)));
        assert_eq!(timeline.begin(), 1);
        assert_eq!(timeline.time_left(seconds(20), 0.0), Some(seconds(180)));
        // A stage done by an earlier run counts neither as work done nor as work left.
        let mut resumed = Timeline::new(vec![10.0, 30.0, 60.0]);
        assert_eq!((resumed.skip(), resumed.begin()), (0, 1));
        assert_eq!(resumed.time_left(seconds(15), 0.5), Some(seconds(75)));
    }

    #[test]
    fn short_numbers_and_clocks() {
        let shown = [0.0, 27_130.0, 2.5e6, 312.4, 12.345, 0.5321, 3e-6, -0.25].map(compact);
        assert_eq!(shown, ["0", "27.1k", "2.50M", "312", "12.35", "0.5321", "3.0e-6", "-0.2500"]);
        let clocks = [42, 725, 3723].map(|s| clock(Duration::from_secs(s)));
        assert_eq!(clocks, ["0:42", "12:05", "1:02:03"]);
    }
}
