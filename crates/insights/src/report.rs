//! Reports about commits, calculated from facts and hourly sums.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::commits::{Author, Commit, Metric};
use quickdraw_domain::Timestamp;

/// The sum of a metric for one identity in one UTC hour, or at one instant if it comes straight from facts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// Start of the hour, or the instant.
    pub at: Timestamp,

    /// The metric.
    pub metric: Metric,

    /// The store's number of the identity.
    pub identity: i64,

    /// The sum.
    pub value: i64,
}

/// The number of commits without merges that an author made to a project in one hour.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CommitCount {
    /// The project's id in events.
    pub project: i64,

    /// The author, as the commits spell them.
    pub author: Author,

    /// Start of the hour in UTC.
    pub hour: Timestamp,

    /// The number.
    pub commits: i64,
}

/// Properties of a commit that sums cannot contain: the change, and the committer's own clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// See [`Commit::at`].
    pub at: Timestamp,

    /// The committer's offset from UTC in minutes, positive to the east. None for undated commits.
    pub offset_minutes: Option<i16>,

    /// The store's number of the identity.
    pub identity: i64,

    /// The project's id in events.
    pub project: i64,

    /// Digest of the change.
    pub change: [u8; 16],

    /// Digests of all its paths.
    pub paths: Vec<u64>,
}

impl Row {
    /// The row of a commit. None for merges.
    #[must_use]
    pub fn of(commit: &Commit, identity: i64) -> Option<Self> {
        let paths = &commit.details.paths;
        (!commit.is_merge()).then(|| Self {
            at: commit.at(),
            offset_minutes: (!commit.details.undated).then_some(commit.details.offset_minutes),
            identity,
            project: commit.project,
            change: commit.details.change,
            paths: paths
                .added
                .iter()
                .chain(&paths.modified)
                .chain(&paths.removed)
                .copied()
                .collect(),
        })
    }
}

/// Counts by ISO weekday (Monday first) and hour.
pub type Week = [[u64; 24]; 7];

/// The numbers of commits for one window and filter.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CommitReport {
    /// Distinct commits without merges.
    pub commits: i64,

    /// Merge commits.
    pub merge_commits: i64,

    /// Commits that a push to the default branch listed.
    pub commits_landed: i64,

    /// Distinct changes. A rebased change counts once.
    pub unique_changes: u64,

    /// Sum of added paths.
    pub files_added: i64,

    /// Sum of modified paths.
    pub files_modified: i64,

    /// Sum of removed paths.
    pub files_removed: i64,

    /// Distinct pairs of project and path.
    pub files_touched: u64,

    /// Local days with a commit, by identity.
    pub active_days: BTreeMap<i64, u64>,

    /// Commits by identity.
    pub by_identity: BTreeMap<i64, i64>,

    /// Commits by local day. Days without commits are left out.
    pub by_day: BTreeMap<Date, i64>,

    /// Weekday and hour in the reporting zone.
    pub week_in_zone: Week,

    /// Weekday and hour on the committer's own clock; undated commits are left out.
    pub week_author_local: Week,

    /// Weekday and hour in UTC.
    pub week_in_utc: Week,
}

/// True if all offsets of the zone between two times are whole hours. Then the sum of a day consists of hourly cells.
#[must_use]
pub fn has_whole_hours(zone: &TimeZone, from: Timestamp, to: Timestamp) -> bool {
    let whole = |at: jiff::Timestamp| zone.to_offset(at).seconds() % 3600 == 0;
    let (from, to) = (to_jiff(from), to_jiff(to));

    whole(from)
        && zone
            .following(from)
            .take_while(|change| change.timestamp() < to)
            .all(|change| whole(change.timestamp()))
}

