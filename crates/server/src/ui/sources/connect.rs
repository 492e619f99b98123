//! The page that helps to connect a GitLab: a form, the commands for the choice, and the requests that arrive. The
//! token of GitLab stays on the machine of the person; the server calls no GitLab.

mod command;

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use quickdraw_domain::hook::HookUrl;
use quickdraw_domain::scope::check_path_segment;
use quickdraw_domain::source::BoundTo;
use url::form_urlencoded::Serializer;

use self::command::{Commands, Places};
use super::{Administration, SOURCES, Source};
use crate::ui::Ui;
use crate::ui::client::{Api, Items, Refusal};
use crate::ui::error::PageError;
use crate::ui::form::{Choice, Fields, Form, Query};
use crate::ui::frame::{Frame, page, refused_page};
use crate::ui::live::live;
use crate::ui::navigation::Section;
use crate::ui::parts::Badge;

/// Number of sources that the page shows.
const ROWS: usize = 20;
/// Longest address of a GitLab, in characters. It is the limit of the API for the GitLab of a source.
const LONGEST_ADDRESS: usize = 255;
/// Longest full path, in characters.
const LONGEST_PATH: usize = 1024;

/// The places of a GitLab that can be connected.
const KINDS: [Choice; 4] = [
    Choice::new("all", "Every project that the token can administer"),
    Choice::new("group", "One group with its projects"),
    Choice::new("project", "One project"),
    Choice::new("system", "The whole GitLab with one system hook"),
];

#[derive(Template)]
#[template(path = "ui/sources/connect.html")]
struct ConnectPage {
    frame: Frame,
    form: Form,
    kinds: &'static [Choice],
    base: String,
    list: String,

    /// The address to which GitLab posts.
    external_url: String,
    chosen: Option<Shown>,
}

/// The parts of the page that need a GitLab.
struct Shown {
    gitlab: String,

    /// Whether only the token of an administrator of GitLab is enough.
    needs_administrator: bool,
    commands: Commands,
    waiting: Waiting,
    live: String,
}

/// The part of the page that changes while requests arrive.
#[derive(Template)]
#[template(path = "ui/sources/waiting.html")]
struct Waiting {
    badge: Badge,
    sentence: &'static str,
    rows: Vec<Source>,

    /// Number of sources that are left out.
    more: usize,

    /// The address of the list of sources.
    list: String,
}

impl HtmlSafe for Waiting {}

/// A GitLab and the places in it.
struct Chosen {
    gitlab: String,
    places: Places,
}

/// Shows the form, and the commands if a GitLab is chosen.
pub(super) async fn show(
    at: Administration,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&query, &[]);

    let list = at.list();
    let base = at.0.place.page("connect");
    let chosen = match query.has("url").then(|| chosen(&query, &mut form)).flatten() {
        Some(chosen) => Some(shown(&ui, &at, &base, chosen).await?),
        None => None,
    };

    let is_refused = form.is_refused();
    let shown = ConnectPage {
        frame: Frame::at(&ui, &at.0.person, &at.0.place, Section::Connect, "Connect GitLab").json(SOURCES),
        form,
        kinds: &KINDS,
        external_url: ui.app.external_url.clone(),
        chosen,
        base,
        list,
    };
    Ok(if is_refused { refused_page(&shown) } else { page(&shown) })
}

async fn shown(ui: &Ui, at: &Administration, base: &str, chosen: Chosen) -> Result<Shown, PageError> {
    let query = Serializer::new(String::new())
        .append_pair("url", &chosen.gitlab)
        .finish();

    Ok(Shown {
        needs_administrator: matches!(chosen.places, Places::System),
        commands: Commands::new(&ui.app.external_url, &chosen.gitlab, &chosen.places),
        waiting: Waiting::read(&at.0.person.api, &chosen.gitlab, at.list()).await?,
        live: format!("{base}/live?{query}"),
        gitlab: chosen.gitlab,
    })
}

