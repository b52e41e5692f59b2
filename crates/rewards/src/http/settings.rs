use std::collections::BTreeMap;
use std::time::Duration;

use ureq::http::{HeaderName, Uri};

use crate::config::{Checks, RewardConfig};

/// Where batches are sent and how patient one is.
#[derive(Clone, Debug)]
pub(crate) struct HttpSettings {
    pub(crate) url: Uri,
    /// Headers and the environment variables that hold their values.
    pub(crate) header_env: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) max_retries: u32,
    pub(crate) max_response_bytes: usize,
}

impl HttpSettings {
    pub(crate) fn read(config: &RewardConfig, checks: &mut Checks) -> Option<Self> {
        let timeout = checks.timeout(config.timeout_s);
        let max_retries = checks.attempts("max_retries", config.max_retries);
        let max_response_bytes = checks.response_bytes(config.max_response_bytes);
        let header_env = config.header_env.clone().unwrap_or_default();
        for (header, variable) in &header_env {
            if header.parse::<HeaderName>().is_err() || ours(header) {
                checks.add("header_env", format!("has {header:?}, which is no header to set"));
            }
            if variable.is_empty() || variable.contains(['=', '\0']) {
                checks.add("header_env", format!("has {variable:?}, which names no variable"));
            }
        }
        let url = url(config, checks)?;
        Some(Self { url, header_env, timeout, max_retries, max_response_bytes })
    }
}

/// Headers that follow from the body and the connection.
fn ours(header: &str) -> bool {
    ["content-type", "content-length", "transfer-encoding", "host", "connection"]
        .iter()
        .any(|ours| header.eq_ignore_ascii_case(ours))
}

fn url(config: &RewardConfig, checks: &mut Checks) -> Option<Uri> {
    const EXPECTED: &str = "expected http://host:port/path";
    let Some(text) = &config.url else {
        checks.add("url", format!("is missing: {EXPECTED}"));
        return None;
    };
    let Ok(url) = text.parse::<Uri>() else {
        checks.add("url", format!("is {text:?}: {EXPECTED}"));
        return None;
    };
    let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    match url.scheme_str() {
        Some("https") => checks.add(
            "url",
            "is https, which is not built in: expected http, for instance to a proxy on this machine",
        ),
        Some("http") if has_user => {
            checks.add("url", "holds a user name or a password: use `header_env`");
        }
        Some("http") if url.host().is_some_and(|host| !host.is_empty()) => return Some(url),
        _ => checks.add("url", format!("is {text:?}: {EXPECTED}")),
    }
    None
}
