//! The pipelines and deployments of the generated history.

use quickdraw_domain::Trigger;
use serde_json::{Value, json};

use super::{MINUTE, World, person, spelled};

impl World {
    /// Generates a pipeline with three jobs. One job is flaky.
    pub(super) fn pipeline(&mut self, project: usize, at: i64, who: usize, branch: &str, sha: &str) {
        self.projects[project].pipelines += 1;

        let (number, iid) = (self.id(), self.projects[project].pipelines);
        let mut jobs = ["build", "lint", "test"].map(|name| (name, self.id(), "success"));
        let took = self.dice.between(120, 600);
        let (fails, again) = (self.dice.happens(18), self.dice.happens(60));

        if fails {
            jobs[2].2 = "failed";
        }

        self.pipeline_event(
            project,
            at,
            who,
            (branch, sha),
            (number, iid),
            "running",
            (at, None),
            &jobs,
        );

        let status = if fails { "failed" } else { "success" };
        self.pipeline_event(
            project,
            at + took,
            who,
            (branch, sha),
            (number, iid),
            status,
            (at, Some(at + took)),
            &jobs,
        );

        if fails && again {
            // The second run passes.
            jobs[2] = ("test", self.id(), "success");

            let (from, to) = (at + took + 5 * MINUTE, at + 2 * took + 5 * MINUTE);
            self.pipeline_event(
                project,
                to,
                who,
                (branch, sha),
                (number, iid),
                "success",
                (from, Some(to)),
                &jobs,
            );
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each argument is a field of the event")]
    pub(crate) fn pipeline_event(
        &mut self,
        project: usize,
        at: i64,
        who: usize,
        (branch, sha): (&str, &str),
        (number, iid): (i64, i64),
        status: &str,
        (from, to): (i64, Option<i64>),
        jobs: &[(&str, i64, &str)],
    ) {
        let took = to.map(|to| to - from);
        let builds: Vec<Value> = jobs
            .iter()
            .map(|(name, id, ended)| {
                let status = if to.is_some() { ended } else { &"running" };
                json!({ "id": id, "name": name, "stage": "test", "status": status, "created_at": spelled(from),
                    "started_at": spelled(from + 20), "finished_at": to.map(spelled), "duration": took, "user": person(who) })
            })
            .collect();

        let attributes = json!({ "id": number, "iid": iid, "ref": branch, "sha": sha, "status": status, "source": "push",
            "created_at": spelled(from), "finished_at": to.map(spelled), "duration": took, "queued_duration": 20 });
        let body = json!({ "object_kind": "pipeline", "user": person(who), "project": self.home(project),
            "object_attributes": attributes, "builds": builds });
        self.report(at, Trigger::PIPELINE, body);
    }

    /// Generates a deployment, and sometimes the incident that follows.
    pub(crate) fn deploy(&mut self, project: usize, at: i64, who: usize, sha: &str) {
        let number = self.id();
        let status = if self.dice.happens(10) { "failed" } else { "success" };

        for (at, status) in [(at, "running"), (at + 3 * MINUTE, status)] {
            let path = self.projects[project].path;
            let body = json!({ "object_kind": "deployment", "status": status, "status_changed_at": spelled(at),
                "deployment_id": number, "environment": "production", "environment_tier": "production", "ref": "main",
                "short_sha": sha[..8], "commit_url": format!("https://gitlab.example.com/{path}/-/commit/{sha}"),
                "user": person(who), "project": self.home(project) });
            self.report(at, Trigger::DEPLOYMENT, body);
        }

        if status == "success" && self.dice.happens(15) {
            let at = at + self.dice.between(20, 300) * MINUTE;
            self.issue(project, at, true);
        }
    }
}
