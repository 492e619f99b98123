//! Views of inspectors and the requests that they keep. Secrets are never shown.

use std::collections::BTreeMap;

use quickdraw_domain::inspector::{Inspected, Verdict as Judged};
use quickdraw_store::inspectors::ListedInspector;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Iso, Shown};

/// An inspector: an address that keeps the requests which it gets.
#[derive(Serialize, ToSchema)]
pub struct Inspector {
    /// Id of the inspector, which is the last segment of its URL.
    pub id: String,

    /// URL to which requests are sent. Everyone who knows it can send requests.
    pub url: String,

    /// Display name.
    pub name: Option<String>,

    /// User who created the inspector.
    pub owner: InspectorOwner,

    /// True if the inspector compares `X-Gitlab-Token` and `X-Hub-Signature-256` with a secret.
    pub secret_present: bool,

    /// True if the inspector verifies `webhook-signature` with a signing token.
    pub signing_token_present: bool,

    /// HTTP status of the answer.
    pub status: u16,

    /// Headers of the answer.
    pub headers: BTreeMap<String, String>,

    /// Body of the answer.
    pub body: String,

    /// Time between the request and the answer, in milliseconds.
    pub delay_ms: u64,

    /// Number of requests that the inspector keeps.
    pub requests: i64,

    /// Time of the newest request.
    pub last_request_at: Option<Iso>,

    /// Time at which the inspector was created.
    pub created_at: Iso,

    /// Time at which the inspector is deleted with its requests.
    pub expires_at: Iso,
}

/// Owner of an inspector.
#[derive(Serialize, ToSchema)]
pub struct InspectorOwner {
    /// Id of the user.
    pub id: i64,

    /// Username.
    pub username: String,
}

impl Inspector {
    /// Builds the view of an inspector.
    #[must_use]
    pub fn new(listed: &ListedInspector, external_url: &str) -> Self {
        let inspector = &listed.inspector;
        let answer = &inspector.answer;
        Self {
            id: inspector.key.clone(),
            url: format!("{external_url}{}", inspector.path()),
            name: inspector.name.clone(),
            owner: InspectorOwner {
                id: inspector.owner,
                username: listed.owner_name.clone(),
            },
            secret_present: inspector.secret.is_some(),
            signing_token_present: inspector.signing_token.is_some(),
            status: answer.status,
            headers: answer.headers.iter().cloned().collect(),
            body: answer.body.clone(),
            delay_ms: u64::try_from(answer.delay.as_millis()).unwrap_or(u64::MAX),
            requests: listed.requests,
            last_request_at: listed.last_request_at.map(Iso),
            created_at: Iso(inspector.created_at),
            expires_at: Iso(inspector.expires_at),
        }
    }
}

/// Result of the check of a credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialCheck {
    /// The inspector has no secret to compare it with.
    NotChecked,

    /// The request does not have it.
    Missing,

    /// It fits the secret of the inspector.
    Ok,

    /// It does not fit the secret of the inspector.
    Wrong,

    /// The signature belongs to a time that is missing or differs from the server's clock by more than five minutes,
    /// or `webhook-id` is missing.
    WrongTime,
}

impl From<Judged> for CredentialCheck {
    fn from(judged: Judged) -> Self {
        match judged {
            Judged::NotChecked => Self::NotChecked,
            Judged::Missing => Self::Missing,
            Judged::Right => Self::Ok,
            Judged::Wrong => Self::Wrong,
            Judged::WrongTime => Self::WrongTime,
        }
    }
}

/// A request to an inspector.
#[derive(Serialize, ToSchema)]
pub struct InspectedRequest {
    /// Id of the request.
    #[schema(format = Uuid)]
    pub id: String,

    /// Time of the request.
    pub at: Iso,

    /// IP address of the client.
    pub address: String,

    /// HTTP method.
    pub method: String,

    /// Path with query.
    pub path: String,

    /// `X-Gitlab-Event`, as sent.
    pub event: Option<String>,

    /// Size of the body in bytes.
    pub bytes: usize,

    /// Reason why the body was not kept; null if it was kept.
    pub note: Option<String>,

    /// Check of `X-Gitlab-Token`.
    pub token: CredentialCheck,

    /// Check of `webhook-signature`.
    pub signature: CredentialCheck,

    /// Check of `X-Hub-Signature-256`.
    pub hub_signature: CredentialCheck,

    /// HTTP status of the answer.
    pub status: u16,
}

impl From<&Inspected> for InspectedRequest {
    fn from(request: &Inspected) -> Self {
        Self {
            id: request.id.to_string(),
            at: Iso(request.at),
            address: request.address.clone(),
            method: request.method.clone(),
            path: request.path.clone(),
            event: event_of(request),
            bytes: request.size,
            note: request.note.clone(),
            token: request.verdicts.token.into(),
            signature: request.verdicts.signature.into(),
            hub_signature: request.verdicts.hub_signature.into(),
            status: request.status,
        }
    }
}

fn event_of(request: &Inspected) -> Option<String> {
    let is_event = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("x-gitlab-event");
    request.headers.iter().find(is_event).map(|(_, value)| value.clone())
}

/// A header field of a request.
#[derive(Serialize, ToSchema)]
pub struct InspectedHeader {
    /// Name in lower case.
    pub name: String,

    /// Value; `[REDACTED]` if it looks like a credential.
    pub value: String,
}

/// A request to an inspector, with its headers and body.
#[derive(Serialize, ToSchema)]
pub struct InspectedRequestWithBody {
    /// The request.
    #[serde(flatten)]
    pub request: InspectedRequest,

    /// Headers in the order in which they were sent. Values of credentials are masked.
    pub headers: Vec<InspectedHeader>,

    /// The body: as JSON if it is valid JSON, else as text. Bytes that are not UTF-8 are replaced.
    #[schema(value_type = serde_json::Value)]
    pub payload: Shown,
}

impl InspectedRequestWithBody {
    /// Builds the view of a request with its body.
    #[must_use]
    pub fn new(request: &Inspected, body: &[u8]) -> Self {
        let header = |(name, value): &(String, String)| InspectedHeader {
            name: name.clone(),
            value: value.clone(),
        };
        Self {
            headers: request.headers.iter().map(header).collect(),
            payload: Shown::json_or_text(&String::from_utf8_lossy(body)),
            request: request.into(),
        }
    }
}
