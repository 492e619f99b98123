//! The overview of a project, a group or the instance: the parts that need attention first, then the last hour.

mod chart;

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::join_all;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use self::chart::Minute;
use super::Ui;
use super::charts::Chart;
use super::error::PageError;
use super::form::{Fields, Query};
use super::frame::{Frame, page};
use super::navigation::Section;
use super::parts::{Badge, Time};
use super::place::{Level, Place, Visit};
use super::start;

/// The overview, as the API answers.
#[derive(Deserialize)]
struct Overview {
    hooks: Counts,
    attention: Vec<HookAttention>,
    backlog: Backlog,
    sources: Option<Vec<SourceAttention>>,
    gaps: Vec<Gap>,
    silent_projects: Vec<SilentProject>,
    minutes: Vec<Minute>,
}

#[derive(Deserialize)]
struct Counts {
    total: u64,
    healthy: u64,
    failing: u64,
    temporarily_disabled: u64,
    disabled: u64,
    paused: u64,
}

#[derive(Deserialize)]
struct HookAttention {
    id: i64,
    title: String,
    project_id: Option<i64>,
    group_id: Option<i64>,
    state: String,
    reason: String,
}

impl HookAttention {
    /// The place of the webhook: its level, and its number.
    const fn place(&self) -> (Level, i64) {
        match (self.project_id, self.group_id) {
            (Some(id), _) => (Level::Project, id),
            (None, Some(id)) => (Level::Group, id),
            (None, None) => (Level::Instance, 0),
        }
    }

    fn badge(&self) -> Badge {
        match self.state.as_str() {
            "disabled" => Badge::bad("Disabled"),
            "temporarily_disabled" => Badge::warning("Temporarily disabled"),
            _ => Badge::warning("Failing"),
        }
    }
}

#[derive(Deserialize)]
struct Backlog {
    deliveries: i64,
    has_more: bool,
    oldest_at: Option<String>,
}

#[derive(Deserialize)]
struct SourceAttention {
    id: String,
    name: String,
    refused: u32,
    last_refused_at: String,
    reason: Option<String>,
}

impl SourceAttention {
    fn href(&self) -> String {
        format!("/admin/sources/{}", utf8_percent_encode(&self.id, NON_ALPHANUMERIC))
    }
}

#[derive(Deserialize)]
struct Gap {
    source_project_id: i64,
    path_with_namespace: Option<String>,
    kind: String,
    missing: i64,
}

impl Gap {
    fn project(&self) -> String {
        let number = || format!("Project {}", self.source_project_id);
        self.path_with_namespace.clone().unwrap_or_else(number)
    }

    /// The words of the sequence, such as "merge request".
    fn words(&self) -> String {
        self.kind.replace('_', " ")
    }
}

#[derive(Deserialize)]
struct SilentProject {
    id: i64,
    path_with_namespace: String,
    last_event_at: String,
}

impl SilentProject {
    fn href(&self) -> String {
        let place = Place {
            level: Level::Project,
            id: self.id,
            full_path: self.path_with_namespace.clone(),
            name: String::new(),
        };
        place.start()
    }
}

/// A webhook that needs attention, with its addresses.
struct Line {
    hook: HookAttention,

    /// The full path of the project or group, unless it is that of the page.
    path: Option<String>,

    /// The address of its page, if its place was found.
    href: Option<String>,
}

/// A project, as its overview shows it.
#[derive(Deserialize)]
struct About {
    description: Option<String>,
    visibility: String,
    default_branch: Option<String>,
    created_at: String,
    archived: bool,
}

/// The content of an overview that the person may see.
struct Shown {
    counts: Counts,
    backlog: Backlog,
    oldest: Option<Time>,
    lines: Vec<Line>,
    sources: Vec<SourceAttention>,
    gaps: Vec<Gap>,

    /// The page of all gaps.
    gaps_page: String,
    silent: Vec<SilentProject>,
    events: Chart,
    calls: Chart,

    /// Whether an event arrived in the last hour.
    has_events: bool,
}

impl Shown {
    fn needs_attention(&self) -> bool {
        !(self.lines.is_empty() && self.sources.is_empty() && self.gaps.is_empty() && self.silent.is_empty())
    }
}

