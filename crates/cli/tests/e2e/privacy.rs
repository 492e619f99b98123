//! Privacy of insights: small groups, pseudonyms, erased people, and retention of a project's facts.

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::counted::Counted;
use crate::http::{Reply, eventually};
use crate::identities::{MARCH, make_member, post, push};
use crate::rebuild::check_run;
use crate::server::Engine;

/// Two projects with four commits, and the team Ropes with Ann, who has two identities, and Bob.
struct Team {
    counted: Counted,
    ann: Value,
    bob: Value,
}

impl Team {
    fn make(engine: &Engine) -> Self {
        let counted = Counted::start(engine, MARCH);
        let of_rope = [
            (2, "Ann Lee", "ann@a.example"),
            (3, "A. Lee", "5-alee@users.noreply.gitlab.example.com"),
            (4, "Bob", "bob@a.example"),
        ];
        let pushes = [
            ("Push Hook", push(7, "gear/rope", &of_rope)),
            ("Push Hook", push(9, "other/thing", &[(4, "Cy", "cy@a.example")])),
        ];
        counted.receive("push", &pushes);
        wait_for_commits(&counted, 4);

        let ann = make_member(&counted, "Ann Lee", &["ann@a.example", "#5"]);
        let bob = make_member(&counted, "Bob", &["bob@a.example"]);
        let team = Self { counted, ann, bob };
        team.make_team(
            "Ropes",
            &[json!({ "member_id": team.ann }), json!({ "member_id": team.bob })],
        );

        team
    }

    fn make_team(&self, name: &str, memberships: &[Value]) {
        let team = post(&self.counted, "teams", &json!({ "name": name }))["id"].clone();
        for membership in memberships {
            post(&self.counted, &format!("teams/{team}/members"), membership);
        }
    }

    /// Asks for the erasure of Ann.
    fn erase(&self, mut body: Value) -> Reply {
        body["member_id"] = self.ann.clone();
        self.counted.call("POST", "identities/erase", &body.to_string())
    }

    /// Erases Ann, and receives two later commits of hers.
    fn make_erased(engine: &Engine) -> Self {
        let team = Self::make(engine);
        let erased = team.erase(json!({ "confirm": true })).json();
        assert_eq!(erased, json!({ "identities": 2, "accounts": 1 }));

        let again = [
            (5, "Ann Lee", "ann@a.example"),
            (6, "Ann L.", "alee@users.noreply.gitlab.example.com"),
        ];
        let mut later = push(7, "gear/rope", &again);
        later["after"] = json!("later");
        team.counted.receive("later", &[("Push Hook", later)]);
        wait_for_commits(&team.counted, 6);

        team
    }

    /// Checks that the commits of Ann still count, and that nothing names her.
    fn check_erased(&self) {
        for path in [
            "identities",
            "members",
            "teams",
            "identities/mailmap",
            &format!("commits?{MARCH}"),
        ] {
            let body = self.counted.call("GET", path, "").body;
            for name in ["ann@a", "Ann", "A. Lee", "alee"] {
                assert!(!body.contains(name), "{path}: {body}");
            }
        }

        assert_eq!(self.counted.get("commits")["commits"], 6);
    }

    fn undo(&self) {
        self.counted.call("POST", "identities/undo", "").checked(204);
    }
}

fn wait_for_commits(counted: &Counted, commits: i64) {
    eventually("all commits are counted", || {
        counted.get("commits")["commits"] == commits
    });
}

/// Changes the settings of privacy and checks that the answer shows them.
fn set(counted: &Counted, settings: &Value) {
    let reply = counted.call("PUT", "privacy", &settings.to_string());
    check_shows(&reply.checked(200).json(), settings);
}

fn names(commits: &Value) -> Vec<Value> {
    items(&commits["authors"])
        .iter()
        .map(|author| author["name"].clone())
        .collect()
}

pub(crate) fn pseudonyms_are_stable_and_contain_no_part_of_a_name(engine: Engine) {
    let Team { counted, .. } = Team::make(&engine);
    let hidden = counted.get("commits?pseudonyms=true");
    let text = hidden.to_string();
    assert!(!text.contains("example") && !text.contains("Ann"), "{text}");
    assert!(text.contains("\"person "), "{text}");

    let again = counted.get("commits?pseudonyms=true");
    assert_eq!(names(&again), names(&hidden));

    // The setting hides names in all answers.
    set(&counted, &json!({ "pseudonyms": true }));

    let rows = counted
        .get("query?metric=commits&interval=none&group_by=member")
        .to_string();
    assert!(!rows.contains("Ann") && rows.contains("\"person "), "{rows}");
    set(&counted, &json!({ "pseudonyms": false }));
}

pub(crate) fn results_for_fewer_people_than_the_minimum_are_hidden(engine: Engine) {
    let Team { counted, bob, .. } = Team::make(&engine);
    set(&counted, &json!({ "min_group": 3 }));

    for path in [
        format!("commits?{MARCH}&member=Bob"),
        format!("commits?{MARCH}&author=bob@a.example"),
        format!("commits?{MARCH}&team=Ropes"),
        format!("metrics/commits?{MARCH}&member={bob}"),
        format!("metrics/commits/explain?{MARCH}&team=Ropes"),
        format!("query?metric=commits&{MARCH}&group_by=member"),
    ] {
        let reply = counted.call("GET", &path, "");
        reply.check_refusal(403, "fewer than 3 people");
    }

    // The sum of all people is shown, without names.
    let all = counted.get("commits");
    assert_eq!((all["commits"].as_i64(), names(&all)), (Some(4), Vec::new()));
}

