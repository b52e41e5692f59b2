//! What was asked: the recipe and where the run goes.

use std::path::{Path, PathBuf};

use afterthought_recipes::train::Train;
use afterthought_recipes::{Recipe, Source};
use anyhow::Context;

use super::run_dir::RECIPE;
use crate::args::TrainArgs;
use crate::commands::missing::require_file;
use crate::exit::UsageError;

/// A recipe that passed every check which needs nothing but the recipe.
pub(super) struct Request {
    pub(super) train: Train,
    pub(super) recipe: Recipe,
    /// What the recipe is called.
    pub(super) name: String,
    /// The run directory.
    pub(super) out: PathBuf,
}

impl Request {
    /// Reads the recipes.
    ///
    /// # Errors
    /// A usage error: a file that is not there, or everything that is wrong with the recipe.
    pub(super) fn read(args: &TrainArgs) -> anyhow::Result<Self> {
        let mut paths = args.recipes.clone();
        if paths.is_empty() {
            let Some(out) = &args.out else {
                return Err(UsageError::new("--resume without a recipe needs --out")
                    .hint("name the run directory")
                    .into());
            };
            paths.push(out.join(RECIPE));
        }
        let sources = paths
            .iter()
            .map(|path| {
                require_file(path)?;
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Ok(Source { name: path.display().to_string(), text })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (train, recipe) = Train::read(&sources, &args.sets).map_err(|problems| {
            UsageError::new(problems.to_string()).hint("docs/recipes.md lists every key")
        })?;
        let name = paths.last().map_or_else(String::new, |path| name_of(path));
        let out = match &args.out {
            Some(out) => out.clone(),
            None => PathBuf::from("runs").join(format!("{name}-{}", train.seed)),
        };
        Ok(Self { train, recipe, name, out })
    }
}

fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(|| "train".into(), |stem| stem.to_string_lossy().into_owned())
}
