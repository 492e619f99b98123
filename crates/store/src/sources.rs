//! Sources beside the default one, and what came to all of them lately.

use async_trait::async_trait;
use quickdraw_domain::source::{ActiveSecret, Addresses, BoundTo, Mode, Source};
use quickdraw_domain::{NodeId, Secret, SourceId, Timestamp};

use crate::error::{Error, Result};
use crate::seal::{Place, Ring};

/// The requests that a node saw at a source lately, each list in JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceRequests {
    /// The source.
    pub source: SourceId,

    /// The last requests.
    pub requests: String,

    /// Counts of requests by minute.
    pub minutes: String,
}

/// Sources: what can be done with them. All of them are in the [`crate::hooks::Directory`].
#[async_trait]
pub trait Sources {
    /// Makes a source; its `id` is ignored and the new one returned. `Full` when there are `most` already.
    async fn create_source(&self, source: Source, most: i64) -> Result<Source>;

    /// Replaces the settings of a source that has not changed since it was read at `unchanged_since`. `None` when it
    /// has, or is gone: read it again.
    async fn update_source(&self, source: Source, unchanged_since: Timestamp) -> Result<Option<Source>>;

    /// Looks one up by its key.
    async fn find_source(&self, key: String) -> Result<Option<Source>>;

    /// All of them by number: there are never many.
    async fn list_sources(&self) -> Result<Vec<Source>>;

    /// Deletes one. `false` if it was not there. Its events stay.
    async fn delete_source(&self, key: String) -> Result<bool>;

    /// Notes which instance a source is for, if that is not known yet; gives what is noted then. Projects and groups
    /// that were known by the source alone are that instance's from then on. `None`: another source is for it, and only
    /// an administrator can say that this one is too.
    async fn learn_instance(&self, source: SourceId, instance: BoundTo) -> Result<Option<BoundTo>>;

    /// Says which instance a source is for; `None`: it learns that from its next request.
    async fn set_instance(&self, source: SourceId, instance: Option<BoundTo>) -> Result<()>;

    /// The secret of the default source that all nodes share: the one that is stored, or else this one, which is stored
    /// then.
    async fn default_secret(&self, made: Secret) -> Result<Secret>;

    /// Keeps what a node saw lately at each source, instead of what it saw before. Forgets the lists of nodes that have
    /// said nothing since `forget`.
    async fn save_requests(
        &self,
        node: NodeId,
        lists: Vec<SourceRequests>,
        now: Timestamp,
        forget: Timestamp,
    ) -> Result<()>;

    /// The requests to a source that other nodes saw, or this node before its restart.
    async fn requests_elsewhere(&self, source: SourceId, node: NodeId) -> Result<Vec<String>>;

    /// The counts by minute of all sources that other nodes saw, or this node before its restart.
    async fn minutes_elsewhere(&self, node: NodeId) -> Result<Vec<(SourceId, String)>>;
}

/// Reads what a source is for.
pub(crate) fn bound(text: &str) -> Result<BoundTo> {
    BoundTo::parse(text).map_err(|_| Error::Damaged("the instance of a source"))
}

/// The columns that both engines read, in this order.
pub(crate) const COLUMNS: &str = "id, source_key, name, mode, secrets, window_seconds, addresses, per_minute, sender_per_minute, body_limit, deduplicate, created_at, updated_at";

/// A source as its columns hold it.
pub(crate) struct StoredSource {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) mode: i16,
    pub(crate) secrets: Vec<u8>,
    pub(crate) window_seconds: i64,
    pub(crate) addresses: String,
    pub(crate) per_minute: Option<i64>,
    pub(crate) sender_per_minute: Option<i64>,
    pub(crate) body_limit: i64,
    pub(crate) deduplicate: bool,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

const SECRETS: &str = "a source's secrets";

/// Where the secret of the default source is sealed.
pub(crate) const DEFAULT_SECRET: Place<'static> = Place {
    table: "documents",
    column: "document",
    row: b"default_secret",
};

const fn place(key: &str) -> Place<'_> {
    // The name is authenticated with each sealed secret, so it stays what it was when the table was called that.
    Place {
        table: "receivers",
        column: "secrets",
        row: key.as_bytes(),
    }
}

impl StoredSource {
    pub(crate) fn seal(source: &Source, ring: &Ring) -> Result<Self> {
        let secrets: Vec<(&str, Option<i64>)> = source
            .secrets
            .iter()
            .map(|one| (one.secret.expose(), one.until.map(Timestamp::as_micros)))
            .collect();

        let text = Secret::new(serde_json::to_string(&secrets).map_err(|_| Error::Damaged(SECRETS))?);
        Ok(Self {
            id: source.id.0,
            key: source.key.clone(),
            name: source.name.clone(),
            mode: source.mode.code(),
            secrets: ring.seal(place(&source.key), text.expose())?,
            window_seconds: i64::try_from(source.window.as_secs()).unwrap_or(i64::MAX),
            addresses: source.addresses.texts().collect::<Vec<_>>().join(" "),
            per_minute: source.per_minute.map(i64::from),
            sender_per_minute: source.sender_per_minute.map(i64::from),
            body_limit: i64::try_from(source.body_limit).unwrap_or(i64::MAX),
            deduplicate: source.deduplicate,
            created_at: source.created_at.as_micros(),
            updated_at: source.updated_at.as_micros(),
        })
    }

    pub(crate) fn open(self, ring: &Ring) -> Result<Source> {
        let text = Secret::new(ring.open(place(&self.key), &self.secrets)?);
        let secrets: Vec<(String, Option<i64>)> =
            serde_json::from_str(text.expose()).map_err(|_| Error::Damaged(SECRETS))?;

        let secret = |(secret, until): (String, Option<i64>)| ActiveSecret {
            secret: Secret::new(secret),
            until: until.map(Timestamp::from_micros),
        };

        let damaged = |_| Error::Damaged("a source's numbers");
        Ok(Source {
            id: SourceId(self.id),
            key: self.key,
            name: self.name,
            mode: Mode::from_code(self.mode),
            secrets: secrets.into_iter().map(secret).collect(),
            window: std::time::Duration::from_secs(u64::try_from(self.window_seconds).map_err(damaged)?),
            addresses: Addresses::parse(self.addresses.split_whitespace())
                .map_err(|_| Error::Damaged("a source's addresses"))?,
            per_minute: self.per_minute.map(u32::try_from).transpose().map_err(damaged)?,
            sender_per_minute: self.sender_per_minute.map(u32::try_from).transpose().map_err(damaged)?,
            body_limit: usize::try_from(self.body_limit).map_err(damaged)?,
            deduplicate: self.deduplicate,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
        })
    }
}
