//! Notification rules: which news about webhooks and sources is sent to people, by mail or to a chat.

mod settings;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::access::Action;
use quickdraw_domain::notification::MAX_RULES;
use quickdraw_domain::scope::Scope;
use quickdraw_store::Error;
use quickdraw_store::notifications::{RuleWithState, SendResult};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::settings::{ChangedRule, NewRule};
use super::{limit, managed, page};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Params};
use crate::state::App;
use crate::views::{NotificationMessage, NotificationRule, Page};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, edit, delete))
        .routes(routes!(test))
        .routes(routes!(messages))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct RuleQuery {
    /// Only rules of this project: id or full path. Users who are no administrators must give a project or a group.
    project: Option<String>,

    /// Only rules of this group itself: id or full path.
    group: Option<String>,

    /// Only rules before this id.
    before: Option<i64>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List the notification rules of a project, a group or the instance, newest first. Maintainers of the project, owners
/// of the group, and administrators.
#[utoipa::path(get, path = "/notifications", tag = "Notifications", params(RuleQuery),
    responses((status = 200, body = Page<NotificationRule>)))]
async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<RuleQuery>,
) -> Result<Json<Page<NotificationRule>>, ApiError> {
    let limit = limit(query.limit)?;
    let scope = managed::scope_of(&app, &caller, query.project.as_deref(), query.group.as_deref()).await?;
    let before = query.before.unwrap_or(i64::MAX);
    let found = app.store().list_notification_rules(scope, before, limit + 1).await?;

    Ok(Json(page(&found, limit, |found| found.rule.id.to_string())))
}

/// Create a notification rule. Maintainers of the project, owners of the group, and administrators.
///
/// Changes after its creation are news. A project, a group and the instance have at most 50 rules each. The URL of a
/// chat is stored sealed and never shown.
#[utoipa::path(post, path = "/notifications", tag = "Notifications", request_body = NewRule,
    responses((status = 201, body = NotificationRule)))]
async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(asked): Input<NewRule>,
) -> Result<(StatusCode, Json<NotificationRule>), ApiError> {
    let scope = managed::scope_of(&app, &caller, asked.project(), asked.group()).await?;
    let rule = asked.rule(&app, scope, caller.actor.username)?;

    let made = app.store().create_notification_rule(rule, MAX_RULES).await;
    let made = made.map_err(|error| match error {
        Error::Full(most) => ApiError::problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("the maximum of {most} notification rules is reached; delete one first"),
        ),
        other => other.into(),
    })?;
    Ok((StatusCode::CREATED, Json(NotificationRule::from(&made))))
}

/// Show a notification rule, and whether its messages arrive. Maintainers of the project, owners of the group, and
/// administrators.
#[utoipa::path(get, path = "/notifications/{notification_id}", tag = "Notifications",
    responses((status = 200, body = NotificationRule)))]
async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<NotificationRule>, ApiError> {
    let found = find(&app, &caller, &id).await?;
    Ok(Json(NotificationRule::from(&found)))
}

/// Change a notification rule. Absent fields stay as they are. Maintainers of the project, owners of the group, and
/// administrators.
///
/// A message that failed is tried again at once. News that waits is forgotten when `active` becomes false.
#[utoipa::path(put, path = "/notifications/{notification_id}", tag = "Notifications", request_body = ChangedRule,
    responses((status = 200, body = NotificationRule)))]
async fn edit(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(asked): Input<ChangedRule>,
) -> Result<Json<NotificationRule>, ApiError> {
    let known = find(&app, &caller, &id).await?.rule;
    let since = known.updated_at;
    let changed = asked.apply(&app, known)?;

    let written = app.store().update_notification_rule(changed, since).await?;
    let written = written.ok_or_else(|| {
        ApiError::problem(
            StatusCode::CONFLICT,
            "another request has changed this notification rule; try again",
        )
    })?;
    Ok(Json(NotificationRule::from(&written)))
}

/// Delete a notification rule, its waiting news and its history. Maintainers of the project, owners of the group, and
/// administrators.
#[utoipa::path(delete, path = "/notifications/{notification_id}", tag = "Notifications",
    responses((status = 204)))]
async fn delete(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let found = find(&app, &caller, &id).await?;
    if !app.store().delete_notification_rule(found.rule.id).await? {
        return Err(nothing());
    }

    Ok(StatusCode::NO_CONTENT)
}

/// Send a test message by a notification rule, and wait for the result. Maintainers of the project, owners of the
/// group, and administrators.
///
/// A message that cannot be sent is an error (422) with the reason. Each user can send five tests a minute per project
/// or group.
#[utoipa::path(post, path = "/notifications/{notification_id}/test", tag = "Notifications",
    responses((status = 201, body = NotificationMessage)))]
async fn test(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<(StatusCode, Json<NotificationMessage>), ApiError> {
    let rule = find(&app, &caller, &id).await?.rule;
    app.manual
        .count("notification", &app.requester(&caller.actor, rule.scope))
        .map_err(|error| error.with_limit(app.limits.manual_per_minute, app.now()))?;

    let message = app.engine.notifier.test(&rule).await.map_err(ApiError::internal)?;
    if message.result != SendResult::Sent {
        let error = message.error.unwrap_or_default();
        return Err(ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, error));
    }

    Ok((StatusCode::CREATED, Json(NotificationMessage::from(&message))))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MessageQuery {
    /// Only messages before this id.
    before: Option<i64>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List the last 50 messages of a notification rule, newest first, with their results. Maintainers of the project,
/// owners of the group, and administrators.
#[utoipa::path(get, path = "/notifications/{notification_id}/messages", tag = "Notifications", params(MessageQuery),
    responses((status = 200, body = Page<NotificationMessage>)))]
async fn messages(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(query): Input<MessageQuery>,
) -> Result<Json<Page<NotificationMessage>>, ApiError> {
    let limit = limit(query.limit)?;
    let rule = find(&app, &caller, &id).await?.rule;
    let before = query.before.unwrap_or(i64::MAX);
    let found = app.store().list_messages(rule.id, before, limit + 1).await?;

    Ok(Json(page(&found, limit, |message| message.id.to_string())))
}

/// Finds a rule whose scope the caller may manage. All other rules do not exist for the caller.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<RuleWithState, ApiError> {
    let id = id.parse().map_err(|_| nothing())?;
    let found = app.store().find_notification_rule(id).await?;
    let scope = found.as_ref().map_or(Scope::Instance, |found| found.rule.scope);

    // The role is checked for a missing rule too, so that both answers are the same.
    if !caller.may(scope, Action::Hooks).await? {
        return Err(nothing());
    }

    found.ok_or_else(nothing)
}

fn nothing() -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, "there is no notification rule with this id")
}
