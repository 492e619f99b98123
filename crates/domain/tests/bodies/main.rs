//! Compares composed bodies with our samples, at least one for each kind, and with the fields that GitLab documents.
//! `QUICKDRAW_ACCEPT_SAMPLES=1 cargo test -p quickdraw-domain --test bodies` writes the current bodies as samples:
//! review the difference.

mod registry;
mod reports;

use std::collections::{BTreeMap, BTreeSet};

use reports::{Report, find, fixtures, reports};
use serde_json::Value;

#[test]
fn reports_become_the_samples() {
    let all = reports();
    assert!(all.len() > 60, "{}", all.len());

    for Report { trigger, variant, text } in all {
        let name = if variant.is_empty() {
            "sample.json".to_owned()
        } else {
            format!("sample-{variant}.json")
        };
        let sample = std::fs::read_to_string(fixtures().join(&trigger).join(&name)).unwrap_or_default();
        assert_eq!(text, sample, "{trigger}/{name}, which is now:\n{text}");
    }
}

/// The report that corresponds to a documented sample: its trigger and variant.
fn counterpart(sample: &str) -> (&str, &str) {
    match sample {
        "push" | "system-push" => ("push_hooks", ""),
        "tag_push" | "system-tag_push" => ("tag_push_hooks", ""),
        "issue" => ("issue_hooks", "changed"),
        "note-commit" => ("note_hooks", "commit"),
        "note-issue" => ("note_hooks", "issue"),
        "note-merge_request" => ("note_hooks", "merge_request"),
        "note-snippet" => ("note_hooks", "snippet"),
        "merge_request-update-oldrev-partial" => ("merge_request_hooks", "oldrev"),
        "merge_request-system-initiated-partial" => ("merge_request_hooks", "system"),
        "merge_request-review-rerequested-partial" => ("merge_request_hooks", "re_requested"),
        sample if sample.contains("merge_request") => ("merge_request_hooks", "changed"),
        "job" => ("job_hooks", ""),
        "pipeline" => ("pipeline_hooks", "downstream"),
        "wiki_page" => ("wiki_page_hooks", ""),
        "deployment" => ("deployment_hooks", ""),
        "feature_flag" => ("feature_flag_hooks", ""),
        "release" => ("release_hooks", ""),
        "milestone" => ("milestone_hooks", ""),
        "emoji-note_on_issue" => ("emoji_hooks", ""),
        "resource_access_token-group" => ("resource_access_token_hooks", "group"),
        "resource_access_token-project" => ("resource_access_token_hooks", ""),
        "resource_deploy_token-project" => ("resource_deploy_token_hooks", ""),
        "vulnerability" => ("vulnerability_hooks", ""),
        "member-add" => ("member_hooks", ""),
        "member-update" => ("member_hooks", "update"),
        "member-remove" => ("member_hooks", "remove"),
        "member-access-request" => ("member_hooks", "request"),
        "member-access-request-denied" => ("member_hooks", "denied"),
        "subgroup-create" => ("subgroup_hooks", ""),
        "subgroup-destroy" => ("subgroup_hooks", "destroy"),
        "project-create" => ("project_hooks", ""),
        "project-destroy" => ("project_hooks", "destroy"),
        "system-repository_update" => ("repository_update_hooks", ""),
        "system-member_approval-enqueue" => ("gitlab_subscription_member_approval", ""),
        "system-member_approvals-approve" => ("gitlab_subscription_member_approvals", ""),
        "system-member_approvals-deny" => ("gitlab_subscription_member_approvals", "deny"),
        "system-test-mock" => ("project_create", ""),
        sample => (sample.strip_prefix("system-").unwrap_or(sample), ""),
    }
}

/// Documented fields that a composed body lacks, with the reason.
const NOT_COMPOSED: [(&str, &str, &str); 3] = [
    (
        "note-issue",
        "issue.branch_name",
        "GitLab no longer has this column; its sample is from 2015",
    ),
    ("note-issue", "issue.position", "the same"),
    ("note-merge_request", "merge_request.position", "the same"),
];

fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(values) => {
            for (name, value) in values {
                let path = if at.is_empty() {
                    name.clone()
                } else {
                    format!("{at}.{name}")
                };
                found.insert(path.clone());
                paths(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, &format!("{at}[]"), found)),
        _ => {}
    }
}

