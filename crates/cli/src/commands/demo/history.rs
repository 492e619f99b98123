//! The generated history of a small team. It depends on the seed alone.

mod issues;
mod merge_requests;
mod pipelines;

use quickdraw_domain::Trigger;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(super) use self::merge_requests::MergeRequest;

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
/// Teams with the members that belong to them. Tove is in none, so that the guide can show how to add a person.
const TEAMS: [(&str, &[usize]); 2] = [("Ropes", &[0, 1, 2]), ("Shop", &[3, 4])];
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

/// The members and teams, as a file that insights import.
pub(super) fn roster() -> String {
    let mut lines = vec!["member,team,email,username,from,to".to_owned()];
    for (team, members) in TEAMS {
        for member in members {
            let (_, username, name, email) = TEAM[*member];
            lines.push(format!("{name},{team},{email},{username},,"));
        }
    }

    lines.join("\n")
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
