//! Event filters on bodies, and the limits of their work.

use serde_json::json;

use super::*;

#[test]
fn conditions_test_any_field_and_can_be_combined() {
    let body = json!({
        "object_kind": "merge_request", "user": { "username": "ida" }, "ref": "refs/heads/release/1",
        "labels": [{ "title": "Bug" }, { "title": "api" }],
        "object_attributes": { "action": "open", "iid": 5, "draft": false, "title": "Fix the gate", "target_branch": "main" },
        "commits": [{ "added": ["docs/a.md"], "modified": [] }, { "removed": ["src/x.rs"] }],
    });

    for (filter, passes) in [
        (json!({ "field": "object_attributes.action", "is": "open" }), true),
        (
            json!({ "field": "object_attributes.action", "in": ["close", "merge"] }),
            false,
        ),
        (json!({ "field": "object_attributes.iid", "is": 5.0 }), true),
        (json!({ "field": "object_attributes.iid", "over": 4, "under": 6 }), true),
        (json!({ "field": "object_attributes.iid", "over": 5 }), false),
        (json!({ "field": "object_attributes.draft", "is": false }), true),
        (json!({ "field": "object_attributes.title", "contains": "gate" }), true),
        (json!({ "field": "object_attributes.title", "like": "Fix*" }), true),
        (json!({ "field": "object_attributes.title", "matches": "^fix" }), false),
        (
            json!({ "field": "object_attributes.title", "matches": "(?i)^fix" }),
            true,
        ),
        (json!({ "field": "commits.1.removed.0", "is": "src/x.rs" }), true),
        (json!({ "field": "labels.*.title", "is": "api" }), true),
        (json!({ "field": "object_attributes.oldrev", "exists": false }), true),
        (json!({ "field": "user.username", "exists": false }), false),
        (json!({ "label": "bug" }), true),
        (json!({ "label": "feature" }), false),
        (json!({ "path": "docs/*" }), true),
        (json!({ "path": "*.py" }), false),
        (json!({ "branch": "release/*" }), true),
        (json!({ "branch": "main" }), true),
        (json!({ "branch": "develop" }), false),
        (json!({ "actor": "ida" }), true),
        (json!({ "actor": "*-bot" }), false),
        (
            json!({ "all": [{ "label": "bug" }, { "not": { "actor": "jo" } }] }),
            true,
        ),
        (json!({ "any": [{ "actor": "jo" }, { "path": "src/*" }] }), true),
        (json!({ "label": "bug", "actor": "jo" }), false),
        (json!({ "all": [] }), true),
        (json!({ "any": [] }), false),
    ] {
        let parsed = EventFilter::parse(&filter.to_string()).unwrap_or_else(|error| panic!("{filter}: {error}"));
        let wanted = if passes { Answer::Passes } else { Answer::Stopped };
        assert_eq!(parsed.judge(&body, &mut Work::new(100_000)), Ok(wanted), "{filter}");

        let again = EventFilter::parse(parsed.text()).expect("a parsed filter can be parsed again");
        assert_eq!(again.text(), parsed.text());
    }
}

