//! Portal sessions: the rights of a link to the webhooks of one project or group.
//!
//! The link has a part of the rights of the user who created it. It can call the operations of a list and no others,
//! for its own project or group only.

use axum::extract::MatchedPath;
use axum::http::Method;
use axum::http::request::Parts;
use quickdraw_domain::access::{Action, TokenScope, Verdict};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_engine::Index;
use quickdraw_store::access::{Actor, PortalSession};

/// The part of a user's rights that a portal session has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Limit {
    scope: Scope,

    /// True if the user who created the link is an administrator.
    is_of_admin: bool,
}

impl Limit {
    /// The user of a portal session, and the limit of their rights.
    pub(crate) fn of(session: &PortalSession) -> (Actor, Self) {
        let user = &session.user;
        let scope = if session.manages {
            TokenScope::Api
        } else {
            TokenScope::ReadApi
        };

        let actor = Actor {
            user_id: user.id,
            username: format!("{} (portal)", user.username),
            name: user.name.clone(),
            // The limit has it instead, so that no other check takes the link for an administrator.
            is_admin: false,
            token: 0,
            scopes: vec![scope],
            bot_of: None,
        };

        let limit = Self {
            scope: session.scope,
            is_of_admin: user.is_admin,
        };
        (actor, limit)
    }

    /// The verdict about an action, if the limit alone decides. Otherwise the role of the user decides, who is an
    /// administrator if [`Limit::is_of_admin`] says so.
    pub(super) fn verdict(self, index: &Index, scope: Scope, action: Action) -> Option<Verdict> {
        let place = match scope {
            Scope::Project(id) => Place::Project(id),
            Scope::Group(id) => Place::Group(id),
            Scope::Instance => return Some(Verdict::Forbidden),
        };

        if !index.is_in(place, self.scope) {
            return Some(Verdict::Hidden);
        }

        (action == Action::Administer).then_some(Verdict::Forbidden)
    }

    pub(super) const fn is_of_admin(self) -> bool {
        self.is_of_admin
    }
}

/// Checks whether a portal session can call the operation of a request.
pub(super) fn allows(parts: &Parts) -> bool {
    let pattern = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    allows_operation(&parts.method, pattern.trim_end_matches('/'))
}

fn allows_operation(method: &Method, pattern: &str) -> bool {
    const HOOKS: [&str; 2] = ["/api/v4/projects/{id}/hooks", "/api/v4/groups/{id}/hooks"];
    const READ: [&str; 16] = [
        "/api/v4/projects/{id}",
        "/api/v4/groups/{id}",
        "/api/v1/attempts",
        "/api/v1/deliveries",
        "/api/v1/deliveries/{delivery_id}",
        "/api/v1/events",
        "/api/v1/events/{event_id}",
        "/api/v1/hooks/status",
        "/api/v1/hooks/{hook_id}/backlog",
        "/api/v1/hooks/{hook_id}/status",
        "/api/v1/names",
        "/api/v1/schemas",
        "/api/v1/schemas/{trigger_name}",
        "/api/v1/skips",
        "/api/v1/triggers",
        "/api/v1/triggers/{trigger_name}",
    ];

    let is_of_hooks = HOOKS.iter().any(|hooks| {
        let rest = pattern.strip_prefix(hooks);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });

    let is_preview = method == Method::POST && pattern.starts_with("/api/v1/previews/");
    is_of_hooks || is_preview || method.is_safe() && READ.contains(&pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, pattern: &str, expected: bool) {
        assert_eq!(allows_operation(&method, pattern), expected, "{method} {pattern}");
    }

    #[test]
    fn a_portal_session_can_call_operations_of_webhooks_only() {
        check(Method::GET, "/api/v4/projects/{id}/hooks", true);
        check(Method::PUT, "/api/v4/projects/{id}/hooks/{hook_id}", true);
        check(Method::POST, "/api/v4/groups/{id}/hooks/{hook_id}/test/{trigger}", true);
        check(Method::GET, "/api/v4/projects/{id}", true);
        check(Method::GET, "/api/v1/deliveries", true);
        check(Method::POST, "/api/v1/previews/url", true);

        check(Method::PUT, "/api/v4/projects/{id}", false);
        check(Method::DELETE, "/api/v4/groups/{id}", false);
        check(Method::GET, "/api/v4/projects", false);
        check(Method::GET, "/api/v4/user", false);
        check(Method::GET, "/api/v4/hooks", false);
        check(Method::GET, "/api/v4/projects/{id}/members", false);
        check(Method::GET, "/api/v4/projects/{id}/access_tokens", false);
        check(Method::POST, "/api/v4/user/personal_access_tokens", false);
        check(Method::POST, "/api/v1/portal_sessions", false);
        check(Method::POST, "/api/v1/replays", false);
        check(Method::POST, "/api/v1/events", false);
        check(Method::GET, "/api/v1/stream", false);
        check(Method::GET, "", false);
    }
}
