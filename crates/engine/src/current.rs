//! How things stand, for Prometheus: current state and the last seven days, made anew as a whole every minute. What is gone is
//! gone from it with the next look, so no series tells for hours what was so once. Nothing is labelled by commit, run or person, and
//! of branches only default and protected ones are told, unless others are asked for.

mod last;
mod project;
mod series;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use quickdraw_domain::Timestamp;
use quickdraw_domain::insights::deployments::{self, Deployment};
use quickdraw_domain::insights::entity::{Entity, Family, Item};
use quickdraw_domain::insights::gaps::Sequence;
use quickdraw_domain::insights::measures::{Choice, Items, Measure, Sample};
use quickdraw_domain::insights::people::{People, times_of};
use quickdraw_domain::insights::pipelines::Job;
use quickdraw_domain::insights::roster::{Team, Who};
use quickdraw_store::insights::{Lives, NamedProject, Projects, things_of};

use self::last::of_last;
use self::project::of_project;
use self::series::{Counts, Series};
use crate::belt::Belt;
use crate::lock;
use crate::telemetry::precise;

/// What is told of a time is told of so many days.
const DAYS: f64 = 7.0;
const WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// Jobs of pipelines that are older are not told of: there are ten times as many jobs as pipelines.
const JOBS: Duration = Duration::from_secs(2 * 86_400);
/// Shortest pause between two looks, how many times as long as a look it is at least, and the longest.
const EVERY: Duration = Duration::from_secs(60);
const PAUSE_PER_WORK: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The last pipeline of a branch and the last deployment to an environment can be so old.
const LAST: Duration = Duration::from_secs(90 * 86_400);
/// Most branches, jobs or environments of one project: those of others have room too.
const MOST_OF_ONE: usize = 100;

/// What is shown.
#[derive(Default)]
pub(crate) struct Current {
    text: arc_swap::ArcSwap<String>,
    counts: std::sync::Mutex<Counts>,
    /// When the last look ended, and how long the pause after it is.
    looked: std::sync::Mutex<Option<(Timestamp, Duration)>>,
}

/// What was read of one project.
#[derive(Default)]
struct Read {
    merge_requests: Vec<Item>,
    commits: Vec<Item>,
    pipelines: Vec<Item>,
    deployments: Vec<Deployment>,
    jobs: Vec<Job>,
    /// What is known to be there, of what is asked for.
    open_branches: HashSet<String>,
    /// Branches of which some push told.
    pushed_branches: HashSet<String>,
    protected: HashSet<String>,
    open_merge_requests: HashSet<i64>,
    /// The one that was committed to last: it can have had another name before.
    default_branch: Option<(Option<Timestamp>, Timestamp, String)>,
}

impl Read {
    /// Adds what only pipelines tell: the default branch, and branches of which no push told. Nobody tells when such a branch is deleted, so
    /// it is there while it had a pipeline in the window, as tags are.
    fn add_branches_of_pipelines(&mut self, now: Timestamp) {
        for item in &self.pipelines {
            let Item::Pipeline(one) = item else { continue };
            let Some(name) = one.branch() else { continue };
            if one.is_default {
                let this = (one.created_at, one.first_received_at, name.to_owned());
                self.default_branch = self.default_branch.take().max(Some(this));
            }
            let is_young = one.opened_at() >= Some(now.minus(WINDOW));
            if is_young && !self.pushed_branches.contains(name) {
                self.open_branches.insert(name.to_owned());
            }
        }
    }
}

impl Belt {
    /// How things stand, in Prometheus' text format.
    #[must_use]
    pub fn insights_text(&self) -> Arc<String> {
        self.current.text.load_full()
    }

    /// Looks at how things stand, if it is time to.
    pub(crate) async fn show_insights(&self) -> anyhow::Result<()> {
        let now = self.clock.now();
        let looked = *lock(&self.current.looked);
        // A time ahead of ours is that of a clock that was wrong.
        if looked.is_some_and(|(at, pause)| at <= now && now < at.plus(pause)) {
            return Ok(());
        }
        let shown = self.look_at_insights(now).await;
        let (text, is_empty) = match &shown {
            Ok((text, is_empty)) => (text.clone(), *is_empty),
            // What nobody knows any more is not shown as if it were so.
            Err(_) => (String::new(), true),
        };
        self.current.text.store(Arc::new(text));
        let after = self.clock.now();
        let pause = (after.since(now) * PAUSE_PER_WORK).clamp(EVERY, LONGEST_PAUSE);
        // Somebody who begins wants to see something.
        let pause = if is_empty { Duration::ZERO } else { pause };
        *lock(&self.current.looked) = Some((after, pause));
        shown.map(drop)
    }

