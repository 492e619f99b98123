//! Alerts: rules on insights, and when they are told. What is told goes out as an event, so it is signed, retried and kept like
//! any other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::metrics::{Kind, Metric, Summary, Trait};
use quickdraw_domain::Timestamp;

/// Most rules.
pub const MOST_RULES: usize = 100;
/// Longest window, and longest times of a rule.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const SHORTEST_WINDOW: Duration = Duration::from_secs(60);
/// Longest texts of a rule.
const LONGEST_TEXT: usize = 255;

/// What is watched that is no insight of things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beside {
    /// Seconds since the last event of a project.
    Silence,
    /// Pushes that never came.
    MissingPushes,
    /// The share of commits that are nobody's.
    UnmatchedShare,
}

impl Beside {
    /// All of them, with their names and units.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Silence, "silence", "seconds"),
        (Self::MissingPushes, "missing_pushes", "count"),
        (Self::UnmatchedShare, "unmatched_share", "ratio from 0 to 1"),
    ];
}

/// What a rule watches.
pub enum Watched {
    /// An insight.
    Metric(&'static Metric),
    /// Something else.
    Beside(Beside, &'static str),
}

impl Watched {
    /// By its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let beside = Beside::ALL.into_iter().find(|(_, known, _)| *known == name);
        // What is no number of one time, or of people who are chosen, cannot be watched.
        let can_be = |metric: &&'static Metric| !matches!(metric.kind, Kind::Week | Kind::ShareOfPeople);
        beside
            .map(|(one, _, unit)| Self::Beside(one, unit))
            .or_else(|| Metric::by_name(name).filter(can_be).map(Self::Metric))
    }

    /// Whether a number of now can be compared with one of longer before: distinct things and what is there at one time cannot.
    const fn has_before(&self) -> bool {
        let Self::Metric(metric) = self else { return false };
        !matches!(
            metric.kind,
            Kind::Gauge
                | Kind::Distinct
                | Kind::People
                | Kind::DistinctPerDay
                | Kind::DistinctPerWorkingDay
                | Kind::ShareOfPeople
                | Kind::Balance
        )
    }

    /// What its numbers are in.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.kind.unit(),
            Self::Beside(_, unit) => unit,
        }
    }
}

/// Which number of an insight.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The number itself.
    #[default]
    Value,
    /// Half are not above it.
    P50,
    /// Three quarters are not above it.
    P75,
    /// Nine tenths are not above it.
    P90,
    /// Nineteen in twenty are not above it.
    P95,
}

impl Statistic {
    /// The number of a summary.
    #[must_use]
    pub const fn of(self, summary: &Summary) -> Option<f64> {
        match self {
            Self::Value => summary.value,
            Self::P50 => summary.percentiles[0],
            Self::P75 => summary.percentiles[1],
            Self::P90 => summary.percentiles[2],
            Self::P95 => summary.percentiles[3],
        }
    }
}

/// All rules. Numbers are not used again, so that no standing is taken for another's.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// The last number that was given to a rule or to a change of one.
    pub last: i64,
    /// The rules.
    pub all: Vec<Rule>,
}

/// A rule. No number is neither above nor below anything.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Its number.
    pub id: i64,
    /// Another one after each change: what was found of the old one says nothing of the new one.
    pub revision: i64,
    /// What people call it.
    pub name: String,
    /// What it watches: the name of an insight, `silence`, `missing_pushes` or `unmatched_share`.
    pub metric: String,
    /// Which number of it.
    pub statistic: Statistic,
    /// Over how many seconds until now.
    pub window: u64,
    /// It is bad above this.
    pub above: Option<f64>,
    /// It is bad below this.
    pub below: Option<f64>,
    /// It is bad above so many times what it was over four such windows before.
    pub times_before: Option<f64>,
    /// For how many seconds it must be bad before that is told.
    pub r#for: u64,
    /// How many seconds after it was told it is told again at the earliest.
    pub cool_down: u64,
    /// Only this project: its path, or its number in events.
    pub project: Option<String>,
    /// Each project for itself.
    pub each_project: bool,
    /// Only of this branch.
    pub branch: Option<String>,
    /// Only what has this label.
    pub label: Option<String>,
    /// For how many seconds something must have been so, of insights that say so: what waits, and what is stale.
    #[serde(default)]
    pub older_than: Option<u64>,
}

