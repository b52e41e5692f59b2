//! `--model`: a directory, or the name of a model in the Hugging Face cache.

use std::path::{Path, PathBuf};

use afterthought_models::hub::{self, Repository};

use crate::commands::missing::require_directory;
use crate::console::Console;
use crate::exit::UsageError;

/// The directory that holds a model's files: the one given, the snapshot of a cache directory, or
/// that of `owner/name` in the Hugging Face cache. What exists as a path is a path.
///
/// # Errors
/// A usage error for what is neither; a failure for a cache without a usable snapshot.
pub(crate) fn resolve(given: &Path, console: &Console) -> anyhow::Result<PathBuf> {
    let repository = given.to_str().and_then(Repository::parse).filter(|_| !given.exists());
    let Some(repository) = repository else {
        require_directory(given)?;
        return Ok(hub::model_directory(given)?);
    };
    let Some(cache) = cache_directory(&|name| std::env::var(name).ok()) else {
        return Err(UsageError::new(format!("{repository} is not a directory"))
            .hint("models are looked up by name in the Hugging Face cache: set HF_HOME or HOME")
            .into());
    };
    let directory = repository.in_cache(&cache);
    if !is_complete(&directory) {
        fetch(given, &repository, &cache, console)?;
    }
    let snapshot = hub::model_directory(&directory)?;
    console.note(&format!("{repository} is {}", snapshot.display()));
    Ok(snapshot)
}

/// Whether a directory of the cache has a snapshot with the settings of a model or an adapter, which
/// are downloaded last.
fn is_complete(directory: &Path) -> bool {
    let files = ["config.json", "adapter_config.json"];
    hub::model_directory(directory).is_ok_and(|snapshot| {
        snapshot != directory && files.iter().any(|file| snapshot.join(file).is_file())
    })
}

#[cfg(feature = "hub")]
fn fetch(
    given: &Path,
    repository: &Repository,
    cache: &Path,
    console: &Console,
) -> anyhow::Result<()> {
    let offline = std::env::var("HF_HUB_OFFLINE").unwrap_or_default().to_ascii_uppercase();
    if ["1", "ON", "YES", "TRUE"].contains(&offline.as_str()) {
        let error = absent(given, repository, cache);
        return Err(error.hint("HF_HUB_OFFLINE is set: nothing is downloaded").into());
    }
    crate::commands::download::download(repository, cache, console)
}

#[cfg(not(feature = "hub"))]
fn fetch(
    given: &Path,
    repository: &Repository,
    cache: &Path,
    _console: &Console,
) -> anyhow::Result<()> {
    Err(absent(given, repository, cache).into())
}

fn absent(given: &Path, repository: &Repository, cache: &Path) -> UsageError {
    let message = format!(
        "{repository} is neither a directory nor a model in the Hugging Face cache {}",
        cache.display()
    );
    // The name of an owner that exists as a directory is more likely a path with a slip in it.
    match require_directory(given) {
        Err(error) if given.parent().is_some_and(Path::is_dir) => error,
        _ => UsageError::new(message).hint(format!(
            "this program downloads models if it is built with --features hub; else try \
                 `hf download {repository}`"
        )),
    }
}

/// The cache of the `huggingface_hub` library, by its variables.
fn cache_directory(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let of = |name: &str| variable(name).filter(|value| !value.is_empty());
    let home = || of("HOME").map(PathBuf::from);
    let expanded = |value: String| match value.strip_prefix("~/") {
        Some(rest) => home().map(|home| home.join(rest)),
        None => Some(PathBuf::from(value)),
    };
    if let Some(cache) = of("HF_HUB_CACHE").or_else(|| of("HUGGINGFACE_HUB_CACHE")) {
        return expanded(cache);
    }
    if let Some(root) = of("HF_HOME") {
        return Some(expanded(root)?.join("hub"));
    }
    let caches = match of("XDG_CACHE_HOME") {
        Some(caches) => expanded(caches)?,
        None => home()?.join(".cache"),
    };
    Some(caches.join("huggingface").join("hub"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_huggingface_hub_has_it() {
        let cache = |variables: &[(&str, &str)]| {
            cache_directory(&|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let path = |path: &str| Some(PathBuf::from(path));
        let home = ("HOME", "/h");
        assert_eq!(cache(&[]), None);
        assert_eq!(cache(&[home]), path("/h/.cache/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), path("/x/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/f")]), path("/h/f/hub"));
        assert_eq!(cache(&[home, ("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]), path("/c"));
        assert_eq!(cache(&[home, ("HF_HOME", ""), ("HF_HUB_CACHE", "")]), cache(&[home]));
    }
}
