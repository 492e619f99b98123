//! The load of the last hour: events and deliveries by minute, and the deliveries that have not ended.

use std::time::Duration;

use quickdraw_domain::hook::calls::Call;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{HookId, Timestamp};
use quickdraw_store::activity::ActivityOf;
use quickdraw_store::history::HistoryFilter;
use serde::Serialize;
use utoipa::ToSchema;

use super::Subject;
use crate::error::ApiError;
use crate::state::App;
use crate::views::Iso;

/// Minutes that are shown.
const MINUTES: usize = 60;
const MINUTE: i64 = 60_000_000;
/// The whole minutes before the current one.
const BEFORE: Duration = Duration::from_secs(59 * 60);
/// Largest number of commits of events that are read for the instance, and at once.
const MAX_COMMITS: i64 = 20_000;
const COMMITS_AT_ONCE: usize = 1_000;
/// Largest number of events that are read for a project or group.
const MAX_EVENTS: usize = 2_000;
/// Largest number of attempts that are read.
const MAX_ATTEMPTS: usize = 12_000;
/// Largest number of hooks of a project or group whose deliveries are counted.
const MAX_HOOKS: usize = 100;
/// Largest number of open deliveries that are counted.
const MAX_DELIVERIES: usize = 100_000;

/// A minute.
#[derive(Serialize, ToSchema)]
pub(super) struct Minute {
    /// Beginning of the minute.
    at: Iso,

    /// Number of events that arrived; null if it was not counted, because later minutes had too many events.
    events: Option<usize>,

    /// Number of attempts that receivers accepted; null if it was not counted.
    delivered: Option<usize>,

    /// Number of attempts that failed; null if it was not counted.
    failed: Option<usize>,
}

/// Deliveries that have not ended.
#[derive(Serialize, ToSchema)]
pub(super) struct OverviewBacklog {
    /// Number of deliveries that have not ended.
    deliveries: i64,

    /// True if there can be more deliveries than were counted.
    has_more: bool,

    /// Due time of the delivery of the instance that has been due longest, or creation time of the oldest delivery of a
    /// project or group.
    oldest_at: Option<Iso>,
}

/// The load of a subject.
pub(super) struct Load {
    pub(super) backlog: OverviewBacklog,
    pub(super) minutes: Vec<Minute>,
}

/// Times that are counted, and the time since which the count is complete.
struct Counted<T> {
    all: Vec<T>,
    since: Timestamp,
}

/// Reads the load of a subject.
pub(super) async fn read(app: &App, subject: &Subject) -> Result<Load, ApiError> {
    let first = first_minute(subject.now);
    let events = match &subject.places {
        Some(places) => events_of(app, places, first).await?,
        None => events_of_instance(app, first).await?,
    };

    let (calls, backlog) = match subject.places {
        Some(_) => calls_of(app, subject, first).await?,
        None => calls_of_instance(app, first).await?,
    };

    Ok(Load {
        backlog,
        minutes: minutes(first, &events, &calls),
    })
}

fn first_minute(now: Timestamp) -> Timestamp {
    let current = now.as_micros().div_euclid(MINUTE) * MINUTE;
    Timestamp::from_micros(current).minus(BEFORE)
}

/// Events of the instance, from the order of their commits.
async fn events_of_instance(app: &App, since: Timestamp) -> Result<Counted<Timestamp>, ApiError> {
    let store = app.store();
    let end = store.next_append().await?;
    let first = store.append_since(since).await?;
    let mut from = first.max(end.saturating_sub(MAX_COMMITS));
    let is_cut = from > first;
    let mut counted = Counted { all: Vec::new(), since };

    loop {
        let found = store.appends(from, COMMITS_AT_ONCE).await?;
        if is_cut && counted.all.is_empty() {
            counted.since = found.batches.first().map_or(since, |batch| batch.at);
        }

        for batch in &found.batches {
            counted.all.extend(batch.events.iter().map(|event| event.at()));
        }

        let Some(last) = found.batches.last() else { break };
        if found.batches.len() < COMMITS_AT_ONCE || last.number >= end {
            break;
        }

        from = last.number + 1;
    }

    Ok(counted)
}

/// Events of projects and groups.
async fn events_of(app: &App, places: &[Place], since: Timestamp) -> Result<Counted<Timestamp>, ApiError> {
    let filter = HistoryFilter {
        places: Some(places.to_vec()),
        since: Some(since),
        ..HistoryFilter::default()
    };
    let found = app.store().search_events(filter, None, MAX_EVENTS).await?;
    let cut = found.next.map(|next| next.at());

    Ok(Counted {
        all: found.rows.iter().map(|event| event.received_at).collect(),
        since: cut.map_or(since, |at| at.max(since)),
    })
}

