//! The HTTP client for commands that call a Quickdraw server. It has the same limits as deliveries.

mod access;
mod profile;
mod refused;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
#[cfg(feature = "git")]
use quickdraw_domain::Trigger;
use quickdraw_domain::hook::HookUrl;
use quickdraw_egress::{Answer, Call, CertificateDates, Client, Failure, Hickory, Limits, Method, Streamed, Trust};

pub(crate) use self::access::{Server, TokenFile, ask_for, gitlab_token, secret_in, secret_of, text_in, token};
pub(crate) use self::profile::Profile;
pub(crate) use self::refused::{Misused, NoToken, Refused, Unreachable, Unverified};

/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// Posts to a URL that the user entered.
pub(crate) async fn post(
    url: &str,
    headers: &[(Cow<'static, str>, String)],
    body: Vec<u8>,
    deadline: Duration,
) -> anyhow::Result<Answer> {
    call(Method::POST, url, headers, body, deadline).await
}

/// Calls a URL that the user entered. The guard does not apply, because users may call their own machines.
pub(crate) async fn call(
    method: Method,
    url: &str,
    headers: &[(Cow<'static, str>, String)],
    body: Vec<u8>,
    deadline: Duration,
) -> anyhow::Result<Answer> {
    Caller::new(deadline, Trust::default())?
        .call(method, url, headers, body)
        .await
}

/// A client for many calls. It keeps its connections open between them.
pub(crate) struct Caller(Client);

impl Caller {
    /// Makes a client whose calls end after `deadline`, and which trusts the authorities in `trust` in addition to the
    /// system's.
    pub(crate) fn new(deadline: Duration, trust: Trust) -> anyhow::Result<Self> {
        client(deadline, trust).map(Self)
    }

    /// Calls a URL that the user entered. The guard does not apply, because users may call their own machines.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        headers: &[(Cow<'static, str>, String)],
        body: Vec<u8>,
    ) -> anyhow::Result<Answer> {
        let target = Target::parse(url)?;
        let call = target.call(method, headers, body);
        let report = self.0.call(call, |_| Ok::<(), &str>(())).await;
        report.result.map_err(|failure| {
            let text = format!("{url}: {failure}");
            match failure {
                Failure::Certificate(_) => Unverified(text).into(),
                _ => Unreachable(text).into(),
            }
        })
    }

    /// Calls `/api/v1/{path}` of a Quickdraw server with any method and returns the JSON of the answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        base_url: &str,
        token: &str,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<serde_json::Value> {
        let url = format!("{}/api/v1/{path}", base_url.trim_end_matches('/'));
        let headers = [
            ("Content-Type".into(), "application/json".to_owned()),
            ("PRIVATE-TOKEN".into(), token.to_owned()),
        ];

        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let answer = self.call(method, &url, &headers, body).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if !(200..300).contains(&answer.status) {
            return Err(Refused::new(answer.status, &text).into());
        }

        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// The dates of the certificate that the server of an `https://` URL shows.
pub(crate) async fn certificate_dates(url: &str, deadline: Duration) -> anyhow::Result<CertificateDates> {
    let (client, target) = (client(deadline, Trust::default())?, Target::parse(url)?);
    let call = target.call(Method::GET, &[], Vec::new());
    let asked = client.certificate_dates(&call, |_| Ok::<(), &str>(())).await;
    asked.map_err(|failure| anyhow::anyhow!("{failure}"))
}

/// True if only programs on the same machine can call this URL.
pub(crate) fn is_local(url: &str) -> bool {
    let host = url::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();

    host == "localhost" || address.is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

/// Refuses a URL of the command line that contains a password. `instead` says how to give it.
pub(crate) fn refuse_password(option: &str, url: &str, instead: &str) -> anyhow::Result<()> {
    let has_password = url::Url::parse(url).is_ok_and(|url| url.password().is_some());
    if !has_password {
        return Ok(());
    }

    let why = format!("{option} contains a password, which every user of this machine can read: {instead}");
    Err(Misused(why).into())
}

/// Opens a streaming answer, which has no end.
pub(crate) async fn stream(
    url: &str,
    headers: &[(Cow<'static, str>, String)],
    silence: Duration,
) -> anyhow::Result<Streamed> {
    let client = client(Duration::from_secs(30), Trust::default())?;
    let target = Target::parse(url)?;
    let call = target.call(Method::GET, headers, Vec::new());
    let opened = client.stream(call, silence, |_| Ok::<(), &str>(())).await;
    opened.map_err(|failure| anyhow::anyhow!("{failure}"))
}

fn client(deadline: Duration, trust: Trust) -> anyhow::Result<Client> {
    let resolver = Hickory::from_system().context("failed to read the system's resolver settings")?;

    // A page of a hundred rows is larger than the limit for answers of webhooks.
    let limits = Limits {
        deadline,
        body_read: LARGEST_ANSWER,
        body_kept: LARGEST_ANSWER,
        ..Limits::default()
    };
    Ok(Client::new(limits, Arc::new(resolver), trust)?)
}

/// The parts of a URL that a call needs.
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

        Ok(Self {
            url,
            host,
            authority,
            path,
        })
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

/// Reports an event of a project and returns the id of the event. `report` is the complete body of the request. The
/// server ignores a second report with the same `key`.
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

/// Reports an event to the URL of a project, a group or the instance, and returns the whole answer.
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
        return Err(Refused::new(answer.status, &text).into());
    }

    serde_json::from_str(&text).context("the server's answer is not JSON")
}

#[cfg(feature = "git")]
/// Asks whether a project has a hook that subscribes to `trigger`. Returns `None` if the server does not answer that.
pub(crate) async fn has_subscriber(
    base_url: &str,
    token: &str,
    project: &str,
    trigger: Trigger,
    deadline: Duration,
) -> Option<bool> {
    let url = format!(
        "{}/active_hooks?trigger={}",
        project_url(base_url, project),
        trigger.row().name
    );

    let headers = [("PRIVATE-TOKEN".into(), token.to_owned())];
    let answer = call(Method::GET, &url, &headers, Vec::new(), deadline).await.ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;

    answer["active"].as_bool()
}

#[cfg(feature = "git")]
/// Checks that a server accepts reports of a project with this token.
///
/// # Errors
/// Returns the reason for which the server refuses.
pub(crate) async fn check(base_url: &str, token: &str, project: &str) -> anyhow::Result<()> {
    let id: String = url::form_urlencoded::byte_serialize(project.as_bytes()).collect();
    let path = format!("projects/{id}/active_hooks?trigger={}", Trigger::PUSH.row().name);
    ask(base_url, token, &path, None).await.map(drop)
}

fn project_url(base_url: &str, project: &str) -> String {
    place_url(base_url, "projects/", project)
}

/// The URL of a project or group under `/api/v1`.
pub(crate) fn place_url(base_url: &str, kind: &str, name: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("{}/api/v1/{kind}{id}", base_url.trim_end_matches('/'))
}

/// Calls `/api/v1/{path}` with GET, or with POST if there is a body, and returns the JSON of the answer.
pub(crate) async fn ask(
    base_url: &str,
    token: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<serde_json::Value> {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    ask_with(method, base_url, token, path, body).await
}

/// Calls `/api/v1/{path}` with any method and returns the JSON of the answer.
pub(crate) async fn ask_with(
    method: Method,
    base_url: &str,
    token: &str,
    path: &str,
    body: Option<&serde_json::Value>,
) -> anyhow::Result<serde_json::Value> {
    Caller::new(Duration::from_secs(60), Trust::default())?
        .ask(method, base_url, token, path, body)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_local_if_no_other_machine_can_call_it() {
        for url in [
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://localhost",
            "http://0.0.0.0:1",
        ] {
            assert!(is_local(url), "{url}");
        }

        assert!(!is_local("https://quickdraw.example.com"));
    }
}
