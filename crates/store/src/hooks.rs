//! Hooks, their health, and the directory of them that the pipeline keeps in memory.

use async_trait::async_trait;
use quickdraw_domain::health::Health;
use quickdraw_domain::hook::{
    BranchFilter, ClientCertificate, EventFilter, Hook, HookUrl, NamedValues, PastHook, Pause, Restriction,
};
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::source::{BoundTo, Source};
use quickdraw_domain::{GroupId, HookId, ProjectId, Secret, SourceId, Timestamp};
use uuid::Uuid;

use crate::column_list::column_list;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::seal::{Place, Ring};

column_list! {
    /// Columns of `hooks`, as `h`.
    HOOK: HookColumns, "h.",
    [
        id, uuid, project_id, group_id, url, token, signing_token, enable_ssl_verification, branch_filter_strategy,
        branch_filter, name, description, created_at, updated_at, custom_headers, url_variables, body_template,
        url_since, previous_signing_token, previous_signing_until, retry, confidential_notes_set, ordered,
        client_certificate, event_filter, all_events, restriction, paused_at, paused_by,
    ]
}

/// A hook with what it remembers of failures.
#[derive(Clone)]
pub struct HookWithHealth {
    /// Settings.
    pub hook: Hook,

    /// Memory.
    pub health: Health,
}

/// Everything that deciding about audiences needs, at one version.
#[derive(Clone, Default)]
pub struct Directory {
    /// Goes up with every change of hooks, groups or projects.
    pub version: i64,

    /// The time since which silent mode is on.
    pub silent_since: Option<Timestamp>,

    /// All hooks of all levels.
    pub hooks: Vec<HookWithHealth>,

    /// The group of each project.
    pub projects: Vec<(ProjectId, GroupId)>,

    /// The parent of each group, and its full path.
    pub groups: Vec<(GroupId, Option<GroupId>, String)>,

    /// Sources beside the default one.
    pub sources: Vec<Source>,

    /// Which instance sources are for, the default one too.
    pub instances: Vec<(SourceId, BoundTo)>,

    /// Projects of other instances.
    pub known: Vec<KnownProject>,

    /// Groups of other instances.
    pub known_groups: Vec<KnownGroup>,

    /// Groups whose path a member chose.
    pub named_by_members: Vec<GroupId>,
}

/// A project of another instance, and the one that stands for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownProject {
    /// The instance.
    pub instance: String,

    /// The number there.
    pub number: i64,

    /// The project here.
    pub project: ProjectId,

    /// The full path there, as last seen.
    pub path: String,
}

/// A group of another instance, and the one that stands for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownGroup {
    /// The instance.
    pub instance: String,

    /// The number there.
    pub number: i64,

    /// The group here.
    pub group: GroupId,

    /// The full path there, as last seen.
    pub path: String,
}

/// Hooks: what can be done with them.
#[async_trait]
pub trait Hooks {
    /// Makes a hook; its `id` is ignored and the new one returned. Secrets are sealed. `Missing` when the project or
    /// group is not there, `Full` when its scope has `most` hooks already.
    async fn create_hook(&self, hook: Hook, most: i64) -> Result<HookWithHealth>;

    /// Replaces the settings of a hook that has not changed since it was read at `unchanged_since`. `None` when it has,
    /// or is gone: read it again.
    async fn update_hook(&self, hook: Hook, unchanged_since: Timestamp) -> Result<Option<HookWithHealth>>;

    /// Looks up a hook of this scope: another scope's hook is not found.
    async fn find_hook(&self, scope: Scope, id: HookId) -> Result<Option<HookWithHealth>>;

    /// The hooks of a scope by number.
    async fn list_hooks(&self, scope: Scope, page: Page) -> Result<Paged<HookWithHealth>>;

    /// Deletes a hook of this scope. What it was still owed is cancelled by the sweep. `false` if it was not there.
    /// With a time, only if it has not changed since; `false` then too.
    async fn delete_hook(&self, scope: Scope, id: HookId, unchanged_since: Option<Timestamp>) -> Result<bool>;

