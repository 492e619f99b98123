//! `/api/v1`: the endpoints that GitLab's API does not have. Lists are paged by cursor: `limit`, `before`, and `next`
//! in the answer.

mod alerts;
mod audit;
mod backfill;
mod events;
mod evidence;
mod export;
mod filters;
mod gaps;
mod history;
mod identities;
mod insights;
mod inspectors;
mod item_filters;
mod managed;
mod metrics;
mod named;
mod privacy;
mod reach;
mod rebuild;
mod replays;
mod reviews;
mod roster;
mod schemas;
mod scope;
mod set_aside;
mod settings;
mod sources;
mod status;
mod stream;
mod support_bundle;
mod workers;

use std::sync::Arc;

use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;

use crate::error::ApiError;
use crate::state::App;
use crate::views::Page;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(alerts::routes())
        .merge(audit::routes())
        .merge(backfill::routes())
        .merge(evidence::routes())
        .merge(events::routes())
        .merge(export::routes())
        .merge(filters::routes())
        .merge(gaps::routes())
        .merge(history::routes())
        .merge(identities::routes())
        .merge(insights::routes())
        .merge(inspectors::routes())
        .merge(metrics::routes())
        .merge(privacy::routes())
        .merge(rebuild::routes())
        .merge(sources::routes())
        .merge(replays::routes())
        .merge(reviews::routes())
        .merge(schemas::routes())
        .merge(set_aside::routes())
        .merge(settings::routes())
        .merge(status::routes())
        .merge(support_bundle::routes())
        .merge(roster::routes())
        .merge(stream::routes())
        .merge(workers::routes())
}

const DEFAULT: i64 = 20;
const MAX_PER_PAGE: i64 = 100;

/// Reads `limit`, the number of rows of an answer.
fn limit(asked: Option<i64>) -> Result<usize, ApiError> {
    let asked = asked.unwrap_or(DEFAULT);
    usize::try_from(asked)
        .ok()
        .filter(|_| (1..=MAX_PER_PAGE).contains(&asked))
        .ok_or_else(|| {
            ApiError::field(
                "limit",
                format!("limit must be a whole number from 1 to {MAX_PER_PAGE}"),
            )
        })
}

/// Builds a page of a list. `next` is the id of the last row, and is set only if the page is full.
fn page<R, T: utoipa::ToSchema + for<'a> From<&'a R>>(rows: &[R], limit: usize, id: impl Fn(&R) -> String) -> Page<T> {
    Page {
        items: rows.iter().map(T::from).collect(),
        next: rows.last().filter(|_| rows.len() == limit).map(id),
    }
}

fn invalid(text: impl Into<String>) -> ApiError {
    ApiError::problem(StatusCode::BAD_REQUEST, text)
}
