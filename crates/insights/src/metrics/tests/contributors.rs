//! A person is one contributor with any spelling, and a change is one change with any number of repeats.

use super::*;

fn commit_by(sha: &str, name: &str, email: &str) -> Value {
    json!({ "id": sha, "message": sha, "timestamp": "2026-03-02T12:00:00Z", "author": { "name": name, "email": email } })
}

fn contributors(authors: &[(&str, &str)]) -> (Option<f64>, Option<f64>) {
    let commits: Vec<Value> = authors
        .iter()
        .enumerate()
        .map(|(number, (name, email))| commit_by(&format!("c{number}"), name, email))
        .collect();

    let all = [push("main", ("0", "c"), commits.len(), &commits)];
    (
        measured("contributors", &all, None).value,
        measured("work_balance", &all, None).value,
    )
}

#[test]
fn one_address_is_one_contributor_whatever_the_name_and_the_case() {
    let spellings = [
        ("snow", "jun@example.com"),
        ("Jun Koo", "jun@example.com"),
        ("Jun, Koo", "jun@example.com"),
        ("user.email", "jun@example.com"),
        ("jun koo", "Jun@Example.com"),
        ("Jun Koo", " jun@example.com "),
    ];
    assert_eq!(contributors(&spellings).0, Some(1.0));

    let with_ida = [&spellings[..4], &[("Ida", "ida@example.com")]].concat();
    assert_eq!(contributors(&with_ida), (Some(2.0), Some(0.3)), "four commits and one");

    assert_eq!(
        contributors(&[("Ida", ""), ("ida", ""), ("Jun", "")]).0,
        Some(2.0),
        "without addresses, by name"
    );
}

#[test]
fn the_number_in_a_private_address_is_an_account() {
    let of_account = [
        ("Ida", "77-ida@users.noreply.gitlab.example.com"),
        ("Ida Ridge", "77-ida.ridge@users.noreply.gitlab.example.com"),
    ];
    assert_eq!(contributors(&of_account).0, Some(1.0));

    let of_another = [of_account[0], ("Jun", "78-jun@users.noreply.gitlab.example.com")];
    assert_eq!(contributors(&of_another).0, Some(2.0));

    let on_github = [
        ("Ida", "77+ida@users.noreply.github.com"),
        ("Ida", "77+ida-ridge@users.noreply.github.com"),
        of_account[0],
    ];

    assert_eq!(
        contributors(&on_github).0,
        Some(2.0),
        "the ids are of GitHub's accounts"
    );
}

fn change(sha: &str, message: &str, at: &str, paths: &[&str]) -> Value {
    json!({ "id": sha, "message": message, "timestamp": at, "author": { "name": "Ida", "email": "i@x" }, "modified": paths })
}

#[test]
fn a_change_that_is_picked_or_signed_again_is_the_same_change() {
    let at = "2026-03-02T12:00:00Z";
    let once = change("a", "Tie the knot\n\nIt slipped.", at, &["knots"]);

    for message in [
        "Tie the knot\n\nIt slipped.\n\n(cherry picked from commit a)",
        "Tie the knot\n\nIt slipped.\n\n\n(cherry picked from commit a)\n\nCo-authored-by: Jun <j@x>\n",
        "Tie the knot\n\nIt slipped.\n\nChange-Id: I4f\nSigned-off-by: Ida <i@x>",
        "Tie the knot\n\nIt slipped.\n",
    ] {
        let again = change("b", message, at, &["knots"]);
        let all = [
            push("main", ("0", "a"), 1, std::slice::from_ref(&once)),
            push("release", ("0", "b"), 1, &[again]),
        ];
        let of = |name: &str| measured(name, &all, None).value;

        assert_eq!(
            (of("commits"), of("unique_changes")),
            (Some(2.0), Some(1.0)),
            "{message:?}"
        );
    }

    let other = change("b", "Tie the knot\n\nIt slipped: twice.", at, &["knots"]);
    let all = [
        push("main", ("0", "a"), 1, &[once]),
        push("release", ("0", "b"), 1, &[other]),
    ];
    assert_eq!(measured("unique_changes", &all, None).value, Some(2.0), "not a trailer");
}

/// Three commits of a branch, and the result of squashing them.
fn squashed(merge_commit: Option<&str>, squash_paths: &[&str], squash_at: &str) -> Vec<(&'static str, Value)> {
    let at = "2026-03-02T09:00:00Z";
    let own = [
        change("f1", "one", at, &["knots"]),
        change("f2", "two", at, &["rope"]),
        change("f3", "three", at, &["rope"]),
    ];

    let squash = change("s", "Tie knots", squash_at, squash_paths);
    let mut on_main = vec![squash];
    if let Some(sha) = merge_commit {
        on_main.push(change(sha, "Merge branch 'feat' into 'main'", squash_at, squash_paths));
    }

    let after = merge_commit.unwrap_or("s").to_owned();
    let (trigger, mut to_main) = push("main", ("0old", after.as_str()), on_main.len(), &on_main);
    to_main["project"]["default_branch"] = json!("main");

    let more = json!({ "merge_commit_sha": merge_commit, "target_branch": "main" });
    vec![
        push("main", ("0", "0old"), 1, &[change("0old", "older", at, &["elsewhere"])]),
        push("feat", ("0", "f3"), 3, &own),
        (trigger, to_main),
        merge_request(5, "2026-03-02 08:00:00 UTC", "2026-03-02 13:00:00 UTC", more),
    ]
}

#[test]
fn a_squashed_change_counts_once() {
    let merged = "2026-03-02T13:00:00Z";
    let of = |all: &[(&str, Value)], name: &str| measured(name, all, None).value;
    let with_merge = squashed(Some("m"), &["knots", "rope"], merged);

    assert_eq!(
        (of(&with_merge, "commits"), of(&with_merge, "changes")),
        (Some(5.0), Some(4.0)),
        "with an older commit"
    );

    assert_eq!(
        of(&with_merge, "unique_changes"),
        Some(5.0),
        "the squashed commits count too"
    );

    let fast_forward = squashed(None, &["knots", "rope"], merged);
    assert_eq!(of(&fast_forward, "changes"), Some(4.0), "recognised by time and paths");

    let at_another_time = squashed(None, &["knots", "rope"], "2026-03-03T13:00:00Z");
    assert_eq!(of(&at_another_time, "changes"), Some(5.0), "not recognised");

    let without_merge_request = &with_merge[..3];
    assert_eq!(of(without_merge_request, "changes"), Some(5.0));
}
