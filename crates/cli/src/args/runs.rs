//! `runs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `runs`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the runs in a folder, and what in it is not a run.
    List(RunsListArgs),
    /// Show a run: its recipe, how far it is, its numbers, how to continue it.
    Show(RunsShowArgs),
    /// Compare runs: the settings in which they differ, and their numbers on one axis of steps.
    Compare(RunsCompareArgs),
}

/// `runs list`.
#[derive(Debug, Args)]
pub(crate) struct RunsListArgs {
    /// The folder that holds the run directories.
    #[arg(default_value = "runs", value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `runs show`.
#[derive(Debug, Args)]
pub(crate) struct RunsShowArgs {
    /// The run: its directory, or its name in runs/.
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// Show the values of this metric; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) metric: Vec<String>,
    /// Write report.html and report.json of a run of `train` anew, from its logs as they stand.
    #[arg(long)]
    pub(crate) report: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `runs compare`.
#[derive(Debug, Args)]
pub(crate) struct RunsCompareArgs {
    /// The runs, two or more: their directories, or their names in runs/.
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Compare this metric step by step; may be given several times [default: reward, else loss].
    #[arg(long, value_name = "NAME")]
    pub(crate) metric: Vec<String>,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}
