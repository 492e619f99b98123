//! Calls to the API for the commands of daily work: a request, or a list with all its pages.

use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quickdraw_egress::{Answer, Method};
use serde_json::{Map, Value, json};

use crate::client::{self, Refused, Server};

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(60);
/// Time after which a spinner shows that the command still works.
const PATIENCE: Duration = Duration::from_secs(1);
/// Largest number of rows in a page of the server.
const PAGE: usize = 100;

/// Parameters of a query, in order.
pub(crate) type Query = Vec<(String, String)>;

/// A server with a token.
pub(crate) struct Api {
    pub(crate) url: String,
    token: String,
}

/// A list, as far as it was read.
pub(crate) struct Listed {
    /// The list in the form of the API: an array, or an object with `items` and `next`.
    pub(crate) document: Value,

    /// More rows follow.
    pub(crate) is_cut: bool,
}

impl Listed {
    /// The rows of the list.
    pub(crate) fn rows(&self) -> &[Value] {
        items(&self.document)
    }
}

impl Api {
    /// The server and the token that the options give.
    pub(crate) fn new(server: &Server) -> anyhow::Result<Self> {
        Ok(Self {
            url: server.url()?,
            token: server.token()?,
        })
    }

    /// A server with a token that the user just entered.
    pub(crate) const fn with(url: String, token: String) -> Self {
        Self { url, token }
    }

    /// Gets one object, from a path such as `v4/users/1`.
    pub(crate) async fn get(&self, path: &str, query: &Query) -> anyhow::Result<Value> {
        patiently(self.call(Method::GET, &with_query(path, query), None))
            .await
            .map(|answer| body(&answer))
    }

    /// Gets a text that is not JSON.
    pub(crate) async fn get_text(&self, path: &str, query: &Query) -> anyhow::Result<String> {
        let answer = patiently(self.call(Method::GET, &with_query(path, query), None)).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Sends a body, and returns the JSON of the answer; null for an answer without a body.
    pub(crate) async fn send(&self, method: Method, path: &str, content: Value) -> anyhow::Result<Value> {
        patiently(self.call(method, path, Some(content)))
            .await
            .map(|answer| body(&answer))
    }

    /// Reads a list until it ends or has `limit` rows. `cursor` is the parameter for the next page of `/api/v1`; it is
    /// empty for lists that have one page only.
    pub(crate) async fn list(&self, path: &str, query: &Query, limit: usize, cursor: &str) -> anyhow::Result<Listed> {
        patiently(self.pages(path, query, limit, cursor)).await
    }

    async fn pages(&self, path: &str, query: &Query, limit: usize, cursor: &str) -> anyhow::Result<Listed> {
        let is_v4 = path.starts_with("v4/");
        let has_own_size = query.iter().any(|(name, _)| name == "per_page");
        let (mut rows, mut next) = (Vec::new(), String::new());
        let mut is_array;

        loop {
            let mut asked = query.clone();
            if is_v4 && !has_own_size {
                // Numbers of pages depend on the size, so all pages have the same size.
                asked.push(("per_page".to_owned(), PAGE.min(limit).to_string()));
            } else if !is_v4 && !cursor.is_empty() {
                asked.push(("limit".to_owned(), PAGE.min(limit - rows.len()).to_string()));
            }

            if !next.is_empty() {
                let name = if is_v4 { "page" } else { cursor };
                asked.push((name.to_owned(), next.clone()));
            }

            let answer = self.call(Method::GET, &with_query(path, &asked), None).await?;
            let page = body(&answer);
            is_array = page.is_array();
            rows.extend_from_slice(items(&page));
            next = next_of(&answer, &page);

            let has_more_pages = is_v4 || !cursor.is_empty();
            if next.is_empty() || rows.len() >= limit || !has_more_pages {
                break;
            }
        }

        let is_cut = !next.is_empty() || rows.len() > limit;
        rows.truncate(limit);

        let document = if is_array {
            Value::Array(rows)
        } else {
            let next = if next.is_empty() {
                Value::Null
            } else {
                Value::String(next)
            };
            json!({ "items": rows, "next": next })
        };

        Ok(Listed { document, is_cut })
    }

    async fn call(&self, method: Method, path: &str, content: Option<Value>) -> anyhow::Result<Answer> {
        let url = format!("{}/api/{path}", self.url);
        let headers = [
            ("Content-Type".into(), "application/json".to_owned()),
            ("PRIVATE-TOKEN".into(), self.token.clone()),
        ];

        let content = content
            .map(|content| content.to_string().into_bytes())
            .unwrap_or_default();
        let answer = client::call(method, &url, &headers, content, DEADLINE).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }

        Err(Refused::new(answer.status, &String::from_utf8_lossy(&answer.body)).into())
    }
}

/// The rows of a list in either form.
pub(crate) fn items(document: &Value) -> &[Value] {
    let list = document.as_array().or_else(|| document["items"].as_array());
    list.map_or(&[], Vec::as_slice)
}

/// Attributes of a request, without those that are not given.
pub(crate) fn attributes<const N: usize>(all: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let given = all
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given.collect()
}

/// Parameters of a query, without those that are not given.
pub(crate) fn parameters<const N: usize>(all: [(&str, Option<String>); N]) -> Query {
    let given = all
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    given.collect()
}

/// Waits for a piece of work, and shows a spinner if it takes longer than a second.
pub(crate) async fn patiently<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }

    let style = ProgressStyle::with_template("{spinner} waiting for the server, {elapsed}");
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = style {
        bar.set_style(style);
    }

    bar.enable_steady_tick(Duration::from_millis(100));
    let done = work.await;
    bar.finish_and_clear();
    done
}

fn with_query(path: &str, query: &Query) -> String {
    if query.is_empty() {
        return path.to_owned();
    }

    let pairs = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    format!("{path}?{pairs}")
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The position of the next page; empty on the last page.
fn next_of(answer: &Answer, page: &Value) -> String {
    if page.is_array() {
        let next = answer.headers.get("x-next-page").and_then(|next| next.to_str().ok());
        return next.unwrap_or_default().to_owned();
    }

    match &page["next"] {
        Value::String(next) => next.clone(),
        Value::Number(next) => next.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded() {
        let query = parameters([("project", Some("gear/rope".to_owned())), ("group", None)]);
        assert_eq!(with_query("v1/events", &query), "v1/events?project=gear%2Frope");
        assert_eq!(with_query("v1/events", &Query::new()), "v1/events");
    }

    #[test]
    fn both_forms_of_a_list_have_rows() {
        assert_eq!(items(&json!([1, 2])).len(), 2);
        assert_eq!(items(&json!({ "items": [1], "next": null })).len(), 1);
        assert!(items(&json!(null)).is_empty());
    }
}
