//! GitLab's offset pagination: `page`, `per_page`, and the headers that clients follow.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use quickdraw_store::scopes::Page;
use serde_json::Value;

use crate::error::ApiError;
use crate::params::Params;

const DEFAULT: i64 = 20;
const MOST: i64 = 100;
/// Beyond so many rows clients are not told how many there are, as in GitLab.
const COUNTED: i64 = 10_000;

/// Which page is asked for.
pub(crate) struct Asked {
    page: i64,
    per_page: i64,
}

impl Asked {
    pub(crate) fn read(params: &Params) -> Result<Self, ApiError> {
        Self::read_at_most(params, i64::MAX).map(|asked| Self { per_page: asked.per_page.min(MOST), ..asked })
    }

    /// The same where more than `most` is a refusal.
    pub(crate) fn read_at_most(params: &Params, most: i64) -> Result<Self, ApiError> {
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

    /// A page of a list with its headers. Links are on the base that the client used.
    pub(crate) fn answer(&self, rows: Vec<Value>, total: i64, headers: &HeaderMap, uri: &Uri) -> Response {
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
