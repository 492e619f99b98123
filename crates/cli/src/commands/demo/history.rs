//! The generated history of a small team. It depends on the seed alone.

use quickdraw_domain::Trigger;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(super) const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
pub(super) const ZERO: &str = "0000000000000000000000000000000000000000";

/// Number, username, name and e-mail address of each member. The last member is a bot.
const TEAM: [(i64, &str, &str, &str); 7] = [
    (11, "ida", "Ida Berg", "ida@climb.example"),
    (12, "jo", "Jo Lind", "jo@climb.example"),
    (13, "mei", "Mei Chen", "mei@climb.example"),
    (14, "omar", "Omar Said", "omar@climb.example"),
    (15, "petra", "Petra Novak", "petra@climb.example"),
    (16, "tove", "Tove Aas", "16-tove@users.noreply.gitlab.example.com"),
    (
        90,
        "project_1_bot_5eed",
        "renovate",
        "project_1_bot_5eed@noreply.gitlab.example.com",
    ),
];
const BOT: usize = 6;
/// Number of the project that gets live events.
pub(super) const FIRST: i64 = 1;
const PROJECTS: [(i64, &str, &str); 3] = [
    (FIRST, "gear/rope", "Rope"),
    (2, "gear/sling", "Sling"),
    (3, "web/shop", "Shop"),
];
pub(super) const WORK: [&str; 8] = [
    "Knots",
    "Belay",
    "Anchors",
    "Carabiners",
    "Ropes",
    "Slings",
    "Prices",
    "Basket",
];

/// A generated event.
pub(super) struct Reported {
    /// Seconds since 1970.
    pub(super) at: i64,
    pub(super) trigger: Trigger,
    pub(super) body: Value,
}

/// Pseudo-random numbers that depend on the seed alone.
pub(super) struct Dice {
    seed: u64,
    rolled: u64,
}

impl Dice {
    pub(super) fn below(&mut self, most: i64) -> i64 {
        self.rolled += 1;

        let digest = Sha256::new()
            .chain_update(self.seed.to_be_bytes())
            .chain_update(self.rolled.to_be_bytes())
            .finalize();
        let number = digest
            .first_chunk()
            .map_or(0, |bytes| i64::from_be_bytes(*bytes) & i64::MAX);
        number % most.max(1)
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.below(most - least + 1)
    }

    /// Returns true in `percent` of a hundred cases.
    fn happens(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn person(&mut self) -> usize {
        usize::try_from(self.below(6)).unwrap_or(0)
    }

    fn sha(&mut self) -> String {
        self.rolled += 1;
        hex::encode(&Sha256::digest([self.seed.to_be_bytes(), self.rolled.to_be_bytes()].concat())[..20])
    }
}

/// The state of a project while its history is generated.
pub(super) struct Project {
    id: i64,
    path: &'static str,
    name: &'static str,
    pub(super) head: String,
    pub(super) merge_requests: i64,
    issues: i64,
    pub(super) pipelines: i64,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) reported: Vec<Reported>,

    /// Merge requests with their commits and the time at which they are merged.
    landings: Vec<(i64, MergeRequest, Vec<Value>)>,
    pub(super) projects: Vec<Project>,
    pub(super) ids: i64,
}

/// Generates the `number` weeks before `end`, which is in seconds since 1970. The events are in the order of their
/// time.
pub(super) fn weeks(seed: u64, number: i64, end: i64) -> Vec<Reported> {
    let mut world = World::new(seed);
    let first = (end / DAY - number * 7) * DAY;

    for day in 0..number * 7 {
        let morning = first + day * DAY + 8 * HOUR;
        // 1970-01-01 was a Thursday.
        let is_weekend = (morning / DAY + 3) % 7 >= 5;
        for project in 0..world.projects.len() {
            world.day(project, morning, is_weekend);
        }
    }

    let mut landings = std::mem::take(&mut world.landings);
    landings.sort_by_key(|(at, ..)| *at);

    for (at, one, commits) in landings {
        world.land(&one, at, commits);
    }

    world.reported.retain(|reported| reported.at < end);
    world.reported.sort_by_key(|reported| reported.at);
    world.reported
}