pub(crate) fn a_team_smaller_than_the_minimum_has_no_row(engine: Engine) {
    let Team { counted, .. } = Team::make(&engine);
    let rows = || counted.get("query?metric=commits&interval=none&group_by=team")["rows"].clone();

    set(&counted, &json!({ "min_group": 3 }));
    assert_eq!(rows(), json!([]));

    set(&counted, &json!({ "min_group": 2 }));
    assert_eq!(rows()[0]["value"], 3.0);

    set(&counted, &json!({ "min_group": 0 }));
}

/// At first, the team has one member. The previous window and the days of one member are hidden.
pub(crate) fn the_days_of_a_team_with_too_few_members_are_hidden(engine: Engine) {
    let team = Team::make(&engine);
    set(&team.counted, &json!({ "min_group": 2 }));

    let memberships = [
        json!({ "member_id": team.bob }),
        json!({ "member_id": team.ann, "from": "2026-03-03" }),
    ];
    team.make_team("Late", &memberships);

    let path = "/api/v1/insights/metrics/commits?from=2026-03-02&to=2026-03-06&team=Late";
    let of_late = team.counted.server.get(path);
    check_shows(&of_late, &json!({ "value": 2.0 }));
    assert_eq!(of_late["previous"]["value"], Value::Null);

    let days: Vec<&Value> = items(&of_late["series"]).iter().map(|part| &part["value"]).collect();
    assert_eq!(days, [&Value::Null, &json!(1.0), &json!(1.0), &json!(0.0)]);
}

pub(crate) fn an_erasure_must_be_confirmed_and_can_be_tried(engine: Engine) {
    let team = Team::make(&engine);
    team.erase(json!({})).check_refusal(422, "dry_run");

    let tried = team.erase(json!({ "dry_run": true, "confirm": true })).json();
    check_shows(&tried, &json!({ "identities": 2, "accounts": 1 }));
    assert_eq!(items(&tried["people"]).len(), 3, "{tried}");

    let members = team.counted.call("GET", "members", "").body;
    assert!(members.contains("Ann"), "a dry run changes nothing");

    let empty = team.counted.call("POST", "identities/erase", "{}");
    empty.checked(400);
}

/// This also holds for later events and after a rebuild.
pub(crate) fn an_erased_person_is_counted_but_never_named(engine: Engine) {
    let mut team = Team::make_erased(&engine);
    team.check_erased();

    team.counted.server.kill();
    team.counted.server.restart();

    for words in [["verify"], ["rebuild"]] {
        check_run(&team.counted.server, &words, &["equal"]);
    }

    team.check_erased();
}

/// The last change can be undone and redone, but an erasure cannot.
pub(crate) fn an_erasure_cannot_be_undone(engine: Engine) {
    let team = Team::make_erased(&engine);
    for _ in 0..2 {
        team.undo();
        team.check_erased();
    }

    make_member(&team.counted, "Dee", &["dee@a.example"]);
    for expected in [1, 2, 1] {
        team.undo();

        let members = team.counted.server.get("/api/v1/insights/members");
        assert_eq!(items(&members["items"]).len(), expected);
    }
}

fn keep(counted: &Counted, body: &Value) -> Reply {
    counted.call("PUT", "privacy/kept", &body.to_string())
}

pub(crate) fn a_retention_must_be_confirmed_and_can_be_tried(engine: Engine) {
    let Team { counted, .. } = Team::make(&engine);
    let tried = keep(
        &counted,
        &json!({ "project": "other/thing", "days": 1, "dry_run": true }),
    );
    assert_eq!(tried.checked(200).json()["kept_days"], json!({ "9": 1 }));

    // A dry run changes nothing.
    let privacy = counted.server.get("/api/v1/insights/privacy");
    assert_eq!(privacy["kept_days"], json!({}));

    let refused = keep(&counted, &json!({ "project": "other/thing", "days": 1 }));
    refused.check_refusal(422, "confirm");
}

pub(crate) fn facts_of_a_project_are_deleted_after_its_retention(engine: Engine) {
    let Team { mut counted, .. } = Team::make(&engine);
    let kept = keep(
        &counted,
        &json!({ "project": "other/thing", "days": 1, "confirm": true }),
    );
    assert_eq!(kept.checked(200).json()["kept_days"], json!({ "9": 1 }));

    counted.server.kill();
    counted.server.restart();
    wait_for_commits(&counted, 3);
    counted.check_values(&[("commits?project=other/thing", 0.0)]);
    assert_eq!(counted.get("commits?project=gear/rope")["commits"], 3);

    let ended = keep(&counted, &json!({ "project": "other/thing", "days": null }));
    assert_eq!(ended.checked(200).json()["kept_days"], json!({}));
}
