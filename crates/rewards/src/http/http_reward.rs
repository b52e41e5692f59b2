use std::io::Read;
use std::time::Duration;

use ureq::http::header::{ACCEPT, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Response};
use ureq::{Agent, Body};

use super::HttpSettings;
use crate::attempts::{Attempts, NoAnswer};
use crate::protocol::{next_request, outcomes};
use crate::shown::quoted;
use crate::{Completion, Error, Log, Outcome, Reward};

/// Bytes that are read of a response that is no answer.
const EXCERPT: u64 = 1 << 10;

/// A reward that is asked for over HTTP.
pub(crate) struct HttpReward {
    name: String,
    settings: HttpSettings,
    agent: Agent,
    headers: HeaderMap,
    log: Log,
    batch: u64,
}

impl HttpReward {
    /// Connects to nothing yet, but reads the environment variables.
    pub(crate) fn new(name: String, settings: HttpSettings, log: Log) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        for (header, variable) in &settings.header_env {
            let wrong = |problem| Error::Environment {
                reward: name.clone(),
                variable: variable.clone(),
                problem,
            };
            let value = std::env::var_os(variable).ok_or_else(|| wrong("is not set"))?;
            let mut value: HeaderValue = value
                .to_str()
                .and_then(|value| value.parse().ok())
                .ok_or_else(|| wrong("holds characters that no header can have"))?;
            value.set_sensitive(true);
            // Checked with the settings.
            if let Ok(header) = header.parse::<HeaderName>() {
                headers.insert(header, value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let agent = Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .http_status_as_error(false)
            // Completions and columns go to the host that the recipe names and to no other.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // Between batches a kept connection would often have been closed by the other side.
            .max_idle_connections(0)
            .user_agent(concat!("afterthought/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { name, settings, agent, headers, log, batch: 0 })
    }

    fn attempt(&self, request: &[u8], batch: &[Completion<'_>]) -> Result<Vec<Outcome>, NoAnswer> {
        let mut post = self.agent.post(&self.settings.url);
        if let Some(headers) = post.headers_mut() {
            headers.extend(self.headers.clone());
        }
        let mut response = post.send(request).map_err(|error| self.lost(&error))?;
        if !response.status().is_success() {
            return Err(refused(&mut response));
        }
        let body = response.body_mut().with_config();
        let limit = self.settings.max_response_bytes as u64;
        let answer = body.limit(limit).read_to_vec().map_err(|error| self.lost(&error))?;
        outcomes(&answer, self.batch, batch).map_err(|bad| NoAnswer::Bad(bad.reason))
    }

    fn lost(&self, error: &ureq::Error) -> NoAnswer {
        let settings = &self.settings;
        match error {
            ureq::Error::BodyExceedsLimit(_) => NoAnswer::Bad(format!(
                "the response of {} is longer than {} bytes (max_response_bytes)",
                settings.url, settings.max_response_bytes
            )),
            ureq::Error::Timeout(_) => NoAnswer::lost(format!(
                "no answer from {} within {} s (timeout_s)",
                settings.url,
                settings.timeout.as_secs_f64()
            )),
            other => NoAnswer::lost(format!("no answer from {}: {other}", settings.url)),
        }
    }
}

/// What a status other than success means.
fn refused(response: &mut Response<Body>) -> NoAnswer {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    if status.is_redirection() {
        let target = quoted(header(LOCATION).unwrap_or("nowhere").as_bytes(), 200);
        return NoAnswer::Bad(format!("HTTP {status} to {target}: redirects are not followed"));
    }
    let wait = header(RETRY_AFTER).and_then(|value| value.trim().parse().ok());
    let mut body = Vec::new();
    // Whatever cannot be read of it is left out of the message.
    let _ = response.body_mut().as_reader().take(EXCERPT).read_to_end(&mut body);
    let reason = match body.trim_ascii() {
        [] => format!("HTTP {status}"),
        body => format!("HTTP {status}, with the body {}", quoted(body, 200)),
    };
    if status.is_server_error() || status.as_u16() == 429 {
        return NoAnswer::Lost { reason, wait: wait.map(Duration::from_secs) };
    }
    NoAnswer::Bad(reason)
}

impl Reward for HttpReward {
    fn name(&self) -> &str {
        &self.name
    }

    /// Outcomes are all failures, with the same reason, if the endpoint has no answer for the batch
    /// even after `max_retries` retries, or one that cannot be trusted.
    ///
    /// # Errors
    /// Two ids are the same.
    fn score(&mut self, batch: &[Completion<'_>]) -> Result<Vec<Outcome>, Error> {
        let Some(request) = next_request(&mut self.batch, batch)? else { return Ok(Vec::new()) };
        let attempts = Attempts {
            reward: &self.name,
            log: &self.log,
            again: self.settings.max_retries,
            called: ["retry", "retries"],
        };
        attempts.run(batch.len(), || Ok(self.attempt(&request, batch)))
    }
}
