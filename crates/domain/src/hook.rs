//! Hooks: URLs that get the events of a project, a group or the instance.

pub mod backlog;
pub mod body_template;
pub mod branch_filter;
pub mod calls;
mod certificate;
pub mod edit;
pub mod expression;
pub mod filter;
pub(crate) mod headers;
pub mod past;
pub mod restriction;
pub mod state;
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
pub use restriction::{Restriction, Senders};
pub use state::{HookState, LastCall};
pub use url::HookUrl;
pub use values::NamedValues;

use crate::retry::OwnRetry;
use crate::scope::Scope;
use crate::signature::SigningToken;
use crate::{HookId, Secret, Timestamp, Trigger, TriggerSet};

/// A configured hook with its secrets decrypted. It has no `Debug` because of them.
#[derive(Clone)]
pub struct Hook {
    /// GitLab's number.
    pub id: HookId,

    /// The project, group or instance whose events it gets.
    pub scope: Scope,

    /// The URL to call.
    pub url: HookUrl,

    /// `X-Gitlab-Token`, and the key of `X-Hub-Signature-256`.
    pub token: Option<Secret>,

    /// Key of `webhook-signature`.
    pub signing_token: Option<SigningToken>,

    /// The previous signing token, which also signs until this time, so that receivers can change over.
    pub previous_signing_token: Option<(SigningToken, Timestamp)>,

    /// The kinds of events that it is subscribed to, unless it is subscribed to all.
    pub triggers: TriggerSet,

    /// Whether it is subscribed to all kinds of events, now and in future, whatever `triggers` says. A hook of a
    /// project or group gets the kinds of its level. A hook of the instance gets every event of every project and
    /// group.
    pub all_events: bool,

    /// The events that a hook of the instance is restricted to.
    pub only: Restriction,

    /// The pause that a person has set, apart from the hook's health.
    pub paused: Option<Pause>,

    /// Whether `confidential_note_events` was ever set, to true or false. Before that the hook gets no confidential
    /// notes; GitLab shows the difference.
    pub confidential_notes_set: bool,

    /// False means that certificates are not checked at all, as in GitLab.
    pub enable_ssl_verification: bool,

    /// Which pushes it gets.
    pub branch_filter: BranchFilter,

    /// Headers of its requests in addition to ours. Names are those of GitLab's custom headers.
    pub custom_headers: NamedValues,

    /// The values of `{name}` in its URL.
    pub url_variables: NamedValues,

    /// The template of its body, in place of the event's body.
    pub body_template: Option<String>,

    /// Its own retry policy, in place of the one in the settings.
    pub retry: Option<OwnRetry>,

    /// Conditions on the body of the events that it gets.
    pub event_filter: Option<EventFilter>,

    /// Whether events about one object are delivered in order: the next starts when the one before is final.
    pub ordered: bool,

    /// Certificate for receivers that ask for one, in place of the instance's.
    pub client_certificate: Option<ClientCertificate>,

    /// Shown name.
    pub name: Option<String>,

    /// Free text.
    pub description: Option<String>,

    /// `X-Gitlab-Webhook-UUID`: the hook's own stable id.
    pub uuid: Uuid,

    /// Creation time.
    pub created_at: Timestamp,

    /// The time of the last change of its URL or URL variables.
    pub url_since: Timestamp,

    /// The time of the last change of its settings.
    pub updated_at: Timestamp,
}

/// A pause of a hook that a person has set. Deliveries wait until somebody resumes the hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pause {
    /// The time of the pause.
    pub at: Timestamp,

    /// The username of the person.
    pub by: String,
}

/// The most states that the expressions of all hooks of one project, of one group or of the instance may have together:
/// one event may be compared with all of them.
pub const MAX_STATES_OF_SCOPE: usize = 20_000;

impl Hook {
    /// States of all expressions in its filters. They bound the work for each letter of a text.
    #[must_use]
    pub fn states(&self) -> usize {
        let of_branches = match &self.branch_filter {
            BranchFilter::Regex(expression) => expression.states(),
            BranchFilter::All | BranchFilter::Wildcard(_) => 0,
        };
        of_branches + self.event_filter.as_ref().map_or(0, EventFilter::states)
    }

    /// Whether the hook is subscribed to a kind of event, as far as its settings say. `all_events` selects the kinds of
    /// its level.
    #[must_use]
    pub fn selects(&self, trigger: Trigger) -> bool {
        if self.all_events {
            trigger.row().levels.contain(self.scope)
        } else {
            self.triggers.contains(trigger)
        }
    }

    /// Whether it is a system hook as in GitLab, whose requests all say `System Hook` and which is never disabled. A
    /// hook of the instance for all events behaves like a hook of a project.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.scope == Scope::Instance && !self.all_events
    }

    /// The hook after a person has paused or resumed it. Nothing else is checked again.
    #[must_use]
    pub fn with_pause(&self, paused: Option<Pause>, now: Timestamp) -> Self {
        Self {
            paused,
            updated_at: now,
            ..self.clone()
        }
    }

    /// A hook with only a URL: no secrets, no triggers, certificates checked.
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
            all_events: false,
            only: Restriction::default(),
            paused: None,
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