async fn calls_of_instance(app: &App, since: Timestamp) -> Result<(Counted<Call>, OverviewBacklog), ApiError> {
    let calls = app.store().recent_calls(since, MAX_ATTEMPTS).await?;
    let is_cut = calls.len() == MAX_ATTEMPTS;
    let oldest = calls.last().filter(|_| is_cut).map(|call| call.at);
    let backlog = app.store().backlog().await?;

    let counted = Counted {
        since: oldest.map_or(since, |at| at.max(since)),
        all: calls,
    };
    let backlog = OverviewBacklog {
        deliveries: backlog.deliveries,
        has_more: usize::try_from(backlog.deliveries).is_ok_and(|count| count >= MAX_DELIVERIES),
        oldest_at: backlog.oldest_due_at.filter(|at| *at <= app.now()).map(Iso),
    };
    Ok((counted, backlog))
}

async fn calls_of(
    app: &App,
    subject: &Subject,
    since: Timestamp,
) -> Result<(Counted<Call>, OverviewBacklog), ApiError> {
    let hooks: Vec<HookId> = subject
        .hooks
        .iter()
        .take(MAX_HOOKS)
        .map(|known| known.hook.id)
        .collect();
    let is_partial = subject.hooks.len() > MAX_HOOKS;
    let most = MAX_DELIVERIES / hooks.len().max(1);
    let of = ActivityOf {
        hooks,
        since,
        attempts: MAX_ATTEMPTS,
        deliveries: most,
    };

    let mut counted = Counted { all: Vec::new(), since };
    let mut backlog = OverviewBacklog {
        deliveries: 0,
        has_more: is_partial,
        oldest_at: None,
    };
    let mut oldest: Option<Timestamp> = None;

    for activity in app.store().hook_activity(of).await? {
        let open = activity.open;
        backlog.deliveries += open.count;
        backlog.has_more |= usize::try_from(open.count).is_ok_and(|count| count >= most);
        oldest = oldest.into_iter().chain(open.oldest).min();
        counted.all.extend(activity.calls);
    }

    backlog.oldest_at = oldest.map(Iso);
    Ok((counted, backlog))
}

/// Sorts events and calls into minutes.
fn minutes(first: Timestamp, events: &Counted<Timestamp>, calls: &Counted<Call>) -> Vec<Minute> {
    let mut minutes = Vec::with_capacity(MINUTES);
    let mut start = first;
    while minutes.len() < MINUTES {
        let is_counted = |since: Timestamp| since <= start;
        minutes.push(Minute {
            at: Iso(start),
            events: is_counted(events.since).then_some(0),
            delivered: is_counted(calls.since).then_some(0),
            failed: is_counted(calls.since).then_some(0),
        });
        start = Timestamp::from_micros(start.as_micros() + MINUTE);
    }

    for at in &events.all {
        add(minute_of(&mut minutes, first, *at).map(|minute| &mut minute.events));
    }

    for call in &calls.all {
        let minute = minute_of(&mut minutes, first, call.at);
        add(minute.map(|minute| match call.is_delivered {
            true => &mut minute.delivered,
            false => &mut minute.failed,
        }));
    }

    minutes
}

fn minute_of(minutes: &mut [Minute], first: Timestamp, at: Timestamp) -> Option<&mut Minute> {
    let minute = (at.as_micros() - first.as_micros()).div_euclid(MINUTE);
    minutes.get_mut(usize::try_from(minute).ok()?)
}

fn add(count: Option<&mut Option<usize>>) {
    if let Some(Some(count)) = count {
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn events_and_calls_are_counted_by_minute() {
        let first = first_minute(at(3600 * 10 + 30));
        assert_eq!(first, at(3600 * 9 + 60));

        let events = Counted {
            all: vec![at(3600 * 9), at(3600 * 9 + 60), at(3600 * 10 + 1), at(3600 * 10 + 2)],
            since: first,
        };
        let call = |seconds, is_delivered| Call {
            at: at(seconds),
            is_delivered,
            micros: 1,
        };
        let calls = Counted {
            all: vec![
                call(3600 * 10 + 5, true),
                call(3600 * 10 + 6, false),
                call(3600 * 9 + 120, true),
            ],
            since: at(3600 * 9 + 180),
        };

        let minutes = minutes(first, &events, &calls);
        assert_eq!(minutes.len(), MINUTES);
        assert_eq!((minutes[0].events, minutes[59].events), (Some(1), Some(2)));
        assert_eq!((minutes[59].delivered, minutes[59].failed), (Some(1), Some(1)));
        assert_eq!(minutes[1].delivered, None, "this minute was not counted");
    }
}
