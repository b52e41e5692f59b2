//! Row 23 of the fault table, for rewards that are HTTP endpoints.
#![allow(clippy::unwrap_used)]

mod fake;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};

use afterthought_rewards::{Error, Outcome, RewardConfig, RewardKind};
use fake::{answer, failure, score, score_again, values};
use serde_json::Value;

/// What the server does with a request after it has read it.
enum Reply {
    /// Send these bytes and close.
    Bytes(Vec<u8>),
    /// Send nothing until the client goes away.
    Nothing,
    /// Promise a body of a gigabyte and send it while anybody reads.
    Gigabyte,
}

/// A request as the server saw it.
struct Request {
    head: String,
    body: Vec<u8>,
}

/// Replies to one connection after the other, and then is gone.
fn server(replies: Vec<Reply>) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/score", listener.local_addr().unwrap());
    let serve = move || {
        let mut requests = Vec::new();
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            requests.push(read_request(&stream));
            match reply {
                Reply::Bytes(bytes) => stream.write_all(&bytes).unwrap(),
                Reply::Nothing => {
                    let _ = stream.read(&mut [0]);
                }
                Reply::Gigabyte => {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1 << 30);
                    stream.write_all(head.as_bytes()).unwrap();
                    while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
                }
            }
        }
        requests
    };
    (url, thread::spawn(serve))
}

fn read_request(stream: &TcpStream) -> Request {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head
        .to_lowercase()
        .split("content-length:")
        .nth(1)
        .map(|rest| rest.lines().next().unwrap_or("").trim().parse::<usize>().unwrap());
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body).unwrap();
    Request { head, body }
}

fn reply(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n");
    Reply::Bytes((head + body).into_bytes())
}

fn ok(body: &str) -> Reply {
    reply("200 OK", "Content-Type: application/json\r\n", body)
}

fn config(url: &str) -> RewardConfig {
    RewardConfig {
        url: Some(url.to_owned()),
        timeout_s: Some(20.0),
        max_retries: Some(0),
        ..RewardConfig::new(RewardKind::Http)
    }
}

#[test]
fn the_request_is_the_batch_and_order_does_not_matter() {
    let (url, server) = server(vec![ok(&answer(1, &[8, 7])), ok(&answer(2, &[9]))]);
    let mut reward = config(&url).build(Path::new(".")).unwrap();
    assert_eq!(score_again(reward.as_mut(), &[7, 8]).unwrap(), values(&[7, 8]));
    assert_eq!(score_again(reward.as_mut(), &[9]).unwrap(), values(&[9]));
    let requests = server.join().unwrap();
    assert!(requests[0].head.starts_with("POST /score HTTP/1.1\r\n"), "{}", requests[0].head);
    let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(body["batch"], 1);
    assert_eq!(body["items"][1]["id"], 8);
    assert_eq!(body["items"][1]["completion"], "c");
    assert!(requests[0].head.to_lowercase().contains("content-type: application/json"));
}

#[test]
fn row_23_busy_and_broken_endpoints_are_tried_again() {
    let (url, server) = server(vec![
        reply("500 Internal Server Error", "", "oops"),
        reply("429 Too Many Requests", "Retry-After: 0\r\n", ""),
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"batch\"".to_vec()),
        Reply::Bytes(Vec::new()),
        ok(&answer(1, &[1])),
    ]);
    let (log, lines) = fake::kept_log();
    let config = RewardConfig { max_retries: Some(4), ..config(&url) };
    let mut reward = config.build_with_log(Path::new("."), &log).unwrap();
    assert_eq!(score_again(reward.as_mut(), &[1]).unwrap(), values(&[1]));
    let requests = server.join().unwrap();
    assert_eq!(requests.len(), 5);
    // The same batch under the same number each time.
    assert!(requests.iter().all(|request| request.body == requests[0].body));
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(
        lines[0].contains("HTTP 500 Internal Server Error, with the body \"oops\""),
        "{lines:?}"
    );
    assert!(lines[1].contains("HTTP 429"), "{lines:?}");
}

#[test]
fn row_23_patience_ends() {
    let oops = || reply("503 Service Unavailable", "", "");
    let (url, server) = server(vec![oops(), oops(), oops()]);
    let config = RewardConfig { max_retries: Some(2), ..config(&url) };
    let outcomes = score(&config, &[1, 2]).unwrap();
    let reason = failure(&outcomes);
    assert!(reason.contains("HTTP 503") && reason.ends_with("(after 2 retries)"), "{reason}");
    assert_eq!(server.join().unwrap().len(), 3);
    // Nobody listens there any more.
    let outcomes = score(&config, &[1]).unwrap();
    let reason = failure(&outcomes);
    assert!(reason.contains("no answer from http://127.0.0.1:"), "{reason}");
}

