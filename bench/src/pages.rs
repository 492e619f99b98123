//! Figure 14: the time of pages beside the time of their queries through the API, and their size, with 100 hooks and
//! many deliveries.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{HeaderMap, Method, Request, StatusCode, header};
use quickdraw_domain::HookId;

use crate::Scale;
use crate::load::connect;
use crate::server::{Engine, Place, TOKEN};
use crate::sizes::{attempt_all, fill, set_up};
use crate::stats::{milliseconds, quantile, row};

const HOOKS: usize = 100;
/// Measurements of a page. Those of its queries alternate with them.
const TIMES: usize = 20;
const FILTER: &str = "/api/v4/projects/1/hooks/";
/// Largest HTML of a page in bytes.
const MOST: usize = 60 * 1024;

/// A page, and its queries through the API without the names and kinds that it shows.
struct Page {
    name: &'static str,
    address: String,
    queries: Vec<String>,
}

/// An answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// A person with a browser, and a program with a token.
struct Client {
    sender: SendRequest<Full<Bytes>>,
    cookie: String,
}

impl Client {
    async fn sign_in(port: u16) -> anyhow::Result<Self> {
        let mut client = Self {
            sender: connect(port).await?,
            cookie: String::new(),
        };
        let answer = client
            .send(Method::POST, "/-/sign_in", &format!("token={TOKEN}"))
            .await?;
        let cookie = answer.headers.get(header::SET_COOKIE).context("no session")?.to_str()?;
        client.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(client)
    }

    async fn send(&mut self, method: Method, address: &str, body: &str) -> anyhow::Result<Answer> {
        let is_page = !address.starts_with("/api/");
        let kind = if is_page {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let request = Request::builder()
            .method(method)
            .uri(address)
            .header(header::HOST, "127.0.0.1")
            .header(header::CONTENT_TYPE, kind);
        let request = match is_page {
            true => request.header(header::COOKIE, &self.cookie),
            false => request.header("PRIVATE-TOKEN", TOKEN),
        };

        self.sender.ready().await?;
        let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
        let response = self.sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await?.to_bytes(),
        })
    }

    /// Reads an address. Returns the body and the time.
    async fn read(&mut self, address: &str) -> anyhow::Result<(Bytes, Duration)> {
        let started = Instant::now();
        let answer = self.send(Method::GET, address, "").await?;
        let took = started.elapsed();
        anyhow::ensure!(answer.status == 200, "{address} answered {}", answer.status);
        Ok((answer.body, took))
    }

    /// The first number that an answer has under a name.
    async fn first(&mut self, address: &str, name: &str) -> anyhow::Result<String> {
        let (body, _) = self.read(address).await?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let value = &answer["items"][0][name];
        Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

/// Measures the pages of a project with many deliveries, a tenth of which wait.
pub(crate) async fn pages(engine: &Engine, scale: Scale) -> anyhow::Result<()> {
    let place = Place::new(engine).await?;
    be_silent(&place).await?;

    let store = place.open().await?;
    let hooks: Vec<HookId> = set_up(&store, 9, HOOKS).await?;
    let events = scale.backlog / HOOKS;
    fill(&store, &hooks, events - events / 10).await?;
    attempt_all(&store).await?;
    fill(&store, &hooks, events / 10).await?;
    store.close().await;

    let ours = place.serve(&[]).await?;
    let mut client = Client::sign_in(ours.port).await?;
    for page in all(&mut client, hooks[0]).await? {
        measure(&mut client, &page, scale.backlog).await?;
    }

    Ok(())
}

/// Switches silent mode on, in which nothing is delivered. So pages and queries see the same.
async fn be_silent(place: &Place) -> anyhow::Result<()> {
    let ours = place.serve(&[]).await?;
    let mut client = Client::sign_in(ours.port).await?;
    let silent = r#"{"silent_mode_enabled":true}"#;
    let answer = client.send(Method::PUT, "/api/v4/application/settings", silent).await?;
    anyhow::ensure!(answer.status == 200, "silent mode answered {}", answer.status);
    Ok(())
}

async fn all(client: &mut Client, hook: HookId) -> anyhow::Result<Vec<Page>> {
    let hook = hook.0;
    let attempts = format!("/api/v1/attempts?hook={hook}&limit=20&since=2d");
    let attempt = client.first(&attempts, "id").await?;
    let event = client.first("/api/v1/events?project=1&limit=1", "id").await?;
    let of = |name, address: &str, queries: &[&str]| Page {
        name,
        address: format!("/gear/rope-1{address}"),
        queries: queries.iter().map(|query| (*query).to_owned()).collect(),
    };

    let [about, status] = [format!("{FILTER}{hook}"), format!("/api/v1/hooks/{hook}/status")];
    let backlog = format!("/api/v1/hooks/{hook}/backlog");
    let request = format!("{FILTER}{hook}/events/{attempt}");
    let verdicts = format!("/api/v1/events/{event}");
    Ok(vec![
        of("overview", "/-/overview", &["/api/v1/overview?project=1"]),
        of(
            "webhooks",
            "/-/hooks",
            &[
                "/api/v4/projects/1/hooks?per_page=20",
                "/api/v1/hooks/status?project=1&limit=20",
            ],
        ),
        of(
            "webhook",
            &format!("/-/hooks/{hook}"),
            &[&about, &status, &backlog, &attempts],
        ),
        of(
            "request",
            &format!("/-/hooks/{hook}/events/{attempt}"),
            &[&about, &request],
        ),
        of("events", "/-/events", &["/api/v1/events?project=1&limit=20"]),
        of("event", &format!("/-/events/{event}"), &[&verdicts]),
        of(
            "deliveries",
            "/-/deliveries",
            &["/api/v1/deliveries?project=1&limit=20"],
        ),
    ])
}

async fn measure(client: &mut Client, page: &Page, deliveries: usize) -> anyhow::Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut size = 0;
    for _ in 0..TIMES {
        let (body, took) = client.read(&page.address).await?;
        size = body.len();
        ours.push(took);

        let mut sum = Duration::ZERO;
        for query in &page.queries {
            sum += client.read(query).await?.1;
        }

        theirs.push(sum);
    }

    anyhow::ensure!(size <= MOST, "{} has {size} bytes", page.address);
    let (page_time, queries) = (quantile(&mut ours, 0.5), quantile(&mut theirs, 0.5));
    row(
        &format!("14 page {}, {deliveries} deliveries / its queries", page.name),
        &format!("{} / {}", milliseconds(page_time), milliseconds(queries)),
        &format!("{} KB of 60", size / 1024),
    );
    Ok(())
}
