//! `quickdraw listen`: a receiver for development. It verifies and prints requests, and can forward them to a local
//! program. With `--from` it opens no port and follows the journal of a server instead.

mod follow;
mod headers;
mod position;

use std::borrow::Cow;
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
use tokio::sync::watch;

use super::{plain, say};
use crate::settings::secrets;
use crate::{client, system};

/// Largest body that is accepted, in bytes. It is GitLab's own limit.
const LIMIT: usize = 25 << 20;
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

    /// Secret token or signing token (whsec_…) that requests must carry. With --from: forwarded requests carry the
    /// secret token, or are signed with the signing token.
    #[arg(long)]
    secret: Option<String>,

    /// Print the values of all headers. Without this option, tokens and unknown headers are masked.
    #[arg(long, requires = "port")]
    show_secrets: bool,
    #[command(flatten)]
    follow: follow::Follow,
}

struct ReceivingApp {
    receiver: Option<Verifier>,
    forward: Option<String>,
    shows_secrets: bool,
}

pub(crate) async fn run(command: Listen) -> anyhow::Result<()> {
    if let Some(secret) = &command.secret {
        secrets::check_carried("--secret", secret)?;
    }

    if let Some(from) = &command.follow.from {
        return follow::run(
            &command.follow,
            from,
            command.forward.as_deref(),
            command.secret.as_deref(),
        )
        .await;
    }

    let port = command.port.unwrap_or_default();
    let receiver = command.secret.map(|secret| {
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
    });

    let listener = Listener::bind(&format!("127.0.0.1:{port}"), ListenerLimits::default()).await?;
    say(format!("listening on http://{}", listener.address()?));

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
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
    let now = system::now();

    let verdict = receiving.receiver.as_ref().map(|receiver| {
        let checks = receiver.check_head(&headers, now);
        checks.and_then(|checks| receiver.check_body(checks, &headers, &body, now))
    });

    let signed = headers.contains_key("webhook-signature") || headers.contains_key("x-hub-signature-256");
    let words = match verdict {
        None => "not verified (no --secret)".to_owned(),
        Some(Ok(())) if signed => "signature ok".to_owned(),
        Some(Ok(())) => "token ok".to_owned(),
        Some(Err(wrong)) => format!("REFUSED: {}", wrong.text()),
    };

    print_event(header("x-gitlab-event"), header("idempotency-key"), &body, &words);
    for line in headers::lines(&headers, receiving.shows_secrets) {
        say(line);
    }
    print_body(&body);

    if matches!(verdict, Some(Err(_))) {
        return (StatusCode::UNAUTHORIZED, "wrong or missing token or signature");
    }

    if let Some(forward) = &receiving.forward {
        let passed_on: Vec<(Cow<'static, str>, String)> = PASSED_ON
            .into_iter()
            .filter_map(|name| Some((name.into(), headers.get(name)?.to_str().ok()?.to_owned())))
            .collect();

        match client::post(forward, &passed_on, body.to_vec(), Duration::from_secs(10)).await {
            Ok(answer) => {
                say(format!("forwarded: {}", answer.status));
                return (
                    StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY),
                    "",
                );
            }

            Err(error) => {
                say(format!("failed to forward: {error:#}"));
                return (StatusCode::BAD_GATEWAY, "failed to forward");
            }
        }
    }

    (StatusCode::OK, "ok")
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