/// Calculates a report. `cells` are hourly sums if the zone allows it, else one cell for each commit and metric. `rows`
/// are the commits that count. Both are already limited to the window and the filter.
#[must_use]
pub fn report(cells: &[Cell], rows: &[Row], zone: &TimeZone) -> CommitReport {
    let mut report = CommitReport::default();
    let mut days: HashMap<i64, HashSet<Date>> = HashMap::new();

    for cell in cells {
        let sum = match cell.metric {
            Metric::Commits => &mut report.commits,
            Metric::MergeCommits => &mut report.merge_commits,
            Metric::Landed => &mut report.commits_landed,
            Metric::FilesAdded => &mut report.files_added,
            Metric::FilesModified => &mut report.files_modified,
            Metric::FilesRemoved => &mut report.files_removed,
        };
        *sum += cell.value;

        if cell.metric == Metric::Commits && cell.value != 0 {
            let local = zone.to_datetime(to_jiff(cell.at));
            days.entry(cell.identity).or_default().insert(local.date());
            *report.by_identity.entry(cell.identity).or_default() += cell.value;
            *report.by_day.entry(local.date()).or_default() += cell.value;
            add(&mut report.week_in_zone, local, cell.value);

            add(
                &mut report.week_in_utc,
                TimeZone::UTC.to_datetime(to_jiff(cell.at)),
                cell.value,
            );
        }
    }

    report.active_days = days
        .into_iter()
        .map(|(identity, days)| (identity, days.len() as u64))
        .collect();

    let changes: HashSet<_> = rows.iter().map(|row| (row.project, row.change)).collect();
    report.unique_changes = changes.len() as u64;

    let touched: HashSet<_> = rows
        .iter()
        .flat_map(|row| row.paths.iter().map(|path| (row.project, *path)))
        .collect();

    report.files_touched = touched.len() as u64;

    for row in rows {
        if let Some(minutes) = row.offset_minutes {
            let shifted = Timestamp::from_micros(row.at.as_micros() + i64::from(minutes) * 60_000_000);
            add(
                &mut report.week_author_local,
                TimeZone::UTC.to_datetime(to_jiff(shifted)),
                1,
            );
        }
    }

    report
}

/// Gini coefficient over members, including those with 0: 0 if all did the same, towards 1 if one member did
/// everything. None if all counts are 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of commits stay far below 2^52")]
pub fn work_balance(counts: &[i64]) -> Option<f64> {
    let (n, sum) = (counts.len() as f64, counts.iter().sum::<i64>() as f64);
    if sum == 0.0 {
        return None;
    }

    let mut sorted = counts.to_vec();
    sorted.sort_unstable();

    // This equals the sum of the differences of all pairs, without the quadratic number of steps.
    let weighted: f64 = (1_u32..)
        .zip(&sorted)
        .map(|(place, count)| f64::from(place) * *count as f64)
        .sum();

    Some((2.0 * weighted - (n + 1.0) * sum) / (n * sum))
}

/// The share of the commits in the last fifth of the days of a period. None without commits.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of commits stay far below 2^52")]
pub fn burst_share(by_day: &BTreeMap<Date, i64>, first: Date, days: i32) -> Option<f64> {
    let total: i64 = by_day.values().sum();
    let tail = (days + 4) / 5;
    let start = first.checked_add(jiff::Span::new().days(days - tail)).ok()?;
    let late: i64 = by_day.range(start..).map(|(_, count)| count).sum();

    (total != 0).then(|| late as f64 / total as f64)
}

/// Number of days from Monday to Friday in a period.
#[must_use]
pub fn working_days(first: Date, days: i32) -> usize {
    let all: BTreeSet<Date> = first
        .series(jiff::Span::new().days(1))
        .take(usize::try_from(days).unwrap_or(0))
        .collect();

    all.iter()
        .filter(|day| day.weekday().to_monday_one_offset() <= 5)
        .count()
}

fn add(week: &mut Week, at: jiff::civil::DateTime, value: i64) {
    let weekday = usize::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0);
    let hour = usize::try_from(at.hour()).unwrap_or(0);
    week[weekday][hour] += u64::try_from(value).unwrap_or(0);
}

fn to_jiff(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}
