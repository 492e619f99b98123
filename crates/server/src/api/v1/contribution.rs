//! The contribution of an event to insights: the items that its body describes, with the metrics about such items.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::EventId;
use quickdraw_domain::event::Origin;
use quickdraw_insights::Fact;
use quickdraw_insights::backfill::facts_of;
use quickdraw_insights::entity::{Entity, Family, Item};
use quickdraw_insights::{counts, metrics};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::reach;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

/// Largest number of items in an answer.
const MAX_ITEMS: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(contribution))
}

/// State of an event in insights.
#[derive(Serialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ContributionState {
    /// Insights read the event.
    Counted,

    /// No metric counts events of this kind, or the event is a test.
    NotCounted,

    /// Insights cannot read the body.
    SetAside,
}

/// An item that an event describes.
#[derive(Serialize, ToSchema)]
struct ContributedItem {
    /// Kind of the item, such as `merge_request` or `commit`.
    kind: &'static str,

    /// The item, as explanations name it and as `item` of the evidence takes it, such as `7/12`.
    item: String,

    /// Name of the item in GitLab, such as `!12`.
    name: String,
}

/// The contribution of an event to insights.
#[derive(Serialize, ToSchema)]
struct Contribution {
    /// State of the event in insights.
    state: ContributionState,

    /// The items that the event describes, at most 100.
    items: Vec<ContributedItem>,

    /// True if there are more items.
    has_more: bool,

    /// The metrics about items of each kind among them. An item counts in a metric if it meets the definition of the
    /// metric, for example `mr_merged` if it is merged.
    metrics: BTreeMap<&'static str, Vec<&'static str>>,
}

/// Show the contribution of an event to insights. Administrators, and users who manage the project or group of the
/// event.
///
/// The items are read from the body of the event. `/api/v1/insights/metrics/:name/explain` shows the items that count
/// in a metric.
#[utoipa::path(get, path = "/events/{event_id}/insights", tag = "History",
    responses((status = 200, body = Contribution)))]
async fn contribution(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<Json<Contribution>, ApiError> {
    let nothing = || ApiError::problem(StatusCode::NOT_FOUND, "there is no event with this id");
    let id = EventId(Uuid::parse_str(&id).map_err(|_| nothing())?);
    let (event, payload) = app.store().find_event(id).await?.ok_or_else(nothing)?;
    if !reach::may_see_place(&caller, event.place).await? {
        return Err(nothing());
    }

    let mut shown = Contribution {
        state: ContributionState::NotCounted,
        items: Vec::new(),
        has_more: false,
        metrics: BTreeMap::new(),
    };
    if event.origin == Origin::Test || !counts(event.trigger) {
        return Ok(Json(shown));
    }

    // Bodies can be large, so a limit applies to the number of requests that read them at once.
    let _permit = app.calculations.acquire().await?;
    let body = payload.unpack()?;
    let Ok(facts) = facts_of(&event, &body) else {
        shown.state = ContributionState::SetAside;
        return Ok(Json(shown));
    };

    shown.state = ContributionState::Counted;
    for fact in facts {
        let item = match fact {
            Fact::Item(item) => *item,
            Fact::Commit(commit) => Item::Commit(*commit),
            _ => continue,
        };
        if shown.items.len() == MAX_ITEMS {
            shown.has_more = true;
            break;
        }

        let (family, (project, number)) = (item.family(), item.key());
        shown.metrics.entry(family.name()).or_insert_with(|| metrics_of(family));
        shown.items.push(ContributedItem {
            kind: family.name(),
            item: format!("{project}/{number}"),
            name: item.name(),
        });
    }

    Ok(Json(shown))
}

/// The names of the metrics about items of a family.
fn metrics_of(family: Family) -> Vec<&'static str> {
    let of_family = metrics::all().filter(|metric| metric.family() == family);
    of_family.map(|metric| metric.name).collect()
}
