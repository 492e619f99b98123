//! Inspectors and the requests that they keep.

use async_trait::async_trait;
use quickdraw_domain::inspector::{Answer, Inspected, Inspector, Verdict, Verdicts};
use quickdraw_domain::{Secret, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::payload::Packed;
use crate::seal::{Place, Ring};

/// An inspector with facts about it.
#[derive(Clone)]
pub struct ListedInspector {
    /// The inspector.
    pub inspector: Inspector,

    /// The login of its owner.
    pub owner_name: String,

    /// Number of requests that it keeps.
    pub requests: i64,

    /// The time of the newest of them.
    pub last_request_at: Option<Timestamp>,
}

/// The part of the kept requests that is listed, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InspectedPage {
    /// Only requests with smaller ids.
    pub before: Option<Uuid>,

    /// Only requests with larger ids.
    pub after: Option<Uuid>,

    /// Maximum number of rows.
    pub limit: usize,
}

/// Inspectors: what can be done with them. Each is named by its key.
#[async_trait]
pub trait Inspectors {
    /// Makes an inspector. `Full` when its owner or all users together have as many as they can have.
    async fn create_inspector(&self, inspector: Inspector) -> Result<()>;

    /// Replaces the settings of an inspector that has not changed since it was read at `unchanged_since`. `false` when
    /// it has, or is gone.
    async fn update_inspector(&self, inspector: Inspector, unchanged_since: Timestamp) -> Result<bool>;

    /// Looks one up.
    async fn find_inspector(&self, key: String) -> Result<Option<ListedInspector>>;

    /// The inspectors of a user, or of all users, the newest first.
    async fn list_inspectors(&self, owner: Option<i64>) -> Result<Vec<ListedInspector>>;

    /// Deletes one with its requests. `false` if it was not there.
    async fn delete_inspector(&self, key: String) -> Result<bool>;

    /// Keeps a request, and deletes the oldest ones beyond the bounds of an inspector. `false` if the inspector is
    /// gone.
    async fn keep_request(&self, key: String, request: Inspected, body: Packed) -> Result<bool>;

    /// Deletes all requests of an inspector.
    async fn clear_requests(&self, key: String) -> Result<()>;

    /// Requests of an inspector without their bodies, the newest first.
    async fn list_inspected(&self, key: String, page: InspectedPage) -> Result<Vec<Inspected>>;

    /// A request of an inspector, with its body.
    async fn find_inspected(&self, key: String, id: Uuid) -> Result<Option<(Inspected, Packed)>>;

    /// Deletes inspectors whose time is over, at most `limit`. Returns how many.
    async fn prune_inspectors(&self, now: Timestamp, limit: usize) -> Result<usize>;
}

/// The columns of a listed inspector, from `inspectors i`.
pub(crate) const LISTED: &str =
    "i.inspector_key, i.owner_id, i.name, i.secrets, i.status, i.headers, i.body, i.delay_ms,
    i.created_at, i.updated_at, i.expires_at,
    (SELECT u.username FROM users u WHERE u.id = i.owner_id) AS owner_name,
    (SELECT count(*) FROM inspector_requests r WHERE r.inspector_id = i.id) AS requests,
    (SELECT r.received_at FROM inspector_requests r WHERE r.inspector_id = i.id
        ORDER BY r.id DESC LIMIT 1) AS last_request_at";

/// The columns of a request without its body, from `inspector_requests r`.
pub(crate) const INSPECTED: &str = "r.id, r.received_at, r.address, r.method, r.path, r.size, r.note, r.token_verdict,
    r.signature_verdict, r.hub_verdict, r.status, r.headers";

const HEADERS: &str = "the headers of an inspector";

const fn place(key: &str) -> Place<'_> {
    Place {
        table: "inspectors",
        column: "secrets",
        row: key.as_bytes(),
    }
}

/// The columns of an inspector.
pub(crate) struct StoredInspector {
    pub(crate) key: String,
    pub(crate) owner_id: i64,
    pub(crate) name: Option<String>,
    pub(crate) secrets: Option<Vec<u8>>,
    pub(crate) status: i16,
    pub(crate) headers: String,
    pub(crate) body: String,
    pub(crate) delay_ms: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) expires_at: i64,
}

/// The secrets of an inspector as they are sealed.
type Secrets = (Option<String>, Option<String>);

