//! `quickdraw listen`: a receiver for development. It verifies and prints requests, and can forward them to a local
//! program. With `--from` it opens no port and follows the journal of a server instead.

mod follow;
mod headers;
mod position;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use clap::Args;
use quickdraw_domain::source::{ActiveSecret, Addresses, Mode, Source};
use quickdraw_domain::{Secret, SourceId, Timestamp};
use quickdraw_server::{Listener, ListenerLimits, Verifier};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::{plain, say};
use crate::output::complain;
use crate::settings::secrets;
use crate::{client, system};

/// Largest body that is accepted, in bytes. It is GitLab's own limit.
const LIMIT: usize = 25 << 20;
/// The variable with the secret, if no file is given.
const SECRET: &str = "QUICKDRAW_LISTEN_SECRET";
/// Headers that are forwarded.
const PASSED_ON: [&str; 12] = [
    "Content-Type",
    "User-Agent",
    "X-Gitlab-Event",
    "X-Gitlab-Instance",
    "X-Gitlab-Webhook-UUID",
    "X-Gitlab-Event-UUID",
    "X-Gitlab-Token",
    "X-Hub-Signature-256",
    "Idempotency-Key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

#[derive(Args)]
pub(crate) struct Listen {
    /// Port on 127.0.0.1; 0 selects a free port.
    #[arg(required_unless_present = "from")]
    port: Option<u16>,

    /// Forward each request to this URL, unless its verification failed.
    #[arg(long)]
    forward: Option<String>,

    /// File with the secret token or signing token (whsec_…) that requests must carry; - reads standard input. Defaults
    /// to the variable QUICKDRAW_LISTEN_SECRET. With --from: forwarded requests carry the secret token, or are signed
    /// with the signing token.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Print the values of all headers. Without this option, tokens and unknown headers are masked.
    #[arg(long, requires = "port")]
    show_secrets: bool,

    /// Print one JSON object for each request, each on one line. Everything else goes to standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    follow: follow::Follow,
}

struct ReceivingApp {
    receiver: Option<Verifier>,
    forward: Option<String>,
    shows_secrets: bool,
    json: bool,
}

/// The result of the verification of a request.
enum Verdict {
    NotVerified,
    Token,
    Signature,
    Refused(&'static str),
}

pub(crate) async fn run(command: Listen) -> anyhow::Result<()> {
    let secret = match &command.secret_file {
        Some(file) => Some(client::secret_in(file)?),
        None => client::secret_of(SECRET)?,
    };
    if let Some(secret) = &secret {
        secrets::check_carried("the secret", secret)?;
    }

    if let Some(url) = &command.forward {
        let instead = "forward without it; your program can check the secret of --secret-file";
        client::refuse_password("--forward", url, instead)?;
    }

    if let Some(from) = &command.follow.from {
        let program = follow::Program {
            url: command.forward.as_deref(),
            secret: secret.as_deref(),
        };
        return follow::run(&command.follow, from, &program, command.json).await;
    }

    let port = command.port.unwrap_or_default();
    let receiver = secret.map(|secret| {
        Verifier::new(&Source {
            id: SourceId(1),
            key: String::new(),
            name: String::new(),
            mode: Mode::Any,
            secrets: vec![ActiveSecret {
                secret: Secret::new(secret),
                until: None,
            }],
            window: Source::WINDOW,
            addresses: Addresses::default(),
            per_minute: None,
            sender_per_minute: None,
            body_limit: LIMIT,
            deduplicate: false,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        })
    });

    let receiving = Arc::new(ReceivingApp {
        receiver,
        forward: command.forward,
        shows_secrets: command.show_secrets,
        json: command.json,
    });

    let listener = Listener::bind(&format!("127.0.0.1:{port}"), ListenerLimits::default()).await?;
    note(command.json, format!("listening on http://{}", listener.address()?));

    let (stop, stopped) = watch::channel(false);
    let router = Router::new().fallback(receive).with_state(receiving);

    let ending = async {
        let stopped = tokio::signal::ctrl_c().await.context("failed to wait for Ctrl-C");
        let _ = stop.send(true);
        stopped
    };
    tokio::join!(listener.serve(router, stopped), ending).1
}

async fn receive(
    State(receiving): State<Arc<ReceivingApp>>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, &'static str) {
    let Ok(body) = axum::body::to_bytes(body, LIMIT).await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    };
    let verdict = receiving.verify(&headers, &body);
    if !receiving.json {
        print_request(&headers, &body, &verdict, receiving.shows_secrets);
    }

    let is_refused = matches!(verdict, Verdict::Refused(_));
    let forwarded = match &receiving.forward {
        Some(url) if !is_refused => Some(forward(url, &headers, &body).await),
        _ => None,
    };

    if receiving.json {
        say(json_of_request(
            &headers,
            &body,
            &verdict,
            forwarded.as_ref(),
            receiving.shows_secrets,
        ));
    }

    if is_refused {
        return (StatusCode::UNAUTHORIZED, "wrong or missing token or signature");
    }

    match forwarded {
        None => (StatusCode::OK, "ok"),
        Some(Ok(status)) => {
            note(receiving.json, format!("forwarded: {status}"));

            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, "")
        }
        Some(Err(error)) => {
            note(receiving.json, format!("failed to forward: {error}"));
            (StatusCode::BAD_GATEWAY, "failed to forward")
        }
    }
}

