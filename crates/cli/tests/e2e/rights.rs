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

    /// An administrator.
    Admin,
}

/// The table. A path of `/api/v4` without a row fails the test; a path of `/api/v1` without a row is for
/// administrators.
pub(crate) fn need(method: &str, path: &str) -> Need {
    let (v4, rest) = match path.strip_prefix("/api/v4/") {
        Some(rest) => (true, rest),
        None => (false, path),
    };

    let words: Vec<&str> = rest.split('/').collect();
    match (method, words.as_slice()) {
        _ if !v4 => match path {
            "/metrics" | "/api/v1/health" | "/api/v1/ready" | "/api/v1/schemas" => Need::Open,
            "/api/v1/schemas/{trigger_name}" => Need::Open,
            "/api/v1/workers" => Need::Admin,
            "/api/v1/stream" => Need::ManagerOfNamed,
            "/api/v1/events" if method == "GET" => Need::ManagerOfNamed,
            "/api/v1/deliveries" | "/api/v1/attempts" | "/api/v1/skips" => Need::ManagerOfNamed,
            "/api/v1/events/{event_id}" | "/api/v1/deliveries/{delivery_id}" => Need::ManagerOfShown,
            "/api/v1/webhooks/gitlab" | "/api/v1/webhooks/gitlab/{key}" => Need::Secret,
            _ if path.starts_with("/api/v1/") => Need::Admin,
            _ => panic!("{method} {path} has no row"),
        },
        ("GET", ["user" | "version" | "metadata" | "groups" | "projects" | "namespaces"] | ["users", "{id}"]) => {
            Need::SignedIn
        }
        ("GET", ["personal_access_tokens"]) | ("POST", ["user", "personal_access_tokens"]) => Need::SignedIn,
        (_, ["personal_access_tokens", "{token_id}", ..]) => Need::OwnToken,
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

pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) token: Option<String>,

    /// Access levels in the project and in its group.
    pub(crate) levels: [i64; 2],
    pub(crate) is_admin: bool,
    pub(crate) read_only: bool,
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
    match reply.status {
        401 => Door::Unknown,
        403 => Door::Forbidden,
        404 if hidden.iter().any(|text| reply.body.contains(text.as_str())) => Door::Hidden,
        404 if reply.body.contains("there is no event with this id") => Door::Hidden,
        404 if reply.body.contains("there is no delivery with this id") => Door::Hidden,
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

    match need {
        Need::Open => Door::Passed,
        Need::Secret => Door::Unknown,
        _ if role.token.is_none() => Door::Unknown,
        _ if role.read_only && method != "GET" => Door::Forbidden,
        _ if role.is_admin => Door::Passed,
        Need::SignedIn if role.name == "project bot" && method == "POST" => Door::Forbidden,
        Need::SignedIn => Door::Passed,
        Need::Admin => Door::Forbidden,
        Need::OwnToken => Door::Hidden,
        Need::ManagerOfShown if foreign || level < 40 => Door::Hidden,
        Need::ManagerOfNamed | Need::ManagerOfShown if !foreign && level >= 40 => Door::Passed,
        Need::Member | Need::Manager | Need::ManagerOfNamed | Need::Owner if foreign || level == 0 => Door::Hidden,
        Need::Member => Door::Passed,
        Need::Owner if level >= 50 => Door::Passed,
        Need::Owner => Door::Forbidden,
        Need::Manager if level >= (if path.contains("/projects/{id}") { 40 } else { 50 }) => Door::Passed,
        Need::Manager | Need::ManagerOfNamed | Need::ManagerOfShown => Door::Forbidden,
    }
}
