//! Parts that all pages of history have: filters, names behind ids, and words for kinds, states and reasons.

use std::collections::{BTreeSet, HashMap};

use axum::http::StatusCode;
use serde::Deserialize;

use super::client::{Api, Items, Refusal};
use super::error::PageError;
use super::form::{Fields, Form};
use super::parts::{Badge, Time, sentence};
use super::place::{Level, Place};

/// Number of rows of a page.
const ROWS: usize = 30;
/// Largest number of ids whose names are asked for at once.
const MAX_IDS: usize = 100;

/// The filters of a list, as the address of the page has them.
#[derive(Clone)]
pub(super) struct Filters {
    /// The filters that are set.
    pairs: Vec<(&'static str, String)>,
    place: (&'static str, i64),
}

impl Filters {
    /// Reads the filters that a list has. Other parameters of the page are left out.
    pub(super) fn read(place: &Place, names: &[&'static str], fields: &Fields) -> Self {
        let filled = |name: &&'static str| Some((*name, fields.filled(name)?.to_owned()));
        Self {
            pairs: names.iter().filter_map(filled).collect(),
            place: (place.level.word(), place.id),
        }
    }

    /// The query of the API, with more parameters.
    pub(super) fn of_api(&self, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if matches!(self.place.0, "project" | "group") {
            query.append_pair(self.place.0, &self.place.1.to_string());
        }

        query.extend_pairs(&self.pairs).extend_pairs(more).finish()
    }

    /// The address of a page of a list of `/api/v1`.
    pub(super) fn address(&self, list: &str, before: Option<&str>) -> String {
        let limit = ROWS.to_string();
        let mut more = vec![("limit", limit.as_str())];
        more.extend(before.map(|before| ("before", before)));
        format!("/api/v1/{list}?{}", self.of_api(&more))
    }

    /// The query of a page with the same filters.
    pub(super) fn of_page(&self, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.pairs).extend_pairs(more).finish()
    }

    /// The form with the filters.
    pub(super) fn form(&self) -> Form {
        let mut form = Form::default();
        for (name, value) in &self.pairs {
            form.set(name, value.as_str());
        }

        form
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// The list that was found. If the API refuses a filter, the form says why, and the list is empty.
///
/// # Errors
/// Every other refusal.
pub(super) fn found_or_refused<T>(
    found: Result<(T, Option<String>), Refusal>,
    form: &mut Form,
    empty: impl FnOnce() -> T,
) -> Result<(T, Option<String>), PageError> {
    match found {
        Ok(found) => Ok(found),
        Err(refusal) if refusal.status == StatusCode::BAD_REQUEST => {
            form.refuse(&refusal);
            Ok((empty(), None))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// An entry of a drop-down list.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) words: String,
}

impl Choice {
    pub(super) fn new(value: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            words: words.into(),
        }
    }
}

/// A kind of event, as the catalog names it.
#[derive(Deserialize)]
struct Kind {
    name: String,
}

/// The kinds of events, for a drop-down list.
pub(super) async fn kinds(api: &Api) -> Result<Vec<Choice>, Refusal> {
    let known: Items<Kind> = api.get("/api/v1/triggers").await?;
    let mut kinds: Vec<Choice> = known
        .items
        .into_iter()
        .map(|kind| Choice::new(kind.name.as_str(), kind_words(&kind.name)))
        .collect();
    kinds.sort_by(|one, other| one.words.cmp(&other.words));
    Ok(kinds)
}

/// The words of a kind of event: "Merge request" for `merge_request_hooks`.
pub(super) fn kind_words(trigger: &str) -> String {
    let words = trigger.strip_suffix("hooks").unwrap_or(trigger).replace('_', " ");
    sentence(words.trim_end())
}

/// An event, as lists show it.
#[derive(Deserialize, Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) trigger: String,
    pub(super) project_id: Option<i64>,
    pub(super) group_id: Option<i64>,
    origin: String,
    r#ref: Option<String>,
    received_at: String,
}

impl Event {
    pub(super) fn kind(&self) -> String {
        kind_words(&self.trigger)
    }

    pub(super) fn received(&self) -> Time {
        Time::new(&self.received_at)
    }

    /// The branch or tag without the beginning that all of them have.
    pub(super) fn short_ref(&self) -> &str {
        let full = self.r#ref.as_deref().unwrap_or_default();
        let short = full
            .strip_prefix("refs/heads/")
            .or_else(|| full.strip_prefix("refs/tags/"));
        short.unwrap_or(full)
    }

    /// The way in which the event arrived.
    pub(super) fn origin(&self) -> String {
        match self.origin.as_str() {
            "api" => "Reported".to_owned(),
            "test" => "Test".to_owned(),
            "backfill" => "Backfill".to_owned(),
            "source 0" => "Default source".to_owned(),
            other => kind_words(other),
        }
    }
}

/// A hook with its name.
#[derive(Deserialize)]
struct NamedHook {
    id: i64,
    title: String,
    project_id: Option<i64>,
    group_id: Option<i64>,
    path: Option<String>,
}

/// A project or group with its name.
#[derive(Deserialize)]
struct NamedScope {
    id: i64,
    full_path: String,
}

/// The names behind ids, as the API answers them.
#[derive(Deserialize, Default)]
struct Answer {
    hooks: Vec<NamedHook>,
    projects: Vec<NamedScope>,
    groups: Vec<NamedScope>,
    events: Vec<Event>,
}

/// The ids whose names a page needs.
#[derive(Default)]
pub(super) struct Wanted {
    hooks: BTreeSet<i64>,
    projects: BTreeSet<i64>,
    groups: BTreeSet<i64>,
    events: BTreeSet<String>,
}

impl Wanted {
    pub(super) fn hook(&mut self, id: i64) {
        self.hooks.insert(id);
    }

    pub(super) fn event(&mut self, id: &str) {
        self.events.insert(id.to_owned());
    }

    pub(super) fn place_of(&mut self, event: &Event) {
        self.place(event.project_id, event.group_id);
    }

    pub(super) fn place(&mut self, project_id: Option<i64>, group_id: Option<i64>) {
        self.projects.extend(project_id);
        self.groups.extend(group_id);
    }

    /// Asks for the names.
    pub(super) async fn find(self, api: &Api) -> Result<Names, Refusal> {
        fn list<T: ToString>(ids: &BTreeSet<T>) -> String {
            let ids: Vec<String> = ids.iter().take(MAX_IDS).map(ToString::to_string).collect();
            ids.join(",")
        }

        let given = [
            ("hooks", list(&self.hooks)),
            ("projects", list(&self.projects)),
            ("groups", list(&self.groups)),
            ("events", list(&self.events)),
        ];
        let given: Vec<_> = given.into_iter().filter(|(_, ids)| !ids.is_empty()).collect();
        if given.is_empty() {
            return Ok(Names::default());
        }

        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(given)
            .finish();
        let answer: Answer = api.get(&format!("/api/v1/names?{query}")).await?;
        Ok(Names::new(answer))
    }
}

/// A hook with its name and the address of its page.
#[derive(Clone)]
pub(super) struct HookLink {
    pub(super) title: String,

    /// Empty if the hook has been deleted.
    pub(super) href: String,

    /// The project or group that the hook belongs to.
    pub(super) owner: String,
}

impl HookLink {
    /// The page of an attempt.
    pub(super) fn attempt(&self, attempt: i64) -> String {
        if self.href.is_empty() {
            return String::new();
        }

        format!("{}/events/{attempt}", self.href)
    }
}

/// A project or group, with the address of its events.
#[derive(Clone, Default)]
pub(super) struct PlaceLink {
    pub(super) path: String,
    pub(super) href: String,
}

/// The names behind ids.
#[derive(Default)]
pub(super) struct Names {
    hooks: HashMap<i64, HookLink>,
    projects: HashMap<i64, PlaceLink>,
    groups: HashMap<i64, PlaceLink>,
    events: HashMap<String, Event>,
}

impl Names {
    fn new(answer: Answer) -> Self {
        let mut names = Self::default();
        for hook in answer.hooks {
            let owner = match (hook.project_id, hook.group_id) {
                (Some(id), _) => place(Level::Project, id, hook.path.as_deref().unwrap_or_default()),
                (None, Some(id)) => place(Level::Group, id, hook.path.as_deref().unwrap_or_default()),
                (None, None) => Place::instance(),
            };
            let link = HookLink {
                title: hook.title,
                href: owner.page(&format!("hooks/{}", hook.id)),
                owner: hook.path.unwrap_or_else(|| "system hook".to_owned()),
            };
            names.hooks.insert(hook.id, link);
        }

        for (level, scopes, links) in [
            (Level::Project, answer.projects, &mut names.projects),
            (Level::Group, answer.groups, &mut names.groups),
        ] {
            for scope in scopes {
                let href = place(level, scope.id, &scope.full_path).page("events");
                let path = scope.full_path;
                links.insert(scope.id, PlaceLink { path, href });
            }
        }

        names.events = answer
            .events
            .into_iter()
            .map(|event| (event.id.clone(), event))
            .collect();
        names
    }

    pub(super) fn hook(&self, id: i64) -> HookLink {
        self.hooks.get(&id).cloned().unwrap_or_else(|| HookLink {
            title: format!("Deleted webhook {id}"),
            href: String::new(),
            owner: String::new(),
        })
    }

    pub(super) fn event(&self, id: &str) -> Option<&Event> {
        self.events.get(id)
    }

    /// The project or group of an event.
    pub(super) fn place_of(&self, event: &Event) -> PlaceLink {
        self.place(event.project_id, event.group_id)
    }

    /// The project or group with an id.
    pub(super) fn place(&self, project_id: Option<i64>, group_id: Option<i64>) -> PlaceLink {
        let (links, id) = match (project_id, group_id) {
            (Some(id), _) => (&self.projects, id),
            (None, Some(id)) => (&self.groups, id),
            (None, None) => return PlaceLink::default(),
        };
        links.get(&id).cloned().unwrap_or_default()
    }
}

fn place(level: Level, id: i64, full_path: &str) -> Place {
    Place {
        level,
        id,
        full_path: full_path.to_owned(),
        name: full_path.to_owned(),
    }
}

/// The states of deliveries with their words, in the order of a delivery's life.
pub(super) const STATES: [(&str, &str); 6] = [
    ("waiting", "Waiting"),
    ("blocked", "Held"),
    ("retrying", "Retrying"),
    ("delivered", "Delivered"),
    ("given_up", "Given up"),
    ("cancelled", "Cancelled"),
];

/// The state of a delivery.
pub(super) fn state(word: &str) -> Badge {
    match word {
        "waiting" => Badge::waiting("Waiting").because("The receiver has not answered yet."),
        "blocked" => Badge::waiting("Held")
            .because("An earlier event about the same object has to be delivered before this one."),
        "retrying" => Badge::warning("Retrying").because("An attempt failed, and another one follows."),
        "delivered" => Badge::good("Delivered").because("The receiver accepted it."),
        "given_up" => Badge::bad("Given up").because("All attempts failed. No other one follows."),
        "cancelled" => Badge::plain("Cancelled").because("The webhook was deleted."),
        other => Badge::plain(other),
    }
}

/// The outcomes of attempts with their words.
pub(super) const OUTCOMES: [(&str, &str); 12] = [
    ("rejected", "Rejected (4xx)"),
    ("failed", "Failed (5xx or other status)"),
    ("timed_out", "Timed out"),
    ("dns", "Host name not found"),
    ("connect", "No connection"),
    ("tls", "TLS failed"),
    ("blocked", "Address blocked"),
    ("proxy", "Proxy failed"),
    ("broken", "Connection broke"),
    ("invalid_answer", "Invalid answer"),
    ("request", "Request not possible"),
    ("unknown", "Interrupted"),
];

/// The reason why a subscribed hook did not get an event.
pub(super) fn reason(word: &str) -> &str {
    match word {
        "branch_filter" => "The branch filter of the webhook does not match.",
        "branch_filter_gave_up" => "The branch filter takes too much work on this branch name. Simplify the filter.",
        "event_filter" => "The event filter of the webhook does not match.",
        "event_filter_gave_up" => "The event filter takes too much work on this event. Simplify the filter.",
        "duplicate" => "The same event arrived within a minute before through another webhook in GitLab.",
        "hook_created_later" => "The webhook was created after the event.",
        "recursion" => "A delivery of this webhook caused the event, so a delivery could cause an endless loop.",
        "chain_too_long" => "100 webhooks have already been called in this chain of events.",
        "hook_disabled" => "The webhook was disabled, and the settings drop its events meanwhile.",
        "hook_paused" => "A person had paused the webhook, and the settings drop its events meanwhile.",
        "hold_budget" => "The webhook was disabled or paused for too long, or too many of its deliveries waited.",
        "rate_limit" => "The top-level group had used up its deliveries of the minute. A replay can deliver the event.",
        "silent_mode" => "Silent mode was on. A replay can deliver the event.",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_words() {
        assert_eq!(kind_words("merge_request_hooks"), "Merge request");
        assert_eq!(kind_words("project_create"), "Project create");
        assert_eq!(kind_words(""), "");
    }

    #[test]
    fn filters_of_a_page_become_a_query_of_the_api() {
        let filters = Filters {
            pairs: vec![("text", "a&b".to_owned())],
            place: ("project", 7),
        };
        assert_eq!(filters.of_api(&[("limit", "3")]), "project=7&text=a%26b&limit=3");
        assert_eq!(filters.of_page(&[]), "text=a%26b");
    }
}
