//! Finds the project, group or instance that a path names, and checks the permission of the caller.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::request::Parts;
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_domain::scope::{Group, Project, Scope};

use crate::api::{find_group, find_project};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Finds a project on which the caller can perform the action.
pub(super) async fn project_for(app: &App, caller: &Caller, id: &str, action: Action) -> Result<Project, ApiError> {
    let project = find_project(app, id).await?;
    caller.require(Scope::Project(project.id), action).await?;
    Ok(project)
}

/// Finds a group on which the caller can perform the action.
pub(super) async fn group_for(app: &App, caller: &Caller, id: &str, action: Action) -> Result<Group, ApiError> {
    let group = find_group(app, id).await?;
    caller.require(Scope::Group(group.id), action).await?;
    Ok(group)
}

/// The scope at the beginning of a path, the caller, and the parameters of the path.
pub(super) struct Target {
    pub(super) scope: Scope,
    pub(super) caller: Caller,
    parts: Vec<(String, String)>,
}

impl Target {
    /// Reads `/projects/{id}/…`, `/groups/{id}/…`, or a path of the instance. The same handlers serve all of them, so
    /// the matched pattern decides which one it is.
    pub(super) async fn read(parts: &mut Parts, app: &Arc<App>, action: Action) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        let found = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::bad_parameter("the path is not valid UTF-8"))?;
        let found = found
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();

        let pattern = MatchedPath::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::plain_not_found())?;
        let mut target = Self {
            scope: Scope::Instance,
            caller,
            parts: found,
        };
        let (id, caller) = (target.part("id"), &target.caller);

        target.scope = match pattern.as_str().split('/').nth(3) {
            Some("projects") => Scope::Project(project_for(app, caller, id, action).await?.id),
            Some("groups") => Scope::Group(group_for(app, caller, id, action).await?.id),
            _ => {
                caller.require(Scope::Instance, action).await?;
                Scope::Instance
            }
        };

        Ok(target)
    }

    /// Checks that the caller's own role is at least the role that they give, take or use.
    pub(super) async fn may_give(&self, app: &App, level: AccessLevel) -> Result<(), ApiError> {
        let actor = &self.caller.actor;
        let role = app.store().role(self.scope, actor.user_id, app.now()).await?;

        if actor.is_admin || role.is_some_and(|role| role >= level) {
            Ok(())
        } else {
            Err(ApiError::forbidden())
        }
    }

    /// Returns a parameter of the path by name; empty if the pattern does not have it.
    pub(super) fn part(&self, name: &str) -> &str {
        self.parts
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    /// Returns a numeric parameter of the path.
    pub(super) fn number(&self, name: &str) -> Result<i64, ApiError> {
        self.part(name)
            .parse()
            .map_err(|_| ApiError::bad_parameter(format!("{name} is invalid")))
    }
}
