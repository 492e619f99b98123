//! Every part of pages in all its states, for people who change the style sheet. Builds for production do not have it.

use askama::Template;
use axum::response::Response;

use super::form::Form;
use super::frame::{Frame, Link, Notice, page};
use super::navigation::{Section, Sections};
use super::parts::{Badge, Time};
use super::place::Place;

/// A word that cannot be broken, as ids and URLs often are.
const LONG: &str =
    "https://hooks.example.com/a-very-long-address-without-a-single-blank-0123456789abcdef0123456789abcdef";
const TIME: &str = "2026-12-01T10:00:00.123Z";

#[derive(Template)]
#[template(path = "ui/components.html")]
struct ComponentsPage {
    frame: Frame,
    badges: Vec<Badge>,
    statuses: Vec<Badge>,
    time: Time,
    long: &'static str,

    /// A form as it is opened.
    fresh: Form,

    /// A form that was refused.
    refused: Form,
}

/// Shows all parts.
pub(super) async fn show() -> Response {
    let badges = vec![
        Badge::good("Delivered"),
        Badge::bad("Given up").because("All attempts failed"),
        Badge::warning("Temporarily disabled"),
        Badge::waiting("Retrying"),
        Badge::plain("Skipped"),
    ];
    let statuses = vec![
        Badge::status(Some(200)),
        Badge::status(Some(404)),
        Badge::status(Some(500)),
        Badge::status(None),
    ];

    let mut fresh = Form::default();
    fresh.set("fresh-name", "Rope");
    fresh.set("fresh-box", "true");
    fresh.set("fresh-lines", "First line\nSecond line");

    let mut refused = Form::default();
    refused.set("wrong-name", "ftp://example.com");
    refused.wrong("wrong-name", "Only http and https are supported");
    refused.wrong("wrong-secret", "Type the secret again");
    refused.wrong("wrong-lines", "Line 2 is not valid JSON");

    page(&ComponentsPage {
        frame: frame(),
        badges,
        statuses,
        time: Time::new(TIME),
        long: LONG,
        fresh,
        refused,
    })
}

/// A frame with every part that a frame can have.
fn frame() -> Frame {
    let place = Place::instance();
    let crumbs = ["gear", "Rope and harness", LONG].map(|name| Link {
        name: name.to_owned(),
        href: "/-/components".to_owned(),
    });

    Frame {
        sections: Sections::of(&place, Section::Hooks, false),
        crumbs: crumbs.into(),
        notice: Some(Notice::good("The webhook was saved.")),
        warnings: vec!["Silent mode is on: no webhook is called.".to_owned()],
        json: Some("/api/v4/hooks".to_owned()),
        ..Frame::bare("Components")
    }
}
