//! A scripted GitLab: an API whose answers come from a function.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http::{Got, read_request};

/// Returns the body for a path. Paths of POST begin with `POST `. `Some(null)` stands for 401 and `None` for 404.
type Answers = fn(&str) -> Option<Value>;

pub(crate) struct Forge {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Forge {
    pub(crate) fn start(answers: Answers) -> Self {
        Self::serving(answers, false)
    }

    /// A GitLab that answers the first call with 429.
    pub(crate) fn start_limited(answers: Answers) -> Self {
        Self::serving(answers, true)
    }

    fn serving(answers: Answers, is_limited: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = asked.clone();

        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                while let Some(got) = read_request(&mut stream) {
                    let path = asked_path(&got);
                    let is_refused = {
                        let mut kept = kept.lock().expect("no panic");
                        kept.push(path.clone());
                        is_limited && kept.len() == 1
                    };

                    let answer = if is_refused {
                        ("429 Too Many Requests\r\nRetry-After: 1", json!({}))
                    } else {
                        answer(answers(&path))
                    };

                    if write_answer(&mut stream, answer).is_err() {
                        break;
                    }
                }
            }
        });

        Self { port, asked }
    }

    /// The options of a command that reads from this GitLab.
    pub(crate) fn options(&self) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}", self.port);
        ["--gitlab", &url].map(str::to_owned).to_vec()
    }

    /// The paths of all requests.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// The path of a request without the prefix of the API. Checks the token.
fn asked_path(got: &Got) -> String {
    let mut headers = got.headers.iter();
    let has_token = headers.any(|(name, value)| name.eq_ignore_ascii_case("private-token") && value == "gitlab-token");
    assert!(has_token);

    let line = &got.headers["line"];
    let path = line.split(' ').nth(1).expect("a path");
    let path = path.trim_start_matches("/api/v4/");
    let prefix = if line.starts_with("POST ") { "POST " } else { "" };

    format!("{prefix}{path}")
}

/// The status, with further header fields, and the body.
fn answer(found: Option<Value>) -> (&'static str, Value) {
    match found {
        Some(Value::Null) => ("401 Unauthorized", json!({ "message": "401 Unauthorized" })),
        Some(body) => ("200 OK\r\nX-Next-Page: ", body),
        None => ("404 Not Found", json!({ "message": "404 Not found" })),
    }
}

fn write_answer(stream: &mut TcpStream, (status, body): (&str, Value)) -> std::io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}