/// Sends the sources of a GitLab whenever they have changed.
pub(super) async fn follow(
    at: Administration,
    State(ui): State<Arc<Ui>>,
    cookies: HeaderMap,
    Query(query): Query,
) -> Result<Response, PageError> {
    let gitlab = address(query.text("url")).map_err(|_| PageError::Missing)?;
    let (api, list) = (at.0.person.api.clone(), at.list());
    live(ui, &at.0, cookies, move || {
        let (api, gitlab, list) = (api.clone(), gitlab.clone(), list.clone());
        async move { Ok(Waiting::read(&api, &gitlab, list).await?.to_string()) }
    })
}

/// Reads the form, and notes every error.
fn chosen(fields: &Fields, form: &mut Form) -> Option<Chosen> {
    let gitlab = address(fields.text("url")).map_err(|text| form.wrong("url", text)).ok();
    let kind = fields.filled("places").unwrap_or(KINDS[0].value);
    let path = fields.text("path").trim().trim_matches('/');

    let places = match kind {
        "group" | "project" if !is_path(path) => {
            let text = "Type the full path, such as gear/rope, or the number";
            form.wrong("path", text);
            None
        }
        "group" => Some(Places::Group(path.to_owned())),
        "project" => Some(Places::Project(path.to_owned())),
        "all" | "system" if !path.is_empty() => {
            form.wrong("path", "Remove the path, or choose one group or one project");
            None
        }
        "all" => Some(Places::All),
        "system" => Some(Places::System),
        _ => {
            form.wrong("places", "Choose one of the list");
            None
        }
    };

    Some(Chosen {
        gitlab: gitlab?,
        places: places?,
    })
}

/// Reads the address of a GitLab, by the rules of the API for the GitLab of a source and those of the command.
fn address(typed: &str) -> Result<String, String> {
    let typed = typed.trim();
    if typed.chars().count() > LONGEST_ADDRESS {
        return Err(format!("The address has at most {LONGEST_ADDRESS} characters"));
    }

    let address = match BoundTo::parse(typed) {
        Ok(BoundTo::Instance(address)) => address,
        Ok(BoundTo::Any) | Err(_) => {
            return Err(
                "Type the address of a GitLab, such as https://gitlab.example.com, without a user name and parameters"
                    .to_owned(),
            );
        }
    };

    match HookUrl::parse(&address) {
        Ok(_) => Ok(address),
        Err(error) => Err(format!("The address {error}")),
    }
}

/// Whether a text can be the full path of a group or project, or its number.
fn is_path(path: &str) -> bool {
    path.len() <= LONGEST_PATH && path.split('/').all(|segment| check_path_segment(segment).is_ok())
}

impl Waiting {
    /// Reads the sources that belong to a GitLab, or all of them if none does.
    async fn read(api: &Api, gitlab: &str, list: String) -> Result<Self, Refusal> {
        let all = api.get::<Items<Source>>(SOURCES).await?.items;
        Ok(Self::of(all, gitlab, list))
    }

    fn of(all: Vec<Source>, gitlab: &str, list: String) -> Self {
        let (own, others): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|source| source.instance.as_deref() == Some(gitlab));

        let (badge, sentence) = state(&own);
        let mut rows = if own.is_empty() { others } else { own };
        let more = rows.len().saturating_sub(ROWS);
        rows.truncate(ROWS);

        Self {
            badge,
            sentence,
            rows,
            more,
            list,
        }
    }
}