#[derive(Template)]
#[template(path = "ui/places/overview.html")]
struct OverviewPage {
    frame: Frame,
    title: String,
    hooks: String,
    is_instance: bool,

    /// The word of the level, as in "this project".
    word: &'static str,

    /// The facts about a project.
    about: Option<About>,

    /// Nothing if the role of the person does not allow it.
    shown: Option<Shown>,
}

/// Shows the overview of a place.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    of(&at, &ui, &query).await
}

/// Makes the overview of a place. Members of a project whose role does not show its webhooks see its facts only.
pub(super) async fn of(at: &Visit, ui: &Ui, query: &Fields) -> Result<Response, PageError> {
    let is_project = at.place.level == Level::Project;
    let address = match at.place.filter() {
        filter if filter.is_empty() => "/api/v1/overview".to_owned(),
        filter => format!("/api/v1/overview?{filter}"),
    };

    let about = if is_project {
        Some(at.person.api.get::<About>(&at.place.api()).await?)
    } else {
        None
    };
    let shown = match at.person.api.get::<Overview>(&address).await {
        Ok(overview) => Some(shown(at, overview).await),
        Err(refusal) if is_project && refusal.status == StatusCode::FORBIDDEN => None,
        Err(refusal) => return Err(refusal.into()),
    };

    let frame = Frame::at(ui, &at.person, &at.place, Section::Overview, "Overview")
        .json(address)
        .notice(start::done(query));
    let title = if is_project {
        at.place.name.clone()
    } else {
        "Overview".to_owned()
    };
    Ok(page(&OverviewPage {
        frame,
        title,
        hooks: at.place.page("hooks"),
        is_instance: at.place.level == Level::Instance,
        word: at.place.level.word(),
        about,
        shown,
    }))
}

/// Adds the addresses of webhooks, and draws the last hour.
async fn shown(at: &Visit, overview: Overview) -> Shown {
    let places = places_of(at, &overview.attention).await;
    let mut lines = Vec::new();
    for hook in overview.attention {
        let place = places.get(&key(hook.place()));
        let is_here = place.is_some_and(|place| place.level == at.place.level && place.id == at.place.id);
        lines.push(Line {
            path: place.filter(|_| !is_here).map(|place| place.full_path.clone()),
            href: place.map(|place| place.page(&format!("hooks/{}", hook.id))),
            hook,
        });
    }

    Shown {
        oldest: overview.backlog.oldest_at.as_deref().map(Time::new),
        counts: overview.hooks,
        backlog: overview.backlog,
        lines,
        sources: overview.sources.unwrap_or_default(),
        gaps: overview.gaps,
        gaps_page: at.place.page("gaps"),
        silent: overview.silent_projects,
        has_events: chart::has_events(&overview.minutes),
        events: chart::events(&overview.minutes),
        calls: chart::calls(&overview.minutes),
    }
}

/// A level and a number, as a key.
const fn key((level, id): (Level, i64)) -> (u8, i64) {
    (level as u8, id)
}

/// Finds the places of webhooks. At most 20 webhooks need attention, so these are at most 20 look-ups.
async fn places_of(at: &Visit, hooks: &[HookAttention]) -> BTreeMap<(u8, i64), Place> {
    #[derive(Deserialize)]
    struct Found {
        name: String,
        #[serde(alias = "path_with_namespace")]
        full_path: String,
    }

    let mut places = BTreeMap::from([(key((at.place.level, at.place.id)), at.place.clone())]);
    places.insert(key((Level::Instance, 0)), Place::instance());

    let unknown: BTreeMap<_, _> = hooks
        .iter()
        .map(|hook| (key(hook.place()), hook.place()))
        .filter(|(key, _)| !places.contains_key(key))
        .collect();
    let look_ups = unknown.into_values().map(|(level, id)| async move {
        let kind = if level == Level::Project { "projects" } else { "groups" };
        let found = at.person.api.get::<Found>(&format!("/api/v4/{kind}/{id}")).await;
        found.ok().map(|found| Place {
            level,
            id,
            full_path: found.full_path,
            name: found.name,
        })
    });

    for place in join_all(look_ups).await.into_iter().flatten() {
        places.insert(key((place.level, place.id)), place);
    }

    places
}
