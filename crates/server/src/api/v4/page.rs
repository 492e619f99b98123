//! GitLab's offset pagination: `page`, `per_page`, and the headers that clients follow.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, OriginalUri, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use quickdraw_store::scopes::Page;
use serde_json::Value;

use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

const DEFAULT: i64 = 20;
const MOST: i64 = 100;
/// Beyond so many rows clients are not told how many there are, as in GitLab.
const COUNTED: i64 = 10_000;

/// A request for a page of a list: extracted last, because it reads the body.
pub(crate) struct Listing {
    pub(crate) params: Params,
    headers: HeaderMap,
    uri: Uri,
}

impl FromRequest<Arc<App>> for Listing {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let uri = request.extensions().get::<OriginalUri>().map_or_else(|| request.uri().clone(), |uri| uri.0.clone());
        Ok(Self { params: Params::from_request(request, app).await?, headers, uri })
    }
}

impl Listing {
    pub(crate) fn asked(&self) -> Result<Asked, ApiError> {
        Asked::read(&self.params)
    }

    /// The same where more than `most` on a page is a refusal.
    pub(crate) fn asked_at_most(&self, most: i64) -> Result<Asked, ApiError> {
        Asked::read_at_most(&self.params, most)
    }

    /// A page of a list with its headers. Links are on the base that the client used.
    pub(crate) fn answer(&self, asked: &Asked, total: i64, rows: impl Iterator<Item = Value>) -> Response {
        asked.answer(rows.collect(), total, &self.headers, &self.uri)
    }
}

/// Which page is asked for.
pub(crate) struct Asked {
    page: i64,
    per_page: i64,
}

impl Asked {
    fn read(params: &Params) -> Result<Self, ApiError> {
        Self::read_at_most(params, i64::MAX).map(|asked| Self { per_page: asked.per_page.min(MOST), ..asked })
    }

    fn read_at_most(params: &Params, most: i64) -> Result<Self, ApiError> {
        let page = params.integer("page")?.unwrap_or(1);
        let per_page = params.integer("per_page")?.unwrap_or(DEFAULT);
        if page < 1 || page > i64::from(u32::MAX) {
            return Err(ApiError::bad_parameter("page does not have a valid value"));
        }
        if per_page < 1 || per_page > most {
            return Err(ApiError::bad_parameter("per_page does not have a valid value"));
        }
        Ok(Self { page, per_page })
    }

    pub(crate) const fn rows(&self) -> Page {
        Page { offset: (self.page - 1) * self.per_page, limit: self.per_page }
    }

    fn answer(&self, rows: Vec<Value>, total: i64, headers: &HeaderMap, uri: &Uri) -> Response {
        let pages = (total + self.per_page - 1) / self.per_page;
        let pages = pages.max(1);
        let text = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let next = (self.page < pages).then_some(self.page + 1);
        let previous = (self.page > 1).then_some(self.page - 1);
        let mut response = Json(rows).into_response();
        if total <= COUNTED {
            for (name, value) in [("x-total", total), ("x-total-pages", pages)] {
                response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(value));
            }
        }
        for (name, value) in [
            ("x-per-page", self.per_page.to_string()),
            ("x-page", self.page.to_string()),
            ("x-next-page", text(next)),
            ("x-prev-page", text(previous)),
            ("link", self.links(previous, next, (total <= COUNTED).then_some(pages), headers, uri)),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }

    fn links(
        &self,
        previous: Option<i64>,
        next: Option<i64>,
        last: Option<i64>,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> String {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let scheme = headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok()).unwrap_or("http");
        let scheme = if scheme == "https" { "https" } else { "http" };
        let kept = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .filter(|(key, _)| key != "page" && key != "per_page")
            .fold(url::form_urlencoded::Serializer::new(String::new()), |mut query, (key, value)| {
                query.append_pair(&key, &value);
                query
            })
            .finish();
        let link = |page: i64, rel: &str| {
            let glue = if kept.is_empty() { "" } else { "&" };
            let query = format!("{kept}{glue}page={page}&per_page={}", self.per_page);
            format!("<{scheme}://{host}{}?{query}>; rel=\"{rel}\"", uri.path())
        };
        let mut links: Vec<String> = Vec::new();
        links.extend(previous.map(|page| link(page, "prev")));
        links.extend(next.map(|page| link(page, "next")));
        links.push(link(1, "first"));
        links.extend(last.map(|page| link(page, "last")));
        links.join(", ")
    }
}