/// Why a rule cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It needs a name.
    #[error("name must have 1 to {LONGEST_TEXT} characters")]
    Name,
    /// There is no such insight.
    #[error("there is no insight {0:?}; also silence, missing_pushes and unmatched_share can be watched")]
    Metric(String),
    /// Nothing says what is bad.
    #[error("say what is bad with exactly one of above, below and times_before, a number that is finite")]
    Bound,
    /// Only durations have percentiles.
    #[error("{0} has no percentiles: leave statistic out")]
    Statistic(String),
    /// Too short or too long.
    #[error("window must be 1 minute to 366 days, for, cool_down and older_than at most 366 days")]
    Time,
    /// It cannot be both.
    #[error("watch one project or each_project, not both")]
    Projects,
    /// There is no window before.
    #[error("{0} has no window before that it could be compared with: use above or below")]
    Before(String),
    /// It has no branch.
    #[error("{0} is of no branch: leave branch out")]
    Branch(String),
    /// It has no labels.
    #[error("{0} has no labels: leave label out")]
    Label(String),
}

impl Rule {
    /// What it watches.
    ///
    /// # Errors
    /// When the rule makes no sense, with what would.
    pub fn check(&self) -> Result<Watched, RuleError> {
        if self.name.trim().is_empty() || self.name.chars().count() > LONGEST_TEXT {
            return Err(RuleError::Name);
        }
        let watched = Watched::by_name(&self.metric).ok_or_else(|| RuleError::Metric(self.metric.clone()))?;
        let bounds: Vec<f64> = [self.above, self.below, self.times_before].into_iter().flatten().collect();
        let has_bound = matches!(bounds.as_slice(), [one] if one.is_finite());
        if !has_bound || self.times_before.is_some_and(|times| times <= 0.0) {
            return Err(RuleError::Bound);
        }
        let has_percentiles = matches!(&watched, Watched::Metric(metric) if metric.kind.has_percentiles());
        if self.statistic != Statistic::Value && !has_percentiles {
            return Err(RuleError::Statistic(self.metric.clone()));
        }
        if self.times_before.is_some() && !watched.has_before() {
            return Err(RuleError::Before(self.metric.clone()));
        }
        let can_have = |of| matches!(&watched, Watched::Metric(metric) if metric.can_have(of));
        if self.branch.is_some() && !can_have(Trait::Branch) {
            return Err(RuleError::Branch(self.metric.clone()));
        }
        if self.label.is_some() && !can_have(Trait::Label) {
            return Err(RuleError::Label(self.metric.clone()));
        }
        let longest = LONGEST.as_secs();
        let is_window = (SHORTEST_WINDOW.as_secs()..=longest).contains(&self.window);
        let is_too_long = self.older_than.is_some_and(|older| older > longest);
        if !is_window || self.r#for > longest || self.cool_down > longest || is_too_long {
            return Err(RuleError::Time);
        }
        if self.each_project && self.project.is_some() {
            return Err(RuleError::Projects);
        }
        Ok(watched)
    }

    /// What a number is compared with; nothing where there was none before.
    #[must_use]
    pub fn threshold(&self, before: Option<f64>) -> Option<f64> {
        let of_before = self.times_before.and_then(|times| before.map(|before| times * before));
        self.above.or(self.below).or(of_before)
    }

    /// Whether a number is bad, given what it was over the windows before.
    #[must_use]
    pub fn is_bad(&self, value: Option<f64>, before: Option<f64>) -> bool {
        match (value, self.threshold(before)) {
            (Some(value), Some(threshold)) if self.below.is_some() => value < threshold,
            (Some(value), Some(threshold)) => value > threshold,
            _ => false,
        }
    }
}

/// How it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is bad, but not for long enough, or it was told too short ago.
    Pending,
    /// It is bad, and that is told.
    Firing,
    /// It was bad, and is well again.
    Resolved,
}

