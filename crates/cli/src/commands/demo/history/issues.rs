//! The issues and incidents of the generated history.

use quickdraw_domain::Trigger;
use serde_json::json;

use super::{HOUR, TEAM, World, person, spelled};

impl World {
    /// Generates an issue or an incident, from its opening to its last close.
    pub(super) fn issue(&mut self, project: usize, begin: i64, is_incident: bool) {
        self.projects[project].issues += 1;

        let (iid, number, who) = (self.projects[project].issues, self.id(), self.dice.person());
        let title = ["bug", "feature", "doing"][usize::try_from(self.dice.below(3)).unwrap_or(0)];
        let labels = json!([{ "id": 1, "title": title, "color": "#428bca", "type": "ProjectLabel" }]);

        let report = |world: &mut Self, at: i64, action: &str, closed: bool| {
            let attributes = json!({ "id": number, "iid": iid, "title": format!("Number {iid}"), "author_id": TEAM[who].0,
                "type": if is_incident { "Incident" } else { "Issue" }, "created_at": spelled(begin), "updated_at": spelled(at),
                "closed_at": closed.then(|| spelled(at)), "state": if closed { "closed" } else { "opened" }, "action": action });
            let kind = if is_incident { "work_item" } else { "issue" };
            let body = json!({ "object_kind": kind, "user": person(who), "project": world.home(project),
                "object_attributes": attributes, "labels": if action == "close" { json!([]) } else { labels.clone() } });
            world.report(at, Trigger::ISSUE, body);
        };
        report(self, begin, "open", false);

        let longest = if is_incident { 6 } else { 90 };
        let mut at = begin + self.dice.between(1, longest) * HOUR;

        if is_incident || self.dice.happens(70) {
            report(self, at, "close", true);

            if self.dice.happens(10) {
                at += self.dice.between(1, 20) * HOUR;
                report(self, at, "reopen", false);
                at += self.dice.between(1, 20) * HOUR;
                report(self, at, "close", true);
            }
        }
    }
}