impl StoredInspector {
    pub(crate) fn seal(inspector: &Inspector, ring: &Ring) -> Result<Self> {
        let has_secret = inspector.secret.is_some() || inspector.signing_token.is_some();
        let secrets = has_secret.then(|| sealed(inspector, ring)).transpose()?;
        let answer = &inspector.answer;

        Ok(Self {
            key: inspector.key.clone(),
            owner_id: inspector.owner,
            name: inspector.name.clone(),
            secrets,
            status: i16::try_from(answer.status).unwrap_or(i16::MAX),
            headers: headers_text(&answer.headers)?,
            body: answer.body.clone(),
            delay_ms: i64::try_from(answer.delay.as_millis()).unwrap_or(i64::MAX),
            created_at: inspector.created_at.as_micros(),
            updated_at: inspector.updated_at.as_micros(),
            expires_at: inspector.expires_at.as_micros(),
        })
    }

    pub(crate) fn open(self, ring: &Ring) -> Result<Inspector> {
        let (secret, signing_token) = match &self.secrets {
            None => (None, None),
            Some(sealed) => opened(&self.key, sealed, ring)?,
        };

        let damaged = |_| Error::Damaged("the numbers of an inspector");
        let answer = Answer {
            status: u16::try_from(self.status).map_err(damaged)?,
            headers: read_headers(&self.headers)?,
            body: self.body,
            delay: std::time::Duration::from_millis(u64::try_from(self.delay_ms).map_err(damaged)?),
        };

        Ok(Inspector {
            key: self.key,
            owner: self.owner_id,
            name: self.name,
            secret,
            signing_token,
            answer,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            expires_at: Timestamp::from_micros(self.expires_at),
        })
    }
}

fn sealed(inspector: &Inspector, ring: &Ring) -> Result<Vec<u8>> {
    let secrets = (
        inspector.secret.as_ref().map(Secret::expose),
        inspector.signing_token.as_ref().map(Secret::expose),
    );
    let text = serde_json::to_string(&secrets).map_err(|_| Error::Damaged("the secrets of an inspector"))?;
    let text = Secret::new(text);

    Ok(ring.seal(place(&inspector.key), text.expose())?)
}

fn opened(key: &str, sealed: &[u8], ring: &Ring) -> Result<(Option<Secret>, Option<Secret>)> {
    let text = Secret::new(ring.open(place(key), sealed)?);
    let (secret, signing_token): Secrets =
        serde_json::from_str(text.expose()).map_err(|_| Error::Damaged("the secrets of an inspector"))?;

    Ok((secret.map(Secret::new), signing_token.map(Secret::new)))
}

/// Header fields as they are stored.
pub(crate) fn headers_text(headers: &[(String, String)]) -> Result<String> {
    serde_json::to_string(headers).map_err(|_| Error::Damaged(HEADERS))
}

fn read_headers(text: &str) -> Result<Vec<(String, String)>> {
    serde_json::from_str(text).map_err(|_| Error::Damaged(HEADERS))
}

/// The columns of a request.
pub(crate) struct StoredRequest {
    pub(crate) id: Uuid,
    pub(crate) received_at: i64,
    pub(crate) address: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) size: i64,
    pub(crate) note: Option<String>,
    pub(crate) verdicts: [i16; 3],
    pub(crate) status: i16,
    pub(crate) headers: String,
}

impl StoredRequest {
    pub(crate) fn new(request: Inspected) -> Result<Self> {
        let Verdicts {
            token,
            signature,
            hub_signature,
        } = request.verdicts;

        Ok(Self {
            id: request.id,
            received_at: request.at.as_micros(),
            address: request.address,
            method: request.method,
            path: request.path,
            size: i64::try_from(request.size).unwrap_or(i64::MAX),
            note: request.note,
            verdicts: [token.code(), signature.code(), hub_signature.code()],
            status: i16::try_from(request.status).unwrap_or(i16::MAX),
            headers: headers_text(&request.headers)?,
        })
    }

    /// The bytes that the request takes, with its packed body.
    pub(crate) fn kept_bytes(&self, body: &Packed) -> i64 {
        let bytes = self.headers.len() + self.path.len() + body.as_bytes().len();
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }

    pub(crate) fn read(self) -> Result<Inspected> {
        let [token, signature, hub_signature] = self.verdicts.map(Verdict::by_code);
        Ok(Inspected {
            id: self.id,
            at: Timestamp::from_micros(self.received_at),
            address: self.address,
            method: self.method,
            path: self.path,
            headers: read_headers(&self.headers)?,
            size: usize::try_from(self.size).map_err(|_| Error::Damaged("the size of a request"))?,
            note: self.note,
            verdicts: Verdicts {
                token,
                signature,
                hub_signature,
            },
            status: u16::try_from(self.status).map_err(|_| Error::Damaged("the status of a request"))?,
        })
    }
}
