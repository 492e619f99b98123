//! `quickdraw listen --from`: follows the journal of a server over one connection that goes out from here, so that a
//! machine behind a firewall receives too. What was taken is remembered by its position, and a break goes on from there.

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

use super::heard;
use super::position::PositionFile;
use crate::commands::{moment, say};
use crate::{client, wiring};

/// The server gives a sign of life every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Bytes of an error that are read.
const LARGEST_ERROR: usize = 64 << 10;
/// Bytes of an event: the largest body, with every letter of it escaped, and what stands around it.
const LARGEST_EVENT: usize = 160 << 20;
/// How long the local program may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an event is passed on that the local program does not want.
const TRIES: u32 = 5;

#[derive(Args)]
pub(super) struct Follow {
    /// Open no port; follow the journal of this server instead: its base URL.
    #[arg(long, conflicts_with = "port")]
    pub(super) from: Option<String>,
    /// With --from: token of an administrator, or of a maintainer of the project or an owner of the group; without it, the
    /// one in ./quickdraw-data/root-token.
    #[arg(long, env = "QUICKDRAW_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// With --from: only events of this project, full path or number.
    #[arg(long, requires = "from", conflicts_with = "group")]
    project: Option<String>,
    /// With --from: only events of this group and of what lies in it, full path or number.
    #[arg(long, requires = "from")]
    group: Option<String>,
    /// With --from: only of this kind, such as push_hooks; can be given several times.
    #[arg(long, requires = "from")]
    trigger: Vec<String>,
    /// With --from: only events that pass this filter, such as {"branch":"main"}; the guide has all its forms.
    #[arg(long, requires = "from")]
    filter: Option<String>,
    /// With --from: begin with what was received then (a time, or how long ago, such as 2h); by default with what comes now.
    #[arg(long, requires = "from")]
    since: Option<String>,
    /// With --from: keep in this file what was taken, and go on from there the next time.
    #[arg(long, requires = "from")]
    position: Option<PathBuf>,
}

/// An event as the server streams it.
#[derive(Deserialize)]
struct Came {
    id: Uuid,
    trigger: String,
    headers: Said,
    body: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(rename = "X-Gitlab-Event")]
    event: String,
    #[serde(rename = "X-Gitlab-Instance")]
    instance: String,
    #[serde(rename = "X-Gitlab-Event-UUID")]
    chain: Uuid,
    #[serde(rename = "Idempotency-Key")]
    key: Uuid,
}

