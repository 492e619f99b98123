//! An alert rule as pages show it, and the form for it.

use quickdraw_domain::time::parse_duration;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ui::client::Refusal;
use crate::ui::form::{Choice, Fields, Form};
use crate::ui::history::Choice as Named;
use crate::ui::parts::{Badge, Time, sentence};

/// Lengths of time, the longest first.
const UNITS: [(u32, &str, &str); 4] = [
    (86_400, "d", "day"),
    (3600, "h", "hour"),
    (60, "m", "minute"),
    (1, "s", "second"),
];
/// Numbers that a rule can watch although they are no metrics, with their words.
const SPECIAL: [(&str, &str); 3] = [
    ("silence", "Silence (seconds since the last event)"),
    ("missing_pushes", "Missing pushes (count)"),
    ("unmatched_share", "Commits without a member (ratio from 0 to 1)"),
];
/// Kinds of metrics without a single number for a rule.
const UNWATCHED: [&str; 2] = ["week", "share_of_people"];
/// Conditions with their words.
pub(super) const CONDITIONS: [Choice; 3] = [
    Choice::new("above", "Above the limit"),
    Choice::new("below", "Below the limit"),
    Choice::new("times_previous", "Above the limit times the four windows before"),
];
/// The numbers of a metric with their words.
pub(super) const STATISTICS: [Choice; 5] = [
    Choice::new("value", "The number itself (the mean for durations)"),
    Choice::new("p50", "Median (p50)"),
    Choice::new("p75", "p75"),
    Choice::new("p90", "p90"),
    Choice::new("p95", "p95"),
];
/// The projects of a rule with their words.
pub(super) const SCOPES: [Choice; 3] = [
    Choice::new("all", "All projects together"),
    Choice::new("each", "Each project by itself"),
    Choice::new("one", "One project"),
];
/// Fields of the form with a length of time.
const SPANS: [&str; 4] = ["window", "for", "cool_down", "older_than"];
/// Largest number of states that the list shows.
const MAX_STATES: usize = 10;

/// A rule with its current states.
#[derive(Deserialize)]
pub(super) struct Rule {
    pub(super) id: i64,
    pub(super) name: String,
    metric: String,
    unit: String,
    statistic: String,
    window: u64,
    above: Option<f64>,
    below: Option<f64>,
    times_previous: Option<f64>,
    r#for: u64,
    cool_down: u64,
    project: Option<String>,
    each_project: bool,
    branch: Option<String>,
    label: Option<String>,
    older_than: Option<u64>,
    statuses: Vec<Status>,
}

/// The state of a rule for a project, or for all projects.
#[derive(Deserialize)]
pub(super) struct Status {
    project_path: Option<String>,
    state: String,
    since: String,
    value: Option<f64>,
    threshold: Option<f64>,
}

/// A result of a trial, for a project or for all projects.
#[derive(Deserialize)]
pub(super) struct Evaluation {
    source_project_id: Option<i64>,
    project_path: Option<String>,
    value: Option<f64>,
    threshold: Option<f64>,
    pub(super) is_violated: bool,
}

/// A metric, as the API describes it.
#[derive(Deserialize)]
pub(super) struct Metric {
    name: String,
    kind: String,
    unit: String,
}

impl Rule {
    /// The worst state of the rule.
    pub(super) fn badge(&self) -> Badge {
        let count = |state: &str| self.statuses.iter().filter(|status| status.state == state).count();
        match (count("firing"), count("pending")) {
            (0, 0) => Badge::good("Quiet").because("The condition is not met."),
            (0, _) => pending(),
            _ => firing(),
        }
    }

    /// The condition in words.
    pub(super) fn condition(&self) -> String {
        let mut words = sentence(&self.metric.replace('_', " "));
        if self.statistic != "value" {
            words.push_str(&format!(" ({})", self.statistic));
        }

        let limit = match (self.above, self.below, self.times_previous) {
            (Some(limit), ..) => format!(" above {}", self.amount(Some(limit))),
            (_, Some(limit), _) => format!(" below {}", self.amount(Some(limit))),
            (.., Some(times)) => format!(" above {times} times the four windows before"),
            _ => String::new(),
        };
        format!("{words}{limit}, over {}", in_words(self.window))
    }

    /// A value of the watched number in words.
    fn amount(&self, value: Option<f64>) -> String {
        amount(value, &self.unit)
    }

    /// The number of a state, and the limit.
    pub(super) fn numbers(&self, status: &Status) -> String {
        format!(
            "{} (limit {})",
            self.amount(status.value),
            self.amount(status.threshold)
        )
    }