#[test]
fn a_push_that_does_not_list_all_commits_passes_where_the_others_would_decide() {
    let push = |before: &str, count: usize, commits: Value| json!({ "before": before, "after": "b2", "ref": "refs/heads/main", "total_commits_count": count, "commits": commits });
    let docs = json!([{ "added": ["docs/a.md"], "modified": [], "removed": [], "message": "Write" }]);
    let deploys = json!({ "path": "deploy/*" });
    let others = json!({ "not": { "path": "deploy/*" } });

    for (filter, body, answer) in [
        (&deploys, push("a1", 1, docs.clone()), Answer::Stopped),
        (&deploys, push("a1", 35, docs.clone()), Answer::Unknown),
        (&others, push("a1", 35, docs.clone()), Answer::Unknown),
        (&others, push("a1", 1, docs.clone()), Answer::Passes),
        (
            &json!({ "path": "docs/*" }),
            push("a1", 35, docs.clone()),
            Answer::Passes,
        ),
        (
            &json!({ "not": { "path": "docs/*" } }),
            push("a1", 35, docs.clone()),
            Answer::Stopped,
        ),
        (&deploys, push("a1", 0, json!([])), Answer::Unknown),
        (&deploys, push("0000", 0, json!([])), Answer::Stopped),
        (
            &json!({ "all": [deploys, { "branch": "stable" }] }),
            push("a1", 35, docs.clone()),
            Answer::Stopped,
        ),
        (
            &json!({ "any": [deploys, { "branch": "main" }] }),
            push("a1", 35, docs.clone()),
            Answer::Passes,
        ),
        (
            &json!({ "field": "commits.*.message", "contains": "Fix" }),
            push("a1", 35, docs.clone()),
            Answer::Unknown,
        ),
        (
            &json!({ "field": "commits.20.id", "exists": false }),
            push("a1", 35, docs.clone()),
            Answer::Unknown,
        ),
        (
            &json!({ "field": "commits.0.added", "exists": false }),
            push("a1", 35, docs),
            Answer::Stopped,
        ),
    ] {
        let parsed = EventFilter::parse(&filter.to_string()).expect("a filter");
        assert_eq!(
            parsed.judge(&body, &mut Work::new(100_000)),
            Ok(answer),
            "{filter} on {body}"
        );
    }
}

#[test]
fn a_filter_gives_up_when_its_work_is_used_up() {
    let pairs = vec![json!({ "a": 1, "b": 2 }); 2_000];
    let body = json!({ "x": "ab".repeat(100_000), "list": vec![1; 50_000], "y": "a".repeat(100_000), "pairs": pairs });
    let many: Vec<Value> = (0..9)
        .map(|at| json!({ "field": "x", "matches": format!("[ab]*a[ab]{{{}}}[^ab]", 92 - at) }))
        .collect();

    for filter in [
        json!({ "any": many }),
        json!({ "field": "y", "like": format!("*{}b", "a".repeat(3_500)) }),
        json!({ "any": vec![json!({ "field": "list.*", "is": 2 }); 90] }),
        json!({ "field": "list.*", "in": (2..1_500).collect::<Vec<_>>() }),
        json!({ "field": "list.*", "contains": "2" }),
        json!({ "field": format!("pairs.*.{}", "a".repeat(7_900)), "exists": true }),
    ] {
        let filter = EventFilter::parse(&filter.to_string()).expect("a filter");
        let mut work = Work::new(1_000_000);
        assert_eq!(filter.judge(&body, &mut work), Err(Exhausted), "{:.60}", filter.text());
        assert_eq!((work.left(), work.taken()), (0, 1_000_000));
    }
}

#[test]
fn an_invalid_filter_is_refused_with_the_reason() {
    let deep = (0..20).fold(r#"{"actor":"ida"}"#.to_owned(), |inside, _| {
        format!(r#"{{"not":{inside}}}"#)
    });
    let many = format!(r#"{{"any":[{}]}}"#, vec![r#"{"actor":"i"}"#; 200].join(","));
    let expressions = format!(r#"{{"any":[{}]}}"#, [r#"{"field":"a","matches":"b"}"#; 11].join(","));
    let long = format!(r#"{{"actor":"{}"}}"#, "i".repeat(9000));

    for (text, why) in [
        ("nonsense", "is not a condition"),
        ("{}", "it has no condition"),
        (r#"{"field":"a"}"#, "needs a test"),
        (r#"{"is":1}"#, "needs a field"),
        (r#"{"lable":"bug"}"#, "unknown field"),
        (r#"{"field":"a","matches":"("}"#, "expression"),
        (r#"{"field":"a","matches":"\\w{400}"}"#, "too large"),
        (
            r#"{"any":[{"field":"a","matches":"a{1500}"},{"field":"a","matches":"b{1500}"}]}"#,
            "together they have 30",
        ),
        (&*expressions, "more than 10"),
        (&*deep, "deeper"),
        (&*many, "more than"),
        (&*long, "too long"),
    ] {
        let error = EventFilter::parse(text).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}