    /// A hook's settings as they were in a version: what [`Hook::updated_at`] said then. `None` when history has been
    /// pruned beyond it.
    async fn past_hook(&self, hook: &Hook, version: Timestamp) -> Result<Option<PastHook>>;

    /// Hooks that have something to remember of failures, and what.
    async fn failing_hooks(&self) -> Result<Vec<(HookId, Health)>>;

    /// The present version of the directory.
    async fn directory_version(&self) -> Result<i64>;

    /// Turns silent mode on, with the time of its beginning, or off. `false` if it was on or off already. The directory
    /// gets a new version, so that a decision about an event never uses an outdated answer.
    async fn set_silent(&self, since: Option<Timestamp>) -> Result<bool>;

    /// The whole directory, read in one snapshot.
    async fn directory(&self) -> Result<Directory>;
}

/// The sealed columns of a hook. The hook's UUID names the row, because it is known before the number is.
pub(crate) struct StoredHook {
    pub(crate) url: Vec<u8>,
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) signing_token: Option<Vec<u8>>,
    pub(crate) previous_signing_token: Option<Vec<u8>>,
    pub(crate) previous_signing_until: Option<i64>,
    pub(crate) custom_headers: Option<Vec<u8>>,
    pub(crate) url_variables: Option<Vec<u8>>,
    pub(crate) client_certificate: Option<Vec<u8>>,
}

const PAST: &str = "a hook's past settings";

/// The settings of this version of a hook, sealed for its history.
pub(crate) fn seal_past(ring: &Ring, hook: &Hook) -> Result<Vec<u8>> {
    let past = serde_json::to_string(&PastHook::of(hook)).map_err(|_| Error::Damaged(PAST))?;
    Ok(ring.seal(
        Place {
            table: "hook_versions",
            column: "settings",
            row: hook.uuid.as_bytes(),
        },
        &past,
    )?)
}

/// The settings of a version of a hook, from its history.
pub(crate) fn open_past(ring: &Ring, uuid: Uuid, sealed: &[u8]) -> Result<PastHook> {
    let place = Place {
        table: "hook_versions",
        column: "settings",
        row: uuid.as_bytes(),
    };
    serde_json::from_str(&ring.open(place, sealed)?).map_err(|_| Error::Damaged(PAST))
}

/// The opened columns.
pub(crate) struct OpenedHook {
    pub(crate) url: HookUrl,
    pub(crate) token: Option<Secret>,
    pub(crate) signing_token: Option<SigningToken>,
    pub(crate) previous_signing_token: Option<(SigningToken, Timestamp)>,
    pub(crate) custom_headers: NamedValues,
    pub(crate) url_variables: NamedValues,
    pub(crate) client_certificate: Option<ClientCertificate>,
}

impl StoredHook {
    pub(crate) fn seal(hook: &Hook, ring: &Ring) -> Result<Self> {
        let row = hook.uuid.as_bytes();
        let seal = |column, text: &str| {
            ring.seal(
                Place {
                    table: "hooks",
                    column,
                    row,
                },
                text,
            )
        };

        let seal_values = |column, values: &NamedValues| -> Result<Option<Vec<u8>>> {
            if values.is_empty() {
                return Ok(None);
            }

            let pairs: Vec<(&str, &str)> = values.iter().map(|(name, value)| (name, value.expose())).collect();
            let text = serde_json::to_string(&pairs).map_err(|_| Error::Damaged("a hook's values"))?;
            Ok(Some(seal(column, &text)?))
        };

        let signing = hook
            .signing_token
            .as_ref()
            .map(|token| seal("signing_token", token.to_text().expose()));

        let previous = hook.previous_signing_token.as_ref();
        let certificate = hook.client_certificate.as_ref();

        Ok(Self {
            url: seal("url", hook.url.as_typed())?,
            token: hook
                .token
                .as_ref()
                .map(|token| seal("token", token.expose()))
                .transpose()?,
            signing_token: signing.transpose()?,
            previous_signing_token: previous
                .map(|(token, _)| seal("previous_signing_token", token.to_text().expose()))
                .transpose()?,
            previous_signing_until: previous.map(|(_, until)| until.as_micros()),
            custom_headers: seal_values("custom_headers", &hook.custom_headers)?,
            url_variables: seal_values("url_variables", &hook.url_variables)?,
            client_certificate: certificate
                .map(|certificate| seal("client_certificate", certificate.pem.expose()))
                .transpose()?,
        })
    }

