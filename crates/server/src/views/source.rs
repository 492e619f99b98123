//! Sources and what came to them. Secrets are never shown, but for a new one, once.

use quickdraw_domain::Timestamp;
use quickdraw_domain::source::{self, BoundTo};
use quickdraw_engine::SeenRequest;
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// A place of ours that a GitLab posts to.
#[derive(Serialize, ToSchema)]
pub struct Source {
    /// Its id: the last part of its URL. `default` for the one of the settings.
    pub id: String,
    /// What GitLab posts to.
    pub url: String,
    /// Shown name.
    pub name: String,
    /// Which credentials it wants: `any`, `token`, `signature` or `both`.
    pub mode: &'static str,
    /// How many secrets are good at the moment.
    pub secrets: usize,
    /// Until when secrets are good that were replaced, the latest of them.
    pub replaced_secrets_until: Option<Iso>,
    /// How far a signature's time may be from ours, in seconds.
    pub window: u64,
    /// Addresses and blocks that may post; everybody if there is none.
    pub addresses: Vec<String>,
    /// Most requests a minute from one address; null for no limit.
    pub rate_limit: Option<u32>,
    /// Largest body, in bytes.
    pub body_limit: usize,
    /// Whether an event that comes by way of a project's hook and a group's is delivered once.
    pub deduplicate: bool,
    /// The GitLab that it is for, or `any`; null until the first request names one.
    pub instance: Option<String>,
    /// When it was made; null for the one of the settings.
    pub created_at: Option<Iso>,
    /// The secret, once: when it was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl Source {
    /// As it stands now.
    #[must_use]
    pub fn new(source: &source::Source, bound: Option<&BoundTo>, external_url: &str, now: Timestamp) -> Self {
        let good: Vec<_> = source.secrets.iter().filter(|one| one.until.is_none_or(|until| now < until)).collect();
        let base = format!("{external_url}/api/v1/webhooks/gitlab");
        let is_default = source.key.is_empty();
        Self {
            id: if is_default { "default".to_owned() } else { source.key.clone() },
            url: if is_default { base } else { format!("{base}/{}", source.key) },
            name: source.name.clone(),
            mode: source.mode.word(),
            secrets: good.len(),
            replaced_secrets_until: good.iter().filter_map(|one| one.until).max().map(Iso),
            window: source.window.as_secs(),
            addresses: source.addresses.texts().collect(),
            rate_limit: source.per_minute,
            body_limit: source.body_limit,
            deduplicate: source.deduplicate,
            instance: bound.map(|bound| bound.text().to_owned()),
            created_at: (!is_default).then_some(Iso(source.created_at)),
            secret: None,
        }
    }
}

/// A request as a source saw it.
#[derive(Serialize, ToSchema)]
pub struct SourceRequest {
    /// When it came.
    pub at: Iso,
    /// Whose it was.
    pub address: String,
    /// What it was answered.
    pub status: u16,
    /// Why the request was refused; `duplicate` if its key was seen before, or a sentence if it repeats an event from another hook.
    pub note: Option<String>,
    /// `X-Gitlab-Event`, as sent.
    pub event: Option<String>,
    /// Bytes of its body, as far as it was read.
    pub bytes: usize,
    /// The event that it became; of a duplicate, the first.
    pub event_id: Option<String>,
}

impl From<&SeenRequest> for SourceRequest {
    fn from(seen: &SeenRequest) -> Self {
        Self {
            at: Iso(Timestamp::from_micros(seen.at)),
            address: seen.address.clone(),
            status: seen.status,
            note: seen.note.clone(),
            event: seen.event.clone(),
            bytes: seen.bytes,
            event_id: seen.event_id.map(|id| id.to_string()),
        }
    }
}
