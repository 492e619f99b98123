//! `/api/v1`: the endpoints that GitLab's API does not have. Lists are paged by cursor: `limit`, `before` or `after`,
//! and `next` in the answer.

mod account;
mod alerts;
mod answers;
mod audit;
mod backfill;
mod body_faults;
mod contribution;
mod events;
mod evidence;
mod export;
mod filter_faults;
mod filters;
mod gaps;
mod guard;
mod history;
mod hook_status;
mod identities;
mod insights;
mod inspectors;
mod item_filters;
mod lookup;
mod managed;
mod metrics;
mod named;
mod names;
mod notifications;
mod overview;
mod period;
mod portal_sessions;
mod previews;
mod privacy;
mod projects;
mod reach;
mod rebuild;
mod replays;
mod reviews;
mod roster;
mod schemas;
mod scope;
mod search;
mod set_aside;
mod settings;
mod setup_links;
mod sources;
mod status;
mod stream;
mod streams;
mod support_bundle;
mod triggers;
mod whole;
mod workers;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use crate::error::{ApiError, FieldError, Kind};
use crate::params::near;
use crate::state::App;
use crate::views::Page;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(account::routes())
        .merge(alerts::routes())
        .merge(audit::routes())
        .merge(backfill::routes())
        .merge(evidence::routes())
        .merge(events::routes())
        .merge(export::routes())
        .merge(filters::routes())
        .merge(gaps::routes())
        .merge(guard::routes())
        .merge(history::routes())
        .merge(hook_status::routes())
        .merge(identities::routes())
        .merge(insights::routes())
        .merge(inspectors::routes())
        .merge(metrics::routes())
        .merge(names::routes())
        .merge(notifications::routes())
        .merge(overview::routes())
        .merge(portal_sessions::routes())
        .merge(previews::routes())
        .merge(privacy::routes())
        .merge(rebuild::routes())
        .merge(sources::routes())
        .merge(replays::routes())
        .merge(reviews::routes())
        .merge(schemas::routes())
        .merge(search::routes())
        .merge(set_aside::routes())
        .merge(setup_links::routes())
        .merge(settings::routes())
        .merge(status::routes())
        .merge(support_bundle::routes())
        .merge(roster::routes())
        .merge(contribution::routes())
        .merge(stream::routes())
        .merge(streams::routes())
        .merge(triggers::routes())
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

/// Builds a page of a list from at most `limit` rows and the row after them, which proves that another page follows.
/// `next` is the id of the last row of the page.
fn page<R, T: utoipa::ToSchema + for<'a> From<&'a R>>(rows: &[R], limit: usize, id: impl Fn(&R) -> String) -> Page<T> {
    let has_more = rows.len() > limit;
    let rows = &rows[..rows.len().min(limit)];

    Page {
        items: rows.iter().map(T::from).collect(),
        next: rows.last().filter(|_| has_more).map(id),
    }
}

/// 400 for a word that is not among the choices of a parameter.
fn not_a_choice(field: &str, given: &str, choices: &[&str]) -> ApiError {
    let near = near::nearest(given, choices.iter().copied()).map(str::to_owned);
    let choices = choices.iter().map(|choice| (*choice).to_owned()).collect();
    ApiError::fields(Kind::InvalidParameter, vec![FieldError::choice(field, choices, near)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_page(rows: &[i64], limit: usize, items: &[i64], next: Option<&str>) {
        let page: Page<Row> = page(rows, limit, ToString::to_string);
        let shown: Vec<i64> = page.items.iter().map(|row| row.0).collect();
        assert_eq!((shown.as_slice(), page.next.as_deref()), (items, next), "{rows:?}");
    }

    #[derive(serde::Serialize, utoipa::ToSchema)]
    struct Row(i64);

    impl From<&i64> for Row {
        fn from(number: &i64) -> Self {
            Self(*number)
        }
    }

    #[test]
    fn a_full_last_page_has_no_next() {
        check_page(&[], 2, &[], None);
        check_page(&[3], 2, &[3], None);
        check_page(&[3, 2], 2, &[3, 2], None);
        check_page(&[3, 2, 1], 2, &[3, 2], Some("2"));
    }
}
