//! The rows of the catalog, one per kind of event. What the columns mean is said in [`super::Row`].

use super::{Row, Testable};
use crate::scope::Levels;

const NOT_TESTABLE: Testable = Testable::No("Testing not available for this hook");

/// What most rows share; each row says where it differs.
const USUAL: Row = Row {
    code: 0,
    name: "unknown",
    attribute: None,
    header: "",
    object_kinds: &[],
    event_names: &[],
    confidential: false,
    levels: Levels::NONE,
    on_by_default: Levels::NONE,
    branch_filter: false,
    test: Testable::Yes,
};

const fn system(code: u8, name: &'static str, event_names: &'static [&'static str]) -> Row {
    Row {
        code,
        name,
        header: "System Hook",
        event_names,
        levels: Levels::S,
        on_by_default: Levels::S,
        test: NOT_TESTABLE,
        ..USUAL
    }
}

/// Every kind; the first row stands for what no other describes.
pub static ROWS: [Row; 51] = [
    Row { attribute: Some("other_events"), header: "Other Hook", levels: Levels::PGS, test: NOT_TESTABLE, ..USUAL },
    Row {
        code: 1,
        name: "push_hooks",
        attribute: Some("push_events"),
        header: "Push Hook",
        object_kinds: &["push"],
        event_names: &["push"],
        levels: Levels::PGS,
        on_by_default: Levels::PG,
        branch_filter: true,
        ..USUAL
    },
    Row {
        code: 2,
        name: "tag_push_hooks",
        attribute: Some("tag_push_events"),
        header: "Tag Push Hook",
        object_kinds: &["tag_push"],
        event_names: &["tag_push"],
        levels: Levels::PGS,
        ..USUAL
    },
    Row {
        code: 3,
        name: "issue_hooks",
        attribute: Some("issues_events"),
        header: "Issue Hook",
        object_kinds: &["issue", "work_item"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 4,
        name: "confidential_issue_hooks",
        attribute: Some("confidential_issues_events"),
        header: "Confidential Issue Hook",
        object_kinds: &["issue", "work_item"],
        confidential: true,
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 5,
        name: "note_hooks",
        attribute: Some("note_events"),
        header: "Note Hook",
        object_kinds: &["note"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 6,
        name: "confidential_note_hooks",
        attribute: Some("confidential_note_events"),
        header: "Confidential Note Hook",
        object_kinds: &["note"],
        confidential: true,
        levels: Levels::PG,
        test: NOT_TESTABLE,
        ..USUAL
    },
    Row {
        code: 7,
        name: "merge_request_hooks",
        attribute: Some("merge_requests_events"),
        header: "Merge Request Hook",
        object_kinds: &["merge_request"],
        levels: Levels::PGS,
        ..USUAL
    },
    Row {
        code: 8,
        name: "job_hooks",
        attribute: Some("job_events"),
        header: "Job Hook",
        object_kinds: &["build"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 9,
        name: "pipeline_hooks",
        attribute: Some("pipeline_events"),
        header: "Pipeline Hook",
        object_kinds: &["pipeline"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 10,
        name: "wiki_page_hooks",
        attribute: Some("wiki_page_events"),
        header: "Wiki Page Hook",
        object_kinds: &["wiki_page"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 11,
        name: "deployment_hooks",
        attribute: Some("deployment_events"),
        header: "Deployment Hook",
        object_kinds: &["deployment"],
        levels: Levels::PG,
        test: NOT_TESTABLE,
        ..USUAL
    },
    Row {
        code: 12,
        name: "feature_flag_hooks",
        attribute: Some("feature_flag_events"),
        header: "Feature Flag Hook",
        object_kinds: &["feature_flag"],
        levels: Levels::PG,
        test: NOT_TESTABLE,
        ..USUAL
    },
    Row {
        code: 13,
        name: "release_hooks",
        attribute: Some("releases_events"),
        header: "Release Hook",
        object_kinds: &["release"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 14,
        name: "milestone_hooks",
        attribute: Some("milestone_events"),
        header: "Milestone Hook",
        object_kinds: &["milestone"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 15,
        name: "emoji_hooks",
        attribute: Some("emoji_events"),
        header: "Emoji Hook",
        object_kinds: &["emoji"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 16,
        name: "resource_access_token_hooks",
        attribute: Some("resource_access_token_events"),
        header: "Resource Access Token Hook",
        object_kinds: &["access_token"],
        event_names: &["expiring_access_token"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 17,
        name: "resource_deploy_token_hooks",
        attribute: Some("resource_deploy_token_events"),
        header: "Resource Deploy Token Hook",
        object_kinds: &["deploy_token"],
        event_names: &["expiring_deploy_token"],
        levels: Levels::P,
        ..USUAL
    },
    Row {
        code: 18,
        name: "vulnerability_hooks",
        attribute: Some("vulnerability_events"),
        header: "Vulnerability Hook",
        object_kinds: &["vulnerability"],
        levels: Levels::PG,
        ..USUAL
    },
    Row {
        code: 19,
        name: "member_hooks",
        attribute: Some("member_events"),
        header: "Member Hook",
        event_names: &[
            "user_add_to_group",
            "user_update_for_group",
            "user_remove_from_group",
            "user_access_request_to_group",
            "user_access_request_denied_for_group",
        ],
        levels: Levels::G,
        test: NOT_TESTABLE,
        ..USUAL
    },
    Row {
        code: 20,
        name: "subgroup_hooks",
        attribute: Some("subgroup_events"),
        header: "Subgroup Hook",
        event_names: &["subgroup_create", "subgroup_destroy"],
        levels: Levels::G,
        test: NOT_TESTABLE,
        ..USUAL
    },
    Row {
        code: 21,
        name: "project_hooks",
        attribute: Some("project_events"),
        header: "Project Hook",
        event_names: &["project_create", "project_destroy"],
        levels: Levels::G,
        test: NOT_TESTABLE,
        ..USUAL
    },
    Row {
        code: 22,
        name: "repository_update_hooks",
        attribute: Some("repository_update_events"),
        header: "System Hook",
        event_names: &["repository_update"],
        levels: Levels::S,
        on_by_default: Levels::S,
        test: NOT_TESTABLE,
        ..USUAL
    },
    system(23, "project_create", &["project_create"]),
    system(24, "project_destroy", &["project_destroy"]),
    system(25, "project_update", &["project_update"]),
    system(26, "project_rename", &["project_rename"]),
    system(27, "project_transfer", &["project_transfer"]),
    system(28, "user_add_to_team", &["user_add_to_team"]),
    system(29, "user_remove_from_team", &["user_remove_from_team"]),
    system(30, "user_update_for_team", &["user_update_for_team"]),
    system(31, "user_access_request_to_project", &["user_access_request_to_project"]),
    system(32, "user_access_request_revoked_for_project", &["user_access_request_revoked_for_project"]),
    system(33, "user_add_to_group", &["user_add_to_group"]),
    system(34, "user_remove_from_group", &["user_remove_from_group"]),
    system(35, "user_update_for_group", &["user_update_for_group"]),
    system(36, "user_access_request_to_group", &["user_access_request_to_group"]),
    system(37, "user_access_request_revoked_for_group", &["user_access_request_revoked_for_group"]),
    system(38, "user_create", &["user_create"]),
    system(39, "user_destroy", &["user_destroy"]),
    system(40, "user_rename", &["user_rename"]),
    system(41, "user_failed_login", &["user_failed_login"]),
    system(42, "key_create", &["key_create"]),
    system(43, "key_destroy", &["key_destroy"]),
    system(44, "group_create", &["group_create"]),
    system(45, "group_destroy", &["group_destroy"]),
    system(46, "group_rename", &["group_rename"]),
    Row {
        object_kinds: &["gitlab_subscription_member_approval"],
        ..system(47, "gitlab_subscription_member_approval", &[])
    },
    Row {
        object_kinds: &["gitlab_subscription_member_approvals"],
        ..system(48, "gitlab_subscription_member_approvals", &[])
    },
    // Not GitLab's, which writes e-mails instead. Off unless asked for.
    Row {
        attribute: Some("hook_state_events"),
        on_by_default: Levels::NONE,
        ..system(49, "hook_state_hooks", &["hook_paused", "hook_disabled", "hook_enabled"])
    },
    // Not GitLab's. Off unless asked for.
    Row {
        attribute: Some("insight_alert_events"),
        on_by_default: Levels::NONE,
        ..system(50, "insight_alert_hooks", &["insight_alert"])
    },
];
