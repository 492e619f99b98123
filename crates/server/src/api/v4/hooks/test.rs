//! `…/hooks/:hook_id/test/:trigger`, and the test of system hooks.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::compose::{ComposeError, Scene};
use quickdraw_domain::event::Origin;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::trigger::Testable;
use quickdraw_domain::{ProjectId, Trigger, report};
use quickdraw_store::events::EventFilter;
use serde_json::{Value, json};

use super::At;
use super::log::unprocessable;
use crate::api;
use crate::error::ApiError;
use crate::params::{Invalid, Params};
use crate::state::App;
use crate::views::Message;

/// Number of events that are searched for a real one.
const LOOK_BACK: usize = 50;

/// Test a hook with the newest real event of a kind, or with a sample. Maintainers of the project, owners of the
/// group, and administrators.
///
/// A success re-enables the hook. Each user can test five times a minute per project or group.
#[utoipa::path(post, path = "/{hook_id}/test/{trigger}", tag = "Hooks", responses((status = 201, body = Message)))]
pub(super) async fn test(
    at: At,
    State(app): State<Arc<App>>,
    _: Params,
) -> Result<(StatusCode, Json<Message>), ApiError> {
    let attribute = at.0.part("trigger");
    let trigger = Trigger::all()
        .find(|trigger| trigger.row().attribute == Some(attribute) && trigger.row().levels.contain(at.scope()));
    let trigger = trigger.ok_or_else(|| Invalid::value("trigger"))?;
    let entry = at.hook(&app).await?;

    if let Testable::No(words) = trigger.row().test {
        return Err(unprocessable(json!(words)));
    }

    at.count_manual(&app, "test")?;

    let body = sample(&app, at.scope(), trigger).await?;
    let sent = app
        .engine
        .dispatcher
        .test(&entry.hook, trigger, &body)
        .await
        .map_err(ApiError::internal)?;
    if sent.outcome.is_delivered() {
        return Ok((StatusCode::CREATED, Json(Message::new("201 Created"))));
    }

    // Shows the answer of the receiver, or the error.
    let words = sent
        .record
        .response_body
        .as_deref()
        .map(|body| String::from_utf8_lossy(body).into_owned());
    let words = words.filter(|words| !words.is_empty()).or(sent.record.error);
    Err(unprocessable(json!(words.unwrap_or_else(|| sent.outcome.to_string()))))
}

/// Test a system hook with GitLab's fixed sample. Administrators only.
///
/// The answer is the sample, independent of the receiver's answer.
#[utoipa::path(post, path = "/{hook_id}", tag = "Hooks", responses((status = 201, body = Value)))]
pub(super) async fn test_system(
    at: At,
    State(app): State<Arc<App>>,
    _: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    at.count_manual(&app, "test")?;

    let entry = at.hook(&app).await?;
    let mock = json!({
        "project_id": 1,
        "owner_email": "example@gitlabhq.com",
        "owner_name": "Someone",
        "name": "Ruby",
        "path": "ruby",
        "event_name": "project_create",
    });

    // The headers of system hooks do not depend on the kind.
    let trigger = match Trigger::by_name("project_create") {
        Some(trigger) if entry.hook.all_events => trigger,
        _ => Trigger::PUSH,
    };

    let sent = app
        .engine
        .dispatcher
        .test(&entry.hook, trigger, mock.to_string().as_bytes())
        .await;
    if let Err(error) = sent {
        tracing::warn!("a test of a system hook was not sent: {error:#}");
    }

    Ok((StatusCode::CREATED, Json(mock)))
}

/// Returns the newest real event of a kind, else a sample that fits the scope.
async fn sample(app: &App, scope: Scope, trigger: Trigger) -> Result<Vec<u8>, ApiError> {
    if let Some(body) = newest(app, scope, trigger).await? {
        return Ok(body);
    }

    let composed = |scene: Scene<'_>| report::sample(trigger, scene, app.engine.context.instance(), app.now());
    let made = match scope {
        Scope::Project(id) => composed(Scene::Project(&api::find_project(app, &id.0.to_string()).await?)),
        Scope::Group(id) => {
            let group = api::find_group(app, &id.0.to_string()).await?;
            match app.engine.context.projects_in(id).first() {
                // Most events of a group happen in one of its projects. Only a few kinds belong to the group itself.
                Some(project) => composed(Scene::Project(&api::find_project(app, &project.0.to_string()).await?)),
                None => composed(Scene::Group(&group)),
            }
        }
        Scope::Instance => composed(Scene::Instance),
    };

    match made {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(unprocessable(json!(
            "No event of this kind was reported yet; report one, or test with push_events"
        ))),
        Err(ComposeError::Misplaced(..)) => Err(unprocessable(json!("Ensure the group has a project."))),
        Err(error) => Err(ApiError::internal(error.into())),
    }
}

async fn newest(app: &App, scope: Scope, trigger: Trigger) -> Result<Option<Vec<u8>>, ApiError> {
    let projects: Vec<ProjectId> = match scope {
        Scope::Project(id) => vec![id],
        // Projects of the group, newest first.
        Scope::Group(id) => app.engine.context.projects_in(id),
        Scope::Instance => return Ok(None),
    };

    // A test of confidential issues uses the newest issue, confidential or not, as GitLab does.
    let open = (trigger == Trigger::CONFIDENTIAL_ISSUE).then_some(Trigger::ISSUE);
    for project in projects {
        let mut newest = None;
        for trigger in open.into_iter().chain([trigger]) {
            let filter = EventFilter {
                project: Some(project),
                trigger: Some(trigger),
                before: None,
                limit: LOOK_BACK,
            };
            let events = app.store().list_events(filter).await?.rows;

            newest = newest.max(
                events
                    .iter()
                    .find(|event| event.origin != Origin::Test)
                    .map(|event| event.id),
            );
        }

        if let Some(newest) = newest
            && let Some((_, payload)) = app.store().find_event(newest).await?
        {
            return Ok(Some(payload.unpack()?.to_vec()));
        }
    }

    Ok(None)
}
