//! Pages of short lists that are read as a whole, such as the sources. Their rows are in the order of their numbers.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::ApiError;
use crate::views::Page;

/// Largest page.
const MAX_ROWS: usize = 1_000;

/// The page of a short list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WholeQuery {
    /// Only rows after this position: `next` of the previous page.
    after: Option<i64>,

    /// Maximum number of rows. Default: all.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<i64>,
}

impl WholeQuery {
    /// Takes the page from all rows of the list. The rows rise by their number.
    ///
    /// # Errors
    /// A limit that is out of range.
    pub(super) fn page<R, T: ToSchema>(
        &self,
        rows: impl Iterator<Item = R>,
        number: impl Fn(&R) -> i64,
        view: impl Fn(R) -> T,
    ) -> Result<Page<T>, ApiError> {
        let limit = self.limit()?;
        let is_after = |row: &R| self.after.is_none_or(|after| number(row) > after);
        let mut rows: Vec<R> = rows.filter(is_after).collect();

        let has_more = limit.is_some_and(|limit| rows.len() > limit);
        rows.truncate(limit.unwrap_or(usize::MAX));

        let next = rows.last().filter(|_| has_more).map(|row| number(row).to_string());

        Ok(Page {
            items: rows.into_iter().map(view).collect(),
            next,
        })
    }

    fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(asked) = self.limit else { return Ok(None) };
        let limit = usize::try_from(asked)
            .ok()
            .filter(|limit| (1..=MAX_ROWS).contains(limit));

        limit
            .map(Some)
            .ok_or_else(|| ApiError::field("limit", format!("limit must be a whole number from 1 to {MAX_ROWS}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(after: Option<i64>, limit: Option<i64>, items: &[i64], next: Option<&str>) {
        let query = WholeQuery { after, limit };
        let rows = [0, 2, 5].into_iter();
        let page: Page<i64> = query.page(rows, |row| *row, |row| row).expect("a page");

        assert_eq!((page.items.as_slice(), page.next.as_deref()), (items, next));
    }

    #[test]
    fn a_short_list_is_shown_whole_or_in_pages() {
        check(None, None, &[0, 2, 5], None);
        check(None, Some(3), &[0, 2, 5], None);
        check(None, Some(2), &[0, 2], Some("2"));
        check(Some(2), Some(2), &[5], None);
        check(Some(5), None, &[], None);
    }
}
