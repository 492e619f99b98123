//! `quickdraw listen --from`: follows the journal of a server over one outgoing connection, so that it works behind a
//! firewall. After an interruption, it continues from the position of the last event.

use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use futures_util::{TryStreamExt, future};
use http_body_util::{BodyDataStream, BodyExt, Limited};
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{DeliveryId, EventId, Secret, Trigger, request};
use quickdraw_egress::Streamed;
use serde::Deserialize;
use sse_stream::{Sse, SseByteStream};
use uuid::Uuid;

use super::position::PositionFile;
use super::{add_forwarded, json_of_event, note, print_body, print_event};
use crate::commands::{moment, say};
use crate::{client, system};

/// Longest silence. The server sends a comment every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Maximum number of bytes of an error that are read.
const LARGEST_ERROR: usize = 64 << 10;
/// Maximum number of bytes of an event: the largest body with every character escaped, and its metadata.
const LARGEST_EVENT: usize = 160 << 20;
/// Time limit of the local program.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of attempts for an event that the local program refuses.
const TRIES: u32 = 5;

#[derive(Args)]
pub(super) struct Follow {
    /// Follow the journal of the server with this base URL, instead of opening a port.
    #[arg(long, conflicts_with = "port")]
    pub(super) from: Option<String>,

    #[command(flatten)]
    token: client::TokenFile,

    /// With --from: only events of this project (full path or number).
    #[arg(long, requires = "from", conflicts_with = "group")]
    project: Option<String>,

    /// With --from: only events of this group and of its subgroups and projects (full path or number).
    #[arg(long, requires = "from")]
    group: Option<String>,

    /// With --from: only events of this kind, such as push_hooks; may be repeated.
    #[arg(long, requires = "from")]
    trigger: Vec<String>,

    /// With --from: only events that pass this event filter, as JSON, such as {"branch":"main"}.
    #[arg(long, requires = "from")]
    filter: Option<String>,

    /// With --from: start with events that were received at this time or later (a time, or a duration such as 2h for
    /// two hours ago). Defaults to now.
    #[arg(long, requires = "from")]
    since: Option<String>,

    /// With --from: store the position in this file, and continue from it.
    #[arg(long, requires = "from")]
    position: Option<PathBuf>,
}

/// An event of the stream.
#[derive(Deserialize)]
struct StreamedEvent {
    id: Uuid,
    trigger: String,
    headers: StreamedHeaders,
    body: String,
}

#[derive(Deserialize)]
struct StreamedHeaders {
    #[serde(rename = "X-Gitlab-Event")]
    event: String,
    #[serde(rename = "X-Gitlab-Instance")]
    instance: String,
    #[serde(rename = "X-Gitlab-Event-UUID")]
    chain: Uuid,
    #[serde(rename = "Idempotency-Key")]
    key: Uuid,
}

/// The local program to which events are forwarded.
pub(super) struct Program<'a> {
    pub(super) url: Option<&'a str>,

    /// The secret token or signing token of the requests.
    pub(super) secret: Option<&'a str>,
}