    /// The scope and the times of the rule, in words.
    pub(super) fn terms(&self) -> Vec<String> {
        let mut terms = Vec::new();
        terms.push(match (&self.project, self.each_project) {
            (Some(project), _) => format!("Project {project}"),
            (None, true) => "Each project by itself".to_owned(),
            (None, false) => "All projects together".to_owned(),
        });
        terms.extend(self.branch.as_ref().map(|branch| format!("Branch {branch}")));
        terms.extend(self.label.as_ref().map(|label| format!("Label {label}")));
        terms.extend(self.older_than.map(|age| format!("Older than {}", in_words(age))));
        if self.r#for > 0 {
            terms.push(format!("For {}", in_words(self.r#for)));
        }

        if self.cool_down > 0 {
            terms.push(format!("Again after {}", in_words(self.cool_down)));
        }

        terms
    }

    /// The states that are shown. Those of a rule for each project can be many.
    pub(super) fn shown(&self) -> &[Status] {
        self.statuses.get(..MAX_STATES).unwrap_or(&self.statuses)
    }

    /// Number of further states.
    pub(super) fn hidden(&self) -> usize {
        self.statuses.len().saturating_sub(MAX_STATES)
    }

    /// The form for the rule.
    pub(super) fn form(&self) -> Form {
        let mut form = Form::default();
        form.set("name", &self.name);
        form.set("metric", &self.metric);
        form.set("statistic", &self.statistic);

        let (condition, limit) = match (self.above, self.below, self.times_previous) {
            (_, Some(limit), _) => ("below", Some(limit)),
            (.., Some(times)) => ("times_previous", Some(times)),
            (above, ..) => ("above", above),
        };
        form.set("condition", condition);
        let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
        let whole = limit.parse().ok().filter(|seconds| *seconds > 0);
        match whole {
            Some(seconds) if self.unit == "seconds" && condition != "times_previous" => {
                form.set("limit", span(seconds))
            }
            _ => form.set("limit", limit),
        }

        let scope = match (&self.project, self.each_project) {
            (Some(_), _) => "one",
            (None, true) => "each",
            (None, false) => "all",
        };
        form.set("scope", scope);
        form.set("project", self.project.as_deref().unwrap_or_default());
        form.set("branch", self.branch.as_deref().unwrap_or_default());
        form.set("label", self.label.as_deref().unwrap_or_default());

        form.set("window", span(self.window));
        form.set("for", span(self.r#for));
        form.set("cool_down", span(self.cool_down));
        form.set("older_than", self.older_than.map(span).unwrap_or_default());
        form
    }
}

fn pending() -> Badge {
    Badge::warning("Pending").because("The condition is met, and not long enough or too soon after the last alert.")
}

fn firing() -> Badge {
    Badge::bad("Firing").because("The condition is met, and system hooks got the alert.")
}

impl Status {
    pub(super) fn badge(&self) -> Badge {
        match self.state.as_str() {
            "firing" => firing(),
            "pending" => pending(),
            "resolved" => Badge::good("Resolved").because("The condition is not met any more."),
            other => Badge::plain(other),
        }
    }

    pub(super) fn of(&self) -> &str {
        self.project_path.as_deref().unwrap_or("All projects")
    }

    pub(super) fn since(&self) -> Time {
        Time::new(&self.since)
    }
}

impl Evaluation {
    pub(super) fn badge(&self) -> Badge {
        match (self.is_violated, self.value) {
            (true, _) => Badge::warning("Condition is met"),
            (false, Some(_)) => Badge::good("Quiet"),
            (false, None) => Badge::plain("No number").because("Nothing was counted, so the rule cannot fire."),
        }
    }

    pub(super) fn of(&self) -> String {
        match (&self.project_path, self.source_project_id) {
            (Some(path), _) => path.clone(),
            (None, Some(id)) => format!("Project {id} in GitLab"),
            (None, None) => "All projects".to_owned(),
        }
    }

    pub(super) fn value(&self, unit: &str) -> String {
        amount(self.value, unit)
    }

    pub(super) fn limit(&self, unit: &str) -> String {
        amount(self.threshold, unit)
    }
}

/// A value in words.
fn amount(value: Option<f64>, unit: &str) -> String {
    match value {
        Some(seconds) if unit == "seconds" => length(seconds),
        value => number(value),
    }
}

/// A number with at most three decimals.
fn number(value: Option<f64>) -> String {
    value.map_or_else(
        || "–".to_owned(),
        |value| ((value * 1000.0).round() / 1000.0).to_string(),
    )
}

/// A number of seconds in words, in the largest unit that fits, with at most one decimal.
fn length(seconds: f64) -> String {
    let units = UNITS.map(|(size, _, word)| (f64::from(size), word));
    let (size, word) = units
        .into_iter()
        .find(|(size, _)| seconds >= *size)
        .unwrap_or((1.0, "second"));
    let rounded = (seconds / size * 10.0).round() / 10.0;
    if rounded.to_bits() == 1.0_f64.to_bits() {
        format!("1 {word}")
    } else {
        format!("{rounded} {word}s")
    }
}

/// A length of time as forms take it: in the largest unit of which it is a multiple.
fn span(seconds: u64) -> String {
    let unit = UNITS
        .into_iter()
        .find(|(size, ..)| seconds.is_multiple_of(u64::from(*size)));
    match unit {
        Some((size, letter, _)) if seconds > 0 => format!("{}{letter}", seconds / u64::from(size)),
        _ => String::new(),
    }
}

/// A length of time in words, in the largest unit of which it is a multiple.
fn in_words(seconds: u64) -> String {
    let unit = UNITS
        .into_iter()
        .find(|(size, ..)| seconds.is_multiple_of(u64::from(*size)));
    let (size, _, word) = unit.unwrap_or((1, "s", "second"));
    match seconds / u64::from(size) {
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    }
}

/// The numbers that a rule can watch. `chosen` can be another definition of a metric, such as `time_to_merge.devlake`.
pub(super) fn choices(metrics: Vec<Metric>, chosen: &str) -> Vec<Named> {
    let mut choices: Vec<Named> = SPECIAL.iter().map(|(name, words)| Named::new(*name, *words)).collect();
    for metric in metrics {
        if !UNWATCHED.contains(&metric.kind.as_str()) {
            let words = format!("{} ({})", sentence(&metric.name.replace('_', " ")), metric.unit);
            choices.push(Named::new(metric.name, words));
        }
    }

    choices.sort_by(|one, other| one.words.cmp(&other.words));
    if !chosen.is_empty() && choices.iter().all(|choice| choice.value != chosen) {
        choices.push(Named::new(chosen, sentence(&chosen.replace('_', " "))));
    }

    choices
}

/// The unit of a number that a rule can watch.
pub(super) fn unit(metrics: &[Metric], name: &str) -> String {
    let known = metrics.iter().find(|metric| metric.name == name);
    match known {
        Some(metric) => metric.unit.clone(),
        None if name == "silence" => "seconds".to_owned(),
        None => String::new(),
    }
}

/// The form for a new rule.
pub(super) fn blank() -> Form {
    let mut form = Form::default();
    form.set("metric", "mr_waiting");
    form.set("statistic", "value");
    form.set("condition", "above");
    form.set("limit", "0");
    form.set("window", "1d");
    form.set("scope", "all");
    form
}

/// The rule that a form contains, as the API takes it. Values that are no numbers or lengths are noted in the form.
pub(super) fn body(fields: &Fields, form: &mut Form) -> Value {
    let mut body = Map::new();
    for name in ["name", "metric", "statistic", "branch", "label"] {
        if let Some(value) = fields.filled(name) {
            body.insert(name.to_owned(), json!(value));
        }
    }

    if !body.contains_key("name") {
        form.wrong("name", "Give the rule a name, which alerts show");
    }

    let condition = fields.text("condition");
    match limit(fields.text("limit").trim()) {
        Some(limit) if CONDITIONS.iter().any(|known| known.value == condition) => {
            body.insert(condition.to_owned(), json!(limit));
        }
        _ => form.wrong(
            "limit",
            "The limit is a number such as 0.8, or a length of time such as 3d",
        ),
    }

    match fields.text("scope") {
        "each" => drop(body.insert("each_project".to_owned(), json!(true))),
        "one" => match fields.filled("project") {
            Some(project) => drop(body.insert("project".to_owned(), json!(project))),
            None => form.wrong("project", "Give the full path of the project, such as gear/rope"),
        },
        _ => {}
    }

    for name in SPANS {
        let Some(text) = fields.filled(name) else { continue };
        match parse_duration(text) {
            Some(length) => drop(body.insert(name.to_owned(), json!(length.as_secs()))),
            None => form.wrong(name, "A length of time, such as 30m, 6h or 7d"),
        }
    }

    Value::Object(body)
}

/// A limit: a number, or a length of time, which is a number of seconds.
fn limit(text: &str) -> Option<f64> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.or_else(|| Some(parse_duration(text)?.as_secs_f64()))
}

/// The refusal with the fields of the form, which has one for the three kinds of limits, and one for the choice of
/// projects.
pub(super) fn in_words_of_the_form(mut refusal: Refusal) -> Refusal {
    for (field, _) in &mut refusal.fields {
        match field.as_str() {
            "above" | "below" | "times_previous" => "limit".clone_into(field),
            "each_project" => "scope".clone_into(field),
            _ => {}
        }
    }

    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_back() {
        for (seconds, text, words) in [
            (86_400, "1d", "1 day"),
            (604_800, "7d", "7 days"),
            (5400, "90m", "90 minutes"),
            (1, "1s", "1 second"),
        ] {
            assert_eq!(span(seconds), text);
            assert_eq!(in_words(seconds), words);
            assert_eq!(parse_duration(text).map(|length| length.as_secs()), Some(seconds));
        }

        assert_eq!(span(0), "");
    }

    #[test]
    fn a_limit_is_a_number_or_a_length_of_time() {
        assert_eq!(limit("0.8"), Some(0.8));
        assert_eq!(limit("3d"), Some(259_200.0));
        assert_eq!([limit("many"), limit("inf")], [None, None]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(length(259_200.0), "3 days");
        assert_eq!(length(5400.0), "1.5 hours");
        assert_eq!(length(60.0), "1 minute");
        assert_eq!(length(0.0), "0 seconds");
        assert_eq!(number(Some(1.0)), "1");
        assert_eq!(number(Some(0.123_456)), "0.123");
        assert_eq!(number(None), "–");
    }
}
