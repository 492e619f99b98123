//! Permissions: the roles of members, and the role that each action requires.
//!
//! Source: GitLab's permissions page. Project hooks require Maintainer, group hooks require Owner, and system hooks
//! require an administrator.

use crate::scope::Scope;

/// A member's role, in the order of GitLab's numbers. A higher role includes all lower ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AccessLevel {
    /// Number 10.
    Guest,

    /// Number 20.
    Reporter,

    /// Number 30.
    Developer,

    /// Number 40.
    Maintainer,

    /// Number 50.
    Owner,
}

impl AccessLevel {
    /// All roles, the lowest first.
    pub const ALL: [Self; 5] = [
        Self::Guest,
        Self::Reporter,
        Self::Developer,
        Self::Maintainer,
        Self::Owner,
    ];

    /// GitLab's number.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Guest => 10,
            Self::Reporter => 20,
            Self::Developer => 30,
            Self::Maintainer => 40,
            Self::Owner => 50,
        }
    }

    /// The role with this number.
    #[must_use]
    pub fn by_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.number() == number)
    }
}

/// A scope of an access token: a part of the rights of its user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TokenScope {
    /// Everything that the holder of the token may do.
    Api,

    /// Read access only.
    ReadApi,

    /// Acting as another user, for tokens of administrators.
    Sudo,

    /// Reporting events, and nothing else.
    Report,

    /// Reading the metrics for Prometheus, for tokens of administrators.
    Metrics,

    /// Reading insights, and nothing else.
    ReadInsights,
}

impl TokenScope {
    /// All scopes.
    pub const ALL: [Self; 6] = [
        Self::Api,
        Self::ReadApi,
        Self::Sudo,
        Self::Report,
        Self::Metrics,
        Self::ReadInsights,
    ];

    /// The scopes that the token of a project or group can have.
    pub const OF_BOTS: [Self; 4] = [Self::Api, Self::ReadApi, Self::Report, Self::ReadInsights];

    /// The word in the API and in the databases: GitLab's word, if GitLab has the scope.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::ReadApi => "read_api",
            Self::Sudo => "sudo",
            Self::Report => "report",
            Self::Metrics => "metrics",
            Self::ReadInsights => "read_insights",
        }
    }

    /// The scope with this word.
    #[must_use]
    pub fn by_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }

    /// Checks whether only administrators can have a token with this scope.
    #[must_use]
    pub const fn is_of_admins(self) -> bool {
        matches!(self, Self::Sudo | Self::Metrics)
    }
}

/// A kind of operation, which decides the scopes that a token needs. The role of the user is checked in addition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// Any operation that is not one of the others.
    General,

    /// Reporting events, and asking whether a hook is subscribed to them.
    Reporting,

    /// Reading insights.
    Insights,

    /// Reading the metrics for Prometheus.
    Metrics,

    /// Showing or revoking the token of the request. As in GitLab, every token may do so.
    OwnToken,
}

impl Purpose {
    /// The scopes that allow such an operation. A token needs one of them.
    #[must_use]
    pub const fn scopes(self, reads: bool) -> &'static [TokenScope] {
        use TokenScope::{Api, Metrics, ReadApi, ReadInsights, Report};

        match (self, reads) {
            (Self::OwnToken, _) => &TokenScope::ALL,
            (Self::Reporting, true) => &[Api, ReadApi, Report],
            (Self::Reporting, false) => &[Api, Report],
            (Self::Insights, true) => &[Api, ReadApi, ReadInsights],
            (Self::Metrics, true) => &[Api, ReadApi, Metrics],
            (Self::General, true) => &[Api, ReadApi],
            (Self::General | Self::Insights | Self::Metrics, false) => &[Api],
        }
    }
}

/// An action on a project, a group or the instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// See that the scope exists, and its name.
    See,

    /// See and change its hooks, including their log: the history is as sensitive as the hook.
    Hooks,

    /// Change the scope itself and its members.
    Administer,
}

/// The decision about an action of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The action is allowed.
    Allowed,

    /// The action is refused with 403: the user may know that the scope exists.
    Forbidden,

    /// The action is refused with 404: the user must not learn that the scope exists.
    Hidden,
}

/// Decides whether a user may do an action. `role` is the user's highest role in the scope, including inherited roles.
#[must_use]
pub fn verdict(is_admin: bool, role: Option<AccessLevel>, scope: Scope, action: Action) -> Verdict {
    if is_admin {
        return Verdict::Allowed;
    }

    let needed = match (scope, action) {
        // The existence of the instance is not a secret.
        (Scope::Instance, _) => return Verdict::Forbidden,
        (_, Action::See) => AccessLevel::Guest,
        (Scope::Project(_), Action::Hooks) => AccessLevel::Maintainer,
        (Scope::Group(_), Action::Hooks) => AccessLevel::Owner,
        (Scope::Project(_), Action::Administer) => AccessLevel::Maintainer,
        (Scope::Group(_), Action::Administer) => AccessLevel::Owner,
    };

    match role {
        Some(role) if role >= needed => Verdict::Allowed,
        Some(_) => Verdict::Forbidden,
        None => Verdict::Hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupId, ProjectId};

    #[test]
    fn the_table_of_scopes() {
        use TokenScope::{Api, Metrics, ReadApi, ReadInsights, Report, Sudo};

        for (purpose, reads, writes) in [
            (Purpose::General, &[Api, ReadApi][..], &[Api][..]),
            (Purpose::Reporting, &[Api, ReadApi, Report], &[Api, Report]),
            (Purpose::Insights, &[Api, ReadApi, ReadInsights], &[Api]),
            (Purpose::Metrics, &[Api, ReadApi, Metrics], &[Api]),
        ] {
            assert_eq!(purpose.scopes(true), reads, "{purpose:?}");
            assert_eq!(purpose.scopes(false), writes, "{purpose:?}");
        }

        let of_admins: Vec<TokenScope> = TokenScope::ALL
            .into_iter()
            .filter(|scope| scope.is_of_admins())
            .collect();
        assert_eq!(of_admins, [Sudo, Metrics]);
        assert!(TokenScope::OF_BOTS.iter().all(|scope| !scope.is_of_admins()));
        assert!(
            TokenScope::ALL
                .into_iter()
                .all(|scope| TokenScope::by_word(scope.word()) == Some(scope))
        );
    }

    #[test]
    fn the_table_of_roles() {
        use AccessLevel::{Developer, Guest, Maintainer, Owner};
        use Verdict::{Allowed, Forbidden, Hidden};

        let (project, group) = (Scope::Project(ProjectId(1)), Scope::Group(GroupId(1)));
        for (role, scope, action, expected) in [
            (None, project, Action::See, Hidden),
            (None, group, Action::Hooks, Hidden),
            (None, Scope::Instance, Action::Hooks, Forbidden),
            (Some(Owner), Scope::Instance, Action::Hooks, Forbidden),
            (Some(Guest), project, Action::See, Allowed),
            (Some(Developer), project, Action::Hooks, Forbidden),
            (Some(Maintainer), project, Action::Hooks, Allowed),
            (Some(Maintainer), group, Action::Hooks, Forbidden),
            (Some(Owner), group, Action::Hooks, Allowed),
            (Some(Owner), project, Action::Administer, Allowed),
        ] {
            assert_eq!(
                verdict(false, role, scope, action),
                expected,
                "{role:?} {scope:?} {action:?}"
            );

            assert_eq!(verdict(true, role, scope, action), Allowed);
        }

        assert!(
            AccessLevel::ALL
                .into_iter()
                .all(|level| AccessLevel::by_number(level.number()) == Some(level))
        );
    }
}
