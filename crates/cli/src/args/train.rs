//! `train`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Recipes, later ones on top of earlier ones; with --resume, if none is named, that of the run.
    #[arg(value_name = "RECIPE.toml", required_unless_present_any = ["resume", "print"])]
    pub(crate) recipes: Vec<PathBuf>,
    /// Set one key of the recipe, as in optimizer.learning_rate=1e-4; may be given again.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Check everything that can be checked beforehand, print the plan, train nothing.
    #[arg(long, conflicts_with_all = ["resume", "fork"])]
    pub(crate) dry_run: bool,
    /// Go on with an interrupted run.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Go on although recipe, data, program or threads differ from those that the run began with.
    #[arg(long, requires = "resume")]
    pub(crate) allow_change: bool,
    /// Begin a new run from the state of a checkpoint of another run.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with = "resume")]
    pub(crate) fork: Option<PathBuf>,
    /// Run directory [default: runs/RECIPE-SEED].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print the JSON Schema or the reference page of recipes, and do nothing else.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) print: Option<RecipeDocument>,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What there is to say about recipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecipeDocument {
    /// For editors: complete and check keys while they are typed.
    Schema,
    /// For people: every key, its values, its default.
    Reference,
}
