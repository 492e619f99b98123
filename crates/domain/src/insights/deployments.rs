//! Deployments: what events say of them, joined, and the incidents that followed. Definitions: `docs/guide/insights.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commits::{clean, named_project};
use super::entity::{Entity, time};
use super::issues::Issue;
use crate::Timestamp;

/// How far a deployment has come. The order decides between what is told for one time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has not ended.
    Going,
    /// It was not wanted, or stopped.
    Canceled,
    /// It failed.
    Failed,
    /// It is there.
    Success,
}

/// Everything that events said of one deployment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// Its project, by its number in events.
    pub project: i64,
    /// Its number in GitLab; of bodies before that had one, the number of its job, below zero.
    pub id: i64,
    /// Where to.
    pub environment: String,
    /// What it is comes before users.
    pub is_production: bool,
    /// How far it is, since when. What has ended wins over what has not, and then the later one.
    last: (bool, Timestamp, Status),
}

impl Deployment {
    /// What a deployment event says.
    pub(super) fn of_event(received_at: Timestamp, body: &Value) -> Option<Self> {
        let status = match body["status"].as_str()? {
            "success" => Status::Success,
            "failed" => Status::Failed,
            "canceled" | "skipped" => Status::Canceled,
            _ => Status::Going,
        };
        let environment = clean(body["environment"].as_str().unwrap_or_default(), 255);
        let is_production = match body["environment_tier"].as_str() {
            Some(tier) => tier == "production",
            None => has_name_of_production(&environment),
        };
        // Times of events before GitLab told them are those of receipt.
        let at = time(&body["status_changed_at"]).unwrap_or(received_at);
        Some(Self {
            project: named_project(body)?,
            id: body["deployment_id"].as_i64().or_else(|| body["deployable_id"].as_i64()?.checked_neg())?,
            environment,
            is_production,
            last: (status != Status::Going, at, status),
        })
    }

    /// When it became what it is.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.last.1
    }

    /// How far it is.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.last.2
    }

    /// Whether users have it.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.is_production && self.status() == Status::Success
    }
}

impl Entity for Deployment {
    fn key(&self) -> (i64, i64) {
        (self.project, self.id)
    }

    fn join(mut self, other: Self) -> Self {
        self.environment = self.environment.max(other.environment);
        self.is_production |= other.is_production;
        self.last = self.last.max(other.last);
        self
    }

    fn opened_at(&self) -> Option<Timestamp> {
        Some(self.at())
    }

    fn settled_at(&self) -> Option<Timestamp> {
        Some(self.at())
    }
}

/// `production`, `prod` and what lies in them, as `production/eu`.
fn has_name_of_production(environment: &str) -> bool {
    let name = environment.split('/').next().unwrap_or_default();
    name.eq_ignore_ascii_case("production") || name.eq_ignore_ascii_case("prod")
}

