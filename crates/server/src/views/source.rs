//! Views of sources and their requests. Secrets are never shown, except a new one, once.

use quickdraw_domain::Timestamp;
use quickdraw_domain::source::{self, BoundTo};
use quickdraw_engine::{self as engine, RequestRecord};
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// A source: an endpoint to which a GitLab posts its events.
#[derive(Serialize, ToSchema)]
pub struct Source {
    /// Id of the source, which is the last segment of its URL; `default` for the source of the settings.
    pub id: String,

    /// URL to which GitLab posts.
    pub url: String,

    /// Display name.
    pub name: String,

    /// Required credentials: `any`, `token`, `signature` or `both`.
    pub mode: &'static str,

    /// Number of secrets that are valid at the moment.
    pub secrets: usize,

    /// Time until which replaced secrets remain valid; the latest one.
    pub replaced_secrets_until: Option<Iso>,

    /// Largest allowed difference between the time of a signature and the server's clock, in seconds.
    pub window: u64,

    /// IP addresses and blocks that can post. An empty list allows all addresses.
    pub addresses: Vec<String>,

    /// Maximum number of requests per minute without a valid credential from one IP address; null for no limit.
    pub rate_limit: Option<u32>,

    /// Maximum number of requests per minute with a valid credential, from all IP addresses; null for no limit.
    pub sender_rate_limit: Option<u32>,

    /// Largest body in bytes.
    pub body_limit: usize,

    /// True if an event that arrives through several GitLab hooks is delivered once only.
    pub deduplicate: bool,

    /// URL of the GitLab that the source belongs to, or `any`; null until the first request names one.
    pub instance: Option<String>,

    /// Requests of the last 60 minutes, as all nodes saw them.
    pub last_hour: Traffic,

    /// Time of the last request, accepted or refused; null if none is remembered.
    pub last_request_at: Option<Iso>,

    /// Time at which the source was created; null for the source of the settings.
    pub created_at: Option<Iso>,

    /// The generated secret; shown once, when it is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl Source {
    /// Builds the view of a source at `now`.
    #[must_use]
    pub fn new(
        source: &source::Source,
        bound: Option<&BoundTo>,
        external_url: &str,
        traffic: engine::Traffic,
        now: Timestamp,
    ) -> Self {
        let good: Vec<_> = source
            .secrets
            .iter()
            .filter(|one| one.until.is_none_or(|until| now < until))
            .collect();

        let base = format!("{external_url}/api/v1/webhooks/gitlab");
        let is_default = source.key.is_empty();

        Self {
            id: if is_default {
                "default".to_owned()
            } else {
                source.key.clone()
            },
            url: if is_default {
                base
            } else {
                format!("{base}/{}", source.key)
            },
            name: source.name.clone(),
            mode: source.mode.word(),
            secrets: good.len(),
            replaced_secrets_until: good.iter().filter_map(|one| one.until).max().map(Iso),
            window: source.window.as_secs(),
            addresses: source.addresses.texts().collect(),
            rate_limit: source.per_minute,
            sender_rate_limit: source.sender_per_minute,
            body_limit: source.body_limit,
            deduplicate: source.deduplicate,
            instance: bound.map(|bound| bound.text().to_owned()),
            last_request_at: traffic.last_at.map(|at| Iso(Timestamp::from_micros(at))),
            last_hour: traffic.into(),
            created_at: (!is_default).then_some(Iso(source.created_at)),
            secret: None,
        }
    }
}

/// Requests to a source in the last 60 minutes.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub struct Traffic {
    /// All requests.
    pub requests: u64,

    /// Mean number of requests per minute.
    pub per_minute: f64,

    /// Requests whose event was stored for the first time.
    pub accepted: u64,

    /// Requests whose event had come before, with the same key or through another webhook.
    pub duplicates: u64,

    /// Refused requests.
    pub refused: u64,
}

impl From<engine::Traffic> for Traffic {
    fn from(traffic: engine::Traffic) -> Self {
        // Two decimals are enough for a person, and keep the number short.
        let hundredths = traffic.requests() * 100 / 60;
        Self {
            requests: traffic.requests(),
            per_minute: f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0,
            accepted: traffic.accepted,
            duplicates: traffic.duplicates,
            refused: traffic.refused,
        }
    }
}

/// A request to a source.
#[derive(Serialize, ToSchema)]
pub struct SourceRequest {
    /// Time of the request; the time of the last one if the row stands for several.
    pub at: Iso,

    /// IP address of the client.
    pub address: String,

    /// HTTP status of the answer.
    pub status: u16,

    /// Reason for a refusal; `duplicate` if the key was seen before; a sentence if the event repeats one from another
    /// hook; otherwise null.
    pub note: Option<String>,

    /// `X-Gitlab-Event`, as sent.
    pub event: Option<String>,

    /// Number of body bytes that were read.
    pub bytes: usize,

    /// Id of the stored event; for a duplicate, the id of the first copy.
    pub event_id: Option<String>,

    /// Number of requests that the row stands for. Equal refusals of one address in one minute share a row.
    pub count: u32,
}

impl From<&RequestRecord> for SourceRequest {
    fn from(seen: &RequestRecord) -> Self {
        Self {
            at: Iso(Timestamp::from_micros(seen.at)),
            address: seen.address.clone(),
            status: seen.status,
            note: seen.note.clone(),
            event: seen.event.clone(),
            bytes: seen.bytes,
            event_id: seen.event_id.map(|id| id.to_string()),
            count: seen.count,
        }
    }
}
