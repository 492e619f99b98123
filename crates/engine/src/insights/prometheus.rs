//! Insights for Prometheus: the current state and the last seven days, made as a whole every minute. A deleted project
//! has no series after the next look, so no series shows an old state for hours. No label is a commit, a run or a
//! person, and of branches only default and protected ones are shown, unless the settings name others.

mod last;
mod pieces;
mod project;
mod series;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use quickdraw_domain::Timestamp;
use quickdraw_insights::gaps::Sequence;
use quickdraw_insights::people::{People, times_of};
use quickdraw_insights::question::Overview;
use quickdraw_insights::roster::{Team, Who};
use quickdraw_store::insights::{NamedProject, Projects};

use self::last::of_last;
use self::pieces::{Read, pieces, read_projects};
use self::project::of_project;
use self::series::{Counts, Series};
use super::Insights;
use super::alerts::{people, roster};
use super::ask::overview;
use crate::context::Context;
use crate::telemetry::precise;

/// The period of metrics.
const WINDOW: Duration = Overview::PERIOD;
/// Shortest pause between two looks, how many times as long as a look it is at least, and the longest.
const EVERY: Duration = Duration::from_secs(60);
const PAUSE_PER_WORK: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Most branches, jobs or environments of one project: those of others have room too.
const MAX_PER_PROJECT: usize = 100;

/// The text that is shown, and the state from which the next is made.
#[derive(Default)]
pub(crate) struct Shown {
    text: arc_swap::ArcSwap<String>,
    counts: parking_lot::Mutex<Counts>,

    /// When the last look ended, and how long the pause after it is.
    looked: parking_lot::Mutex<Option<(Timestamp, Duration)>>,
}

/// The series that a look has made so far.
#[derive(Default)]
struct Found {
    /// Series of no project, and those of each project that are few.
    series: Series,

    /// The other series. Each project has some in the first, however many others have in this.
    of_last: Series,
    counts: Counts,

    /// Projects of which there is more than is read.
    cut: usize,
}

impl Insights {
    /// The state of all projects, in Prometheus' text format.
    #[must_use]
    pub fn insights_text(&self) -> Arc<String> {
        self.shown.text.load_full()
    }

    /// Makes the text, if it is time to.
    pub(crate) async fn show_insights(&self) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        let looked = *self.shown.looked.lock();
        // A time ahead of ours is that of a clock that was wrong.
        if looked.is_some_and(|(at, pause)| at <= now && now < at.plus(pause)) {
            return Ok(());
        }

        let shown = self.look_at_insights(now).await;
        let (text, is_empty) = match &shown {
            Ok((text, is_empty)) => (text.clone(), *is_empty),
            // An old state is not shown as if it were current.
            Err(_) => (String::new(), true),
        };

        self.shown.text.store(Arc::new(text));

        let after = self.context.clock.now();
        let pause = (after.since(now) * PAUSE_PER_WORK).clamp(EVERY, LONGEST_PAUSE);
        // A new user should see the first series soon.
        let pause = if is_empty { Duration::ZERO } else { pause };
        *self.shown.looked.lock() = Some((after, pause));

