//! Replays.

use quickdraw_domain::Trigger;
use quickdraw_store::replays;
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// A replay: deliveries that are sent once more.
#[derive(Serialize, ToSchema)]
pub struct Replay {
    /// Its number.
    pub id: i64,
    /// `running`, `paused`, `finished` or `cancelled`.
    pub state: &'static str,
    /// What it chooses.
    pub filter: ReplayFilter,
    /// Most deliveries a second.
    pub rate: i64,
    /// Deliveries that it has looked at.
    pub looked_at: i64,
    /// Deliveries that it has made due again.
    pub replayed: i64,
    /// Login of who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: Iso,
    /// When it ended.
    pub finished_at: Option<Iso>,
    /// What became of the deliveries that it has come past, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<ReplayResults>,
}

/// Since a replay began, what became of the deliveries of its time and hook that it has come past.
#[derive(Serialize, ToSchema)]
pub struct ReplayResults {
    /// Delivered since.
    pub arrived: i64,
    /// Given up since.
    pub given_up: i64,
    /// Owed now.
    pub owed: i64,
}

impl From<replays::Results> for ReplayResults {
    fn from(results: replays::Results) -> Self {
        Self { arrived: results.arrived, given_up: results.given_up, owed: results.owed }
    }
}

/// What a replay chooses.
#[derive(Serialize, ToSchema)]
pub struct ReplayFilter {
    /// Events that arrived then or later.
    pub from: Iso,
    /// Events that arrived before then.
    pub to: Iso,
    /// Only of this kind.
    pub trigger: Option<&'static str>,
    /// Only of this project.
    pub project_id: Option<i64>,
    /// Only to this hook.
    pub hook_id: Option<i64>,
    /// Only those that ended so: `delivered` or `given_up`.
    pub state: Option<&'static str>,
    /// Only those whose last answer was one of these.
    pub status: Vec<String>,
    /// Only events with this text in their body.
    pub text: Option<String>,
}

impl From<&replays::Replay> for Replay {
    fn from(replay: &replays::Replay) -> Self {
        let filter = &replay.filter;
        Self {
            id: replay.id,
            state: replay.progress.word(),
            filter: ReplayFilter {
                from: Iso(filter.begin()),
                to: Iso(filter.end()),
                trigger: filter.trigger.map(|code| Trigger::by_code(code).row().name),
                project_id: filter.project,
                hook_id: filter.hook,
                state: filter.state.map(|ended| ended.stage().word()),
                status: filter.status.clone(),
                text: filter.text.clone(),
            },
            rate: replay.rate,
            looked_at: replay.looked_at,
            replayed: replay.replayed,
            created_by: replay.created_by.clone(),
            created_at: Iso(replay.created_at),
            finished_at: replay.finished_at.map(Iso),
            results: None,
        }
    }
}
