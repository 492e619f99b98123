//! The page on which people see where they are signed in, and sign out elsewhere.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::frame;
use crate::ui::Ui;
use crate::ui::client::Items;
use crate::ui::error::PageError;
use crate::ui::form::Sent;
use crate::ui::frame::{Frame, Notice, page};
use crate::ui::parts::{Badge, Time};
use crate::ui::person::Person;

const ADDRESS: &str = "/-/profile/sessions";
const API: &str = "/api/v1/user/sessions";

#[derive(Deserialize)]
struct Session {
    id: i64,
    created_at: String,
    last_used_at: String,
    address: Option<String>,
    browser: String,
    is_current: bool,
}

impl Session {
    fn created(&self) -> Time {
        Time::new(&self.created_at)
    }

    fn last_used(&self) -> Time {
        Time::new(&self.last_used_at)
    }

    fn current(&self) -> Badge {
        Badge::good("This browser")
    }

    /// The name of the browser in a few words.
    fn browser(&self) -> String {
        browser(&self.browser)
    }
}

/// Shortens the name that a browser gives itself. Later names contain the earlier ones, so the order matters.
fn browser(full: &str) -> String {
    const BROWSERS: [(&str, &str); 5] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];

    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];

    let find = |names: &[(&'static str, &'static str)]| {
        let found = names.iter().find(|(part, _)| full.contains(part));
        found.map(|(_, name)| *name)
    };

    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) if full.is_empty() => "Unknown browser".to_owned(),
        (None, None) => full.chars().take(60).collect(),
    }
}

#[derive(Template)]
#[template(path = "ui/profile/sessions.html")]
struct SessionsPage {
    frame: Frame,
    sessions: Vec<Session>,
}

/// Shows the sessions.
pub(super) async fn show(person: Person, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    render(&ui, &person, None).await
}

/// Ends one session, or all others.
pub(super) async fn end(State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let Sent { person, fields } = sent;
    let Some(which) = fields.filled("end") else {
        return Err(PageError::Missing);
    };

    if which == "others" {
        person.api.send_only(Method::DELETE, API, &json!({})).await?;

        let notice = Notice::good("You are signed out everywhere else.");
        return render(&ui, &person, Some(notice)).await;
    }

    let id: i64 = which.parse().map_err(|_| PageError::Missing)?;
    person
        .api
        .send_only(Method::DELETE, &format!("{API}/{id}"), &json!({}))
        .await?;

    render(&ui, &person, Some(Notice::good("The session has ended."))).await
}

async fn render(ui: &Ui, person: &Person, notice: Option<Notice>) -> Result<Response, PageError> {
    let list: Items<Session> = person.api.get(API).await?;
    Ok(page(&SessionsPage {
        frame: frame(ui, person, ADDRESS).json(API).notice(notice),
        sessions: list.items,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_in_a_few_words() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome on Linux");
        assert_eq!(browser(&format!("{chrome} Edg/131.0")), "Edge on Linux");

        assert_eq!(
            browser("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.5; rv:132.0) Firefox/132.0"),
            "Firefox on macOS"
        );

        assert_eq!(browser("curl/8.5"), "curl/8.5");
        assert_eq!(browser(""), "Unknown browser");
    }
}
