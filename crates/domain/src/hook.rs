//! Hooks: a configured wish to be told.

pub mod body_template;
pub mod branch_filter;
mod certificate;
pub mod edit;
pub mod expression;
pub mod filter;
pub mod past;
pub mod template_check;
pub mod url;
pub mod values;

use uuid::Uuid;

pub use branch_filter::{BranchFilter, Passage};
pub use certificate::ClientCertificate;
pub use edit::HookEdit;
pub use expression::Expression;
pub use filter::EventFilter;
pub use past::PastHook;
pub use url::HookUrl;
pub use values::NamedValues;

use crate::retry::OwnRetry;
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
    /// The one before, which signs as well until this time: receivers change over meanwhile.
    pub previous_signing_token: Option<(SigningToken, Timestamp)>,
    /// What it wants to hear of.
    pub triggers: TriggerSet,
    /// Whether somebody said, yes or no, that it wants confidential notes. It hears none before; GitLab shows the
    /// difference.
    pub confidential_notes_set: bool,
    /// Off means no certificate check at all, as in GitLab.
    pub enable_ssl_verification: bool,
    /// Which pushes it wants to hear of.
    pub branch_filter: BranchFilter,
    /// What its requests carry beside ours. Names are GitLab's custom headers.
    pub custom_headers: NamedValues,
    /// What stands for `{name}` in its URL.
    pub url_variables: NamedValues,
    /// What it gets instead of the event's body.
    pub body_template: Option<String>,
    /// When a delivery is tried again, if not as the settings say.
    pub retry: Option<OwnRetry>,
    /// Which events it wants, by what they say.
    pub event_filter: Option<EventFilter>,
    /// Whether events about one object go to it one after the other: the next when the one before is delivered or given up.
    pub ordered: bool,
    /// What it is shown when it asks for a certificate, instead of the instance's.
    pub client_certificate: Option<ClientCertificate>,
    /// Shown name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `X-Gitlab-Webhook-UUID`: the hook's own, stable.
    pub uuid: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it calls what it calls: URL and variables together.
    pub url_since: Timestamp,
    /// When its settings last changed.
    pub updated_at: Timestamp,
}

/// States that the expressions of all hooks of one project, of one group or of the instance may have together: an event may
/// have to be compared with all of them.
pub const MOST_STATES_OF_SCOPE: usize = 20_000;

impl Hook {
    /// States of all expressions in its filters: what they may cost with each letter of a text.
    #[must_use]
    pub fn states(&self) -> usize {
        let of_branches = match &self.branch_filter {
            BranchFilter::Regex(expression) => expression.states(),
            BranchFilter::All | BranchFilter::Wildcard(_) => 0,
        };
        of_branches + self.event_filter.as_ref().map_or(0, EventFilter::states)
    }

    /// A hook with nothing but a URL: no secrets, no triggers, certificates checked.
    #[must_use]
    pub fn new(scope: Scope, url: HookUrl, uuid: Uuid, now: Timestamp) -> Self {
        Self {
            id: HookId(0),
            scope,
            url,
            token: None,
            signing_token: None,
            previous_signing_token: None,
            triggers: TriggerSet::default(),
            confidential_notes_set: false,
            enable_ssl_verification: true,
            branch_filter: BranchFilter::All,
            custom_headers: NamedValues::default(),
            url_variables: NamedValues::default(),
            body_template: None,
            retry: None,
            event_filter: None,
            ordered: false,
            client_certificate: None,
            name: None,
            description: None,
            uuid,
            created_at: now,
            url_since: now,
            updated_at: now,
        }
    }
}