    /// What is to be shown, and whether there is nothing yet.
    async fn look_at_insights(&self, now: Timestamp) -> anyhow::Result<(String, bool)> {
        let projects = self.store.insights_projects().await?;
        // Where one was made anew in the place of another, the place is that of the last.
        let mut newest: HashMap<&str, (Timestamp, i64)> = HashMap::new();
        for one in &projects {
            let known = newest.entry(&one.path).or_default();
            *known = (*known).max((one.seen_at, one.id));
        }
        let is_newest = |one: &&NamedProject| newest.get(one.path.as_str()).is_some_and(|(_, id)| *id == one.id);
        let paths: HashMap<i64, String> =
            projects.iter().filter(is_newest).map(|one| (one.id, one.path.clone())).collect();
        let replaced: HashSet<i64> =
            projects.iter().filter(|one| !paths.contains_key(&one.id)).map(|one| one.id).collect();
        let mut all: BTreeMap<i64, Read> = BTreeMap::new();
        let mut read = self.read(now).await?;
        deployments::keep(&mut read, &mut Vec::new(), None);
        for item in read {
            if replaced.contains(&item.key().0) {
                continue;
            }
            let one = all.entry(item.key().0).or_default();
            match item {
                Item::MergeRequest(ref merge_request) => {
                    if merge_request.is_open() {
                        one.open_merge_requests.insert(merge_request.iid);
                    }
                    one.merge_requests.push(item);
                }
                Item::Commit(_) => one.commits.push(item),
                Item::Pipeline(_) => one.pipelines.push(item),
                Item::Deployment(deployment) => one.deployments.push(deployment),
                Item::Job(job) => one.jobs.push(job),
                Item::Branch(branch) if branch.is_default || branch.is_protected => {
                    if branch.is_protected {
                        let name = branch.git_ref.strip_prefix("refs/heads/").unwrap_or(&branch.git_ref);
                        one.protected.insert(name.to_owned());
                    }
                    if !branch.is_default {
                        continue;
                    }
                    let name = branch.git_ref.strip_prefix("refs/heads/").unwrap_or(&branch.git_ref);
                    let this = (branch.last_commit_at, branch.first_received_at, name.to_owned());
                    one.default_branch = one.default_branch.take().max(Some(this));
                }
                _ => {}
            }
        }
        let is_empty = all.is_empty();
        let refs = self.settings.shown_refs.clone();
        for (project, branch, is_open) in self.pushed_branches(now).await? {
            let Some(read) = all.get_mut(&project) else { continue };
            if is_open {
                read.open_branches.insert(branch.clone());
            }
            read.pushed_branches.insert(branch);
        }
        for read in all.values_mut() {
            read.add_branches_of_pipelines(now);
        }
        let people = self.people().await?;
        let teams = self.teams(&people, now).await?;
        let mut series = Series::default();
        self.beside(&mut series, &paths, &people).await?;
        series.add("quickdraw_insights_shown_timestamp_seconds", "When this was so.", &[], seconds(now));
        let mut counts = std::mem::take(&mut *lock(&self.current.counts));
        // Off the threads that answer others: there can be many.
        let made = tokio::task::spawn_blocking(move || {
            let named: Vec<(String, Read)> = all
                .into_iter()
                .map(|(id, read)| (paths.get(&id).cloned().unwrap_or_else(|| id.to_string()), read))
                .collect();
            // First what there is little of: of each project, whatever others have.
            for (path, read) in &named {
                of_project(&mut series, path, read, (&people, &teams), now);
            }
            for (path, read) in &named {
                of_last(&mut series, &mut counts, path, read, (&refs, now));
            }
            counts.prune(now);
            let dropped = count(series.dropped);
            series.count = 0;
            series.add(
                "quickdraw_insights_series_dropped",
                "Series that are left out, because there are too many.",
                &[],
                dropped,
            );
            (series, counts)
        });
        let (series, counts) = made.await?;
        *lock(&self.current.counts) = counts;
        Ok((series.text(), is_empty))
    }

