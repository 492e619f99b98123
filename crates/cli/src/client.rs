//! Calls to a Quickdraw server, for the commands that report events. They use the same bounded client as deliveries.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use quickdraw_domain::Trigger;
use quickdraw_domain::hook::HookUrl;
use quickdraw_egress::{Answer, Call, Client, Hickory, Limits, Method, Streamed, Trust};

/// Bytes of an answer that are read.
const LARGEST_ANSWER: usize = 64 << 20;

/// Posts to a URL that the user typed.
pub(crate) async fn post(
    url: &str,
    headers: &[(Cow<'static, str>, String)],
    body: Vec<u8>,
    deadline: Duration,
) -> anyhow::Result<Answer> {
    call(Method::POST, url, headers, body, deadline).await
}

/// Calls a URL that the user typed, wherever it points: these are the user's own machines.
pub(crate) async fn call(
    method: Method,
    url: &str,
    headers: &[(Cow<'static, str>, String)],
    body: Vec<u8>,
    deadline: Duration,
) -> anyhow::Result<Answer> {
    let (client, target) = (client(deadline)?, Target::parse(url)?);
    let call = target.call(method, headers, body);
    let report = client.call(call, |_| Ok::<(), &str>(())).await;
    report.result.map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// Opens an answer that does not end.
pub(crate) async fn stream(
    url: &str,
    headers: &[(Cow<'static, str>, String)],
    silence: Duration,
) -> anyhow::Result<Streamed> {
    let (client, target) = (client(Duration::from_secs(30))?, Target::parse(url)?);
    let call = target.call(Method::GET, headers, Vec::new());
    let opened = client.stream(call, silence, |_| Ok::<(), &str>(())).await;
    opened.map_err(|failure| anyhow::anyhow!("{failure}"))
}

fn client(deadline: Duration) -> anyhow::Result<Client> {
    let resolver = Hickory::from_system().context("failed to read the system's resolver settings")?;
    // A list of a hundred rows is larger than what a webhook's answer may be.
    let limits = Limits { deadline, body_read: LARGEST_ANSWER, body_kept: LARGEST_ANSWER, ..Limits::default() };
    Ok(Client::new(limits, Arc::new(resolver), Trust::default())?)
}

/// A URL, taken apart.
struct Target {
    url: HookUrl,
    host: String,
    authority: String,
    path: String,
}

impl Target {
    fn parse(url: &str) -> anyhow::Result<Self> {
        let url = HookUrl::parse(url).map_err(|error| anyhow::anyhow!("the URL {error}"))?;
        let (host, authority, path) = (url.host().to_string(), url.authority(), url.path_and_query());
        Ok(Self { url, host, authority, path })
    }

    fn call<'a>(&'a self, method: Method, headers: &'a [(Cow<'static, str>, String)], body: Vec<u8>) -> Call<'a> {
        Call {
            method,
            https: self.url.is_https(),
            host: &self.host,
            literal: self.host.trim_matches(['[', ']']).parse().ok(),
            port: self.url.port(),
            authority: &self.authority,
            path: &self.path,
            headers,
            body: Bytes::from(body),
            verify_tls: true,
            certificate: None,
        }
    }
}

/// A server did not take something.
#[derive(Debug, thiserror::Error)]
#[error("the server answered {status}: {text}")]
pub(crate) struct Refused {
    status: u16,
    text: String,
}

impl Refused {
    /// Whether it will never take it as it is: what lacks a token or a project can be mended, and what is too much, tried later.
    pub(crate) const fn is_for_good(&self) -> bool {
        matches!(self.status, 400 | 413 | 415 | 422)
    }
}

/// Reports an event; the body is a whole report, and a report with the same key is not taken twice. Gives the event's id.
pub(crate) async fn report(
    base_url: &str,
    token: &str,
    project: &str,
    report: &impl serde::Serialize,
    key: &str,
    deadline: Duration,
) -> anyhow::Result<String> {
    let answer = report_at(&project_url(base_url, project), token, report, key, deadline).await?;
    Ok(answer["id"].as_str().unwrap_or_default().to_owned())
}

/// The same at the address of a project, a group, or all of the instance. Gives the whole answer.
pub(crate) async fn report_at(
    place: &str,
    token: &str,
    report: &impl serde::Serialize,
    key: &str,
    deadline: Duration,
) -> anyhow::Result<serde_json::Value> {
    let url = format!("{place}/events");
    let headers = [
        ("Content-Type".into(), "application/json".to_owned()),
        ("PRIVATE-TOKEN".into(), token.to_owned()),
        ("Idempotency-Key".into(), key.to_owned()),
    ];
    let answer = post(&url, &headers, serde_json::to_vec(report)?, deadline).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    if answer.status != 202 {
        let status = answer.status;
        // A problem says in `detail` how to mend the report.
        let detail = serde_json::from_str::<serde_json::Value>(&text).ok();
        let detail = detail.and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
        return Err(Refused { status, text: detail.unwrap_or(text) }.into());
    }
    serde_json::from_str(&text).context("the server's answer is not JSON")
}

/// Whether any hook hears of a kind of event in a project; nothing when the server does not say.
pub(crate) async fn is_heard(
    base_url: &str,
    token: &str,
    project: &str,
    trigger: Trigger,
    deadline: Duration,
) -> Option<bool> {
    let url = format!("{}/active_hooks?trigger={}", project_url(base_url, project), trigger.row().name);
    let headers = [("PRIVATE-TOKEN".into(), token.to_owned())];
    let answer = call(Method::GET, &url, &headers, Vec::new(), deadline).await.ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    answer["active"].as_bool()
}

/// Whether a server takes reports of a project with this token.
///
/// # Errors
/// When it does not; with the reason.
pub(crate) async fn check(base_url: &str, token: &str, project: &str) -> anyhow::Result<()> {
    let id: String = url::form_urlencoded::byte_serialize(project.as_bytes()).collect();
    let path = format!("projects/{id}/active_hooks?trigger={}", Trigger::PUSH.row().name);
    ask(base_url, token, &path, None).await.map(drop)
}

fn project_url(base_url: &str, project: &str) -> String {
    place_url(base_url, "projects/", project)
}

/// The address of a project or group under `/api/v1`.
pub(crate) fn place_url(base_url: &str, kind: &str, name: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("{}/api/v1/{kind}{id}", base_url.trim_end_matches('/'))
}

/// Calls `/api/v1` of a server: reads without a body, posts one. Gives the answer's JSON.
pub(crate) async fn ask(
    base_url: &str,
    token: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<serde_json::Value> {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    ask_with(method, base_url, token, path, body).await
}

/// The same with any method.
pub(crate) async fn ask_with(
    method: Method,
    base_url: &str,
    token: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<serde_json::Value> {
    let url = format!("{}/api/v1/{path}", base_url.trim_end_matches('/'));
    let headers = [("Content-Type".into(), "application/json".to_owned()), ("PRIVATE-TOKEN".into(), token.to_owned())];
    let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let answer = call(method, &url, &headers, body, Duration::from_secs(60)).await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let why = json["detail"].as_str().unwrap_or(&text);
    anyhow::ensure!((200..300).contains(&answer.status), "the server answered {}: {why}", answer.status);
    Ok(json)
}

/// Which server a command talks to, and as whom.
#[derive(Args)]
pub(crate) struct Server {
    /// Base URL of the server.
    #[arg(long, env = "QUICKDRAW_URL", default_value = "http://127.0.0.1:8000")]
    pub(crate) url: String,
    /// Token of an administrator; without it, the one in ./quickdraw-data/root-token.
    #[arg(long, env = "QUICKDRAW_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

impl Server {
    /// The token that was given, or the one that lies where a server keeps it.
    pub(crate) fn token(&self) -> anyhow::Result<String> {
        token(self.token.as_deref())
    }
}

/// The token that was given, or the one that lies where a server keeps it.
pub(crate) fn token(given: Option<&str>) -> anyhow::Result<String> {
    match given {
        Some(token) => Ok(token.to_owned()),
        None => Ok(std::fs::read_to_string("quickdraw-data/root-token")
            .context("give --token, or run this where quickdraw-data/root-token is")?
            .trim()
            .to_owned()),
    }
}