/// Follows the journal until the server refuses for good or the user stops the program.
pub(super) async fn run(follow: &Follow, from: &str, program: &Program<'_>, json: bool) -> anyhow::Result<()> {
    let token = follow.token.token(from)?;
    let hook = program.url.map(|url| local_hook(url, program.secret)).transpose()?;
    let (url, since) = (follow.url(from)?, follow.since.as_deref().map(moment).transpose()?);

    let file = follow.position.as_deref().map(|file| PositionFile {
        file,
        stream: url.as_str(),
    });
    let mut position = match &file {
        Some(file) => file.read()?,
        None => None,
    };

    let mut wait = SHORTEST_WAIT;
    loop {
        match open(url.clone(), &token, position.as_deref(), since.as_deref()).await? {
            Ok(stream) => {
                let after = position.as_ref().map(|at| format!(" after position {at}"));
                note(json, format!("following {from}{}", after.unwrap_or_default()));

                let read = Cell::new(0);
                let pieces = BodyDataStream::new(stream).map_err(io::Error::other).and_then(|piece| {
                    read.set(read.get() + piece.len());

                    let fits = read.get() <= LARGEST_EVENT;
                    future::ready(if fits {
                        Ok(piece)
                    } else {
                        Err(io::Error::other("an event is too large"))
                    })
                });
                let mut events = pin!(SseByteStream::new(pieces));

                let broken = loop {
                    match events.try_next().await {
                        Ok(Some(event)) => {
                            wait = SHORTEST_WAIT;
                            read.set(0);

                            let Some(at) = event.id.clone() else { continue };
                            take(&event, hook.as_ref(), json).await?;

                            if let Some(file) = &file {
                                file.write(&at)?;
                            }

                            position = Some(at);
                        }
                        Ok(None) => break "the server closed it".to_owned(),
                        Err(error) => break error.to_string(),
                    }
                };
                note(json, format!("the stream was interrupted ({broken}); reconnecting"));
            }
            Err(why) => note(json, format!("{why}; next attempt in {:.1} s", wait.as_secs_f64())),
        }

        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Opens the stream. The inner error is temporary, the outer one is permanent.
async fn open(
    mut url: url::Url,
    token: &str,
    position: Option<&str>,
    since: Option<&str>,
) -> anyhow::Result<Result<Streamed, String>> {
    let mut headers: Vec<(Cow<'static, str>, String)> = vec![
        ("Accept".into(), "text/event-stream".to_owned()),
        ("PRIVATE-TOKEN".into(), token.to_owned()),
    ];

    match (position, since) {
        (Some(position), _) => headers.push(("Last-Event-ID".into(), position.to_owned())),
        (None, Some(since)) => drop(url.query_pairs_mut().append_pair("since", since)),
        (None, None) => {}
    }

    let stream = match client::stream(url.as_str(), &headers, SILENCE).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let status = stream.status;
    if status == 200 {
        return Ok(Ok(stream));
    }

    let problem = stream
        .headers
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem"));

    let body = Limited::new(stream, LARGEST_ERROR)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let why = json["detail"]
        .as_str()
        .map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
    let why = format!("the server answered {status}: {why}");

    // A problem document comes from Quickdraw itself: the request is wrong, and a retry cannot help. Other errors may
    // come from a proxy in between.
    anyhow::ensure!(
        !problem || !(400..500).contains(&status) || [408, 429].contains(&status),
        why
    );

    Ok(Err(why))
}

/// Prints an event and forwards it. When this returns, the local program has accepted the event or has refused it for
/// good.
async fn take(event: &Sse, hook: Option<&Hook>, json: bool) -> anyhow::Result<()> {
    let (kind, data) = (
        event.event.as_deref().unwrap_or_default(),
        event.data.as_deref().unwrap_or_default(),
    );

    if kind == "position" {
        return Ok(());
    }

    if kind == "lost" {
        note(
            json,
            "LOST: the server has deleted some of the events that follow this position",
        );

        return Ok(());
    }

    let came: StreamedEvent =
        serde_json::from_str(data).with_context(|| format!("failed to read an event of the server: {data:.200}"))?;
    let key = came.headers.key.to_string();
    let mut line = json.then(|| json_of_event(Some(&came.headers.event), Some(&key), came.body.as_bytes()));

    if !json {
        print_event(&came.headers.event, &key, came.body.as_bytes(), "from the stream");
        if hook.is_none() {
            print_body(came.body.as_bytes());
        }
    }

    let forwarded = match hook {
        Some(hook) => Some(forward(hook, came, json).await?),
        None => None,
    };

    if let Some(line) = &mut line {
        line["position"] = event.id.as_deref().into();
        add_forwarded(line, forwarded.as_ref());
        say(line);
    }

    Ok(())
}

/// Forwards an event until the local program accepts it or has refused it for good. Returns the status of the answer,
/// or the reason for which the event was given up.
async fn forward(hook: &Hook, came: StreamedEvent, json: bool) -> anyhow::Result<Result<u16, String>> {
    let body = Bytes::from(came.body);
    let trigger = Trigger::by_name(&came.trigger).unwrap_or(Trigger::UNKNOWN);

    let event = Event {
        chain: Some(came.headers.chain),
        sent_as: Some(came.headers.event),
        instance: Some(came.headers.instance),
        ..Event::new(EventId(came.id), Place::Elsewhere, trigger, Origin::Api, system::now())
    };

    let (mut wait, mut unwanted) = (SHORTEST_WAIT, 0);
    loop {
        // The request is built again for each attempt, because signatures contain the time.
        let request = request::build(
            hook,
            &event,
            DeliveryId(came.headers.key),
            body.clone(),
            "",
            system::now(),
        )?;
        let sent = client::post(hook.url.as_typed(), &request.headers, request.body.to_vec(), PATIENCE).await;

        let why = match sent {
            Ok(answer) if (200..300).contains(&answer.status) => {
                note(json, format!("forwarded: {}", answer.status));
                return Ok(Ok(answer.status));
            }
            Ok(answer) => {
                // The program answers but refuses this event. Retries without a limit would block all later events.
                unwanted += u32::from(answer.status < 500 && ![408, 429].contains(&answer.status));
                format!("the answer was {}", answer.status)
            }
            Err(error) => format!("{error:#}"),
        };

        if unwanted >= TRIES {
            let key = came.headers.key;
            note(json, format!("GIVEN UP after {TRIES} attempts: {why}, key {key}"));
            return Ok(Err(why));
        }

        let pause = wait.as_secs_f64();
        note(json, format!("failed to forward: {why}; next attempt in {pause:.1} s"));

        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// A hook for the local program, so that its requests look like those of any other hook.
fn local_hook(url: &str, secret: Option<&str>) -> anyhow::Result<Hook> {
    let url = HookUrl::parse(url).map_err(|error| anyhow::anyhow!("the URL {error}"))?;
    let mut hook = Hook::new(Scope::Instance, url, Uuid::new_v4(), system::now());

    match secret {
        Some(secret) if secret.starts_with("whsec_") => hook.signing_token = Some(SigningToken::parse(secret)?),
        Some(secret) => hook.token = Some(Secret::new(secret)),
        None => {}
    }

    Ok(hook)
}

impl Follow {
    fn url(&self, from: &str) -> anyhow::Result<url::Url> {
        let mut url = url::Url::parse(&format!("{}/api/v1/stream", from.trim_end_matches('/'))).with_context(|| {
            format!("--from must be the base URL of a server, such as https://hooks.example.com; it is {from}")
        })?;
        let triggers = Some(self.trigger.join(",")).filter(|triggers| !triggers.is_empty());

        let all = [
            ("project", &self.project),
            ("group", &self.group),
            ("filter", &self.filter),
            ("trigger", &triggers),
        ];

        for (name, value) in all {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }

        Ok(url)
    }
}
