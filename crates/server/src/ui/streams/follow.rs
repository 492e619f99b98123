//! The commands that follow events. The API checks their parameters before they are shown.

use axum::http::StatusCode;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Form};
use crate::ui::parts::quoted;
use crate::ui::place::{Level, Visit};
use crate::ui::replays::form::absolute;

/// Commands that follow the same events.
pub(super) struct Commands {
    /// With Quickdraw's own program, which forwards events to a local one.
    pub(super) listen: String,

    /// With curl.
    pub(super) curl: String,
}

/// The commands for the values of a form. The form notes a value that the API refuses.
///
/// # Errors
/// Refusals that do not concern a value.
pub(super) async fn commands(
    at: &Visit,
    ui: &Ui,
    fields: &Fields,
    form: &mut Form,
) -> Result<Option<Commands>, PageError> {
    let (address, listen) = parts(at, ui, fields);

    // The request does not accept a stream, so the API refuses it with this status after it has checked the values.
    match at.person.api.get::<Value>(&address).await {
        Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => {
            form.refuse(&refusal);
            return Ok(None);
        }
        Err(refusal) if refusal.status != StatusCode::NOT_ACCEPTABLE => return Err(refusal.into()),
        _ => {}
    }

    let url = ui.app.external_url.trim_end_matches('/');
    Ok(Some(Commands {
        listen: format!("quickdraw listen --from {url} --token-file quickdraw-token --position position{listen}"),
        curl: format!(
            "curl -N -H @token-header -H \"Accept: text/event-stream\" {}",
            quoted(&format!("{url}{address}"))
        ),
    }))
}

/// The address of the stream, and the same choice as options of the program.
fn parts(at: &Visit, ui: &Ui, fields: &Fields) -> (String, String) {
    let mut listen = String::new();
    let mut query = Serializer::new(String::new());
    if at.place.level != Level::Instance {
        let word = at.place.level.word();
        query.append_pair(word, &at.place.full_path);
        listen.push_str(&format!(" --{word} {}", quoted(&at.place.full_path)));
    }

    for name in ["trigger", "since", "filter"] {
        let Some(value) = fields.filled(name) else { continue };
        let value = match name {
            "since" => absolute(value, ui.app.now()),
            _ => value.to_owned(),
        };
        query.append_pair(name, &value);
        listen.push_str(&format!(" --{name} {}", quoted(&value)));
    }

    let query = query.finish();
    let query = if query.is_empty() { query } else { format!("?{query}") };
    (format!("/api/v1/stream{query}"), listen)
}
