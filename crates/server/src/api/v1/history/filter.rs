//! The filters that all lists of history have, and the search with conditions on bodies.

use std::sync::Arc;

use quickdraw_domain::history::{BodyFilter, ObjectReference};
use quickdraw_domain::{EventId, SourceId};
use quickdraw_store::history::HistoryFilter;
use quickdraw_store::lists::Scanned;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::period::Period;
use super::super::reach::{Named, Reach};
use super::listed::Listed;
use crate::aside;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Line, TriggerName, When};
use crate::state::App;

/// Largest number of bodies that are examined for a page.
const MAX_BODIES: usize = 1000;
/// Largest size of all bodies that are examined for a page, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// Number of rows that are read at once if their bodies have to be examined.
const STEP: usize = 50;

/// Conditions on events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct EventConditions {
    /// Only this project: id or full path.
    #[param(value_type = Option<String>)]
    project: Option<Line<255>>,

    /// Only this group, with everything in it: id or full path.
    #[param(value_type = Option<String>)]
    group: Option<Line<255>>,

    /// Only the project with this full path, or everything in the group with this full path.
    #[param(value_type = Option<String>)]
    path: Option<Line<1024>>,

    /// Only events that arrived through this source: id, number or name.
    #[param(value_type = Option<String>)]
    source: Option<Line<255>>,

    /// Only these kinds of events, such as `push_hooks`, separated by commas.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    trigger: Vec<TriggerName>,

    /// Only events that arrived at this time or later: `2026-03-16T09:30:00Z`, a day, or a span back from now such as
    /// `2h`.
    #[param(value_type = Option<String>)]
    since: Option<When>,

    /// Only events that arrived before this time, written like `since`.
    #[param(value_type = Option<String>)]
    until: Option<When>,

    /// Only events whose body contains exactly this text.
    #[param(value_type = Option<String>)]
    text: Option<Line<255>>,

    /// Only events about this object: `!12` (merge request), `#7` (issue), `&3` (epic), `$4` (snippet), a branch, a
    /// tag, or the first 7 or more digits of a commit id.
    #[param(value_type = Option<String>)]
    object: Option<Line<255>>,
}

/// A search: conditions that the database checks, and conditions on bodies.
pub(super) struct Search {
    pub(super) rows: HistoryFilter,
    pub(super) body: BodyFilter,
}

impl EventConditions {
    /// Validates the conditions, and limits them to what the caller can see.
    pub(super) async fn read(self, app: &App, caller: &Caller, hook: Option<i64>) -> Result<Search, ApiError> {
        let text = |line: &Option<Line<255>>| line.as_ref().map(|line| line.0.clone());
        let (project, group, path) = (
            text(&self.project),
            text(&self.group),
            self.path.as_ref().map(|path| path.0.clone()),
        );
        let named = Named {
            project: project.as_deref(),
            group: group.as_deref(),
            path: path.as_deref(),
        };
        let reach = Reach::of(app, caller, named).await?.with_hook(hook);

        let period = Period::read(self.since, self.until, app.now())?;

        let object = match text(&self.object) {
            Some(text) => Some(ObjectReference::parse(&text).ok_or_else(|| {
                let detail = "object must be !12, #7, &3, $4, a branch, a tag or a commit id";
                ApiError::field("object", detail)
            })?),
            None => None,
        };

        let source = match text(&self.source) {
            Some(name) => Some(source(app, &name)?),
            None => None,
        };

        Ok(Search {
            rows: HistoryFilter {
                places: reach.places,
                hooks: reach.hooks,
                source,
                triggers: self.trigger.iter().map(|trigger| trigger.0).collect(),
                since: period.since,
                until: period.until,
                ..HistoryFilter::default()
            },
            body: BodyFilter {
                text: text(&self.text),
                object,
            },
        })
    }
}

/// Finds a source by its id, by its number, or by its name.
fn source(app: &App, name: &str) -> Result<SourceId, ApiError> {
    let default = app.sources.default_source();
    if name == "default" || name == default.name {
        return Ok(default.id);
    }

    if let Ok(number) = name.parse() {
        return Ok(SourceId(number));
    }

    let index = app.engine.context.directory();
    let sources = index.sources();
    let mut found = sources
        .iter()
        .filter(|source| source.key == name || source.name == name);

    match (found.next(), found.next()) {
        (Some(source), None) => Ok(source.id),
        (Some(_), Some(_)) => {
            let detail = format!("more than one source is named {name}; use the id of one of them");
            Err(ApiError::field("source", detail))
        }
        (None, _) => Err(ApiError::field("source", format!("there is no source {name}"))),
    }
}

/// Reads the `before` of a list.
pub(super) fn before<R: Listed>(before: Option<&str>) -> Result<Option<R::Id>, ApiError> {
    let Some(text) = before else { return Ok(None) };
    let id = R::parse(text);
    id.map(Some).ok_or_else(|| {
        ApiError::field(
            "before",
            "before must be the next of an earlier page, or the id of a row",
        )
    })
}

/// Reads a page of a list.
pub(super) async fn list<R: Listed>(
    app: &Arc<App>,
    search: &Search,
    before: Option<R::Id>,
    limit: usize,
) -> Result<Scanned<R, R::Id>, ApiError> {
    if search.body.is_any() {
        return Ok(R::search(app.store(), search.rows.clone(), before, limit).await?);
    }

    // Bodies can be large, so a limit applies to the number of requests that read them at once.
    let _permit = app.calculations.acquire().await?;
    let mut bodies = Bodies::default();
    let (mut rows, mut cursor) = (Vec::new(), before);

    loop {
        let found = R::search(app.store(), search.rows.clone(), cursor, STEP).await?;
        let read = found.rows.len();

        for row in found.rows {
            let id = row.id();
            if bodies.passes(app, &row, &search.body).await? {
                // One more row than the page has proves that another page follows.
                if rows.len() == limit {
                    let next = rows.last().map(R::id);
                    return Ok(Scanned { rows, next });
                }

                rows.push(row);
            }

            if bodies.count >= MAX_BODIES || bodies.bytes >= MAX_BYTES {
                return Ok(Scanned { rows, next: Some(id) });
            }
        }

        // A short step has examined as many rows as a page may, or all.
        cursor = found.next;
        if read < STEP || cursor.is_none() {
            return Ok(Scanned { rows, next: cursor });
        }
    }
}

/// The bodies that were examined for a page.
#[derive(Default)]
struct Bodies {
    count: usize,
    bytes: usize,

    /// The last event and its result: deliveries of an event follow one another.
    last: Option<(EventId, bool)>,
}

impl Bodies {
    async fn passes<R: Listed>(&mut self, app: &App, row: &R, filter: &BodyFilter) -> Result<bool, ApiError> {
        self.count += 1;
        let Some(event) = row.event(app.store()).await? else {
            return Ok(false);
        };

        if let Some((last, passes)) = self.last
            && last == event
        {
            return Ok(passes);
        }

        let passes = match app.store().find_event(event).await? {
            Some((event, payload)) => {
                let bytes = payload.unpacked_len();
                self.bytes += bytes;

                let filter = filter.clone();
                let trigger = event.trigger;
                aside::by_weight(bytes, async move {
                    payload.unpack().map(|body| filter.passes(trigger, &body))
                })
                .await?
            }
            None => false,
        };

        self.last = Some((event, passes));
        Ok(passes)
    }
}
