//! The frame around each page: title, navigation, user, notices.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Ui;
use super::navigation::{Section, Sections};
use super::person::Person;
use super::place::Place;

/// Everything that is shown around the content of a page.
#[derive(Default)]
pub(super) struct Frame {
    pub(super) title: String,

    /// The way to the page: names and addresses.
    pub(super) crumbs: Vec<Link>,
    pub(super) sections: Sections,
    pub(super) user: Option<User>,

    /// The token that forms of this session have.
    pub(super) form_token: String,
    pub(super) notice: Option<Notice>,

    /// Colours that the creator of a portal link chose: `light`, `dark`, or another word for those of the browser.
    pub(super) theme: &'static str,

    /// Address of the platform's page to which the pages of a portal link back.
    pub(super) return_url: Option<String>,

    /// Messages for everybody, such as that silent mode is on.
    pub(super) warnings: Vec<String>,

    /// The address of the same data as JSON.
    pub(super) json: Option<String>,
}

/// A name with an address.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) href: String,
}

/// The user who is signed in.
pub(super) struct User {
    pub(super) name: String,
    pub(super) username: String,
    pub(super) is_admin: bool,
}

/// A message about what was just done.
pub(super) struct Notice {
    /// `good` or `bad`.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

impl Notice {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self {
            kind: "good",
            text: text.into(),
        }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self {
            kind: "bad",
            text: text.into(),
        }
    }
}

impl Frame {
    /// The frame of a page without a user.
    pub(super) fn bare(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// The frame of a page that belongs to no place.
    pub(super) fn of(ui: &Ui, person: &Person, title: impl Into<String>) -> Self {
        let actor = &person.actor;
        let silent = ui.app.engine.context.is_silent();
        let warning = "Silent mode is on: no webhook is called. Events are kept and can be delivered later.";

        Self {
            title: title.into(),
            user: person.portal.is_none().then(|| User {
                name: actor.name.clone(),
                username: actor.username.clone(),
                is_admin: actor.is_admin,
            }),
            theme: person.portal.as_ref().map_or("auto", |portal| portal.theme.word()),
            return_url: person.portal.as_ref().and_then(|portal| portal.return_url.clone()),
            form_token: person.form_token.clone(),
            warnings: silent.then(|| warning.to_owned()).into_iter().collect(),
            ..Self::default()
        }
    }

    /// The frame of a page of a place.
    pub(super) fn at(ui: &Ui, person: &Person, place: &Place, section: Section, title: impl Into<String>) -> Self {
        let mut frame = Self::of(ui, person, title);
        frame.sections = Sections::of(place, section, person.portal.is_some());
        frame.crumbs = crumbs(place);

        // A visitor of a portal cannot see the groups above the place.
        if person.portal.is_some() {
            let (name, href) = (place.name.clone(), place.page("hooks"));
            frame.crumbs = vec![Link { name, href }];
        }

        frame
    }

    /// Adds a step to the way to the page.
    pub(super) fn crumb(mut self, name: impl Into<String>, href: impl Into<String>) -> Self {
        let (name, href) = (name.into(), href.into());
        self.crumbs.push(Link { name, href });
        self
    }

    /// Names the address of the same data as JSON.
    pub(super) fn json(mut self, address: impl Into<String>) -> Self {
        self.json = Some(address.into());
        self
    }

    /// Adds a message.
    pub(super) fn notice(mut self, notice: Option<Notice>) -> Self {
        self.notice = notice.or(self.notice);
        self
    }
}

/// The groups above a place, and the place itself.
fn crumbs(place: &Place) -> Vec<Link> {
    use super::place::Level;

    if place.level == Level::Instance {
        let (name, href) = (place.name.clone(), place.start());
        return vec![Link { name, href }];
    }

    let mut crumbs = Vec::new();
    let mut path = String::new();
    let names: Vec<&str> = place.full_path.split('/').collect();
    for (index, name) in names.iter().enumerate() {
        let is_last = index + 1 == names.len();
        path = if path.is_empty() {
            (*name).to_owned()
        } else {
            format!("{path}/{name}")
        };
        let level = if is_last { place.level } else { Level::Group };
        let step = Place {
            level,
            id: 0,
            full_path: path.clone(),
            name: (*name).to_owned(),
        };
        let name = if is_last {
            place.name.clone()
        } else {
            (*name).to_owned()
        };
        crumbs.push(Link {
            name,
            href: step.start(),
        });
    }

    crumbs
}

/// Renders a page.
pub(super) fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Renders a form that was refused, with the status for it.
pub(super) fn refused_page(template: &impl Template) -> Response {
    let mut response = page(template);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}
