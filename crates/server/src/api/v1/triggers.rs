//! `/api/v1/triggers`: the catalog of the kinds of events. Everything in it comes from the registry of kinds.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use quickdraw_domain::scope::{Levels, Scope};
use quickdraw_domain::trigger::Testable;
use quickdraw_domain::{GroupId, ProjectId, Trigger, report};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schemas;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views::{Page, Shown};

/// The reason why no sample of a kind can be sent to a system hook.
const FIXED_SAMPLE: &str = "the test of a system hook always sends GitLab's fixed sample";

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// A kind of event.
#[derive(Serialize, ToSchema)]
struct TriggerView {
    /// Name in history and in reports, such as `push_hooks`.
    name: &'static str,

    /// Attribute of the hook API that subscribes to it, such as `push_events`. Null: every system hook gets it.
    attribute: Option<&'static str>,

    /// Meaning of an event, in one sentence.
    meaning: &'static str,

    /// `X-Gitlab-Event` of the requests of project and group hooks. System hooks send `System Hook`.
    header: &'static str,

    /// Values of `object_kind` in its bodies.
    object_kinds: &'static [&'static str],

    /// Values of `event_name` in its bodies.
    event_names: &'static [&'static str],

    /// True if its events are about confidential objects.
    is_confidential: bool,

    /// True if the branch filter of a hook applies to it.
    has_branch_filter: bool,

    /// True if GitLab has the kind too.
    is_in_gitlab: bool,

    /// The levels whose hooks can get it.
    levels: Vec<TriggerLevel>,

    /// Path of the JSON Schema of its bodies.
    schema_path: Option<String>,

    /// Path of the kind with a sample of its body. Null if there is no sample.
    sample_path: Option<String>,
}

/// A level whose hooks can get a kind of event.
#[derive(Serialize, ToSchema)]
struct TriggerLevel {
    /// `project`, `group` or `system`.
    level: &'static str,

    /// True if a new hook of the level is subscribed to it.
    is_on_by_default: bool,

    /// True if a test of the hook can send an event of the kind.
    can_be_tested: bool,

    /// Reason why it cannot be tested.
    reason: Option<&'static str>,
}

/// A kind of event with a sample.
#[derive(Serialize, ToSchema)]
struct TriggerWithSample {
    /// The kind.
    #[serde(flatten)]
    trigger: TriggerView,

    /// A realistic body, composed for an invented project. Null if there is no sample.
    #[schema(value_type = Option<Object>)]
    sample: Option<Shown>,

    /// The report from which the sample is composed: `object`, and for some kinds `user` and `previous`. Null if there
    /// is no sample.
    #[schema(value_type = Option<Object>)]
    report: Option<Shown>,
}

/// List all kinds of events, with their names, levels and meaning.
#[utoipa::path(get, path = "/triggers", tag = "Events", security(()),
    responses((status = 200, body = Page<TriggerView>)))]
async fn list(_: Params) -> Json<Page<TriggerView>> {
    let known = Trigger::all().filter(|trigger| *trigger != Trigger::UNKNOWN);
    Json(Page::whole(known.map(TriggerView::from)))
}

/// Show a kind of event with a sample of its body.
#[utoipa::path(get, path = "/triggers/{trigger_name}", tag = "Events", security(()),
    responses((status = 200, body = TriggerWithSample)))]
async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    _: Params,
) -> Result<Json<TriggerWithSample>, ApiError> {
    let trigger = Trigger::by_name(&name).ok_or_else(|| ApiError::not_found("Trigger"))?;
    let sample = report::example(trigger, app.engine.context.instance(), app.now());
    let sample = sample.map_err(|error| ApiError::internal(error.into()))?;

    Ok(Json(TriggerWithSample {
        trigger: TriggerView::from(trigger),
        sample: sample.map(|body| Shown::json_or_text(&String::from_utf8_lossy(&body))),
        report: report::template(trigger).and_then(Shown::json),
    }))
}

impl From<Trigger> for TriggerView {
    fn from(trigger: Trigger) -> Self {
        let row = trigger.row();
        let name = row.name;

        Self {
            name,
            attribute: row.attribute,
            meaning: row.meaning,
            header: row.header,
            object_kinds: row.object_kinds,
            event_names: row.event_names,
            is_confidential: row.confidential,
            has_branch_filter: row.branch_filter,
            is_in_gitlab: trigger.is_in_gitlab(),
            levels: levels(row.levels, row.on_by_default, row.test),
            schema_path: schemas::has(name).then(|| format!("/api/v1/schemas/{name}")),
            sample_path: report::has_sample(trigger).then(|| format!("/api/v1/triggers/{name}")),
        }
    }
}

fn levels(of: Levels, on_by_default: Levels, test: Testable) -> Vec<TriggerLevel> {
    let all = [
        (Scope::Project(ProjectId(0)), "project"),
        (Scope::Group(GroupId(0)), "group"),
        (Scope::Instance, "system"),
    ];

    let mut levels = Vec::new();
    for (scope, level) in all {
        if !of.contain(scope) {
            continue;
        }

        let reason = match test {
            _ if scope == Scope::Instance => Some(FIXED_SAMPLE),
            Testable::No(reason) => Some(reason),
            Testable::Yes => None,
        };
        levels.push(TriggerLevel {
            level,
            is_on_by_default: on_by_default.contain(scope),
            can_be_tested: reason.is_none(),
            reason,
        });
    }

    levels
}