#[test]
fn row_23_an_endpoint_that_hangs_is_given_up() {
    let (url, server) = server(vec![Reply::Nothing]);
    let config = RewardConfig { timeout_s: Some(0.5), ..config(&url) };
    let outcomes = score(&config, &[1]).unwrap();
    assert!(failure(&outcomes).contains("within 0.5 s (timeout_s)"), "{outcomes:?}");
    server.join().unwrap();
}

#[test]
fn row_23_half_a_response_is_no_answer() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"batch\"".to_vec();
    let (url, server) = server(vec![Reply::Bytes(half)]);
    let outcomes = score(&config(&url), &[1]).unwrap();
    assert!(failure(&outcomes).contains("no answer from"), "{outcomes:?}");
    server.join().unwrap();
}

#[test]
fn row_23_garbage_is_shown_and_not_asked_for_again() {
    for (answer_given, why) in [
        (ok("<html>\u{1b}[1m"), r#"the answer was "<html>\u{1b}[1m""#),
        (ok(""), "found nothing"),
        (ok("[0.5]"), "bare rewards"),
        (ok(&answer(1, &[2])), "id 2 is not in the batch"),
        (ok(&answer(1, &[])), "expected 1 rewards, found 0"),
        (ok(&answer(1, &[1, 1])), "id 1 has two rewards"),
        (ok(&answer(2, &[1])), "expected an answer to batch 1, found 2"),
        (
            reply("404 Not Found", "", "no such page"),
            "HTTP 404 Not Found, with the body \"no such page\"",
        ),
        (Reply::Bytes(b"garbage\r\n\r\n".to_vec()), "no answer from"),
    ] {
        let (url, server) = server(vec![answer_given]);
        let outcomes = score(&config(&url), &[1]).unwrap();
        assert!(failure(&outcomes).contains(why), "{outcomes:?}");
        server.join().unwrap();
    }
}

#[test]
fn row_23_a_gigabyte_is_given_up_at_the_cap() {
    let (url, server) = server(vec![Reply::Gigabyte]);
    let config = RewardConfig { max_response_bytes: Some(1 << 20), ..config(&url) };
    let outcomes = score(&config, &[1]).unwrap();
    assert!(failure(&outcomes).contains("longer than 1048576 bytes"), "{outcomes:?}");
    server.join().unwrap();
}

#[test]
fn row_23_nan_fails_its_completion_only() {
    let body = r#"{"batch": 1, "rewards": [{"id": 1, "reward": NaN}, {"id": 2, "reward": 2}]}"#;
    let (url, server) = server(vec![ok(body)]);
    let outcomes = score(&config(&url), &[1, 2]).unwrap();
    assert!(matches!(outcomes[0], Outcome::Failed(_)));
    assert_eq!(outcomes[1], Outcome::Value(2.0));
    server.join().unwrap();
}

#[test]
fn completions_are_sent_to_no_other_host() {
    let (elsewhere, other) = server(vec![ok(&answer(1, &[1]))]);
    for status in ["302 Found", "307 Temporary Redirect"] {
        let (url, server) = server(vec![reply(status, &format!("Location: {elsewhere}\r\n"), "")]);
        let outcomes = score(&config(&url), &[1]).unwrap();
        let reason = failure(&outcomes);
        assert!(reason.contains("redirects are not followed") && reason.contains(&elsewhere));
        server.join().unwrap();
    }
    // Let the other server go: nobody has asked it for anything yet.
    assert_eq!(score(&config(&elsewhere), &[1]).unwrap(), values(&[1]));
    assert_eq!(other.join().unwrap().len(), 1);
}

#[test]
fn a_header_comes_from_the_environment() {
    let with = |url: &str, header: &str, variable: &str| RewardConfig {
        header_env: Some([(header.to_owned(), variable.to_owned())].into()),
        ..config(url)
    };
    // A variable that cargo sets for every test.
    let (url, server) = server(vec![ok(&answer(1, &[1]))]);
    assert_eq!(score(&with(&url, "X-Token", "CARGO_PKG_NAME"), &[1]).unwrap(), values(&[1]));
    let head = server.join().unwrap().remove(0).head.to_lowercase();
    assert!(head.contains("x-token: afterthought-rewards\r\n"), "{head}");
    let build = |config: RewardConfig| config.build(Path::new(".")).map(|_| ()).unwrap_err();
    let error = build(with(&url, "Authorization", "NO_SUCH_VARIABLE_9"));
    assert!(matches!(error, Error::Environment { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "reward http: the environment variable NO_SUCH_VARIABLE_9 is not set"
    );
    for header in ["Content-Length", "two words", ""] {
        assert!(matches!(build(with(&url, header, "PATH")), Error::Config { .. }), "{header}");
    }
}
