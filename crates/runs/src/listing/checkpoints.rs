use std::fs;
use std::io;
use std::path::Path;

/// Steps of the directories `checkpoints/step-XXXXXXXX`, ascending, by name alone: whether one is
/// whole is for those who load it.
pub(super) fn steps(run: &Path, problems: &mut Vec<String>) -> Vec<u64> {
    let mut steps = Vec::new();
    match fs::read_dir(run.join("checkpoints")) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let name = entry.file_name();
                let digits = name.to_str().and_then(|name| name.strip_prefix("step-"));
                steps.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => problems.push(format!("checkpoints: {error}")),
    }
    steps.sort_unstable();
    steps
}
