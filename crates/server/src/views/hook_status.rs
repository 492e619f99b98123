//! Views of the status of hooks.

use quickdraw_domain::Timestamp;
use quickdraw_domain::hook::calls::{Hour, last_day};
use quickdraw_domain::hook::{HookState, LastCall};
use quickdraw_domain::scope::Scope;
use quickdraw_engine::Index;
use quickdraw_store::activity::{HookActivity, LastAttempt, OpenDeliveries};
use quickdraw_store::hooks::HookWithHealth;
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// The status of a hook: whether it works, why not, and how far behind it is.
#[derive(Serialize, ToSchema)]
pub struct HookStatus {
    /// Id of the hook.
    pub id: i64,

    /// URL that is called, with `{name}` for each URL variable and without credentials.
    pub url: String,

    /// Display name.
    pub name: Option<String>,

    /// Id of the project, for a project hook.
    pub project_id: Option<i64>,

    /// Id of the group, for a group hook.
    pub group_id: Option<i64>,

    /// State: `healthy`, `failing`, `temporarily_disabled`, `disabled`, or `paused` by a person.
    pub state: &'static str,

    /// Reason for the state, and the next step, in sentences.
    pub reason: String,

    /// Number of failures in a row that count against the hook.
    pub failures_in_a_row: u32,

    /// Time until which failures disable the hook.
    pub disabled_until: Option<Iso>,

    /// Duration for which the next failure would disable the hook, in seconds. Null while no failure has done so.
    pub next_pause: Option<u64>,

    /// The last attempt.
    pub last_attempt: Option<LastAttemptView>,

    /// Number of attempts in the hours of `hours`.
    pub attempts: usize,

    /// Number of attempts among them that the receiver accepted.
    pub delivered: usize,

    /// Share of attempts that the receiver accepted, from 0 to 1. Null without an attempt.
    pub success_share: Option<f64>,

    /// Duration that 95 % of the attempts did not exceed, in seconds.
    pub p95_duration: Option<f64>,

    /// The attempts of the last 24 hours, by the hour in which they began, the oldest hour first. The last hour has
    /// not ended.
    pub hours: Vec<HourView>,

    /// True if the hook made more attempts than were read. Numbers of attempts are then those of a sample from all
    /// hours; shares and durations are estimates.
    pub is_sampled: bool,

    /// Deliveries that have not ended.
    pub backlog: BacklogView,
}

/// An attempt.
#[derive(Serialize, ToSchema)]
pub struct LastAttemptView {
    /// Id of the attempt.
    pub id: i64,

    /// Time at which it began.
    pub at: Iso,

    /// Outcome, such as `delivered`, `rejected` or `timed_out`.
    pub outcome: &'static str,

    /// HTTP status of the answer.
    pub status: Option<u16>,

    /// Duration in seconds.
    pub duration: f64,
}

/// The attempts of an hour.
#[derive(Serialize, ToSchema)]
pub struct HourView {
    /// Beginning of the hour.
    pub at: Iso,

    /// Number of attempts that the receiver accepted.
    pub delivered: usize,

    /// Number of attempts that failed.
    pub failed: usize,

    /// Median duration, in seconds.
    pub p50_duration: Option<f64>,

    /// Duration that 95 % of the attempts did not exceed, in seconds.
    pub p95_duration: Option<f64>,
}

/// Deliveries of a hook that have not ended.
#[derive(Serialize, ToSchema)]
pub struct BacklogView {
    /// Number of deliveries that wait, are retried, or are under way.
    pub deliveries: i64,

    /// True if there can be more deliveries than were counted.
    pub has_more: bool,

    /// Time at which the oldest of them was created; of the 100 that are due first.
    pub oldest_created_at: Option<Iso>,

    /// Time of the next attempt, after the pause of the hook if there is one. Null if none waits, while the hook is
    /// disabled or paused by a person, and in silent mode.
    pub next_attempt_at: Option<Iso>,
}

impl HookStatus {
    /// Builds the view of a hook. `counted` is the number of deliveries to which counting was limited.
    #[must_use]
    pub fn new(entry: &HookWithHealth, activity: &HookActivity, counted: usize, index: &Index, now: Timestamp) -> Self {
        let (hook, health) = (&entry.hook, entry.health);
        let last = last_call(activity.last.as_ref());
        let state = HookState::of(hook, health, last, now);
        let day = last_day(&activity.calls, now);
        let attempts = day.delivered + day.failed;

        let (project_id, group_id) = match hook.scope {
            Scope::Project(id) => (Some(id.0), None),
            Scope::Group(id) => (None, Some(id.0)),
            Scope::Instance => (None, None),
        };

        let is_held = hook.paused.is_some() || index.silence().is_on();
        let next = activity.open.next_due.filter(|_| !is_held);

        Self {
            id: hook.id.0,
            url: hook.url.masked(),
            name: hook.name.clone(),
            project_id,
            group_id,
            state: state.word(),
            reason: state.reason(hook, health, last),
            failures_in_a_row: health.recent_failures,
            disabled_until: health.disabled_until.filter(|until| *until > now).map(Iso),
            next_pause: health.disabled_until.map(|_| health.next_pause().as_secs()),
            last_attempt: activity.last.as_ref().map(LastAttemptView::from),
            attempts,
            delivered: day.delivered,
            success_share: (attempts > 0).then(|| share(day.delivered, attempts)),
            p95_duration: day.p95.map(seconds),
            hours: day.hours.iter().map(HourView::from).collect(),
            is_sampled: activity.is_sampled,
            backlog: BacklogView::new(
                activity.open,
                counted,
                next.and_then(|due| health.attempted_at(due, now)),
            ),
        }
    }
}

impl BacklogView {
    fn new(open: OpenDeliveries, counted: usize, next: Option<Timestamp>) -> Self {
        Self {
            deliveries: open.count,
            has_more: usize::try_from(open.count).is_ok_and(|count| count >= counted),
            oldest_created_at: open.oldest.map(Iso),
            next_attempt_at: next.map(Iso),
        }
    }
}

impl From<&LastAttempt> for LastAttemptView {
    fn from(attempt: &LastAttempt) -> Self {
        Self {
            id: attempt.id.0,
            at: Iso(attempt.at),
            outcome: attempt.outcome.word(),
            status: attempt.status,
            duration: seconds(attempt.micros),
        }
    }
}

impl From<&Hour> for HourView {
    fn from(hour: &Hour) -> Self {
        Self {
            at: Iso(hour.start),
            delivered: hour.delivered,
            failed: hour.failed,
            p50_duration: hour.p50.map(seconds),
            p95_duration: hour.p95.map(seconds),
        }
    }
}

/// The result of the last attempt, as the state of a hook depends on it.
const fn last_call(attempt: Option<&LastAttempt>) -> LastCall {
    match attempt {
        None => LastCall::None,
        Some(attempt) if attempt.is_delivered() => LastCall::Delivered,
        Some(_) => LastCall::Failed,
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations of attempts are seconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "at most some thousand attempts are read")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
