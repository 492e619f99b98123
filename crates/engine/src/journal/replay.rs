//! Replays, step by step: read deliveries in their order, choose, reschedule them, store the progress.

mod skipped;

use quickdraw_domain::replay::{Filter, Known, Progress};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{DeliveryId, GroupId, HookId, Timestamp};
use quickdraw_store::replays::{Candidate, Look, Replay, ReplayFilter, Step};
use uuid::Uuid;

use super::Journal;
use crate::context::Context;

/// Deliveries that are looked at together.
const PAGE: usize = 200;
/// The same with their bodies, which can be large.
const PAGE_OF_BODIES: usize = 8;
/// Pages that one step looks at for one replay before others get their turn.
const PAGES: usize = 20;
/// Replays that run side by side. It is more than [`MAX_OF_MEMBERS`], so that those of administrators always run.
const SIDE_BY_SIDE: usize = 48;
/// Maximum number of running replays of users who are no administrators.
const MAX_OF_MEMBERS: usize = 32;
/// Maximum number of running replays of one project or group.
const MAX_OF_SCOPE: usize = 2;
/// Deliveries that a preview looks at.
const MAX_PREVIEWED: usize = 100_000;

/// The number of deliveries that a filter chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preview {
    /// The number of selected deliveries.
    pub matched: usize,

    /// Whether all were looked at; otherwise there may be more.
    pub complete: bool,
}

async fn running_replays(context: &Context) -> quickdraw_store::Result<Vec<Replay>> {
    let filter = ReplayFilter {
        within: Scope::Instance,
        of_admins: false,
        before: None,
        progress: Some(Progress::Running),
        since: None,
        until: None,
        limit: SIDE_BY_SIDE,
    };
    context.store.list_replays(filter).await
}

/// Checks whether another replay of a project or group may run. Administrators are not limited.
///
/// # Errors
/// When the store fails.
pub async fn may_replay(context: &Context, scope: Scope) -> quickdraw_store::Result<bool> {
    let running = running_replays(context).await?;
    let of_members = running.iter().filter(|replay| replay.scope != Scope::Instance).count();
    let of_scope = running.iter().filter(|replay| replay.scope == scope).count();

    Ok(of_members < MAX_OF_MEMBERS && of_scope < MAX_OF_SCOPE)
}

impl Journal {
    /// Advances all running replays by one step, each as far as its rate allows.
    ///
    /// # Errors
    /// When the store fails; they go on from where they were.
    pub async fn replay(&self) -> anyhow::Result<()> {
        for replay in running_replays(&self.context).await? {
            match replay.filter.skipped() {
                Some(reason) => skipped::advance(self, replay, reason).await?,
                None => self.advance(replay).await?,
            }
        }

        Ok(())
    }

    async fn advance(&self, replay: Replay) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        let mut allowed = allowed(&replay, now);
        let mut cursor = replay.cursor;

        for _ in 0..PAGES {
            if allowed == 0 {
                break;
            }

            let page = page(&self.context, &replay.filter, cursor).await?;
            let (mut selected, mut scanned, mut last) = (Vec::new(), 0, cursor);

            for candidate in &page {
                if selected.len() == allowed {
                    break;
                }

                (scanned, last) = (scanned + 1, candidate.delivery);
                if chooses(&self.context, &replay.filter, replay.scope, candidate) {
                    selected.push(candidate.delivery);
                }
            }

            allowed -= selected.len();

            let finished = page.is_empty();
            let step = Step {
                replay: replay.id,
                from: cursor,
                to: last,
                scanned,
                selected,
                made: Vec::new(),
                finished,
            };
            if self.context.store.advance_replay(step, now).await? > 0 {
                self.scheduler.scan_queues();
                self.context.wakes.deliver.notify_one();
            }

            if finished {
                tracing::info!(replay.id = replay.id, "replay {} has come to its end", replay.id);
                break;
            }

            cursor = last;
        }

        Ok(())
    }

    /// Counts the deliveries that a replay of this scope would choose.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn preview_replay(&self, filter: &Filter, scope: Scope) -> anyhow::Result<Preview> {
        if let Some(reason) = filter.skipped() {
            return skipped::preview(self, filter, scope, reason).await;
        }

        let (mut matched, mut scanned, mut cursor) = (0, 0, DeliveryId(Uuid::nil()));
        while scanned < MAX_PREVIEWED {
            let page = page(&self.context, filter, cursor).await?;
            matched += page
                .iter()
                .filter(|candidate| chooses(&self.context, filter, scope, candidate))
                .count();

            scanned += page.len();

            let Some(last) = page.last() else {
                return Ok(Preview {
                    matched,
                    complete: true,
                });
            };

            cursor = last.delivery;
            // A preview of a busy fortnight must not hold up other tasks of this thread.
            tokio::task::yield_now().await;
        }

        Ok(Preview {
            matched,
            complete: false,
        })
    }
}

/// The number of deliveries that a replay may make due now.
fn allowed(replay: &Replay, now: Timestamp) -> usize {
    // At most the rate of one second is saved up: a pause must not end in a flood.
    let since = i64::try_from(now.since(replay.advanced_at).as_millis())
        .unwrap_or(i64::MAX)
        .min(1000);
    usize::try_from(replay.rate.saturating_mul(since) / 1000).unwrap_or(0)
}

fn look(filter: &Filter, after: DeliveryId) -> Look {
    Look {
        after,
        from: filter.begin(),
        to: filter.end(),
        bodies: filter.text.is_some(),
        limit: if filter.text.is_some() { PAGE_OF_BODIES } else { PAGE },
    }
}

async fn page(context: &Context, filter: &Filter, after: DeliveryId) -> anyhow::Result<Vec<Candidate>> {
    if filter.deliveries.is_empty() {
        return Ok(context.store.candidates(look(filter, after)).await?);
    }

    // The named deliveries can be far apart, so each is looked up by itself.
    let mut found = Vec::new();
    for id in filter.deliveries.iter().filter(|id| **id > after.0) {
        let before = DeliveryId(Uuid::from_u128(id.as_u128().saturating_sub(1)));
        let look = Look {
            limit: 1,
            ..look(filter, before)
        };
        let next = context.store.candidates(look).await?;
        found.extend(next.into_iter().filter(|candidate| candidate.delivery.0 == *id));
    }

    Ok(found)
}

/// Checks whether a delivery belongs to the scope of a replay and to the group of its filter. Hooks that are gone get
/// nothing.
pub(super) fn is_within(context: &Context, filter: &Filter, scope: Scope, hook: HookId, place: Place) -> bool {
    let index = context.index();
    let Some(hook) = index.hook(hook) else {
        return false;
    };

    let home = match hook.scope {
        Scope::Project(id) => Place::Project(id),
        Scope::Group(id) => Place::Group(id),
        Scope::Instance => Place::Instance,
    };
    let is_in_group = |group| index.is_in(place, Scope::Group(GroupId(group)));

    index.is_in(home, scope) && index.is_in(place, scope) && filter.group.is_none_or(is_in_group)
}

fn chooses(context: &Context, filter: &Filter, scope: Scope, candidate: &Candidate) -> bool {
    if !is_within(context, filter, scope, candidate.hook, candidate.event.place) {
        return false;
    }

    let body = candidate.payload.as_ref().and_then(|payload| payload.unpack().ok());
    let known = Known {
        event: &candidate.event,
        hook: candidate.hook,
        state: candidate.state,
        status: candidate.status,
        body: body.as_deref(),
    };
    filter.chooses(candidate.delivery, known)
}
