//! Alert rules on metrics, and the states that they go through. An alert is reported as an event, so it is signed,
//! retried and kept like any other event.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::metrics::{Kind, Metric, Summary, Trait};
use quickdraw_domain::Timestamp;

/// Maximum number of rules.
pub const MAX_RULES: usize = 100;
/// Maximum of every duration in a rule.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
const SHORTEST_WINDOW: Duration = Duration::from_secs(60);
/// Maximum length of a rule's name, in characters.
const LONGEST_TEXT: usize = 255;

/// A number that a rule can watch although it is not a [`Metric`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    /// Seconds since the last event of a project.
    Silence,

    /// Pushes that are missing between received ones.
    MissingPushes,

    /// The share of commits whose author matches no member.
    UnmatchedShare,
}

impl Special {
    /// All of them, with their names and units.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Silence, "silence", "seconds"),
        (Self::MissingPushes, "missing_pushes", "count"),
        (Self::UnmatchedShare, "unmatched_share", "ratio from 0 to 1"),
    ];
}

/// The number that a rule watches.
pub enum Watched {
    /// A metric.
    Metric(&'static Metric),

    /// Another number, with its unit.
    Special(Special, &'static str),
}

impl Watched {
    /// Finds a watched number by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let special = Special::ALL.into_iter().find(|(_, known, _)| *known == name);
        // A weekly pattern has no single value, and a share of members needs a team, so rules cannot watch them.
        let can_be = |metric: &&'static Metric| !matches!(metric.kind, Kind::Week | Kind::ShareOfPeople);
        special
            .map(|(one, _, unit)| Self::Special(one, unit))
            .or_else(|| Metric::by_name(name).filter(can_be).map(Self::Metric))
    }

    /// True if the value can be compared with the windows before. Distinct things and states at one time cannot.
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

    /// The unit of the number.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        match self {
            Self::Metric(metric) => metric.kind.unit(),
            Self::Special(_, unit) => unit,
        }
    }
}

/// The statistic of a metric that a rule compares.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// The value itself.
    #[default]
    Value,

    /// The median.
    P50,

    /// 75 % of the samples are at most this.
    P75,

    /// 90 % of the samples are at most this.
    P90,

    /// 95 % of the samples are at most this.
    P95,
}

impl Statistic {
    /// Reads this statistic from a summary.
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

/// All rules. Ids are never reused, so that a status cannot belong to another rule.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// The last number that was used as the id or revision of a rule.
    pub last: i64,

    /// The rules.
    pub all: Vec<Rule>,
}

/// An alert rule. A metric without a value violates no rule.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Id of the rule.
    pub id: i64,

    /// A new number after each change. The statuses of older revisions do not apply to the changed rule.
    pub revision: i64,

    /// Name that people gave to the rule.
    pub name: String,

    /// The watched number: a metric, `silence`, `missing_pushes` or `unmatched_share`.
    pub metric: String,

    /// The statistic of the metric.
    pub statistic: Statistic,

    /// Length of the window, in seconds. It ends now.
    pub window: u64,

    /// The rule is violated above this value.
    pub above: Option<f64>,

    /// The rule is violated below this value.
    pub below: Option<f64>,

    /// The rule is violated above this multiple of the value in the four windows before.
    #[serde(alias = "times_before")]
    pub times_previous: Option<f64>,

    /// Seconds for which the rule must be violated before an alert fires.
    pub r#for: u64,

    /// Minimum number of seconds between two alerts.
    pub cool_down: u64,

    /// Limits the rule to a project, given by its path or its id in events.
    pub project: Option<String>,

    /// Evaluates the rule for each project separately.
    pub each_project: bool,

    /// Limits the rule to a branch.
    pub branch: Option<String>,

    /// Limits the rule to items with this label.
    pub label: Option<String>,

    /// Minimum age of the counted items, in seconds. It applies to metrics of waiting or stale items.
    #[serde(default)]
    pub older_than: Option<u64>,
}

/// The reason for which a rule is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The name is missing or too long.
    #[error("name must have 1 to {LONGEST_TEXT} characters")]
    Name,

    /// The metric does not exist.
    #[error("there is no metric {0:?}; rules can also watch silence, missing_pushes and unmatched_share")]
    Metric(String),

    /// There must be exactly one bound.
    #[error("set exactly one of above, below and times_previous to a finite number; times_previous must be above 0")]
    Bound,

    /// Only durations have percentiles.
    #[error("statistic does not apply to {0}, which has no percentiles; remove it")]
    Statistic(String),

    /// A duration is too short or too long.
    #[error("window must be from 1 minute to 366 days; for, cool_down and older_than must be at most 366 days")]
    Time,

    /// `project` and `each_project` exclude each other.
    #[error("set project or each_project, not both")]
    Projects,

    /// The metric cannot be compared with earlier windows.
    #[error("times_previous does not apply to {0}; use above or below")]
    Before(String),

    /// The metric has no branch.
    #[error("branch does not apply to {0}; remove it")]
    Branch(String),

    /// The metric has no labels.
    #[error("label does not apply to {0}; remove it")]
    Label(String),
}

impl RuleError {
    /// The field of the rule that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Metric(_) => "metric",
            Self::Bound => "above",
            Self::Statistic(_) => "statistic",
            Self::Time => "window",
            Self::Projects => "each_project",
            Self::Before(_) => "times_previous",
            Self::Branch(_) => "branch",
            Self::Label(_) => "label",
        }
    }
}