/// Which incidents followed which deployments: an incident belongs to the last deployment that users of its project had before
/// it, as DevLake does it; before the first, to none. The positions of the deployments' incidents, in the order of the
/// deployments, which are ordered by project and time.
#[must_use]
pub fn incidents_of(deployments: &[&Deployment], issues: &[&Issue]) -> Vec<Vec<usize>> {
    let mut found = vec![Vec::new(); deployments.len()];
    let out = deployments.iter().enumerate().filter(|(_, one)| one.is_out());
    let out: Vec<((i64, Timestamp), usize)> = out.map(|(index, one)| ((one.project, one.at()), index)).collect();
    for (position, issue) in issues.iter().enumerate().filter(|(_, issue)| issue.is_incident) {
        let Some(created_at) = issue.created_at else { continue };
        let behind = out.partition_point(|(key, _)| *key <= (issue.project, created_at));
        let before = out[..behind].last().filter(|((project, _), _)| *project == issue.project);
        if let Some((_, deployment)) = before {
            found[*deployment].push(position);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Trigger;
    use crate::insights::entity::{self, Item};
    use crate::insights::measures::{Measure, Sample, Subject, View};

    /// Hours of day 1, 2026-03-01.
    fn spelled(hour: i64) -> String {
        let time = jiff::Timestamp::from_second(1_772_323_200 + hour * 3_600).expect("in range");
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }

    fn deployment(id: i64, status: &str, hour: i64) -> (Trigger, Value) {
        let body = json!({ "object_kind": "deployment", "deployment_id": id, "status": status, "status_changed_at": spelled(hour),
            "environment": "production", "environment_tier": "production", "project": { "id": 7 } });
        (Trigger::by_name("deployment_hooks").expect("a row"), body)
    }

    fn incident(iid: i64, hour: i64, closed: Option<i64>) -> (Trigger, Value) {
        let attributes = json!({ "iid": iid, "type": "Incident", "created_at": spelled(hour), "updated_at": spelled(closed.unwrap_or(hour)),
            "state": if closed.is_some() { "closed" } else { "opened" }, "closed_at": closed.map(spelled),
            "action": if closed.is_some() { "close" } else { "open" } });
        (
            Trigger::by_name("issue_hooks").expect("a row"),
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    }

    /// b comes out on day 1 at 18:00, c fails on day 3 at 10:00 and comes out at 11:00; incidents from day 1 20:00 to 22:00, and
    /// from day 2 08:00 on.
    fn example() -> Vec<(Trigger, Value)> {
        vec![
            deployment(1, "running", 17),
            deployment(1, "success", 18),
            deployment(2, "failed", 58),
            deployment(3, "success", 59),
            incident(1, 20, None),
            incident(1, 20, Some(22)),
            incident(2, 32, None),
        ]
    }

    fn joined(events: &[(Trigger, Value)]) -> (Vec<Deployment>, Vec<Issue>) {
        let (mut deployments, mut issues) = (Vec::new(), Vec::new());
        for item in entity::joined(events) {
            match item {
                Item::Deployment(one) => deployments.push(one),
                Item::Issue(one) => issues.push(one),
                other => panic!("neither a deployment nor an issue: {other:?}"),
            }
        }
        deployments.sort_by_key(|one| (one.project, one.at()));
        (deployments, issues)
    }

    /// All samples of a measure in the week.
    fn samples(name: &str, (deployments, issues): &(Vec<Deployment>, Vec<Issue>)) -> Vec<i64> {
        let (from, to) = (Timestamp::from_seconds(1_772_323_200), Timestamp::from_seconds(1_772_323_200 + 7 * 86_400));
        let view = View { from, to, is_bot: &|_| false };
        let measure = Measure::by_name(name).expect("a measure");
        let mut values = Vec::new();
        let mut add = |sample| match sample {
            Sample::In(_, value) => values.push(value),
            Sample::Many(all) => values.extend(all.iter().map(|(_, value)| *value)),
            Sample::Out(_) => {}
        };
        let all: Vec<&Deployment> = deployments.iter().collect();
        let followed = incidents_of(&all, &issues.iter().collect::<Vec<_>>());
        for (one, incidents) in deployments.iter().zip(followed) {
            let incidents: Vec<&Issue> = incidents.into_iter().map(|position| &issues[position]).collect();
            add(measure.sample(Subject::Deployment(one, &incidents), &view));
        }
        issues.iter().for_each(|issue| add(measure.sample(Subject::Issue(issue), &view)));
        values
    }

    fn check(all: &(Vec<Deployment>, Vec<Issue>)) {
        assert_eq!((samples("deployments", all), samples("failed_deployments", all)), (vec![1, 1], vec![1]));
        assert_eq!(samples("change_failure_rate", all), [1, 0], "both incidents hit the first");
        assert_eq!(samples("incidents_per_deployment", all), [2, 0]);
        assert_eq!(samples("time_to_restore", all), [7_200]);
        assert_eq!(samples("failed_deployment_recovery_time", all), [14_400]);
        assert_eq!((samples("incidents", all), samples("issues_opened", all)), (vec![1, 1], vec![]));
    }

    proptest! {
        #[test]
        fn the_example_gives_its_numbers_in_any_order(order in prop::collection::vec(0..7_usize, 0..20)) {
            let all = example();
            let mut events: Vec<_> = order.into_iter().map(|index| all[index].clone()).collect();
            events.extend(all.iter().rev().cloned());
            prop_assert_eq!(&joined(&events), &joined(&all));
            check(&joined(&events));
        }
    }

    #[test]
    fn old_bodies_and_other_environments() {
        let old = |environment: &str| {
            let body = json!({ "deployable_id": 796, "status": "success", "environment": environment, "project": { "id": 7 } });
            Deployment::of_event(Timestamp::from_seconds(5), &body).expect("a deployment")
        };
        assert!(old("production/eu").is_out() && old("Prod").is_out() && !old("preproduction").is_out());
        assert_eq!((old("prod").id, old("prod").at()), (-796, Timestamp::from_seconds(5)));
        let body = json!({ "deployment_id": 1, "status": "success", "environment": "production", "environment_tier": "staging",
            "project": { "id": 7 } });
        assert!(!Deployment::of_event(Timestamp::default(), &body).expect("a deployment").is_out(), "the tier says it");
    }
}