fn spelled(at: i64) -> String {
    jiff::Timestamp::from_second(at)
        .unwrap_or_default()
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

/// The id of the last commit.
pub(super) fn tip(commits: &[Value]) -> String {
    commits
        .last()
        .and_then(|last| last["id"].as_str())
        .unwrap_or(ZERO)
        .to_owned()
}

fn person(who: usize) -> Value {
    let (id, username, name, _) = TEAM[who];
    json!({ "id": id, "username": username, "name": name, "email": "[REDACTED]" })
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice { seed, rolled: 0 };
        let projects = PROJECTS.map(|(id, path, name)| Project {
            id,
            path,
            name,
            head: dice.sha(),
            merge_requests: 0,
            issues: 0,
            pipelines: 0,
        });

        Self {
            dice,
            reported: Vec::new(),
            landings: Vec::new(),
            projects: projects.into(),
            ids: 1_000,
        }
    }

    fn home(&self, project: usize) -> Value {
        let Project { id, path, name, .. } = &self.projects[project];
        json!({ "id": id, "name": name, "path_with_namespace": path, "default_branch": "main",
            "web_url": format!("https://gitlab.example.com/{path}") })
    }

    fn report(&mut self, at: i64, trigger: Trigger, body: Value) {
        self.reported.push(Reported { at, trigger, body });
    }

    pub(super) fn id(&mut self) -> i64 {
        self.ids += 1;
        self.ids
    }

    fn day(&mut self, project: usize, morning: i64, is_weekend: bool) {
        let most = if is_weekend { 0 } else { self.dice.between(1, 3) };
        for _ in 0..most {
            let (at, who) = (morning + self.dice.below(6 * HOUR), self.dice.person());
            self.change(project, at, who);
        }

        if self.dice.happens(12) {
            let at = morning + self.dice.below(HOUR);
            self.change(project, at, BOT);
        }

        if !is_weekend && self.dice.happens(60) {
            let at = morning + self.dice.below(8 * HOUR);
            self.issue(project, at, false);
        }
    }

    pub(super) fn commit(&mut self, at: i64, who: usize, what: &str) -> Value {
        let (_, _, name, email) = TEAM[who];
        let file = format!("src/{}.rs", self.dice.below(40));
        json!({ "id": self.dice.sha(), "message": what, "title": what, "timestamp": spelled(at),
            "author": { "name": name, "email": email }, "added": [], "modified": [file], "removed": [] })
    }

    pub(super) fn push(
        &mut self,
        project: usize,
        at: i64,
        who: usize,
        (branch, from, to): (&str, &str, &str),
        commits: &[Value],
    ) {
        let (id, username, name, _) = TEAM[who];
        let body = json!({ "object_kind": "push", "ref": format!("refs/heads/{branch}"), "before": from, "after": to,
            "user_id": id, "user_username": username, "user_name": name, "project_id": self.projects[project].id,
            "project": self.home(project), "commits": commits, "total_commits_count": commits.len() });
        self.report(at, Trigger::PUSH, body);
    }

    /// Generates a merge request, from its first commit to its end.
    fn change(&mut self, project: usize, begin: i64, who: usize) {
        self.projects[project].merge_requests += 1;

        let iid = self.projects[project].merge_requests;
        let word = WORK[usize::try_from(self.dice.below(8)).unwrap_or(0)];
        let (branch, title) = (
            format!("{}-{iid}", word.to_lowercase()),
            format!("{word}: {}", self.dice.below(900)),
        );

        let mut at = begin;
        let mut commits: Vec<Value> = (0..self.dice.between(1, 4))
            .map(|n| self.commit(begin + n * 20 * MINUTE, who, &format!("{title}, part {n}")))
            .collect();
        at += HOUR + self.dice.below(2 * HOUR);

        let mut head = tip(&commits);
        self.push(project, at, who, (&branch, ZERO, &head), &commits);

        let is_draft = self.dice.happens(25);
        let mut one = MergeRequest {
            project,
            iid,
            number: self.id(),
            created_at: at + 5 * MINUTE,
            who,
            branch,
            title,
            is_draft,
        };
        at = one.created_at;
        self.merge_request(&one, at, who, "open", "opened", &head);
        self.pipeline(project, at + MINUTE, who, &one.branch, &head);

        if is_draft {
            at += self.dice.between(2, 20) * HOUR;
            one.is_draft = false;
            self.merge_request(&one, at, who, "update", "opened", &head);
        }

        self.note(&one, at + MINUTE, BOT, &head);

        for _ in 0..self.dice.below(4) {
            at += self.dice.between(1, 9) * HOUR;

            let reviewer = self.dice.person();
            self.note(&one, at, reviewer, &head);

            if self.dice.happens(50) {
                at += self.dice.between(10, 120) * MINUTE;

                // A rebase gives the same changes new ids. Otherwise a commit is added.
                let before = head.clone();
                if self.dice.happens(30) {
                    for commit in &mut commits {
                        commit["id"] = self.dice.sha().into();
                    }

                    head = tip(&commits);
                    self.push(project, at, who, (&one.branch, &before, &head), &commits.clone());
                } else {
                    let more = self.commit(at, who, &format!("{}, as asked for", one.title));
                    head = tip(std::slice::from_ref(&more));

                    self.push(
                        project,
                        at,
                        who,
                        (&one.branch, &before, &head),
                        std::slice::from_ref(&more),
                    );

                    commits.push(more);
                }

                self.merge_request(&one, at + MINUTE, who, "push", "opened", &head);
                self.pipeline(project, at + 2 * MINUTE, who, &one.branch, &head);
            }
        }

        if self.dice.happens(8) {
            at += self.dice.between(1, 5) * HOUR;
            self.merge_request(&one, at, who, "close", "closed", &head);
            at += self.dice.between(2, 30) * HOUR;
            self.merge_request(&one, at, who, "reopen", "opened", &head);
        }

        at += self.dice.between(30, 600) * MINUTE;

        match self.dice.below(100) {
            0..=5 => self.merge_request(&one, at, who, "close", "closed", &head),
            // Some merge requests stay open.
            6..=11 => {}
            // Merges are generated later in the order of time, because each one builds on the one before.
            _ => self.landings.push((at, one, commits)),
        }
    }

    /// Generates the approval, the merge, and sometimes a deployment.
    fn land(&mut self, one: &MergeRequest, at: i64, mut commits: Vec<Value>) {
        let head = &tip(&commits);
        let project = one.project;
        let other = self.dice.person();
        let by = if other == one.who { one.who } else { other };

        if by != one.who {
            self.merge_request(one, at - 10 * MINUTE, by, "approved", "opened", head);
        }

        let before = self.projects[project].head.clone();
        let mut merge = self.commit(at, by, &format!("Merge branch '{}' into 'main'", one.branch));
        merge["modified"] = json!([]);

        let commit = merge["id"].as_str().unwrap_or(ZERO).to_owned();
        self.projects[project].head.clone_from(&commit);
        self.merge_request(one, at, by, "merge", "merged", &commit);

        // As in GitLab, the push to main lists all commits of the branch.
        commits.push(merge);
        self.push(project, at + 5, by, ("main", &before, &commit), &commits);
        self.push(project, at + 10, by, (&one.branch, head, ZERO), &[]);
        self.pipeline(project, at + MINUTE, by, "main", &commit);

        if self.dice.happens(45) {
            let later = self.dice.below(HOUR);
            self.deploy(project, at + later + 20 * MINUTE, by, &commit);
        }
    }

    pub(super) fn merge_request(
        &mut self,
        one: &MergeRequest,
        at: i64,
        who: usize,
        action: &str,
        state: &str,
        sha: &str,
    ) {
        let mut attributes = self.attributes(one, at, state);
        attributes["action"] = if action == "push" { "update" } else { action }.into();

        match action {
            "push" => attributes["oldrev"] = "0".repeat(39).into(),
            "merge" => attributes["merge_commit_sha"] = sha.into(),
            _ => {}
        }

        let body = json!({ "object_kind": "merge_request", "user": person(who), "project": self.home(one.project),
            "object_attributes": attributes, "labels": [] });
        self.report(at, Trigger::MERGE_REQUEST, body);
    }

    fn attributes(&self, one: &MergeRequest, at: i64, state: &str) -> Value {
        let id = self.projects[one.project].id;
        json!({ "id": one.number, "iid": one.iid, "title": one.title, "author_id": TEAM[one.who].0, "created_at": spelled(one.created_at),
            "updated_at": spelled(at), "state": state, "draft": one.is_draft, "source_branch": one.branch, "target_branch": "main",
            "source_project_id": id, "target_project_id": id })
    }

    pub(super) fn note(&mut self, one: &MergeRequest, at: i64, who: usize, head: &str) {
        let note = json!({ "id": self.id(), "note": "Have you tied the knot?", "noteable_type": "MergeRequest",
            "author_id": TEAM[who].0, "created_at": spelled(at), "updated_at": spelled(at), "system": false, "action": "create" });
        let mut on = self.attributes(one, at, "opened");
        on["last_commit"] = json!({ "id": head });

        let body = json!({ "object_kind": "note", "user": person(who), "project": self.home(one.project),
            "project_id": self.projects[one.project].id, "object_attributes": note, "merge_request": on });
        self.report(at, Trigger::NOTE, body);
    }

    /// Generates a pipeline with three jobs. One job is flaky.
    fn pipeline(&mut self, project: usize, at: i64, who: usize, branch: &str, sha: &str) {
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
    pub(super) fn pipeline_event(
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
    pub(super) fn deploy(&mut self, project: usize, at: i64, who: usize, sha: &str) {
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

    /// Generates an issue or an incident, from its opening to its last close.
    fn issue(&mut self, project: usize, begin: i64, is_incident: bool) {
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

pub(super) struct MergeRequest {
    pub(super) project: usize,
    pub(super) iid: i64,
    pub(super) number: i64,
    pub(super) created_at: i64,
    pub(super) who: usize,
    pub(super) branch: String,
    pub(super) title: String,
    pub(super) is_draft: bool,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_weeks() {
        let of = |seed: u64| -> Vec<(i64, String)> {
            weeks(seed, 3, 1_780_000_000)
                .into_iter()
                .map(|reported| (reported.at, reported.body.to_string()))
                .collect()
        };
        let first = of(1);
        assert_eq!(first, of(1));
        assert_ne!(first, of(2));
        assert!(first.len() > 500, "{}", first.len());
        assert!(first.windows(2).all(|two| two[0].0 <= two[1].0), "in order");
    }

    #[test]
    fn the_history_contains_every_action_and_kind() {
        let reported = weeks(1, 3, 1_780_000_000);
        let actions: HashSet<&str> = reported
            .iter()
            .filter_map(|reported| reported.body["object_attributes"]["action"].as_str())
            .collect();

        for action in ["open", "update", "approved", "merge", "close", "reopen"] {
            assert!(actions.contains(action), "{action}");
        }

        let kinds: HashSet<&str> = reported
            .iter()
            .filter_map(|reported| reported.body["object_kind"].as_str())
            .collect();

        for kind in [
            "push",
            "merge_request",
            "note",
            "pipeline",
            "deployment",
            "issue",
            "work_item",
        ] {
            assert!(kinds.contains(kind), "{kind}");
        }

        assert!(reported.iter().all(|reported| reported.trigger != Trigger::UNKNOWN));
    }
}