/// `fixtures/gitlab/documented.json` has the field paths of every sample that GitLab documents.
#[test]
fn every_documented_field_is_composed() {
    let documented = include_str!("../../../../fixtures/gitlab/documented.json");
    let documented: BTreeMap<String, Vec<String>> = serde_json::from_str(documented).expect("JSON");
    assert_eq!(documented.len(), 66);

    let reports = reports();
    let mut missing = Vec::new();

    for (sample, wanted) in &documented {
        let (trigger, variant) = counterpart(sample);
        let mut found = BTreeSet::new();
        paths(&find(&reports, trigger, variant).body(), "", &mut found);

        let is_explained = |path: &str| {
            NOT_COMPOSED
                .iter()
                .any(|(of, known, _)| (*of == sample || of.is_empty()) && *known == path)
        };

        missing.extend(
            wanted
                .iter()
                .filter(|path| !found.contains(*path) && !is_explained(path))
                .map(|path| format!("{sample}: {path}")),
        );
    }

    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Fields that GitLab's code writes and its documented samples lack or leave open: the trigger, the variant of the
/// report, the JSON pointer, and the expected value.
const IN_ITS_CODE_ALONE: [(&str, &str, &str, &str); 11] = [
    ("deployment_hooks", "", "/ref", r#""main""#),
    ("note_hooks", "merge_request", "/merge_request/reviewer_ids", "[4]"),
    ("note_hooks", "", "/merge_request/reviewer_ids", "[]"),
    ("emoji_hooks", "merge_request", "/merge_request/reviewer_ids", "[4]"),
    (
        "merge_request_hooks",
        "",
        "/object_attributes/merge_params/force_remove_source_branch",
        "null",
    ),
    (
        "note_hooks",
        "",
        "/merge_request/merge_params/force_remove_source_branch",
        "null",
    ),
    ("issue_hooks", "epic", "/object_attributes/severity", r#""unknown""#),
    ("note_hooks", "issue", "/issue/severity", r#""unknown""#),
    (
        "issue_hooks",
        "",
        "/object_attributes/customer_relations_contacts",
        "[]",
    ),
    (
        "issue_hooks",
        "changed",
        "/object_attributes/customer_relations_contacts/0/first_name",
        r#""Kay""#,
    ),
    (
        "note_hooks",
        "snippet",
        "/snippet/expires_at",
        r#""2026-12-19 08:00:00 UTC""#,
    ),
];

#[test]
fn fields_that_only_the_code_of_gitlab_shows_are_composed() {
    let reports = reports();
    for (trigger, variant, place, expected) in IN_ITS_CODE_ALONE {
        let body = find(&reports, trigger, variant).body();
        let expected: Value = serde_json::from_str(expected).expect("JSON");
        assert_eq!(body.pointer(place), Some(&expected), "{trigger} {variant} {place}");
    }
}

/// Documented formats of times that real bodies do not have, with the reason: part of a sample's name, part of a path.
const OTHER_FORMATS: [(&str, &str, &str); 4] = [
    ("issue", "object_attributes.", "documented with Z; real bodies have UTC"),
    (
        "merge_request",
        "object_attributes.",
        "documented in both ways, with UTC in the newer sample",
    ),
    ("", "labels", "documented in three ways; real bodies have UTC"),
    (
        "key_",
        "created_at",
        "UTC beside an updated_at with Z; here both have Z",
    ),
];

/// A time with each digit replaced by 0, and without the sign of a zero offset.
fn time_format(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect::<String>()
        .replace("-00:00", "+00:00")
}

/// `fixtures/gitlab/documented_times.json` lists the paths of all times of each sample, with one time in its documented
/// format.
#[test]
fn times_are_spelled_as_documented() {
    let documented = include_str!("../../../../fixtures/gitlab/documented_times.json");
    let documented: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(documented).expect("JSON");
    let reports = reports();
    let (mut compared, mut wrong) = (0, Vec::new());

    for (sample, times) in &documented {
        let (trigger, variant) = counterpart(sample);
        let body = find(&reports, trigger, variant).body();

        for (path, expected) in times {
            let mut found = Vec::new();
            at(&body, path, &mut found);

            let is_explained = |(of, part, _): &(&str, &str, &str)| sample.contains(of) && path.contains(part);
            for text in found.into_iter().filter(|_| !OTHER_FORMATS.iter().any(is_explained)) {
                compared += 1;
                if time_format(text) != time_format(expected) {
                    wrong.push(format!("{sample}: {path}: {text}, documented as {expected}"));
                }
            }
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 100, "{compared}");
}

/// The texts at a path.
fn at<'a>(value: &'a Value, path: &str, found: &mut Vec<&'a str>) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let value = &value[first.trim_end_matches("[]")];

    let each = if first.ends_with("[]") {
        value.as_array().into_iter().flatten().collect()
    } else {
        vec![value]
    };

    for one in each {
        if rest.is_empty() {
            found.extend(one.as_str())
        } else {
            at(one, rest, found)
        }
    }
}