        shown.map(drop)
    }

    /// The text, and whether it is empty.
    async fn look_at_insights(&self, now: Timestamp) -> anyhow::Result<(String, bool)> {
        let projects = self.context.store.insights_projects().await?;
        // Where a project was created again with the path of another, the path is that of the last.
        let mut newest: HashMap<&str, (Timestamp, i64)> = HashMap::new();

        for one in &projects {
            let known = newest.entry(&one.path).or_default();
            *known = (*known).max((one.seen_at, one.id));
        }

        let is_newest = |one: &&NamedProject| newest.get(one.path.as_str()).is_some_and(|(_, id)| *id == one.id);
        let paths: HashMap<i64, String> = projects
            .iter()
            .filter(is_newest)
            .map(|one| (one.id, one.path.clone()))
            .collect();

        let replaced: HashSet<i64> = projects
            .iter()
            .filter(|one| !paths.contains_key(&one.id))
            .map(|one| one.id)
            .collect();

        let overview = Overview { now };
        let bytes = overview::weigh(&self.context.store, overview).await?;
        let is_empty = bytes.keys().all(|project| replaced.contains(project));
        let people = people(&self.context).await?;
        let teams = Arc::new(teams(&self.context, &people, self.privacy().await?.min_group, now).await?);
        let mut found = Found::default();

        add_others(&self.context, &mut found.series, &paths, &people).await?;
        found.series.add(
            "quickdraw_insights_updated_timestamp_seconds",
            "When this was so.",
            &[],
            seconds(now),
        );

        found.counts = std::mem::take(&mut *self.shown.counts.lock());

        let mut failed = None;
        for piece in pieces(&bytes) {
            let (mut read, is_cut) = match read_projects(&self.context, piece, overview).await {
                Ok(read) => read,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };

            found.cut += usize::from(is_cut);
            read.retain(|project, _| !replaced.contains(project));

            let named: Vec<(String, Read)> = read
                .into_iter()
                .map(|(id, read)| (paths.get(&id).cloned().unwrap_or_else(|| id.to_string()), read))
                .collect();

            let (people, teams, refs) = (
                people.clone(),
                Arc::clone(&teams),
                self.context.settings.shown_refs.clone(),
            );

            // Off the threads that answer others: there can be many.
            let made = tokio::task::spawn_blocking(move || {
                for (path, read) in &named {
                    of_project(&mut found.series, path, read, (&people, &teams), now);
                    of_last(&mut found.of_last, &mut found.counts, path, read, (&refs, now));
                }

                found
            });
            found = made.await?;
        }

        found.counts.prune(now);
        // Counters keep their values after a failure.
        *self.shown.counts.lock() = std::mem::take(&mut found.counts);

        match failed {
            Some(error) => Err(error),
            None => Ok((found.text(), is_empty)),
        }
    }
}

/// Teams with at least `least` people, by name.
async fn teams(
    context: &Context,
    people: &People,
    least: u32,
    now: Timestamp,
) -> anyhow::Result<Vec<(String, People)>> {
    let roster = roster(context).await?;
    let of_one = |(id, team): (&i64, &Team)| {
        let people = people.limited_to(times_of(&roster, *id, &TimeZone::UTC)?);
        let size = people.count_in(now.minus(WINDOW), now).unwrap_or_default();
        (size > 0 && u32::try_from(size).is_ok_and(|size| size >= least)).then(|| (team.name.clone(), people))
    };
    let mut teams: Vec<(String, People)> = roster.teams().iter().filter_map(of_one).collect();

    // One label is one team: two teams with one name would be ambiguous.
    teams.sort_by(|one, other| one.0.cmp(&other.0));
    teams.dedup_by(|one, other| one.0 == other.0);
    teams.truncate(MAX_PER_PROJECT);

    Ok(teams)
}

/// Adds the series that belong to no project, and those of missing pushes.
async fn add_others(
    context: &Context,
    series: &mut Series,
    paths: &HashMap<i64, String>,
    people: &People,
) -> anyhow::Result<()> {
    let unmatched: HashSet<i64> = (context.store.identity_uses().await?.into_iter())
        .filter(|one| people.author(&one.identity.author) == Who::Unmatched)
        .map(|one| people.contributor(&one.identity.author))
        .collect();

    series.add(
        "pulse_unmatched_identities",
        "People who committed and are no members, by address or account.",
        &[],
        count(unmatched.len()),
    );

    let lag = precise(context.store.backlog().await?.projection);
    series.add(
        "pulse_projection_lag_events",
        "Events that are not counted yet.",
        &[],
        lag,
    );

    let known = context.store.completeness(Projects::ALL, usize::MAX).await?;
    for one in known.iter().filter(|one| one.kind == Sequence::Push) {
        let Some(path) = paths.get(&one.project) else { continue };
        let missing = precise(one.missing);

        series.add(
            "pulse_missing_pushes",
            "Pushes that never came, at least.",
            &[("project", path)],
            missing,
        );
    }

    Ok(())
}

impl Found {
    fn text(mut self) -> String {
        self.series.append(self.of_last);

        let (dropped, cut) = (count(self.series.dropped), count(self.cut));
        // These are shown even when there is no room for others.
        self.series.count = 0;

        let help = "Series that are left out, because there are too many.";
        self.series.add("quickdraw_insights_series_dropped", help, &[], dropped);

        let help = "Projects with so much in them that only the newest of it is shown.";
        self.series.add("quickdraw_insights_projects_truncated", help, &[], cut);
        self.series.text()
    }
}

fn count(things: usize) -> f64 {
    precise(i64::try_from(things).unwrap_or(i64::MAX))
}

fn seconds(at: Timestamp) -> f64 {
    precise(at.as_seconds())
}