    pub(crate) fn open(self, ring: &Ring, uuid: Uuid) -> Result<OpenedHook> {
        let row = uuid.as_bytes();
        let open = |column, value: &[u8]| {
            ring.open(
                Place {
                    table: "hooks",
                    column,
                    row,
                },
                value,
            )
        };

        let open_values = |column, value: Option<Vec<u8>>| -> Result<NamedValues> {
            let mut values = NamedValues::default();
            let Some(value) = value else { return Ok(values) };
            let damaged = || Error::Damaged("a hook's values");
            let pairs: Vec<(String, String)> = serde_json::from_str(&open(column, &value)?).map_err(|_| damaged())?;

            for (name, value) in pairs {
                values.set(&name, Secret::new(value)).map_err(|_| damaged())?;
            }

            Ok(values)
        };
        let url_variables = open_values("url_variables", self.url_variables)?;
        let typed = open("url", &self.url)?;
        // Names in braces of a hook that never had variables stay as they are.
        let url = HookUrl::parse_with(&typed, &url_variables).or_else(|_| HookUrl::parse(&typed));

        let open_signing = |column, value: Option<Vec<u8>>| -> Result<Option<SigningToken>> {
            let Some(value) = value else { return Ok(None) };
            let text = Secret::new(open(column, &value)?);
            SigningToken::parse(text.expose())
                .map(Some)
                .map_err(|_| Error::Damaged("a hook's signing token"))
        };

        Ok(OpenedHook {
            url: url.map_err(|_| Error::Damaged("a hook's URL"))?,
            token: self
                .token
                .map(|value| open("token", &value).map(Secret::new))
                .transpose()?,
            signing_token: open_signing("signing_token", self.signing_token)?,
            previous_signing_token: open_signing("previous_signing_token", self.previous_signing_token)?
                .zip(self.previous_signing_until.map(Timestamp::from_micros)),
            custom_headers: open_values("custom_headers", self.custom_headers)?,
            url_variables,
            client_certificate: self
                .client_certificate
                .map(|value| open("client_certificate", &value).map(|pem| ClientCertificate::new(Secret::new(pem))))
                .transpose()?,
        })
    }
}

/// The branch filter as stored.
pub(crate) fn branch_filter(strategy: &str, filter: Option<&str>) -> Result<BranchFilter> {
    BranchFilter::stored(strategy, filter).ok_or(Error::Damaged("a hook's branch filter"))
}

/// A retry policy as stored.
pub(crate) fn own_retry(text: Option<String>) -> Result<Option<OwnRetry>> {
    let parse = |text: String| OwnRetry::parse(&text.split(',').collect::<Vec<_>>());
    text.map(parse)
        .transpose()
        .map_err(|_| Error::Damaged("a hook's retry policy"))
}

/// A restriction as it is stored. No restriction is no text.
pub(crate) fn restriction_text(restriction: &Restriction) -> Result<Option<String>> {
    if restriction.is_none() {
        return Ok(None);
    }

    let text = serde_json::to_string(restriction).map_err(|_| Error::Damaged("a hook's restriction"))?;
    Ok(Some(text))
}

/// A restriction as stored.
pub(crate) fn restriction(text: Option<String>) -> Result<Restriction> {
    text.map_or_else(
        || Ok(Restriction::default()),
        |text| serde_json::from_str(&text).map_err(|_| Error::Damaged("a hook's restriction")),
    )
}

/// A pause from its columns.
pub(crate) fn pause(at: Option<i64>, by: Option<String>) -> Option<Pause> {
    at.map(|at| Pause {
        at: Timestamp::from_micros(at),
        by: by.unwrap_or_default(),
    })
}

/// A filter as stored.
pub(crate) fn event_filter(text: Option<String>) -> Result<Option<EventFilter>> {
    text.map(|text| EventFilter::stored(&text))
        .transpose()
        .map_err(|_| Error::Damaged("a hook's event filter"))
}