    /// Teams that are large enough to be shown, by name.
    async fn teams(&self, people: &People, now: Timestamp) -> anyhow::Result<Vec<(String, People)>> {
        let (roster, least) = (self.roster().await?, self.privacy().await?.min_group);
        let of_one = |(id, team): (&i64, &Team)| {
            let people = people.limited_to(times_of(&roster, *id, &TimeZone::UTC)?);
            let size = people.count_in(now.minus(WINDOW), now).unwrap_or_default();
            (size > 0 && u32::try_from(size).is_ok_and(|size| size >= least)).then(|| (team.name.clone(), people))
        };
        let mut teams: Vec<(String, People)> = roster.teams().iter().filter_map(of_one).collect();
        // One label is one team: of two with one name nobody could tell which is meant.
        teams.sort_by(|one, other| one.0.cmp(&other.0));
        teams.dedup_by(|one, other| one.0 == other.0);
        teams.truncate(MOST_OF_ONE);
        Ok(teams)
    }

    /// The branches of which pushes told, by project, and whether each is there.
    async fn pushed_branches(&self, now: Timestamp) -> anyhow::Result<Vec<(i64, String, bool)>> {
        let measure = Measure::by_name("branches_open").ok_or_else(|| anyhow::anyhow!("there is no such insight"))?;
        // What was deleted before ran nothing since.
        let since = now.minus(LAST).minus(WINDOW);
        let lives = Lives { from: since, to: now, projects: None };
        let (branches, moves) =
            (self.store.items(Family::Branches, lives).await?, self.store.moves(None, since, now).await?);
        let moves = moves.into_iter().map(Item::Push).collect();
        let items = Items::new(branches, moves, People::default(), Choice::default());
        let mut open = Vec::new();
        items.each(measure, now.minus(LAST), now, |item, sample| {
            if let Some(name) = item.branch() {
                open.push((item.key().0, name.to_owned(), matches!(sample, Sample::In(..))));
            }
        });
        Ok(open)
    }

    async fn read(&self, now: Timestamp) -> anyhow::Result<Vec<Item>> {
        let lives = || Lives { from: now.minus(WINDOW), to: now, projects: None };
        let mut all = Vec::new();
        // Of pipelines, the gauge: it reads back to the last one of a branch.
        for name in ["mr_waiting", "commits", "branches_failing"] {
            let measure = Measure::by_name(name).ok_or_else(|| anyhow::anyhow!("there is no insight {name}"))?;
            all.extend(things_of(&self.store, measure, lives(), false).await?.0);
        }
        all.extend(self.store.items(Family::Deployments, Lives { from: now.minus(LAST), ..lives() }).await?);
        all.extend(self.store.items(Family::Branches, lives()).await?);
        all.extend(self.store.items(Family::Jobs, Lives { from: now.minus(JOBS), ..lives() }).await?);
        Ok(all)
    }

    /// What belongs to no project, and what lacks.
    async fn beside(&self, series: &mut Series, paths: &HashMap<i64, String>, people: &People) -> anyhow::Result<()> {
        let unmatched: HashSet<i64> = (self.store.identity_uses().await?.into_iter())
            .filter(|one| people.author(&one.identity.author) == Who::Unmatched)
            .map(|one| people.contributor(&one.identity.author))
            .collect();
        series.add(
            "pulse_unmatched_identities",
            "People who committed and are no members, by address or account.",
            &[],
            count(unmatched.len()),
        );
        let lag = precise(self.store.backlog().await?.projection);
        series.add("pulse_projection_lag_events", "Events that are not counted yet.", &[], lag);
        let known = self.store.completeness(Projects::ALL, usize::MAX).await?;
        for one in known.iter().filter(|one| one.measure == Sequence::Push) {
            let Some(path) = paths.get(&one.project) else { continue };
            let missing = precise(one.missing);
            series.add("pulse_missing_pushes", "Pushes that never came, at least.", &[("project", path)], missing);
        }
        Ok(())
    }
}

fn count(things: usize) -> f64 {
    precise(i64::try_from(things).unwrap_or(i64::MAX))
}

fn seconds(at: Timestamp) -> f64 {
    precise(at.as_seconds())
}
