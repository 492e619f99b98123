//! Silent mode, and the settings in force with their origin.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::frame;
use crate::ui::Ui;
use crate::ui::client::Items;
use crate::ui::error::PageError;
use crate::ui::form::{Query, Sent};
use crate::ui::frame::{Frame, Notice, page};
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time};
use crate::ui::place::Visit;
use crate::ui::question::Question;

const IN_FORCE: &str = "/api/v1/settings";
const APPLICATION: &str = "/api/v4/application/settings";

/// A setting, as the API shows it.
#[derive(Deserialize)]
struct Setting {
    name: String,
    value: Value,
    is_secret: bool,
    is_set: bool,
    source: String,
    source_name: Option<String>,
    meaning: String,
}

impl Setting {
    /// The value as it is written in a settings file. Secrets have none here.
    fn shown(&self) -> Option<String> {
        match &self.value {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// The meaning in pieces. A piece between two backticks is code.
    fn meaning(&self) -> Vec<(bool, &str)> {
        let pieces = self.meaning.split('`').enumerate();
        pieces.map(|(index, text)| (index % 2 == 1, text)).collect()
    }

    fn is_of_default(&self) -> bool {
        self.source == "default"
    }

    fn source(&self) -> &'static str {
        match self.source.as_str() {
            "file" => "Settings file",
            "environment" => "Environment",
            _ => "Default",
        }
    }
}

/// The settings of a section, such as `delivery`.
struct Part {
    name: String,
    settings: Vec<Setting>,
}

/// The application settings, as the API shows them.
#[derive(Deserialize)]
struct Application {
    silent_mode_enabled: bool,
    silent_mode_since: Option<String>,
    silent_mode_set_by_settings: bool,
}

impl Application {
    fn badge(&self) -> Badge {
        if self.silent_mode_enabled {
            Badge::warning("On").because("No webhook is called. Events are kept.")
        } else {
            Badge::good("Off").because("Webhooks are called.")
        }
    }

    fn since(&self) -> Option<Time> {
        self.silent_mode_since.as_deref().map(Time::new)
    }
}

#[derive(Template)]
#[template(path = "ui/admin/settings.html")]
struct SettingsPage {
    frame: Frame,
    application: Application,
    parts: Vec<Part>,

    /// True if settings with their default are left out.
    is_short: bool,
    base: String,
    replay: String,
}

/// Shows the settings.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let application: Application = at.person.api.get(APPLICATION).await?;
    let settings: Items<Setting> = at.person.api.get(IN_FORCE).await?;
    let is_short = query.text("show") == "set";
    let notice = match query.text("done") {
        "on" => Some("Silent mode is on. Events are kept, and no webhook is called."),
        "off" => Some("Silent mode is off. Webhooks are called again."),
        _ => None,
    };

    Ok(page(&SettingsPage {
        frame: frame(&ui, &at, Section::Settings, "Settings")
            .json(IN_FORCE)
            .notice(notice.map(Notice::good)),
        application,
        parts: parts(settings.items, is_short),
        is_short,
        base: at.place.page("settings"),
        replay: at.place.page("replays/new"),
    }))
}

/// The settings by section, in the order of the API.
fn parts(settings: Vec<Setting>, is_short: bool) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for setting in settings {
        if is_short && setting.is_of_default() {
            continue;
        }

        let name = setting.name.split('.').next().unwrap_or_default();
        match parts.last_mut() {
            Some(part) if part.name == name => part.settings.push(setting),
            _ => parts.push(Part {
                name: name.to_owned(),
                settings: vec![setting],
            }),
        }
    }

    parts
}

/// Turns silent mode on or off after a question.
pub(super) async fn change(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let is_on = match (sent.fields.has("silent"), sent.fields.has("loud")) {
        (true, false) => true,
        (false, true) => false,
        _ => return Err(PageError::Missing),
    };

    let base = at.place.page("settings");
    if !sent.fields.has("confirmed") {
        let (title, text, button, field) = if is_on {
            (
                "Turn on silent mode?",
                "No webhook of this server is called from then on. Events are kept, and retries wait.",
                "Turn on silent mode",
                "silent",
            )
        } else {
            (
                "Turn off silent mode?",
                "Webhooks are called again, and retries that waited are sent. A replay can send the events that \
                 arrived meanwhile.",
                "Turn off silent mode",
                "loud",
            )
        };
        let question = Question {
            frame: frame(&ui, &at, Section::Settings, title).crumb("Settings", &base),
            text: text.to_owned(),
            action: base.clone(),
            button,
            field,
            back: base,
        };
        return Ok(question.ask());
    }

    let body = json!({ "silent_mode_enabled": is_on });
    at.person.api.send_only(Method::PUT, APPLICATION, &body).await?;
    let done = if is_on { "on" } else { "off" };
    Ok(Redirect::to(&format!("{base}?done={done}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, source: &str, value: Value) -> Setting {
        Setting {
            name: name.to_owned(),
            value,
            is_secret: false,
            is_set: true,
            source: source.to_owned(),
            source_name: None,
            meaning: String::new(),
        }
    }

    #[test]
    fn settings_are_grouped_by_section() {
        let settings = || {
            vec![
                setting("server.listen", "file", json!("x")),
                setting("server.key", "default", Value::Null),
                setting("guard.https_only", "default", json!(false)),
            ]
        };
        let counts = |parts: &[Part]| -> Vec<usize> { parts.iter().map(|part| part.settings.len()).collect() };
        assert_eq!(counts(&parts(settings(), false)), [2, 1]);
        assert_eq!(counts(&parts(settings(), true)), [1]);
    }

    #[test]
    fn code_in_a_meaning_stands_between_backticks() {
        let mut setting = setting("a.b", "file", json!(1));
        setting.meaning = "Log `info` only.".to_owned();
        assert_eq!(setting.meaning(), [(false, "Log "), (true, "info"), (false, " only.")]);
    }

    #[test]
    fn values_are_shown_as_they_are_written() {
        let shown = |value| setting("a.b", "file", value).shown();
        assert_eq!(shown(json!(["ci:8080"])).as_deref(), Some(r#"["ci:8080"]"#));
        assert_eq!(shown(json!("10s")).as_deref(), Some("10s"));
        assert_eq!((shown(json!("")), shown(Value::Null)), (None, None));
    }
}
