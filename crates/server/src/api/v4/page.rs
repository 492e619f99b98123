//! GitLab's pagination, by page number and by keyset, with the headers that clients follow.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, OriginalUri, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use quickdraw_store::lists::{MAX_COUNTED, Numbers, Page, Paged, Start};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::ApiError;
use crate::params::{Invalid, Params};
use crate::state::App;

const DEFAULT: i64 = 20;
const MAX_PER_PAGE: i64 = 100;
/// Above this number of rows, the total is not shown, as in GitLab.
const COUNTED: i64 = MAX_COUNTED - 1;
/// Largest offset of a numbered page, as in GitLab, because each page costs more than the one before.
const MAX_OFFSET: i64 = 50_000;

/// Page of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Number of the page.
    #[param(default = 1, minimum = 1)]
    page: Option<i64>,

    /// Number of rows in a page. Larger values count as 100.
    #[param(default = 20, minimum = 1, maximum = 100)]
    per_page: Option<i64>,

    /// `keyset`: the next page begins after the last row, at the same cost for every page. `Link` has its URL.
    #[param(inline)]
    pagination: Option<Pagination>,

    /// Only rows with greater ids. Lists without `order_by` accept it with `pagination=keyset` only.
    id_after: Option<i64>,
}

/// Order of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderQuery {
    /// Property to order by. Ids follow the order of creation, so both values give the same order.
    #[serde(default, rename = "order_by")]
    #[param(inline)]
    _order_by: Option<OrderBy>,

    /// Direction of the order.
    #[param(inline)]
    sort: Option<Sort>,

    /// Only rows with lower ids.
    id_before: Option<i64>,
}

/// Property to order by.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum OrderBy {
    /// The id.
    Id,

    /// The time of creation.
    CreatedAt,
}

/// Direction of a list.
#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Sort {
    /// Lowest id first (default).
    Asc,

    /// Greatest id first.
    Desc,
}

/// Kind of pagination.
#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pagination {
    /// By page number.
    Offset,

    /// By the last row of the page before.
    Keyset,
}

/// A request for a page of a list. It must be the last extractor, because it reads the body.
pub(crate) struct Listing {
    pub(crate) params: Params,
    headers: HeaderMap,
    uri: Uri,
}

impl FromRequest<Arc<App>> for Listing {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let uri = request
            .extensions()
            .get::<OriginalUri>()
            .map_or_else(|| request.uri().clone(), |uri| uri.0.clone());

        Ok(Self {
            params: Params::from_request(request, app).await?,
            headers,
            uri,
        })
    }
}

impl Listing {
    pub(crate) fn asked(&self) -> Result<Page, ApiError> {
        let asked: PageQuery = self.params.read()?;
        let limit = asked.limit(i64::MAX)?.min(MAX_PER_PAGE);

        if asked.pagination == Some(Pagination::Keyset) {
            return Ok(Page {
                start: Start::After(asked.id_after.unwrap_or(0)),
                limit,
            });
        }

        if asked.id_after.is_some() {
            return Err(ApiError::bad_parameter(
                "id_after requires pagination=keyset in this list",
            ));
        }

        asked.numbered(limit)
    }

    /// Reads the page of a list in descending order.
    pub(crate) fn asked_downwards(&self) -> Result<Page, ApiError> {
        let asked: PageQuery = self.params.read()?;
        if asked.pagination == Some(Pagination::Keyset) || asked.id_after.is_some() {
            return Err(ApiError::bad_parameter(
                "pagination=keyset lists in ascending order only; remove sort",
            ));
        }

        Ok(downwards(asked.numbered(asked.limit(i64::MAX)?.min(MAX_PER_PAGE))?))
    }

    /// Reads the page of a list in either order, and the range of ids.
    pub(crate) fn asked_in_order(&self) -> Result<(Page, Numbers), ApiError> {
        let asked: PageQuery = self.params.read()?;
        let OrderQuery { sort, id_before, .. } = self.params.read()?;
        let goes_down = sort == Some(Sort::Desc);

        let numbers = Numbers {
            after: asked.id_after,
            before: id_before,
        };

        let limit = asked.limit(i64::MAX)?.min(MAX_PER_PAGE);
        if asked.pagination == Some(Pagination::Keyset) {
            let start = if goes_down {
                Start::Before(id_before.unwrap_or(i64::MAX))
            } else {
                Start::After(asked.id_after.unwrap_or(0))
            };
            return Ok((Page { start, limit }, numbers));
        }

        let page = asked.numbered(limit)?;
        Ok((if goes_down { downwards(page) } else { page }, numbers))
    }