impl Rule {
    /// Validates the rule, and returns the number that it watches.
    ///
    /// # Errors
    /// When the rule is invalid.
    pub fn check(&self) -> Result<Watched, RuleError> {
        if self.name.trim().is_empty() || self.name.chars().count() > LONGEST_TEXT {
            return Err(RuleError::Name);
        }

        let watched = Watched::by_name(&self.metric).ok_or_else(|| RuleError::Metric(self.metric.clone()))?;
        let bounds: Vec<f64> = [self.above, self.below, self.times_previous]
            .into_iter()
            .flatten()
            .collect();

        let has_bound = matches!(bounds.as_slice(), [one] if one.is_finite());
        if !has_bound || self.times_previous.is_some_and(|times| times <= 0.0) {
            return Err(RuleError::Bound);
        }

        let has_percentiles = matches!(&watched, Watched::Metric(metric) if metric.kind.has_percentiles());
        if self.statistic != Statistic::Value && !has_percentiles {
            return Err(RuleError::Statistic(self.metric.clone()));
        }

        if self.times_previous.is_some() && !watched.has_before() {
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

    /// The number that values are compared with. None if there was no value in the windows before.
    #[must_use]
    pub fn threshold(&self, before: Option<f64>) -> Option<f64> {
        let of_before = self
            .times_previous
            .and_then(|times| before.map(|before| times * before));
        self.above.or(self.below).or(of_before)
    }

    /// True if the value violates the rule. `before` is the value in the windows before.
    #[must_use]
    pub fn is_violated(&self, value: Option<f64>, before: Option<f64>) -> bool {
        match (value, self.threshold(before)) {
            (Some(value), Some(threshold)) if self.below.is_some() => value < threshold,
            (Some(value), Some(threshold)) => value > threshold,
            _ => false,
        }
    }
}

/// The state of a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The rule is violated, but the alert does not fire yet: the time is too short, or the last alert is too recent.
    Pending,

    /// The rule is violated, and the alert is reported.
    Firing,

    /// The rule is no longer violated.
    Resolved,
}

impl State {
    /// The name in the API and in alerts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// The state of a rule for one project, or for all projects.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AlertStatus {
    /// Current state.
    pub state: State,

    /// Start of the current state.
    pub since: Timestamp,

    /// The last value.
    pub value: Option<f64>,

    /// The number that the value was compared with.
    pub threshold: Option<f64>,

    /// Time of the last alert.
    #[serde(alias = "told_at")]
    pub reported_at: Option<Timestamp>,

    /// The state must still be reported. It does not change before that.
    #[serde(alias = "news")]
    pub is_unreported: bool,

    /// The rule as it was evaluated. It may have been deleted before the alert is resolved.
    pub rule: Rule,

    /// The project; None for a rule on all projects.
    pub project: Option<i64>,
}

/// AlertStatuses, by rule, revision and project.
pub type AlertStatuses = BTreeMap<String, AlertStatus>;

/// The key of a status.
#[must_use]
pub fn key(rule: &Rule, project: Option<i64>) -> String {
    let project = project.map_or_else(|| "all".to_owned(), |id| id.to_string());
    format!("{} {} {project}", rule.id, rule.revision)
}

/// The result of evaluating a rule once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// True if the rule is violated.
    pub is_violated: bool,

    /// The value.
    pub value: Option<f64>,

    /// The number that the value was compared with.
    pub threshold: Option<f64>,
}

/// The next status after the rule was deleted. A firing alert is resolved.
#[must_use]
pub fn over(known: AlertStatus, now: Timestamp) -> Option<AlertStatus> {
    match known.state {
        _ if known.is_unreported => Some(known),
        State::Firing => Some(AlertStatus {
            state: State::Resolved,
            since: now,
            is_unreported: true,
            ..known
        }),
        _ => None,
    }
}

/// The next status of a rule. None if there is nothing to remember.
#[must_use]
pub fn step(
    rule: &Rule,
    project: Option<i64>,
    known: Option<AlertStatus>,
    found: Found,
    now: Timestamp,
) -> Option<AlertStatus> {
    let Found {
        is_violated,
        value,
        threshold,
    } = found;

    if known.as_ref().is_some_and(|one| one.is_unreported) {
        return known;
    }

    let reported_at = known.as_ref().and_then(|one| one.reported_at);
    let is_cool = reported_at.is_none_or(|at| now >= at.plus(Duration::from_secs(rule.cool_down)));

    let next = |state, since, is_unreported| {
        Some(AlertStatus {
            state,
            since,
            value,
            threshold,
            reported_at,
            is_unreported,
            rule: rule.clone(),
            project,
        })
    };

    match known {
        Some(one) if one.state == State::Firing && is_violated => next(State::Firing, one.since, false),
        Some(one) if one.state == State::Firing => next(State::Resolved, now, true),
        known if is_violated => {
            let since = known
                .filter(|one| one.state == State::Pending)
                .map_or(now, |one| one.since);
            if is_cool && now >= since.plus(Duration::from_secs(rule.r#for)) {
                return next(State::Firing, since, true).map(|one| AlertStatus {
                    reported_at: Some(now),
                    ..one
                });
            }

            next(State::Pending, since, false)
        }
        // The status is kept until the cool-down ends.
        Some(one) if !is_cool => next(State::Resolved, one.since, false),
        _ => None,
    }
}

/// The project of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About<'a> {
    /// Its id in events.
    pub id: i64,

    /// Its full path, if an event contained it.
    pub path: Option<&'a str>,
}

/// The body of the event that reports a status.
#[must_use]
pub fn body(one: &AlertStatus, about: Option<About<'_>>, now: Timestamp) -> String {
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
