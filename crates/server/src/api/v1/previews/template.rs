//! Preview of a body template on a real event, or on a sample.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use bytes::Bytes;
use quickdraw_domain::hook::body_template::{MAX_LEN, render, rendered_len};
use quickdraw_domain::hook::template_check;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{EventId, Trigger, report};
use quickdraw_store::Packed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::super::managed;
use super::recent;
use crate::audit::Note;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, TriggerName};
use crate::state::App;
use crate::views::Shown;

/// Largest body that a template is applied to, and largest result that is shown, in bytes.
const LARGEST: usize = 1 << 20;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// A template to preview.
#[derive(Deserialize, ToSchema)]
struct TemplateToPreview {
    /// The template, in the format of a hook's `custom_webhook_template`; at most 4096 characters.
    custom_webhook_template: String,

    /// Kind of event, such as `push_hooks`.
    #[schema(value_type = String)]
    trigger: TriggerName,

    /// The event whose body is used. Without it, the newest real event of the kind, or else a sample.
    event: Option<Uuid>,

    /// Project of the hook: id or full path.
    project: Option<String>,

    /// Group of the hook: id or full path. Without a project or a group, any event of the instance.
    group: Option<String>,
}

/// A problem in a template.
#[derive(Serialize, ToSchema)]
struct TemplateProblem {
    /// Line of the template, from 1. Null if the problem has no position in the template.
    line: Option<usize>,

    /// The problem.
    message: String,
}

/// Result of a template.
#[derive(Serialize, ToSchema)]
struct TemplatePreview {
    /// Id of the event whose body was used; null for a sample.
    #[schema(format = Uuid)]
    event_id: Option<String>,

    /// True if the body of a sample was used, because there is no real event of the kind.
    is_sample: bool,

    /// The body that would be sent: usually an object, but a template can produce any JSON. Null with errors.
    #[schema(value_type = Option<serde_json::Value>)]
    body: Option<Shown>,

    /// Problems because of which the template cannot be saved, or produces no body for this event.
    errors: Vec<TemplateProblem>,

    /// Problems that are probably a mistake.
    warnings: Vec<String>,
}

/// Show the body that a template would produce for a real event. Maintainers of the project, owners of the group, and
/// administrators.
///
/// Nothing is saved or sent. A body of the event and a result of more than 1 MiB are not shown.
#[utoipa::path(post, path = "/previews/template", tag = "Hooks", request_body = TemplateToPreview,
    responses((status = 200, body = TemplatePreview)))]
async fn preview(
    caller: Caller,
    Extension(note): Extension<Note>,
    State(app): State<Arc<App>>,
    Input(asked): Input<TemplateToPreview>,
) -> Result<Json<TemplatePreview>, ApiError> {
    let scope = managed::scope_of(&app, &caller, asked.project.as_deref(), asked.group.as_deref()).await?;
    let template = asked.custom_webhook_template;
    if template.chars().count() > MAX_LEN {
        let detail = format!("custom_webhook_template is too long (maximum is {MAX_LEN} characters)");
        return Err(ApiError::field("custom_webhook_template", detail));
    }

    let TriggerName(trigger) = asked.trigger;
    let used = body_of(&app, scope, trigger, asked.event.map(EventId)).await?;
    note.shows_bodies();

    let warnings = template_check::warnings(&template);
    if let Err(error) = template_check::check(&template) {
        return Ok(Json(used.answer(None, vec![problem(&error.to_string())], warnings)));
    }

    // Rendering takes a thread for milliseconds, so a limit applies to the number of previews at once.
    let permit = app.calculations.acquire().await?;
    let body = used.body.clone();
    let rendered = permit.run(move || rendered(&template, &body)).await;

    Ok(Json(
        match rendered.map_err(|error| ApiError::internal(error.into()))? {
            Ok(body) => used.answer(Some(body), Vec::new(), warnings),
            Err(text) => used.answer(None, vec![problem(&text)], warnings),
        },
    ))
}