/// The state of a GitLab in one sentence, from its sources.
fn state(own: &[Source]) -> (Badge, &'static str) {
    let waiting = || Badge::waiting("Waiting for the first request…");
    if own.is_empty() {
        let sentence = "No source belongs to this GitLab yet. The command creates one. These are the other sources.";
        return (waiting(), sentence);
    }

    if own.iter().all(|source| source.last_request_at.is_none()) {
        return (
            waiting(),
            "The source of this GitLab is ready. No request has arrived yet.",
        );
    }

    let accepted: u64 = own
        .iter()
        .map(|source| source.last_hour.accepted + source.last_hour.duplicates)
        .sum();
    let refused: u64 = own.iter().map(|source| source.last_hour.refused).sum();
    match (accepted, refused) {
        (0, 0) => (
            Badge::plain("Quiet"),
            "Requests arrived before, and none in the last hour.",
        ),
        (0, _) => (
            Badge::bad("Refusing"),
            "Requests arrive, and all of the last hour were refused. The page of the source says why.",
        ),
        (_, 0) => (Badge::good("Connected"), "Requests of this GitLab arrive."),
        _ => (
            Badge::warning("Some refused"),
            "Requests of this GitLab arrive, and some were refused. The page of the source says why.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(instance: Option<&str>, last: Option<&str>, accepted: u64, refused: u64) -> Source {
        let source = json!({
            "id": "5e0c", "url": "https://quickdraw.example.com/api/v1/webhooks/gitlab/5e0c", "name": "lab",
            "mode": "token", "secrets": 1, "replaced_secrets_until": null, "window": 300, "addresses": [],
            "rate_limit": 100, "sender_rate_limit": 6000, "body_limit": 1, "deduplicate": true,
            "instance": instance, "last_request_at": last,
            "last_hour": {
                "requests": accepted + refused, "per_minute": 0.1, "accepted": accepted, "duplicates": 0,
                "refused": refused,
            },
        });
        serde_json::from_value(source).expect("a source")
    }

    fn check_state(sources: Vec<Source>, word: &str, rows: usize) {
        let waiting = Waiting::of(sources, "https://gitlab.example.com", String::new());
        let badge = waiting.badge.to_string();
        assert!(badge.contains(word), "{badge}");
        assert_eq!(waiting.rows.len(), rows, "{word}");
    }

    #[test]
    fn the_state_follows_the_sources_of_the_gitlab() {
        let own = Some("https://gitlab.example.com");
        let other = || {
            source(
                Some("https://other.example.com"),
                Some("2026-12-01T10:00:00.000Z"),
                5,
                0,
            )
        };
        let seen = Some("2026-12-01T10:00:00.000Z");

        check_state(vec![other()], "Waiting for the first request", 1);
        check_state(
            vec![other(), source(own, None, 0, 0)],
            "Waiting for the first request",
            1,
        );
        check_state(vec![source(own, seen, 0, 0)], "Quiet", 1);
        check_state(vec![source(own, seen, 1, 0), other()], "Connected", 1);
        check_state(vec![source(own, seen, 0, 2)], "Refusing", 1);
        check_state(
            vec![source(own, seen, 1, 0), source(own, seen, 0, 2)],
            "Some refused",
            2,
        );
    }

    #[test]
    fn the_address_of_a_gitlab_is_checked() {
        for (typed, expected) in [
            (" https://GitLab.example.com/ ", Some("https://gitlab.example.com")),
            ("http://192.0.2.7:8080/gitlab", Some("http://192.0.2.7:8080/gitlab")),
            ("", None),
            ("any", None),
            ("gitlab.example.com", None),
            ("ftp://gitlab.example.com", None),
            ("https://gitlab.example.com@evil.example", None),
            ("https://gitlab.example.com?a=b", None),
            ("https://gitlab.example.com/\nrm", None),
            ("https://gitlab.example.com/\u{1b}[A", None),
            ("https://gitlab.example.com:0", None),
        ] {
            assert_eq!(address(typed).ok().as_deref(), expected, "{typed}");
        }

        assert!(address(&format!("https://{}.example", "a".repeat(250))).is_err());
    }

    #[test]
    fn a_path_has_only_the_characters_of_gitlabs_paths() {
        for (path, expected) in [
            ("gear", true),
            ("gear/rope", true),
            ("42", true),
            ("", false),
            ("--all", false),
            ("gear//rope", false),
            ("gear/$(id)", false),
            ("gear\nrope", false),
            ("it's", false),
        ] {
            assert_eq!(is_path(path), expected, "{path}");
        }
    }
}