/// Follows until it is told that it must not, or the user ends it.
pub(super) async fn run(
    follow: &Follow,
    from: &str,
    forward: Option<&str>,
    secret: Option<&str>,
) -> anyhow::Result<()> {
    let token = client::token(follow.token.as_deref())?;
    let hook = forward.map(|url| local_hook(url, secret)).transpose()?;
    let (url, since) = (follow.url(from)?, follow.since.as_deref().map(moment).transpose()?);
    let file = follow.position.as_deref().map(|file| PositionFile { file, stream: url.as_str() });
    let mut position = match &file {
        Some(file) => file.read()?,
        None => None,
    };
    let mut wait = SHORTEST_WAIT;
    loop {
        match open(url.clone(), &token, position.as_deref(), since.as_deref()).await? {
            Ok(stream) => {
                say(format!(
                    "following {from}{}",
                    position.as_ref().map_or(String::new(), |at| format!(" from {at} on"))
                ));
                let read = Cell::new(0);
                let pieces = BodyDataStream::new(stream).map_err(io::Error::other).and_then(|piece| {
                    read.set(read.get() + piece.len());
                    let fits = read.get() <= LARGEST_EVENT;
                    future::ready(if fits { Ok(piece) } else { Err(io::Error::other("an event is too large")) })
                });
                let mut events = pin!(SseByteStream::new(pieces));
                let broken = loop {
                    match events.try_next().await {
                        Ok(Some(event)) => {
                            wait = SHORTEST_WAIT;
                            read.set(0);
                            let Some(at) = event.id.clone() else { continue };
                            take(&event, hook.as_ref()).await?;
                            if let Some(file) = &file {
                                file.write(&at)?;
                            }
                            position = Some(at);
                        }
                        Ok(None) => break "the server ended it".to_owned(),
                        Err(error) => break error.to_string(),
                    }
                };
                say(format!("the stream broke off ({broken}); going on"));
            }
            Err(why) => say(format!("{why}; trying again in {:.1} s", wait.as_secs_f64())),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The stream; or why there is none now. An error is for good.
async fn open(
    mut url: url::Url,
    token: &str,
    position: Option<&str>,
    since: Option<&str>,
) -> anyhow::Result<Result<Streamed, String>> {
    let mut headers: Vec<(Cow<'static, str>, String)> =
        vec![("Accept".into(), "text/event-stream".to_owned()), ("PRIVATE-TOKEN".into(), token.to_owned())];
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
    let problem =
        stream.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem"));
    let body = Limited::new(stream, LARGEST_ERROR).collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let why = json["detail"].as_str().map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
    let why = format!("the server answered {status}: {why}");
    // What we asked for is wrong, and asking again will not mend it. Whoever stands in between says it otherwise.
    anyhow::ensure!(!problem || !(400..500).contains(&status) || [408, 429].contains(&status), why);
    Ok(Err(why))
}

/// Shows an event and passes it on. When this returns, the local program has answered it.
async fn take(event: &Sse, hook: Option<&Hook>) -> anyhow::Result<()> {
    let (kind, data) = (event.event.as_deref().unwrap_or_default(), event.data.as_deref().unwrap_or_default());
    if kind == "position" {
        return Ok(());
    }
    if kind == "lost" {
        say("LOST: the server no longer keeps some of what should follow here");
        return Ok(());
    }
    let came: Came = serde_json::from_str(data).with_context(|| format!("the server sent no event: {data:.200}"))?;
    heard(&came.headers.event, &came.headers.key.to_string(), came.body.as_bytes(), "from the stream", hook.is_none());
    let Some(hook) = hook else { return Ok(()) };
    let body = Bytes::from(came.body);
    let trigger = Trigger::by_name(&came.trigger).unwrap_or(Trigger::UNKNOWN);
    let event = Event {
        chain: Some(came.headers.chain),
        sent_as: Some(came.headers.event),
        instance: Some(came.headers.instance),
        ..Event::new(EventId(came.id), Place::Elsewhere, trigger, Origin::Api, wiring::now())
    };
    let (mut wait, mut unwanted) = (SHORTEST_WAIT, 0);
    loop {
        // Anew each time: signatures carry the time.
        let request = request::build(hook, &event, DeliveryId(came.headers.key), body.clone(), "", wiring::now())?;
        let sent = client::post(hook.url.as_typed(), &request.headers, request.body.to_vec(), PATIENCE).await;
        let why = match sent {
            Ok(answer) if (200..300).contains(&answer.status) => {
                say(format!("passed on: {}", answer.status));
                return Ok(());
            }
            Ok(answer) => {
                // It is there and does not want this one; waiting for ever would hold up all that follow.
                unwanted += u32::from(answer.status < 500 && ![408, 429].contains(&answer.status));
                format!("it answered {}", answer.status)
            }
            Err(error) => format!("{error:#}"),
        };
        if unwanted >= TRIES {
            say(format!("GIVEN UP after {TRIES} tries: {why} to {}", came.headers.key));
            return Ok(());
        }
        say(format!("could not be passed on: {why}; once more in {:.1} s", wait.as_secs_f64()));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The local program, as a hook: so its requests are those of any other.
fn local_hook(url: &str, secret: Option<&str>) -> anyhow::Result<Hook> {
    let url = HookUrl::parse(url).map_err(|error| anyhow::anyhow!("the URL {error}"))?;
    let mut hook = Hook::new(Scope::Instance, url, Uuid::new_v4(), wiring::now());
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
            format!("--from takes the base URL of a server, such as https://hooks.example.com, not {from}")
        })?;
        let triggers = Some(self.trigger.join(",")).filter(|triggers| !triggers.is_empty());
        let all =
            [("project", &self.project), ("group", &self.group), ("filter", &self.filter), ("trigger", &triggers)];
        for (name, value) in all {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(url)
    }
}