    /// Reads a numbered page of a list that refuses more than `most` rows.
    pub(crate) fn asked_at_most(&self, most: i64) -> Result<Page, ApiError> {
        let asked: PageQuery = self.params.read()?;
        if asked.pagination == Some(Pagination::Keyset) || asked.id_after.is_some() {
            let words = "Keyset pagination is not yet available for this type of request";
            return Err(ApiError::Error(StatusCode::METHOD_NOT_ALLOWED, words.to_owned()));
        }

        asked.numbered(asked.limit(most)?)
    }

    /// Builds the answer for a page with its headers. Links use the host and scheme of the request.
    pub(crate) fn answer<R, T: Serialize>(
        &self,
        page: Page,
        list: &Paged<R>,
        number: impl Fn(&R) -> i64,
        view: impl Fn(&R) -> T,
    ) -> Response {
        let links = Links {
            headers: &self.headers,
            uri: &self.uri,
            limit: page.limit,
        };

        let mut response = Json(list.rows.iter().map(view).collect::<Vec<T>>()).into_response();
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        };
        set("x-per-page", page.limit.to_string());

        let full = i64::try_from(list.rows.len()).is_ok_and(|rows| rows == page.limit);
        let offset = match page.start {
            Start::Offset(offset) | Start::OffsetDown(offset) => offset,
            Start::After(_) | Start::Before(_) => {
                let parameter = if matches!(page.start, Start::Before(_)) {
                    "id_before"
                } else {
                    "id_after"
                };

                if let Some(last) = list.rows.last().filter(|_| full) {
                    set(
                        "link",
                        links.link(
                            &[("pagination", "keyset"), (parameter, &number(last).to_string())],
                            "next",
                        ),
                    );
                }

                return response;
            }
        };
        let at = offset / page.limit + 1;
        let pages = ((list.total + page.limit - 1) / page.limit).max(1);
        let counted = list.total <= COUNTED;

        // If the total is unknown, another page may follow a full one.
        let more = if counted {
            at < pages
        } else {
            full && offset + page.limit <= MAX_OFFSET
        };
        let (next, previous) = (more.then_some(at + 1), (at > 1).then_some(at - 1));
        let text = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();

        if counted {
            set("x-total", list.total.to_string());
            set("x-total-pages", pages.to_string());
        }

        set("x-page", at.to_string());
        set("x-next-page", text(next));
        set("x-prev-page", text(previous));

        let all = [
            (previous, "prev"),
            (next, "next"),
            (Some(1), "first"),
            (counted.then_some(pages), "last"),
        ];
        let all = all.into_iter().filter_map(|(page, rel)| Some((page?, rel)));

        set(
            "link",
            all.map(|(page, rel)| links.link(&[("page", &page.to_string())], rel))
                .collect::<Vec<_>>()
                .join(", "),
        );

        response
    }
}

impl PageQuery {
    fn limit(&self, most: i64) -> Result<i64, ApiError> {
        let limit = self.per_page.unwrap_or(DEFAULT);
        if limit < 1 || limit > most {
            Err(Invalid::value("per_page").into())
        } else {
            Ok(limit)
        }
    }

    fn numbered(&self, limit: i64) -> Result<Page, ApiError> {
        let page = self.page.unwrap_or(1);
        if page < 1 || page > i64::from(u32::MAX) {
            return Err(Invalid::value("page").into());
        }

        let offset = (page - 1) * limit;
        if offset > MAX_OFFSET {
            return Err(ApiError::bad_parameter(format!(
                "Offset pagination has a maximum allowed offset of {MAX_OFFSET}; \
                 the rest can be read with pagination=keyset"
            )));
        }

        Ok(Page {
            start: Start::Offset(offset),
            limit,
        })
    }
}

/// Converts a page to the same page in descending order.
fn downwards(page: Page) -> Page {
    match page.start {
        Start::Offset(rows) => Page {
            start: Start::OffsetDown(rows),
            ..page
        },
        _ => page,
    }
}

/// Builds the URLs of other pages.
struct Links<'a> {
    headers: &'a HeaderMap,
    uri: &'a Uri,
    limit: i64,
}

impl Links<'_> {
    fn link(&self, place: &[(&str, &str)], rel: &str) -> String {
        let Self { headers, uri, limit } = self;
        let host = headers
            .get("host")
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");

        let scheme = headers
            .get("x-forwarded-proto")
            .and_then(|scheme| scheme.to_str().ok())
            .unwrap_or("http");
        let scheme = if scheme == "https" { "https" } else { "http" };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let kept = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let is_replaced =
            |key: &str| ["page", "per_page", "pagination"].contains(&key) || place.iter().any(|(name, _)| *name == key);

        query.extend_pairs(kept.filter(|(key, _)| !is_replaced(key.as_ref())));
        query.extend_pairs(place).append_pair("per_page", &limit.to_string());
        format!("<{scheme}://{host}{}?{}>; rel=\"{rel}\"", uri.path(), query.finish())
    }
}
