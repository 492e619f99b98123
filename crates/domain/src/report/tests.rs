//! Composed bodies against samples of our own, one for each kind that is made of attributes.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::compose;
use crate::compose::{ComposeError, Happened, Instance, Scene, UploadLinks, User, kind_of};
use crate::scope::{Group, Project};
use crate::{GroupId, ProjectId, Timestamp, Trigger};

pub(crate) fn project() -> Project {
    Project {
        id: ProjectId(15),
        group: GroupId(3),
        name: "Rope".into(),
        path_with_namespace: "gear/rope".into(),
        namespace: "Gear".into(),
        description: Some(String::new()),
        default_branch: Some("main".into()),
        visibility_level: 0,
        created_at: Timestamp::default(),
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    RawValue::from_string(value.to_string()).expect("JSON")
}

fn try_compose(trigger: Trigger, object: &Value, previous: Option<&Value>, user: &User) -> Result<Value, ComposeError> {
    let (object, previous) = (raw(object), previous.map(raw));
    let happened = Happened {
        trigger,
        scene: Scene::Project(&project()),
        user,
        object: &object,
        previous: previous.as_deref(),
        instance: Instance {
            base_url: "https://git.example.com",
            upload_links: UploadLinks::default(),
        },
        at: Timestamp::from_seconds(1_773_649_800),
    };
    compose(&happened).map(|body| serde_json::from_slice(&body).expect("JSON"))
}

pub(crate) fn of(trigger: Trigger, object: &Value, previous: Option<&Value>) -> Value {
    let user = User {
        id: 4,
        name: "John".into(),
        username: "jsmith".into(),
        email: None,
        avatar_url: None,
    };
    try_compose(trigger, object, previous, &user).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

fn trigger(name: &str) -> Trigger {
    Trigger::by_name(name).expect("a trigger")
}

#[test]
fn what_cannot_be_composed_says_what_is_missing() {
    let user = User::default();
    let error = |name: &str, object: &str| {
        let object = serde_json::from_str(object).expect("JSON");
        try_compose(trigger(name), &object, None, &user)
            .expect_err("it is refused")
            .to_string()
    };
    assert_eq!(error("issue_hooks", "{}"), "the object of issue_hooks has no iid");
    assert!(error("issue_hooks", "[]").contains("not usable"));
    assert!(error("note_hooks", r#"{"note":"x"}"#).ends_with("has no commit, merge_request, issue or snippet"));
    assert!(error("note_hooks", r#"{"note":"x","issue":{}}"#).ends_with("has no iid"));

    let says = |name: &str, object: &str, expected: &str| assert_eq!(error(name, object), expected);
    let list = "labels of the object of issue_hooks has to be a list of objects, as in GitLab's bodies";
    says("issue_hooks", r#"{"iid":1,"labels":["bug"]}"#, list);
    says("issue_hooks", r#"{"iid":1,"labels":"bug"}"#, list);
    assert!(
        error("note_hooks", r#"{"note":"x","issue":{"iid":1,"labels":[null]}}"#).starts_with("labels of the object")
    );
    assert!(error("note_hooks", r#"{"note":"x","issue":7}"#).starts_with("issue of the object"));
    assert!(error("merge_request_hooks", r#"{"iid":1,"last_commit":"ab"}"#).starts_with("last_commit of the object"));

    says(
        "issue_hooks",
        r#"{"iid":"x/../y"}"#,
        "iid of the object of issue_hooks has to be a whole number, as in GitLab's bodies",
    );

    says(
        "emoji_hooks",
        r#"{"name":"x","action":"explode"}"#,
        "the action \"explode\" of the object of emoji_hooks is unknown; use one of award, revoke",
    );

    assert!(error("issue_hooks", r#"{"iid":1,"title":5}"#).contains("has to be a text"));

    let nested = error("note_hooks", r#"{"note":"x","issue":{"iid":1,"confidential":"true"}}"#);
    assert!(
        nested.starts_with("confidential in the issue of the object of note_hooks"),
        "{nested}"
    );

    assert!(error("issue_hooks", r#"{"iid":1,"confidential":"true"}"#).contains("true or false"));
    assert!(error("user_create", r#"{"user":"ida"}"#).starts_with("user of the object"));
    assert!(error("unknown", "{}").contains("cannot be composed"));
    assert!(error("job_hooks", "{}").ends_with("has no build_id"));
    assert!(error("member_hooks", "{}").contains("user_add_to_group, user_update_for_group"));
    assert!(error("pipeline_hooks", "{}").ends_with("has no id"));
}

#[test]
fn confidential_kinds_and_other_work_items_say_so() {
    let object = json!({ "iid": 1, "type": "Incident", "escalation_status": "triggered" });
    let body = of(trigger("confidential_issue_hooks"), &object, None);
    assert_eq!(
        (&body["object_kind"], &body["event_type"]),
        (&"work_item".into(), &"confidential_work_item".into())
    );

    assert_eq!(body["object_attributes"]["confidential"], true);
    assert_eq!(body["object_attributes"]["escalation_status"], "triggered");
    assert!(body.get("assignee").is_none() && body["user"]["email"] == "[REDACTED]");
}

#[test]
fn people_who_came_and_went_stand_in_the_changes() {
    let person = |id: i64, name: &str| json!({ "id": id, "username": name });
    let object = json!({ "iid": 1, "assignees": [person(6, "jo")], "reviewers": [person(4, "ida")] });
    let previous = json!({ "assignees": [], "reviewers": [person(4, "ida")], "draft": true });
    let body = of(trigger("merge_request_hooks"), &object, Some(&previous));

    assert_eq!(
        keys(&body["changes"]),
        ["draft", "assignees"],
        "the reviewers are who they were: {body}"
    );

    assert_eq!(body["changes"]["assignees"]["current"][0]["username"], "jo");
    assert_eq!(body["changes"]["draft"], json!({ "previous": true, "current": false }));

    let same = of(
        trigger("issue_hooks"),
        &object,
        Some(&json!({ "assignees": [person(6, "jo")] })),
    );
    assert_eq!(same["changes"], json!({}));
}

#[test]
fn addresses_are_encoded_and_a_forks_are_not_made_up() {
    let release = of(trigger("release_hooks"), &json!({ "tag": "release/1.0 ä" }), None);
    assert_eq!(
        release["url"],
        "https://git.example.com/gear/rope/-/releases/release%2F1.0%20%C3%A4"
    );

    let archive = "https://git.example.com/gear/rope/-/archive/release/1.0%20%C3%A4/rope-release-1.0%20%C3%A4.zip";
    assert_eq!(release["assets"]["sources"][0]["url"], archive);

    let fork = json!({ "iid": 1, "source_project_id": 99, "labels": null, "state": null });
    let fork = of(trigger("merge_request_hooks"), &fork, None);
    let attributes = &fork["object_attributes"];
    assert_eq!(
        (&attributes["source"], &attributes["target"]["id"]),
        (&Value::Null, &15.into())
    );

    assert_eq!(
        (&attributes["state"], &attributes["labels"]),
        (&"opened".into(), &json!([])),
        "null is absent"
    );

    let closed = of(trigger("issue_hooks"), &json!({ "iid": 1, "state_id": 2 }), None);
    assert_eq!(closed["object_attributes"]["state"], "closed");
}

#[test]
fn what_would_become_too_large_is_refused() {
    let refused = |description: String, base_url: &str| {
        let object = raw(&json!({ "iid": 1, "description": description }));
        let (project, user) = (project(), User::default());

        let instance = Instance {
            base_url,
            upload_links: UploadLinks::default(),
        };

        let trigger = trigger("issue_hooks");
        let (scene, at) = (Scene::Project(&project), Timestamp::default());

        let happened = Happened {
            trigger,
            scene,
            user: &user,
            object: &object,
            previous: None,
            instance,
            at,
        };
        compose(&happened).is_err_and(|error| error.to_string().contains("too large"))
    };

    let long = format!("https://{}.example.com", "git-".repeat(12));
    assert!(
        refused("![](a)".repeat(690_000), &long),
        "four megabytes of links are forty with their base"
    );

    assert!(refused("x".repeat(5 << 20), "https://git.example.com"));
    assert!(!refused("![](a)".repeat(1000), &long));
}

#[test]
fn an_object_of_very_many_parts_is_refused_however_short_it_is() {
    let user = User::default();
    let refused = |name: &str, object: &Value, previous: Option<&Value>| {
        matches!(
            try_compose(trigger(name), object, previous, &user),
            Err(ComposeError::TooLarge(_))
        )
    };

    let many = json!(vec![json!([]); 500_000]);
    assert!(refused(
        "issue_hooks",
        &json!({"iid": 1, "title": "t", "more": many}),
        None
    ));

    assert!(refused(
        "merge_request_hooks",
        &json!({"iid": 1}),
        Some(&json!({"title": many}))
    ));

    let push = json!({"before": "a", "after": "b", "ref": "refs/heads/x", "push_options": {"x": many}});
    assert!(refused("push_hooks", &push, None));

    let builds = vec![json!({"id": 1, "stage": "test", "user": {"id": 4, "name": "Ida", "username": "ida"}}); 5000];
    assert!(
        !refused("pipeline_hooks", &json!({"id": 1, "builds": builds}), None),
        "so many jobs a pipeline may have"
    );
}

#[test]
fn what_is_confidential_is_of_the_kind_that_says_so() {
    let check = |name: &str, object: Value, expected: &str| {
        assert_eq!(
            kind_of(trigger(name), &raw(&object)).row().name,
            expected,
            "{name} {object}"
        );
    };
    check("issue_hooks", json!({"confidential": true}), "confidential_issue_hooks");
    check("issue_hooks", json!({"confidential": false}), "issue_hooks");
    check("confidential_issue_hooks", json!({}), "confidential_issue_hooks");
    check("note_hooks", json!({"internal": true}), "confidential_note_hooks");

    check(
        "note_hooks",
        json!({"issue": {"confidential": true}}),
        "confidential_note_hooks",
    );

    check("note_hooks", json!({"issue": {"confidential": null}}), "note_hooks");
    check(
        "merge_request_hooks",
        json!({"confidential": true}),
        "merge_request_hooks",
    );

    check("issue_hooks", json!([]), "issue_hooks");

    // A name that is repeated counts with its last value, as in the body that is composed.
    let of = |object: &str| {
        kind_of(
            trigger("issue_hooks"),
            &RawValue::from_string(object.to_owned()).expect("JSON"),
        )
    };
    assert_eq!(
        of(r#"{"confidential":false,"confidential":true}"#).row().name,
        "confidential_issue_hooks"
    );

    assert_eq!(
        of(r#"{"issue":null,"issue":{"confidential":true}}"#).row().name,
        "confidential_issue_hooks"
    );

    assert_eq!(
        of(r#"{"confidential":true,"confidential":false}"#).row().name,
        "issue_hooks"
    );
}

#[test]
fn an_epic_is_of_a_group_and_of_no_project() {
    let group = Group {
        id: GroupId(3),
        parent: None,
        name: "Gear".into(),
        full_path: "gear/soft".into(),
        description: None,
        visibility_level: 0,
        created_at: Timestamp::default(),
    };

    let compose_in = |scene, kind: &str| {
        let object = raw(&json!({"id": 9, "iid": 2, "title": "Season", "type": kind}));
        let happened = Happened {
            trigger: trigger("issue_hooks"),
            scene,
            user: &User::default(),
            object: &object,
            previous: None,
            instance: Instance {
                base_url: "https://git.example.com",
                upload_links: UploadLinks::default(),
            },
            at: Timestamp::default(),
        };
        compose(&happened).map(|body| serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    let epic = compose_in(Scene::Group(&group), "Epic").expect("composed");
    assert_eq!(
        (&epic["object_kind"], &epic["project"], &epic["repository"]),
        (&json!("work_item"), &Value::Null, &Value::Null)
    );

    assert_eq!(
        epic["object_attributes"]["url"],
        "https://git.example.com/groups/gear/soft/-/epics/2"
    );

    assert_eq!(epic["object_attributes"]["project_id"], Value::Null);

    let task = compose_in(Scene::Group(&group), "Task").expect("composed");
    assert_eq!(
        task["object_attributes"]["url"],
        "https://git.example.com/groups/gear/soft/-/work_items/2"
    );

    let project = project();
    assert!(matches!(
        compose_in(Scene::Project(&project), "Epic"),
        Err(ComposeError::Misplaced(_, "group"))
    ));

    assert!(matches!(
        compose_in(Scene::Instance, "Issue"),
        Err(ComposeError::Misplaced(..))
    ));
}

/// An attribute that no body of the kind has is dropped at any depth, and so is one with the name of a secret.
#[test]
fn a_forge_may_give_all_that_it_knows() {
    let object = json!({"id": 1, "iid": 1, "title": "t", "secret": "S", "internal_rating": "S", "author": {"email": "S"},
        "labels": [{"title": "bug", "api_key": "S"}], "assignees": [{"id": 6, "email": "", "session_id": "S", "ip": "S"}],
        "merge_params": {"private_token": "S", "squash": true}, "source": {"id": 2, "runners_token": "S"}});
    let previous =
        json!({"incoming_email_token": "S", "password": "S", "internal_rating": "S", "title": "T", "labels": null});

    for name in ["issue_hooks", "merge_request_hooks"] {
        let body = of(trigger(name), &object, Some(&previous));
        assert!(!body.to_string().contains("\"S\""), "{body}");
        assert_eq!(keys(&body["changes"]), ["title", "labels"], "{name}");
        assert_eq!(body["changes"]["labels"]["previous"], json!([]));
        assert_eq!(body["assignees"][0]["email"], "[REDACTED]");
    }

    let job = json!({"id": 1, "runner": {"id": 2, "token": "S"}, "source_pipeline": {"project": {"id": 1, "runners_token": "S"}}});
    let body = of(trigger("job_hooks"), &job, None);
    assert!(!body.to_string().contains("\"S\""), "{body}");

    assert_eq!(
        keys(&body["runner"]),
        ["id", "description", "runner_type", "active", "is_shared", "tags"]
    );
}

#[test]
fn what_the_forge_leaves_open_follows_from_the_rest() {
    let merged = of(trigger("merge_request_hooks"), &json!({"iid": 1, "state_id": 3}), None);
    assert_eq!(merged["object_attributes"]["state"], "merged");

    let tier = |name: &str| {
        of(
            trigger("deployment_hooks"),
            &json!({"id": 1, "environment": name}),
            None,
        )["environment_tier"]
            .clone()
    };

    let expected = [
        ("pre-prod", "staging"),
        ("non-prod", "staging"),
        ("stg", "staging"),
        ("prd", "production"),
        ("production", "production"),
        ("review/x", "development"),
        ("QA", "testing"),
        ("moon", "other"),
    ];
    for (name, expected) in expected {
        assert_eq!(tier(name), expected, "{name}");
    }

    let note = json!({"note": "x", "internal": true, "issue": {"iid": 1}});
    assert_eq!(
        of(trigger("confidential_note_hooks"), &note, None)["issue"]["confidential"],
        false
    );

    let note = json!({"note": "x", "issue": {"iid": 1}});
    assert_eq!(
        of(trigger("confidential_note_hooks"), &note, None)["issue"]["confidential"],
        true
    );

    let system = try_compose(
        trigger("note_hooks"),
        &json!({"note": "x", "system": true, "issue": {"iid": 1}}),
        None,
        &User::default(),
    );
    assert!(matches!(system, Err(ComposeError::Silent(..))));
}

#[test]
fn a_deployment_names_its_ref() {
    let deployment = |reported: Value| of(trigger("deployment_hooks"), &reported, None);
    let reported = deployment(json!({"id": 1, "environment": "production", "status": "success", "ref": "v1.0"}));
    assert_eq!(reported["ref"], "v1.0");
    assert_eq!(keys(&reported).last(), Some(&"ref"), "GitLab has it at the end");

    assert_eq!(
        deployment(json!({"id": 1, "environment": "production"}))["ref"],
        Value::Null
    );

    let number = json!({"id": 1, "environment": "production", "ref": 5});
    let refused = try_compose(trigger("deployment_hooks"), &number, None, &User::default());
    assert!(matches!(refused, Err(ComposeError::Shape(..))));
}

#[test]
fn the_reviewers_of_a_merge_request_are_named_wherever_it_stands() {
    let person = json!({"id": 6, "name": "Jo Belay", "username": "jo"});
    let merge_request = json!({"iid": 1, "title": "t", "assignees": [person], "reviewers": [person]});
    let own = of(trigger("merge_request_hooks"), &merge_request, None);

    let comment = of(
        trigger("note_hooks"),
        &json!({"id": 1, "note": "x", "merge_request": merge_request}),
        None,
    );

    let emoji = of(
        trigger("emoji_hooks"),
        &json!({"name": "thumbsup", "merge_request": merge_request}),
        None,
    );

    for attributes in [
        &own["object_attributes"],
        &comment["merge_request"],
        &emoji["merge_request"],
    ] {
        assert_eq!(attributes["reviewer_ids"], json!([6]), "{attributes}");
        assert_eq!(attributes["assignee_ids"], json!([6]), "{attributes}");
        assert_eq!(attributes["merge_params"], json!({"force_remove_source_branch": null}));
    }

    let numbers = json!({"id": 1, "note": "x", "merge_request": {"iid": 1, "reviewer_ids": [7]}});
    let numbers = of(trigger("note_hooks"), &numbers, None);

    assert_eq!(
        numbers["merge_request"]["reviewer_ids"],
        json!([7]),
        "a forge may give the numbers alone"
    );

    assert!(numbers["merge_request"].get("reviewers").is_none());
}

#[test]
fn an_issue_has_a_severity_and_contacts_wherever_it_stands() {
    let contact = json!({"id": 7, "first_name": "Kay", "email": "S", "phone": "S", "state": "inactive"});
    let issue = json!({"iid": 1, "title": "t", "customer_relations_contacts": [contact]});
    let previous = json!({"severity": null, "customer_relations_contacts": [{"id": 8, "email": "S"}]});
    let own = of(trigger("issue_hooks"), &issue, Some(&previous));

    let comment = of(
        trigger("note_hooks"),
        &json!({"id": 1, "note": "x", "issue": issue}),
        None,
    );

    let emoji = of(
        trigger("emoji_hooks"),
        &json!({"name": "thumbsup", "issue": issue}),
        None,
    );

    for attributes in [&own["object_attributes"], &comment["issue"], &emoji["issue"]] {
        assert_eq!(attributes["severity"], "unknown", "{attributes}");

        let contact = &attributes["customer_relations_contacts"][0];
        assert_eq!(
            (&contact["first_name"], &contact["state"]),
            (&json!("Kay"), &json!("inactive"))
        );
    }

    for body in [&own, &comment, &emoji] {
        assert!(
            !body.to_string().contains("\"S\""),
            "addresses of customers are in no body: {body}"
        );
    }

    assert_eq!(
        keys(&own["changes"]),
        ["customer_relations_contacts"],
        "unknown before is unknown now"
    );

    assert_eq!(own["changes"]["customer_relations_contacts"]["previous"][0]["id"], 8);

    let none = of(trigger("issue_hooks"), &json!({"iid": 1}), None);
    assert_eq!(none["object_attributes"]["customer_relations_contacts"], json!([]));
}