impl State {
    /// As the API and alerts name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// How a rule stands for one project, or for everything.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Standing {
    /// How it stands.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// The last number.
    pub value: Option<f64>,
    /// What it was compared with.
    pub threshold: Option<f64>,
    /// When it was last told that it is bad.
    pub told_at: Option<Timestamp>,
    /// This is to be told, and may not have been yet. Until it is, nothing else of it is.
    pub news: bool,
    /// Which rule, as it was: it may be gone by the time that all is well.
    pub rule: Rule,
    /// Which project; none for everything.
    pub project: Option<i64>,
}

/// Standings by rule, revision and project.
pub type Standings = BTreeMap<String, Standing>;

/// The name of a standing.
#[must_use]
pub fn key(rule: &Rule, project: Option<i64>) -> String {
    let project = project.map_or_else(|| "all".to_owned(), |id| id.to_string());
    format!("{} {} {project}", rule.id, rule.revision)
}

/// What was found out about a rule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// It is bad.
    pub is_bad: bool,
    /// The number.
    pub value: Option<f64>,
    /// What it was compared with.
    pub threshold: Option<f64>,
}

/// How a standing goes on whose rule is gone: what was told to be bad is told to be over.
#[must_use]
pub fn over(known: Standing, now: Timestamp) -> Option<Standing> {
    match known.state {
        _ if known.news => Some(known),
        State::Firing => Some(Standing { state: State::Resolved, since: now, news: true, ..known }),
        _ => None,
    }
}

/// How a rule stands now, from how it stood; nothing where there is nothing to remember.
#[must_use]
pub fn step(
    rule: &Rule,
    project: Option<i64>,
    known: Option<Standing>,
    found: Found,
    now: Timestamp,
) -> Option<Standing> {
    let Found { is_bad, value, threshold } = found;
    if known.as_ref().is_some_and(|one| one.news) {
        return known;
    }
    let told_at = known.as_ref().and_then(|one| one.told_at);
    let is_cool = told_at.is_none_or(|at| now >= at.plus(Duration::from_secs(rule.cool_down)));
    let stands = |state, since, news| {
        Some(Standing { state, since, value, threshold, told_at, news, rule: rule.clone(), project })
    };
    match known {
        Some(one) if one.state == State::Firing && is_bad => stands(State::Firing, one.since, false),
        Some(one) if one.state == State::Firing => stands(State::Resolved, now, true),
        known if is_bad => {
            let since = known.filter(|one| one.state == State::Pending).map_or(now, |one| one.since);
            if is_cool && now >= since.plus(Duration::from_secs(rule.r#for)) {
                return stands(State::Firing, since, true).map(|one| Standing { told_at: Some(now), ..one });
            }
            stands(State::Pending, since, false)
        }
        // It is remembered for as long as it must not be told again.
        Some(one) if !is_cool => stands(State::Resolved, one.since, false),
        _ => None,
    }
}

/// A project that a rule stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About<'a> {
    /// Its number in events.
    pub id: i64,
    /// Its full path, if any event told it.
    pub path: Option<&'a str>,
}

/// The body that tells how a rule stands.
#[must_use]
pub fn body(one: &Standing, about: Option<About<'_>>, now: Timestamp) -> String {
    let rule = &one.rule;
    let unit = Watched::by_name(&rule.metric).map(|watched| watched.unit());
    let body = json!({
        "object_kind": "insight_alert",
        "event_name": "insight_alert",
        "created_at": now.to_iso(),
        "project": about.map(|about| json!({ "id": about.id, "path_with_namespace": about.path })),
        "alert": {
            "id": rule.id,
            "name": rule.name,
            "state": one.state.name(),
            "since": one.since.to_iso(),
            "metric": rule.metric,
            "statistic": rule.statistic,
            "unit": unit,
            "window": rule.window,
            "project": rule.project,
            "branch": rule.branch,
            "label": rule.label,
            "value": one.value,
            "comparison": if rule.below.is_some() { "below" } else { "above" },
            "threshold": one.threshold,
        },
    });
    body.to_string()
}

#[cfg(test)]
mod tests;
