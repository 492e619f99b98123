//! Converts errors into answers, in one place. `/api/v4` uses GitLab's two shapes, `/api/v1` problem details (RFC
//! 9457).

mod problem;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::TokenScope;
use quickdraw_engine::outage;
use quickdraw_store::Error;
use serde_json::{Value, json};

pub use problem::{FieldError, Kind, Problem};

/// An error of a request. Handlers return it with `?`.
#[derive(Debug)]
pub enum ApiError {
    /// GitLab's `{"message": …}`.
    Message(StatusCode, Value),

    /// GitLab's `{"error": …}`, for parameters and for the fixed texts of hooks.
    Error(StatusCode, String),

    /// Problem details: the status, and a text that says what is wrong and how to correct it.
    Problem(StatusCode, String),

    /// Wrong parameters: the status, GitLab's text for `/api/v4`, and the problem for `/api/v1`.
    Fields(StatusCode, String, Box<Problem>),

    /// The token has none of these scopes, one of which the request needs.
    InsufficientScope(&'static [TokenScope]),

    /// Too many requests.
    TooMany(Wait),

    /// The store failed.
    Store(Error),
}

/// Time after which a client can try again.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    seconds: u64,

    /// Requests per minute, and the time of this request.
    limit: Option<(usize, Timestamp)>,
}

impl Wait {
    fn add_to(self, headers: &mut HeaderMap) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(self.seconds));

        let Some((per_minute, now)) = self.limit else { return };
        let reset = now.as_seconds().saturating_add_unsigned(self.seconds);

        headers.insert(
            HeaderName::from_static("ratelimit-limit"),
            HeaderValue::from(per_minute),
        );

        headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(0));
        headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(reset));
    }
}

impl ApiError {
    /// 404 with the name of the resource, in GitLab's words.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::Message(StatusCode::NOT_FOUND, json!(format!("404 {what} Not Found")))
    }

    /// 404 for a hook or event, for which GitLab uses other words.
    #[must_use]
    pub fn plain_not_found() -> Self {
        Self::Message(StatusCode::NOT_FOUND, json!("404 Not found"))
    }

    /// 401 for a missing or invalid token.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::Message(StatusCode::UNAUTHORIZED, json!("401 Unauthorized"))
    }

    /// 403 for an insufficient role.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::Message(StatusCode::FORBIDDEN, json!("403 Forbidden"))
    }

    /// 403 for a token that has none of the scopes, one of which the request needs.
    #[must_use]
    pub const fn insufficient_scope(scopes: &'static [TokenScope]) -> Self {
        Self::InsufficientScope(scopes)
    }

    /// 400 for a wrong parameter.
    #[must_use]
    pub fn bad_parameter(text: impl Into<String>) -> Self {
        Self::Error(StatusCode::BAD_REQUEST, text.into())
    }

    /// 422 with one of GitLab's fixed texts.
    #[must_use]
    pub fn unprocessable(text: impl Into<String>) -> Self {
        Self::Error(StatusCode::UNPROCESSABLE_ENTITY, text.into())
    }

    /// 500 for an internal failure, which is logged here and not shown.
    #[must_use]
    pub fn internal(error: anyhow::Error) -> Self {
        let error = match error.downcast::<Error>() {
            Ok(error) => return Self::Store(error),
            Err(error) => error,
        };
        if outage::cause_stands_alone(&error) {
            tracing::error!("failed to answer a request: {error:#}");
        }

        Self::Message(StatusCode::INTERNAL_SERVER_ERROR, json!("500 Internal Server Error"))
    }

    /// 429, with the seconds to wait.
    #[must_use]
    pub const fn too_many(seconds: u64) -> Self {
        Self::TooMany(Wait { seconds, limit: None })
    }

    /// Adds the limit and the time to a 429, for clients that wait until a point in time. Other errors are returned
    /// unchanged.
    #[must_use]
    pub fn with_limit(self, per_minute: usize, now: Timestamp) -> Self {
        match self {
            Self::TooMany(Wait { seconds, .. }) => Self::TooMany(Wait {
                seconds,
                limit: Some((per_minute, now)),
            }),
            other => other,
        }
    }

    /// Problem details of `/api/v1`.
    #[must_use]
    pub fn problem(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::Problem(status, detail.into())
    }

    /// 400 with one wrong parameter of `/api/v1`. `detail` names the parameter, and says how to correct it.
    #[must_use]
    pub fn field(field: &str, detail: impl Into<String>) -> Self {
        Self::fields(Kind::InvalidParameter, vec![FieldError::new(field, detail)])
    }

    /// 400 with wrong parameters of `/api/v1`.
    #[must_use]
    pub fn fields(kind: Kind, errors: Vec<FieldError>) -> Self {
        Self::fields_with(StatusCode::BAD_REQUEST, kind, errors)
    }

    /// Wrong parameters of `/api/v1`, with another status than 400.
    #[must_use]
    pub fn fields_with(status: StatusCode, kind: Kind, errors: Vec<FieldError>) -> Self {
        let problem = Problem::of_fields(kind, errors);
        Self::Fields(status, problem.detail.clone(), Box::new(problem))
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// An error as a problem and as GitLab's text, for converting it into the other shape.
#[derive(Clone)]
struct Words {
    gitlab: String,
    problem: Problem,
}

/// Converts every error into the shape of its path: GitLab's two shapes below `/api/v4`, problem details below
/// `/api/v1`. This includes errors of the web framework.
pub(crate) async fn shape(request: Request, next: Next) -> Response {
    let is_v1 = request.uri().path().starts_with("/api/v1");
    let response = next.run(request).await;
    let status = response.status();

    let is = |kind: &str| {
        response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value == kind)
    };

    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }

    let right = if is_v1 {
        is("application/problem+json")
    } else {
        is("application/json")
    };
    if right {
        return response;
    }

    let reason = || format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let words = response.extensions().get::<Words>();

    let mut shaped = match words {
        Some(words) if is_v1 => words.problem.answer(status),
        None if is_v1 => Problem::of_status(status, reason()).answer(status),
        Some(words) => ApiError::Error(status, words.gitlab.clone()).into_response(),
        None => ApiError::Error(status, reason()).into_response(),
    };

    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = response.headers().get(&name) {
            shaped.headers_mut().insert(name, value.clone());
        }
    }

    shaped
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let gitlab = self.words();
        let problem = self.as_problem();
        let mut response = self.answer();
        let problem = problem.unwrap_or_else(|| Problem::of_status(response.status(), gitlab.clone()));
        response.extensions_mut().insert(Words { gitlab, problem });

        response
    }
}

