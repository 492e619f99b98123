//! Reports with `dry_run`: the body that webhooks would get, without an event.

use axum::Json;
use axum::http::StatusCode;
use quickdraw_domain::Trigger;
use quickdraw_domain::compose::{Happened, kind_of};
use quickdraw_domain::report::compose;
use quickdraw_domain::scope::Scope;
use quickdraw_engine::check_projects;
use serde::Serialize;
use utoipa::ToSchema;

use super::{AcceptedReport, wrong};
use crate::error::ApiError;
use crate::state::App;
use crate::views::Shown;

/// Result of a report with `dry_run`.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportPreview {
    /// Kind under which the event would be reported.
    trigger: &'static str,

    /// The body that webhooks would get.
    #[schema(value_type = Object)]
    payload: Shown,
}

impl ReportPreview {
    pub(super) fn answer(trigger: Trigger, body: &[u8]) -> (StatusCode, Json<Answer>) {
        let preview = Self {
            trigger: trigger.row().name,
            payload: Shown::json_or_text(&String::from_utf8_lossy(body)),
        };
        (StatusCode::OK, Json(Answer::Preview(preview)))
    }
}

/// The answer to a report.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Accepted(AcceptedReport),
    Preview(ReportPreview),
}

/// Composes the body of a report. It checks the projects that the body names, as for a report that is stored.
///
/// # Errors
/// 422 for an object that cannot be composed, or that names a project outside the scope.
pub(super) fn composed(
    app: &App,
    happened: &Happened<'_>,
    within: Option<Scope>,
) -> Result<(StatusCode, Json<Answer>), ApiError> {
    let happened = Happened {
        trigger: kind_of(happened.trigger, happened.object),
        ..*happened
    };
    let body = compose(&happened).map_err(|error| wrong("object", &error))?;
    if let Some(scope) = within {
        check_projects(&app.engine.context, happened.trigger, &body, scope).map_err(|error| wrong("object", &error))?;
    }

    Ok(ReportPreview::answer(happened.trigger, &body))
}
