//! Every part of pages in all its states, for people who change the style sheet. Builds for production do not have it.

use askama::Template;
use axum::response::Response;

use super::charts::{Chart, Column, Data, Ink, Series, Unit};
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

    /// Charts with many values, with few and with none.
    charts: Vec<Chart>,

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
        charts: charts(),
        fresh,
        refused,
    })
}

/// Each kind of chart in all its states.
fn charts() -> Vec<Chart> {
    let counts = |name, ink, factor: u64| {
        let count = move |hour: u64| Some(hour * hour * factor % 97);
        Series::counts(name, ink, (0..24).map(count))
    };
    let few = |name, ink, at: usize, value| {
        let mut values = vec![None; 24];
        values[at] = Some(value);
        Series { name, ink, values }
    };
    let durations = |name, ink, least: f64| {
        let value = move |hour: i32| (hour % 9 != 4).then(|| least + f64::from(hour * hour % 13) / 40.0);
        Series {
            name,
            ink,
            values: (0..24).map(value).collect(),
        }
    };

    vec![
        chart_of(
            "Two series",
            Unit::Count,
            vec![counts("Delivered", Ink::Good, 50), counts("Failed", Ink::Bad, 3)],
        )
        .bars(),
        chart_of(
            "Three series",
            Unit::Count,
            vec![
                counts("Waiting", Ink::First, 5),
                counts("Retrying", Ink::Second, 7),
                counts("Blocked", Ink::Third, 2),
            ],
        )
        .bars(),
        chart_of("One failure", Unit::Count, vec![few("Failed", Ink::Bad, 20, 1.0)]).bars(),
        chart_of(
            "Great numbers",
            Unit::Count,
            vec![few("Events", Ink::First, 3, 1_234_567.0)],
        )
        .bars(),
        chart_of("No bars", Unit::Count, Vec::new()).bars(),
        chart_of(
            "Lines with gaps",
            Unit::Seconds,
            vec![
                durations("Half", Ink::First, 0.05),
                durations("95 %", Ink::Second, 0.3),
                durations("Longest", Ink::Third, 0.9),
            ],
        )
        .lines(),
        chart_of("One value", Unit::Seconds, vec![few("Half", Ink::First, 12, 0.002)]).lines(),
        chart_of("No lines", Unit::Seconds, Vec::new()).lines(),
    ]
}

fn chart_of(title: &'static str, unit: Unit, series: Vec<Series>) -> Data {
    let column = |hour: usize| Column::time(&format!("2026-12-01T{hour:02}:00:00.000Z"));
    Data {
        title,
        description: "A sentence about the numbers.".to_owned(),
        nothing: "There are no numbers.",
        column: "Hour",
        columns: (0..24).map(column).collect(),
        series,
        unit,
    }
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
