//! Hooks: a configured wish to be told.

pub mod branch_filter;
pub mod url;

use uuid::Uuid;

pub use branch_filter::BranchFilter;
pub use url::HookUrl;

use crate::scope::Scope;
use crate::signature::SigningToken;
use crate::{HookId, Secret, Timestamp, TriggerSet};

/// A configured hook with its secrets opened. It has no `Debug` because of them.
#[derive(Clone)]
pub struct Hook {
    /// GitLab's number.
    pub id: HookId,
    /// Whose events it hears.
    pub scope: Scope,
    /// Where to call.
    pub url: HookUrl,
    /// `X-Gitlab-Token`, and the key of `X-Hub-Signature-256`.
    pub token: Option<Secret>,
    /// Key of `webhook-signature`.
    pub signing_token: Option<SigningToken>,
    /// What it wants to hear of.
    pub triggers: TriggerSet,
    /// Off means no certificate check at all, as in GitLab.
    pub enable_ssl_verification: bool,
    /// Which pushes it wants to hear of.
    pub branch_filter: BranchFilter,
    /// Shown name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `X-Gitlab-Webhook-UUID`: the hook's own, stable.
    pub uuid: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
}
