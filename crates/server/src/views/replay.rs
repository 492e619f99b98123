//! Views of replays.

use quickdraw_domain::Trigger;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::scope::Scope;
use quickdraw_store::replays;
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// A replay: a job that sends deliveries again.
#[derive(Serialize, ToSchema)]
pub struct Replay {
    /// Id of the replay.
    pub id: i64,

    /// `running`, `paused`, `finished` or `cancelled`.
    pub state: &'static str,

    /// Filter that chooses the deliveries.
    pub filter: ReplayFilter,

    /// Maximum number of deliveries per second.
    pub rate: i64,

    /// Number of deliveries that were examined; null for a replay of a project or group, which examines deliveries of
    /// others too.
    pub scanned: Option<i64>,

    /// Number of deliveries that were rescheduled.
    pub replayed: i64,

    /// Username of the creator.
    pub created_by: String,

    /// Time at which the replay was created.
    pub created_at: Iso,

    /// Time at which the replay ended.
    pub finished_at: Option<Iso>,

    /// States of the examined deliveries; only with `results=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<ReplayResults>,
}

/// States, since the replay began, of the examined deliveries of its period and hook.
#[derive(Serialize, ToSchema)]
pub struct ReplayResults {
    /// Number delivered since then.
    pub delivered: i64,

    /// Number that failed for good since then.
    pub given_up: i64,

    /// Number still pending.
    pub pending: i64,
}

impl From<replays::Results> for ReplayResults {
    fn from(results: replays::Results) -> Self {
        Self {
            delivered: results.delivered,
            given_up: results.given_up,
            pending: results.pending,
        }
    }
}

/// Filter of a replay.
#[derive(Serialize, ToSchema)]
pub struct ReplayFilter {
    /// Only events that delivered at this time or later.
    pub since: Iso,

    /// Only events that delivered before this time.
    pub until: Iso,

    /// Only events of this kind.
    pub trigger: Option<&'static str>,

    /// Only events of this project.
    pub project: Option<i64>,

    /// Only events of this group, its subgroups and projects.
    pub group: Option<i64>,

    /// Only deliveries to this hook.
    pub hook: Option<i64>,

    /// Only deliveries with this final state: `delivered` or `given_up`.
    pub state: Option<&'static str>,

    /// Only deliveries whose last answer had one of these statuses.
    pub status: Vec<String>,

    /// Only events with this text in their body.
    pub text: Option<String>,

    /// Only these deliveries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub deliveries: Vec<String>,

    /// Events that webhooks did not get for this reason, instead of ended deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
}

impl From<&replays::Replay> for Replay {
    fn from(replay: &replays::Replay) -> Self {
        let filter = &replay.filter;
        Self {
            id: replay.id,
            state: replay.progress.word(),
            filter: ReplayFilter {
                since: Iso(filter.begin()),
                until: Iso(filter.end()),
                trigger: filter.trigger.map(|code| Trigger::by_code(code).row().name),
                project: filter.project,
                group: filter.group,
                hook: filter.hook,
                state: filter.state.map(|ended| ended.stage().word()),
                status: filter.status.clone(),
                text: filter.text.clone(),
                deliveries: filter.deliveries.iter().map(ToString::to_string).collect(),
                skipped: filter.skipped().map(SkipReason::word),
            },
            rate: replay.rate,
            scanned: (replay.scope == Scope::Instance).then_some(replay.scanned),
            replayed: replay.replayed,
            created_by: replay.created_by.clone(),
            created_at: Iso(replay.created_at),
            finished_at: replay.finished_at.map(Iso),
            results: None,
        }
    }
}
