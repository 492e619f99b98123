//! The table of the role matrix: the right that each endpoint requires, and the roles that have it.

use crate::http::Reply;

/// The right that an endpoint requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// No right.
    Open,

    /// The secret of the source, which no role here has.
    Secret,

    /// Any valid token.
    SignedIn,

    /// The user whose token the request names. Here, that is the token of the administrator.
    OwnToken,

    /// A guest of the project or group.
    Member,

    /// A maintainer of the project, or an owner of the group.
    Manager,

    /// A maintainer of the project that the parameter `project` names.
    ManagerOfNamed,

    /// A maintainer of the project of the object, which does not exist for other users.
    ManagerOfShown,

    /// An owner of the project or group.
    Owner,

    /// Any valid token: the request names an object that is missing, which looks the same for everybody.
    Missing,

    /// An administrator, because the object is of an administrator: it does not exist for other users.
    HiddenFromMembers,

    /// An administrator.
    Admin,
}

/// Parts of `/api/v1` that are for administrators.
const OF_ADMINS: [&str; 20] = [
    "active_hooks",
    "audit",
    "event_filters/",
    "guard/",
    "insights/alerts",
    "insights/backfill",
    "insights/identities",
    "insights/members",
    "insights/privacy",
    "insights/rebuild",
    "insights/set_aside",
    "insights/teams",
    "setup_links",
    "settings",
    "sources",
    "status",
    "support_bundle",
    "webhooks/",
    "workers",
    "openapi",
];

/// Rows of `/api/v1`.
fn need_of_v1(method: &str, path: &str) -> Need {
    match path {
        "health" | "ready" | "schemas" | "schemas/{trigger_name}" => Need::Open,
        "triggers" | "triggers/{trigger_name}" => Need::Open,
        "hooks/status" | "overview" | "search" => Need::ManagerOfNamed,
        "names" => Need::SignedIn,
        "hooks/{hook_id}/backlog" | "hooks/{hook_id}/status" => Need::HiddenFromMembers,
        "previews/url" | "previews/template" | "previews/filter" => Need::ManagerOfNamed,
        "webhooks/gitlab" | "webhooks/gitlab/{key}" => Need::Secret,
        "projects/{id}/events" | "projects/{id}/active_hooks" => Need::Manager,
        "groups/{id}/events" | "groups/{id}/active_hooks" => Need::Manager,
        "insights/metrics" => Need::SignedIn,
        "user/password" | "user/sessions" | "user/sessions/{session_id}" => Need::SignedIn,
        "portal_sessions" => Need::ManagerOfNamed,
        "insights/metrics/{name}" | "insights/metrics/{name}/explain" => Need::ManagerOfNamed,
        "insights/metrics/{name}/events" => Need::ManagerOfNamed,
        "insights/commits" | "insights/query" | "insights/reviews" => Need::ManagerOfNamed,
        "replays" | "stream" | "streams" | "notifications" => Need::ManagerOfNamed,
        _ if path.starts_with("notifications/") && method == "GET" => Need::ManagerOfShown,
        _ if path.starts_with("notifications/") => Need::Missing,
        "insights/completeness" | "insights/gaps" => Need::ManagerOfNamed,
        "inspectors" => Need::SignedIn,
        "events" if method == "POST" => Need::Admin,
        "events" | "deliveries" | "attempts" | "skips" => Need::ManagerOfNamed,
        "events/{event_id}" | "events/{event_id}/insights" | "deliveries/{delivery_id}" => Need::ManagerOfShown,
        _ if path.starts_with("replays/{replay_id}") => Need::HiddenFromMembers,
        "streams/{stream_id}" => Need::Missing,
        _ if path.starts_with("inspectors/{inspector_id}") => Need::HiddenFromMembers,
        _ if OF_ADMINS.iter().any(|start| path.starts_with(start)) => Need::Admin,
        _ => panic!("{method} /api/v1/{path} has no row"),
    }
}

/// The table. A path without a row fails the test.
pub(crate) fn need(method: &str, path: &str) -> Need {
    if path == "/metrics" {
        return Need::Open;
    }

    if let Some(rest) = path.strip_prefix("/api/v1/") {
        return need_of_v1(method, rest);
    }

    let rest = path.strip_prefix("/api/v4/").unwrap_or_default();
    let words: Vec<&str> = rest.split('/').collect();
    match (method, words.as_slice()) {
        ("GET", ["user" | "version" | "metadata" | "groups" | "projects" | "namespaces"] | ["users", "{id}"]) => {
            Need::SignedIn
        }
        ("GET", ["personal_access_tokens"]) | ("POST", ["user", "personal_access_tokens"]) => Need::SignedIn,
        (_, ["personal_access_tokens", "{token_id}", ..]) => Need::OwnToken,
        // Every user reads and changes the own keys.
        (_, ["user", "keys", ..]) | ("GET", ["users", "{id}", "keys", ..]) => Need::SignedIn,
        ("POST" | "DELETE", ["users", "{id}", "keys", ..]) => Need::Admin,
        ("POST", ["groups" | "projects"]) | ("DELETE", ["groups" | "projects", "{id}"]) => Need::Admin,
        ("GET" | "POST", ["users"]) | ("PUT" | "DELETE", ["users", "{id}"]) => Need::Admin,
        ("POST", ["users", "{id}", "personal_access_tokens"]) => Need::Admin,
        (_, ["hooks", ..] | ["application", "settings"]) => Need::Admin,
        ("GET", ["groups" | "projects", "{id}"]) => Need::Member,
        ("GET", ["groups", "{id}", "subgroups" | "descendant_groups" | "projects"]) => Need::Member,
        ("GET", ["projects", "{id}", "users"]) => Need::Member,
        ("POST", ["projects", "{id}", "archive" | "unarchive"]) => Need::Owner,
        // The transfer of a group has a test of its own.
        ("POST", ["groups", "{id}", "transfer"]) => Need::Manager,
        ("POST", ["users", "{id}", "block" | "unblock"]) => Need::Admin,
        ("GET", ["namespaces", "{id}"]) => Need::Member,
        ("GET", ["namespaces", "{id}", "exists"]) => Need::SignedIn,
        // Without a target. The transfer itself has a test of its own.
        ("PUT", ["projects", "{id}", "transfer"]) => Need::Member,
        // Every member may leave; only managers remove others.
        ("GET", ["groups" | "projects", "{id}", "members", ..]) => Need::Member,
        ("PUT", ["groups" | "projects", "{id}"]) => Need::Manager,
        (_, ["groups" | "projects", "{id}", "members" | "access_tokens" | "hooks", ..]) => Need::Manager,
        _ => panic!("{method} {path} has no row"),
    }
}

