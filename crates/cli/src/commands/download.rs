//! Downloads a model from the Hugging Face hub into its cache, with cargo feature `hub`.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use afterthought_models::hub::{self, Repository};
use anyhow::Context;
use hf_hub::HFClient;
use hf_hub::repository::RepoTreeEntry;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::console::{Console, printable};
use crate::exit::hinted;

/// Downloads the files of a model, or of an adapter, and checks the size and the hash of each. What is
/// in the cache already is not downloaded again. `config.json` comes last: where it is, all is.
///
/// # Errors
/// The hub cannot be reached or has no such model; the model has no safetensors; a file is not what the
/// hub says it is, and has been removed.
pub(crate) fn download(
    repository: &Repository,
    cache: &Path,
    console: &Console,
) -> anyhow::Result<()> {
    let context = || format!("cannot download {repository}");
    let client = HFClient::builder().cache_dir(cache).build_sync().with_context(context)?;
    let model = client.model(repository.owner(), repository.name());
    let tree = model.list_tree().send().with_context(context)?;
    let mut files: Vec<Remote> = tree.into_iter().filter_map(Remote::of).collect();
    if !files.iter().any(|file| file.name.ends_with(".safetensors")) {
        let error = anyhow::anyhow!("{repository} has no weights in safetensors files");
        return Err(hinted(error, "pickled weights are never read; look for a converted copy"));
    }
    files.sort_by_key(|file| (file.name.ends_with("config.json"), file.name.clone()));
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    console.note(&format!(
        "downloading {repository}: {} files, {:.1} MB, into {}",
        files.len(),
        bytes as f64 / 1e6,
        cache.display()
    ));
    for file in &files {
        console.note(&format!("  {}, {:.1} MB", printable(&file.name), file.size as f64 / 1e6));
        let path = model.download_file().filename(&file.name).send().with_context(context)?;
        if let Err(error) = file.verify(&path) {
            // The name in the snapshot, and what it leads to.
            let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            let _ = fs::remove_file(real);
            return Err(hinted(error, "the file has been removed; run the command again"));
        }
    }
    Ok(())
}

/// A file on the hub.
struct Remote {
    name: String,
    size: u64,
    hash: Hash,
}

/// How the hub names the content of a file.
enum Hash {
    /// Large files: SHA-256.
    Sha256(String),
    /// Others: git's SHA-1 of a blob.
    Git(String),
}

impl Remote {
    /// An entry of the hub's list, if it is a file that a model is made of.
    fn of(entry: RepoTreeEntry) -> Option<Self> {
        let RepoTreeEntry::File { oid, size, path: name, lfs, .. } = entry else { return None };
        let weights = |name: &str| name.starts_with("model") || name.starts_with("adapter_model");
        let wanted = hub::COMPANIONS.contains(&name.as_str())
            || ["config.json", "adapter_config.json", hub::INDEX].contains(&name.as_str())
            || (weights(&name) && name.ends_with(".safetensors"));
        if !wanted || name.contains(['/', '\\']) {
            return None;
        }
        let hash = match lfs.and_then(|lfs| lfs.sha256) {
            Some(hash) => Hash::Sha256(hash),
            None => Hash::Git(oid),
        };
        Some(Self { name, size, hash })
    }

    /// Compares a downloaded file with what the hub says of it.
    fn verify(&self, path: &Path) -> anyhow::Result<()> {
        let size =
            fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        let name = printable(&self.name);
        anyhow::ensure!(size == self.size, "{name} has {size} bytes; expected {}", self.size);
        let (found, expected) = match &self.hash {
            Hash::Sha256(expected) => (digest(Sha256::new(), path)?, expected),
            Hash::Git(expected) => {
                let blob = Sha1::new().chain_update(format!("blob {size}\0"));
                (digest(blob, path)?, expected)
            }
        };
        anyhow::ensure!(found == *expected, "{name} has the hash {found}; expected {expected}");
        Ok(())
    }
}

/// The hash of what is in `hasher` and then in the file, in hexadecimal.
fn digest(mut hasher: impl Digest, path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).with_context(context)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn remote(size: u64, hash: Hash) -> Remote {
        Remote { name: "config.json".to_owned(), size, hash }
    }

    #[test]
    fn sizes_and_hashes_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "hello\n").unwrap();
        // `git hash-object` and `sha256sum` of the same file.
        let git = || "ce013625030ba8dba906f756967f9e9ca394464a".to_owned();
        let sha256 =
            || "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".to_owned();
        remote(6, Hash::Git(git())).verify(&path).unwrap();
        remote(6, Hash::Sha256(sha256())).verify(&path).unwrap();
        let error = |remote: Remote| remote.verify(&path).unwrap_err().to_string();
        assert!(error(remote(7, Hash::Git(git()))).contains("has 6 bytes; expected 7"));
        assert!(error(remote(6, Hash::Git(sha256()))).contains("has the hash ce013625"));
        assert!(error(remote(6, Hash::Sha256(git()))).contains("has the hash 5891b5b5"));
    }

    #[test]
    fn only_files_of_models_are_wanted() {
        let wanted = |path: &str| {
            let entry = RepoTreeEntry::File {
                oid: "0".to_owned(),
                size: 1,
                path: path.to_owned(),
                lfs: None,
                last_commit: None,
                xet_hash: None,
                security: None,
            };
            Remote::of(entry).is_some()
        };
        for name in ["config.json", "model-00001-of-00002.safetensors", "tokenizer.json"] {
            assert!(wanted(name), "{name}");
        }
        for name in ["pytorch_model.bin", "consolidated.safetensors", "onnx/model.safetensors"] {
            assert!(!wanted(name), "{name}");
        }
    }
}
