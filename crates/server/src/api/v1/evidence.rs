//! Evidence: the events that an item of an explanation was read from.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use quickdraw_domain::{EventId, event};
use quickdraw_insights::backfill::facts_of;
use quickdraw_insights::entity::{Entity, Family};
use quickdraw_insights::metrics::Metric;
use quickdraw_insights::{Fact, counts};
use quickdraw_store::Packed;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{invalid, limit};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::{Event, Page};

/// Events that are examined for one page, and the number of events that are read at once.
const MAX_SCANNED: usize = 20_000;
const TOGETHER: usize = 20;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(evidence))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EvidenceQuery {
    /// The item, as the explanation names it, such as `7/12`.
    item: String,

    /// Only events after this id: `next` of the page before.
    after: Option<Uuid>,

    /// Maximum number of rows; values above 100 count as 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List the events that mention an item of an explanation, oldest first. Administrators only.
///
/// At most 20,000 events are examined for a page, so a page can be short although more follow.
#[utoipa::path(get, path = "/insights/metrics/{name}/events", tag = "Insights", params(EvidenceQuery),
    responses((status = 200, body = Page<Event>)))]
async fn evidence(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Input(query): Input<EvidenceQuery>,
) -> Result<Json<Page<Event>>, ApiError> {
    let metric = Metric::by_name(&name).ok_or_else(|| ApiError::not_found("Metric"))?;
    let key = query
        .item
        .split_once('/')
        .and_then(|(project, iid)| Some((project.parse().ok()?, iid.parse().ok()?)));
    let key = key.ok_or_else(|| invalid("item is not an item of an explanation, such as 7/12"))?;
    let wanted = Wanted {
        family: metric.family(),
        key,
    };

    let (mut found, most) = (Vec::new(), limit(query.limit)?);
    let mut at = EventId(query.after.unwrap_or(Uuid::nil()));

    for _ in 0..MAX_SCANNED / TOGETHER {
        let ids = app.store().event_ids(at, TOGETHER).await?;
        let is_end = ids.len() < TOGETHER;

        let candidates: HashSet<EventId> = app
            .store()
            .events_by_id(ids.clone())
            .await?
            .iter()
            .filter(|one| counts(one.trigger))
            .map(|one| one.id)
            .collect();

        let permit = app.calculations.acquire().await?;
        let bodies = app.store().bodies(candidates.into_iter().collect()).await?;

        // Runs off the request threads, because bodies can be large.
        let look = permit.run(move || {
            bodies
                .into_iter()
                .filter(|(event, body)| wanted.is_in(event, body))
                .map(|(event, _)| event)
                .collect()
        });
        let mut these: Vec<event::Event> = look.await.map_err(|error| ApiError::internal(error.into()))?;
        these.sort_by_key(|event| event.id);

        let missing = most - found.len();
        let is_full = these.len() >= missing && !these.is_empty();
        these.truncate(missing);

        at = if is_full {
            these.last().map_or(at, |event| event.id)
        } else {
            ids.last().copied().unwrap_or(at)
        };

        found.extend(these);

        if is_end && !is_full {
            return Ok(Json(Page {
                items: found.iter().map(Event::from).collect(),
                next: None,
            }));
        }

        if is_full {
            break;
        }
    }

    Ok(Json(Page {
        items: found.iter().map(Event::from).collect(),
        next: Some(at.to_string()),
    }))
}

/// The entity whose events are wanted.
#[derive(Clone, Copy)]
struct Wanted {
    family: Family,
    key: (i64, i64),
}

impl Wanted {
    /// Checks whether an event mentions the entity.
    fn is_in(self, event: &event::Event, body: &Packed) -> bool {
        let facts = body
            .unpack()
            .ok()
            .and_then(|body| facts_of(event, &body).ok())
            .unwrap_or_default();

        facts.iter().any(|fact| match fact {
            Fact::Item(item) => (item.family(), item.key()) == (self.family, self.key),
            Fact::Commit(commit) => self.family == Family::Commits && commit.key() == self.key,
            _ => false,
        })
    }
}