impl ReceivingApp {
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Verdict {
        let Some(receiver) = &self.receiver else {
            return Verdict::NotVerified;
        };

        let now = system::now();
        let checks = receiver.check_head(headers, now);
        let verified = checks.and_then(|checks| receiver.check_body(checks, headers, body, now));
        let is_signed = headers.contains_key("webhook-signature") || headers.contains_key("x-hub-signature-256");

        match verified {
            Ok(()) if is_signed => Verdict::Signature,
            Ok(()) => Verdict::Token,
            Err(wrong) => Verdict::Refused(wrong.text()),
        }
    }
}

/// Forwards a request, and returns the status of the answer or the reason of the failure.
async fn forward(url: &str, headers: &HeaderMap, body: &[u8]) -> Result<u16, String> {
    let mut passed_on: Vec<(Cow<'static, str>, String)> = Vec::new();
    for name in PASSED_ON {
        if let Some(value) = headers.get(name).and_then(|value| value.to_str().ok()) {
            passed_on.push((name.into(), value.to_owned()));
        }
    }

    let answer = client::post(url, &passed_on, body.to_vec(), Duration::from_secs(10)).await;
    answer.map(|answer| answer.status).map_err(|error| format!("{error:#}"))
}

/// Prints a line beside the requests. With `--json`, it goes to standard error.
fn note(json: bool, text: impl std::fmt::Display) {
    if json {
        complain(text);
    } else {
        say(text);
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Prints a request for people.
fn print_request(headers: &HeaderMap, body: &[u8], verdict: &Verdict, shows_secrets: bool) {
    let words = match verdict {
        Verdict::NotVerified => "not verified (no --secret-file)".to_owned(),
        Verdict::Signature => "signature ok".to_owned(),
        Verdict::Token => "token ok".to_owned(),
        Verdict::Refused(why) => format!("REFUSED: {why}"),
    };

    let event = header(headers, "x-gitlab-event").unwrap_or("-");
    let key = header(headers, "idempotency-key").unwrap_or("-");
    print_event(event, key, body, &words);

    for (name, value) in headers::shown(headers, shows_secrets) {
        say(format!("  {name}: {value}"));
    }

    print_body(body);
}

/// The JSON of a request, for programs.
fn json_of_request(
    headers: &HeaderMap,
    body: &[u8],
    verdict: &Verdict,
    forwarded: Option<&Result<u16, String>>,
    shows_secrets: bool,
) -> Value {
    let (verification, reason) = match verdict {
        Verdict::NotVerified => ("not_verified", None),
        Verdict::Token => ("token", None),
        Verdict::Signature => ("signature", None),
        Verdict::Refused(why) => ("refused", Some(why)),
    };

    let mut shown = Map::new();
    for (name, value) in headers::shown(headers, shows_secrets) {
        match shown.get_mut(&name) {
            // A header that is repeated means the same as one with all of its values.
            Some(Value::String(text)) => *text = format!("{text}, {value}"),
            _ => drop(shown.insert(name, json!(value))),
        }
    }

    let mut line = json_of_event(
        header(headers, "x-gitlab-event"),
        header(headers, "idempotency-key"),
        body,
    );
    line["verification"] = json!(verification);
    line["reason"] = json!(reason);
    line["headers"] = shown.into();
    add_forwarded(&mut line, forwarded);

    line
}

/// The JSON of an event: its time, kind, key and body.
fn json_of_event(event: Option<&str>, key: Option<&str>, body: &[u8]) -> Value {
    let content = serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body)));
    json!({
        "at": jiff::Timestamp::now().to_string(),
        "event": event,
        "key": key,
        "bytes": body.len(),
        "body": content,
    })
}

/// Adds the answer of the program to which the request was forwarded, or the reason of the failure.
fn add_forwarded(line: &mut Value, forwarded: Option<&Result<u16, String>>) {
    let (status, error) = match forwarded {
        Some(Ok(status)) => (Some(status), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };

    line["forwarded"] = json!(status);
    line["forward_error"] = json!(error);
}

/// Prints the first line of a request or an event.
fn print_event(event: &str, key: &str, body: &[u8], words: &str) {
    let time = jiff::Zoned::now().strftime("%H:%M:%S%.3f").to_string();
    say(format!(
        "\n{time}  {}  key {}  {} bytes  {words}",
        plain(event),
        plain(key),
        body.len()
    ));
}

/// Prints a body, indented if it is JSON.
fn print_body(body: &[u8]) {
    let pretty = serde_json::from_slice::<serde_json::Value>(body).and_then(|json| serde_json::to_string_pretty(&json));
    say(pretty.unwrap_or_else(|_| plain(&String::from_utf8_lossy(body))));
}