/// The body that a template is applied to.
struct Used {
    event: Option<EventId>,
    body: Bytes,
}

impl Used {
    fn answer(&self, body: Option<Shown>, errors: Vec<TemplateProblem>, warnings: Vec<String>) -> TemplatePreview {
        TemplatePreview {
            event_id: self.event.map(|event| event.to_string()),
            is_sample: self.event.is_none(),
            body,
            errors,
            warnings,
        }
    }
}

/// Finds the body: of the event that the request names, of the newest real event of the kind, or of a sample.
async fn body_of(app: &App, scope: Scope, trigger: Trigger, event: Option<EventId>) -> Result<Used, ApiError> {
    if let Some(id) = event {
        let found = app.store().find_event(id).await?;
        let found = found.filter(|(event, _)| app.engine.context.is_in(event.place, scope));
        let nothing = || {
            let text = "the project, group or instance has no event with this id";
            ApiError::problem(StatusCode::NOT_FOUND, text)
        };
        let (event, payload) = found.ok_or_else(nothing)?;
        if event.trigger != trigger {
            let detail = format!(
                "the event is of the kind {}; choose an event of {trigger}",
                event.trigger
            );
            return Err(ApiError::field("event", detail));
        }

        return used(id, &payload);
    }

    let newest = recent(app, scope, trigger, 1).await?;
    if let Some(event) = newest.first()
        && let Some((event, payload)) = app.store().find_event(event.id).await?
    {
        return used(event.id, &payload);
    }

    let sample = report::example(trigger, app.engine.context.instance(), app.now());
    let sample = sample.map_err(|error| ApiError::internal(error.into()))?;
    let body = sample.ok_or_else(|| {
        let detail = format!("there is no event of the kind {trigger} yet, and no sample; choose another kind");
        ApiError::field("trigger", detail)
    })?;

    Ok(Used {
        event: None,
        body: body.into(),
    })
}

fn used(event: EventId, payload: &Packed) -> Result<Used, ApiError> {
    if payload.unpacked_len() > LARGEST {
        let detail = "the body of the event has more than 1 MiB; choose another event";
        return Err(ApiError::field("event", detail));
    }

    Ok(Used {
        event: Some(event),
        body: payload.unpack()?,
    })
}

fn rendered(template: &str, body: &[u8]) -> Result<Shown, String> {
    let length = rendered_len(template, body).map_err(|error| error.to_string())?;
    if length > LARGEST {
        return Err("The result has more than 1 MiB and is not shown.".to_owned());
    }

    let rendered = render(template, body).map_err(|error| error.to_string())?;
    Ok(Shown::json_or_text(&String::from_utf8_lossy(&rendered)))
}

/// Reads the line from the message of the parser. Values have no line breaks unless they are objects or lists, so the
/// line of the result is that of the template.
fn problem(message: &str) -> TemplateProblem {
    let line = message
        .rsplit_once(" at line ")
        .and_then(|(_, position)| position.split(' ').next()?.parse().ok());

    TemplateProblem {
        line,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_line_that_the_parser_names() {
        let line = |template: &str| {
            let text = rendered(template, br#"{"a":"x","n":1}"#).err().unwrap_or_default();
            problem(&text).line
        };
        assert_eq!(line("{\n\"a\": \"{{a}}\",\n\"b\" {{n}}\n}"), Some(3));
        assert_eq!(line(r#"{"a": {{n.x}}}"#), None, "the error is about a name");
    }

    #[test]
    fn a_result_that_is_too_long_is_not_shown() {
        let body = format!(r#"{{"x":"{}"}}"#, "x".repeat(LARGEST / 2));
        let shown = rendered(r#"["{{x}}", "{{x}}", "{{x}}"]"#, body.as_bytes());
        assert_eq!(
            shown.err().as_deref(),
            Some("The result has more than 1 MiB and is not shown.")
        );
        assert!(rendered(r#"["{{x}}"]"#, body.as_bytes()).is_ok());
    }
}
