//! The operator's choices for the pipeline. The command line fills them from its configuration.

mod mail;
mod oidc;
mod sections;

use std::sync::Arc;
use std::time::Duration;

use quickdraw_domain::compose::UploadLinks;
use quickdraw_domain::guard;
use quickdraw_domain::hook::BranchFilter;
use quickdraw_domain::settle::Policies;

pub use mail::{MailSection, TlsMode};
pub use oidc::OidcSection;
pub use sections::{DeliverySection, HistorySection, HoldOrDrop, InsightsSection};

/// The operator's choices for the pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When a delivery is retried, and when a hook is disabled.
    pub policies: Arc<Policies>,

    /// The rules for destinations.
    pub guard: Arc<guard::Settings>,

    /// Bounds of concurrent attempts.
    pub permits: PermitLimits,

    /// The longest duration of one attempt.
    pub deadline: Duration,

    /// The longest time that a request waits for the store.
    pub answer_within: Duration,

    /// How long a node keeps a claimed delivery. It is longer than the deadline, or attempts under way would be
    /// repeated.
    pub lease: Duration,

    /// `X-Gitlab-Instance` of outgoing requests: the base URL of this server.
    pub instance: String,

    /// Targets of links to uploaded files in composed bodies.
    pub upload_links: UploadLinks,

    /// How long history is kept.
    pub retention: Duration,

    /// Silent mode is always on, whatever the database says.
    pub silent: bool,

    /// The treatment of events while their hook is disabled.
    pub while_disabled: WhileDisabled,

    /// Deliveries a minute of project and group hooks under one top-level group; 0 for no limit.
    pub per_minute: u32,

    /// Branches, tags and, as `!12`, merge requests whose last pipelines are shown beside those of default branches.
    pub shown_refs: Vec<BranchFilter>,

    /// Labels that make an issue an incident, beside `incident`.
    pub incident_labels: Arc<[String]>,

    /// Domains to which mails of notifications may be sent, in lower case. All are allowed if the list is empty.
    pub recipient_domains: Arc<[String]>,
}

/// The treatment of events while their hook is disabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhileDisabled {
    /// They wait, within a budget, and are delivered when the hook is healthy.
    Hold {
        /// The longest time that a delivery waits.
        longest: Duration,
        /// The most deliveries that wait for one hook.
        most: u32,
    },

    /// They are dropped, as GitLab does.
    Drop,
}

/// Bounds of concurrent attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PermitLimits {
    /// Attempts under way on this node.
    pub total: usize,

    /// Permits of the total that only first attempts may use, so that a wave of retries never shuts them out.
    pub reserved_for_first: usize,

    /// Attempts for one hook that keeps succeeding.
    pub per_hook: usize,

    /// Attempts for a hook without a history.
    pub initial_per_hook: usize,

    /// Attempts for all hooks with one host and port together.
    pub per_host: usize,
}

impl Default for PermitLimits {
    fn default() -> Self {
        Self {
            total: 768,
            reserved_for_first: 256,
            per_hook: 64,
            initial_per_hook: 4,
            per_host: 128,
        }
    }
}