impl ApiError {
    /// The text of the error in one line.
    fn words(&self) -> String {
        match self {
            Self::Message(_, Value::String(text))
            | Self::Error(_, text)
            | Self::Problem(_, text)
            | Self::Fields(_, text, _) => text.clone(),
            Self::Message(_, message) => message.to_string(),
            Self::Store(Error::Taken(what)) => format!("{what} has already been taken"),
            Self::Store(Error::Missing(what)) => format!("404 {} Not Found", capital(what)),
            Self::Store(Error::Blocked) => BLOCKED.to_owned(),
            Self::Store(_) => DATABASE.to_owned(),
            Self::InsufficientScope(scopes) => format!(
                "insufficient_scope: the token has no scope for this request; use a token with {}",
                words_of(scopes).join(" or ")
            ),
            Self::TooMany(wait) => format!("too many requests; try again in {} s", wait.seconds),
        }
    }

    /// The problem, if it says more than status and text.
    fn as_problem(&self) -> Option<Problem> {
        match self {
            Self::Fields(_, _, problem) => Some(problem.as_ref().clone()),
            Self::Store(Error::Taken(what)) => {
                let error = FieldError::new(what, format!("{what} has already been taken; choose another"));
                Some(Problem::of_fields(Kind::InvalidParameter, vec![error]))
            }
            Self::InsufficientScope(_) => Some(Problem {
                kind: Kind::InsufficientScope,
                detail: self.words(),
                errors: Vec::new(),
            }),
            _ => None,
        }
    }

    fn answer(self) -> Response {
        match self {
            Self::Message(status, message) => (status, Json(json!({ "message": message }))).into_response(),
            Self::Error(status, error) | Self::Fields(status, error, _) => {
                (status, Json(json!({ "error": error }))).into_response()
            }
            Self::Problem(status, detail) => Problem::of_status(status, detail).answer(status),
            Self::InsufficientScope(scopes) => {
                let body = json!({
                    "error": "insufficient_scope",
                    "error_description": "The request requires higher privileges than provided by the access token.",
                    "scope": words_of(scopes).join(" "),
                });
                (StatusCode::FORBIDDEN, Json(body)).into_response()
            }

            Self::TooMany(wait) => {
                let error = "This endpoint has been requested too many times. Try again later.";
                let body = Json(json!({ "message": { "error": error } }));
                let mut response = (StatusCode::TOO_MANY_REQUESTS, body).into_response();
                wait.add_to(response.headers_mut());

                response
            }

            Self::Store(Error::Taken(what @ ("username" | "email"))) => {
                let message = format!("{} has already been taken", capital(what));
                (StatusCode::CONFLICT, Json(json!({ "message": message }))).into_response()
            }
            Self::Store(Error::Taken(what)) => {
                let message = json!({ what: [format!("has already been taken")] });
                (StatusCode::BAD_REQUEST, Json(json!({ "message": message }))).into_response()
            }
            Self::Store(Error::Missing(what)) => {
                let message = format!("404 {} Not Found", capital(what));
                (StatusCode::NOT_FOUND, Json(json!({ "message": message }))).into_response()
            }
            Self::Store(Error::Blocked) => (StatusCode::FORBIDDEN, Json(json!({ "message": BLOCKED }))).into_response(),
            Self::Store(error) => {
                let status = match error {
                    Error::Unavailable(_) | Error::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };

                if outage::stands_alone(&error) {
                    tracing::error!(%error, "failed to answer a request");
                }

                // Details of the failure are logged, and not shown to the client.
                let body = Json(json!({ "message": DATABASE }));
                let mut response = (status, body).into_response();
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));

                response
            }
        }
    }
}

/// GitLab's answer to a valid token of a blocked user. It is not a 401, because another token would not help.
const BLOCKED: &str = "403 Forbidden - Your account has been blocked.";

fn words_of(scopes: &[TokenScope]) -> Vec<&'static str> {
    scopes.iter().map(|scope| scope.word()).collect()
}
/// The answer to a request that failed in the database. Details of the failure are only logged.
const DATABASE: &str = "the database could not process the request; try again";

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// Answers requests to unknown paths.
pub(crate) async fn not_found(uri: Uri) -> ApiError {
    if uri.path().starts_with("/api/v4") {
        return ApiError::Error(StatusCode::NOT_FOUND, "404 Not Found".to_owned());
    }

    ApiError::problem(StatusCode::NOT_FOUND, "there is no resource at this path")
}