/// The scopes of which the token of a request needs one.
fn scopes(method: &str, path: &str) -> &'static [&'static str] {
    let reads = method == "GET";
    match path {
        "/metrics" => &["api", "read_api", "metrics"],
        "/api/v1/events" | "/api/v1/projects/{id}/events" | "/api/v1/groups/{id}/events" if !reads => {
            &["api", "report"]
        }
        _ if reads && path.starts_with("/api/v1/insights/") => &["api", "read_api", "read_insights"],
        _ if path.ends_with("/active_hooks") => &["api", "read_api", "report"],
        _ if reads => &["api", "read_api"],
        _ => &["api"],
    }
}

pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) token: Option<String>,

    /// Access levels in the project and in its group.
    pub(crate) levels: [i64; 2],
    pub(crate) is_admin: bool,

    /// The scope of the token.
    pub(crate) scope: &'static str,

    /// The user as whom the administrator acts.
    pub(crate) sudo: Option<&'static str>,
}

/// The result of the access check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Door {
    Unknown,
    Forbidden,
    Hidden,
    Passed,
}

pub(crate) fn door(reply: &Reply) -> Door {
    let hidden = ["Project", "Group", "Namespace", "Personal Access Token"].map(|what| format!("404 {what} Not Found"));
    if reply.status == 404 && reply.body.contains("there is no replay with this id") {
        return Door::Hidden;
    }

    match reply.status {
        401 => Door::Unknown,
        403 => Door::Forbidden,
        404 if hidden.iter().any(|text| reply.body.contains(text.as_str())) => Door::Hidden,
        404 if reply.body.contains("there is no inspector with this id") => Door::Hidden,
        404 if reply.body.contains("there is no event with this id") => Door::Hidden,
        404 if reply.body.contains("there is no delivery with this id") => Door::Hidden,
        404 if reply.body.contains("there is no notification rule with this id") => Door::Hidden,
        404 if reply.body.contains("there is no hook with this id") => Door::Hidden,
        404 if reply.body.contains("there is no open stream with this id") => Door::Hidden,
        status => {
            assert!(status < 500, "{status} {}", reply.body);
            Door::Passed
        }
    }
}

pub(crate) fn expected(role: &Role, method: &str, path: &str, foreign: bool) -> Door {
    let need = need(method, path);
    let is_of_group = !path.contains("/projects/{id}") && !matches!(need, Need::ManagerOfNamed | Need::ManagerOfShown);
    let level = role.levels[usize::from(is_of_group)];
    let lacks_scope = role.token.is_some() && !scopes(method, path).contains(&role.scope);

    match need {
        Need::Open if path == "/metrics" && lacks_scope => Door::Forbidden,
        Need::Open => Door::Passed,
        Need::Secret => Door::Unknown,
        _ if role.token.is_none() => Door::Unknown,
        _ if lacks_scope => Door::Forbidden,
        Need::Missing => Door::Hidden,
        _ if role.is_admin => Door::Passed,
        Need::SignedIn if role.name.ends_with(" bot") && method == "POST" => Door::Forbidden,
        Need::SignedIn => Door::Passed,
        Need::Admin => Door::Forbidden,
        Need::OwnToken | Need::HiddenFromMembers => Door::Hidden,
        Need::ManagerOfShown if foreign || level < 40 => Door::Hidden,
        Need::Member | Need::Manager | Need::ManagerOfNamed | Need::Owner if foreign || level == 0 => Door::Hidden,
        Need::Member => Door::Passed,
        Need::Owner if level >= 50 => Door::Passed,
        Need::Owner => Door::Forbidden,
        Need::Manager if level >= (if path.contains("/projects/{id}") { 40 } else { 50 }) => Door::Passed,
        Need::ManagerOfNamed | Need::ManagerOfShown if level >= 40 => Door::Passed,
        Need::Manager | Need::ManagerOfNamed | Need::ManagerOfShown => Door::Forbidden,
    }
}
