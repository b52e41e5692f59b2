use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Checks, RewardConfig};

/// How a process is started and how patient one is with it.
#[derive(Clone, Debug)]
pub(crate) struct ProcessSettings {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) max_restarts: u32,
    pub(crate) max_response_bytes: usize,
}

impl ProcessSettings {
    pub(crate) fn read(config: &RewardConfig, checks: &mut Checks) -> Option<Self> {
        let timeout = checks.timeout(config.timeout_s);
        let max_restarts = checks.attempts("max_restarts", config.max_restarts);
        let max_response_bytes = checks.response_bytes(config.max_response_bytes);
        let env = config.env.clone().unwrap_or_default();
        for (variable, value) in &env {
            if variable.is_empty() || variable.contains(['=', '\0']) || value.contains('\0') {
                checks.add("env", format!("has {variable:?}, which no environment can hold"));
            }
        }
        let command = config.command.as_deref().unwrap_or_default();
        if command.iter().any(|word| word.contains('\0')) {
            checks.add("command", "has a word with a zero byte");
        }
        let Some((program, arguments)) =
            command.split_first().filter(|(first, _)| !first.is_empty())
        else {
            checks.add(
                "command",
                "is missing or empty: expected a program and its arguments, as in \
                 [\"python3\", \"reward.py\"]",
            );
            return None;
        };
        Some(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            working_dir: config.working_dir.clone(),
            env,
            timeout,
            max_restarts,
            max_response_bytes,
        })
    }
}
