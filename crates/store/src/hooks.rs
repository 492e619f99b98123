//! Hooks, their health, and the directory that the belt keeps of them in memory.

use async_trait::async_trait;
use quickdraw_domain::health::Health;
use quickdraw_domain::hook::{BranchFilter, Hook, HookUrl};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{GroupId, HookId, ProjectId, Secret};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::scopes::{Page, Paged};
use crate::seal::{Place, Ring};

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
    /// All hooks of all levels.
    pub hooks: Vec<HookWithHealth>,
    /// The group of each project.
    pub projects: Vec<(ProjectId, GroupId)>,
    /// The parent of each group.
    pub groups: Vec<(GroupId, Option<GroupId>)>,
}

/// Hooks: what can be done with them.
#[async_trait]
pub trait Hooks {
    /// Makes a hook; its `id` is ignored and the new one returned. Secrets are sealed. `Missing` when the project or
    /// group is not there.
    async fn create_hook(&self, hook: Hook) -> Result<HookWithHealth>;
    /// Looks up a hook of this scope: another scope's hook is not found.
    async fn find_hook(&self, scope: Scope, id: HookId) -> Result<Option<HookWithHealth>>;
    /// The hooks of a scope by number.
    async fn list_hooks(&self, scope: Scope, page: Page) -> Result<Paged<HookWithHealth>>;
    /// Deletes a hook of this scope. What it was still owed is cancelled by the sweep. `false` if it was not there.
    async fn delete_hook(&self, scope: Scope, id: HookId) -> Result<bool>;
    /// The present version of the directory.
    async fn directory_version(&self) -> Result<i64>;
    /// The whole directory, read in one snapshot.
    async fn directory(&self) -> Result<Directory>;
}

/// The sealed columns of a hook. The hook's UUID names the row, because it is known before the number is.
pub(crate) struct StoredHook {
    pub(crate) url: Vec<u8>,
    pub(crate) token: Option<Vec<u8>>,
    pub(crate) signing_token: Option<Vec<u8>>,
}

impl StoredHook {
    pub(crate) fn seal(hook: &Hook, ring: &Ring) -> Result<Self> {
        let row = hook.uuid.as_bytes();
        let seal = |column, text: &str| ring.seal(Place { table: "hooks", column, row }, text);
        let token = hook.token.as_ref().map(|token| seal("token", token.expose())).transpose()?;
        let signing = hook.signing_token.as_ref().map(|token| seal("signing_token", token.to_text().expose()));
        Ok(Self { url: seal("url", hook.url.as_typed())?, token, signing_token: signing.transpose()? })
    }

    /// Opens the columns and hands the parsed values to `make`, which knows the rest of the row.
    pub(crate) fn open<T>(
        self,
        ring: &Ring,
        strategy: &str,
        filter: Option<&str>,
        make: impl FnOnce(HookUrl, Option<Secret>, Option<SigningToken>, BranchFilter) -> T,
        uuid: Uuid,
    ) -> Result<T> {
        let row = uuid.as_bytes();
        let open = |column, value: &[u8]| ring.open(Place { table: "hooks", column, row }, value);
        let url = HookUrl::parse(&open("url", &self.url)?).map_err(|_| Error::Damaged("a hook's URL"))?;
        let token = self.token.map(|value| open("token", &value).map(Secret::new)).transpose()?;
        let signing_token = match self.signing_token {
            Some(value) => {
                let text = Secret::new(open("signing_token", &value)?);
                Some(SigningToken::parse(text.expose()).map_err(|_| Error::Damaged("a hook's signing token"))?)
            }
            None => None,
        };
        let branch_filter =
            BranchFilter::parse(strategy, filter).map_err(|_| Error::Damaged("a hook's branch filter"))?;
        Ok(make(url, token, signing_token, branch_filter))
    }
}
