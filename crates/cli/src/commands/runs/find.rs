//! From what the user called a run to the run.

use std::fs;
use std::path::{Path, PathBuf};

use afterthought_runs::listing::{Run, open};
use afterthought_runs::log::History;

use crate::commands::missing::{nearest, require_directory};
use crate::exit::UsageError;

/// The folder in which runs stand unless they are told otherwise.
const RUNS: &str = "runs";

/// Opens a run by its directory, or by its name in `runs/`.
pub(super) fn find(name: &Path) -> Result<Run, UsageError> {
    let path = locate(name)?;
    open(&path).map_err(|reason| {
        UsageError::new(format!("{} is not a run: {reason}", path.display()))
            .hint("`afterthought runs list` shows what there is")
    })
}

fn locate(name: &Path) -> Result<PathBuf, UsageError> {
    if name.exists() {
        return Ok(name.to_owned());
    }
    let named = Path::new(RUNS).join(name);
    if named.exists() {
        return Ok(named);
    }
    let known = fs::read_dir(RUNS).into_iter().flatten();
    let known = known.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    if let Some(near) = name.to_str().and_then(|name| nearest(name, known)) {
        return Err(UsageError::new(format!("there is no run {}", name.display()))
            .hint(format!("did you mean {near}?")));
    }
    // Not near anything in runs/; perhaps near another path.
    require_directory(name)?;
    Ok(name.to_owned())
}

/// Fails unless a run has logged a metric.
pub(super) fn require_metric(histories: &[&History], name: &str) -> Result<(), UsageError> {
    let mut names: Vec<&str> = histories.iter().flat_map(|history| history.names()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    names.sort_unstable();
    names.dedup();
    let error = UsageError::new(format!("no metric is called {name}"));
    let near = nearest(name, names.iter().map(|name| (*name).to_owned()));
    Err(match (near, names.is_empty()) {
        (Some(near), _) => error.hint(format!("did you mean {near}?")),
        (None, true) => error.hint("no metric was logged yet"),
        (None, false) => error.hint(format!("there are {}", names.join(", "))),
    })
}
