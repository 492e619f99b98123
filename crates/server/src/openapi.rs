//! The OpenAPI 3.1 description of all endpoints. Handlers describe themselves; common parts are added here.

mod errors;
mod examples;
mod flatten;
mod page;
mod pages;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use quickdraw_insights::metrics::{self, Metric};
use serde_json::Value;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, RefOr, Required, Server};

use self::pages::Pages;
use crate::error::{ApiError, FieldError, Kind};
use crate::params::refuse_all;
use crate::state::App;

/// The base of the description.
pub(crate) fn about(external_url: &str) -> OpenApi {
    let header =
        |name: &str, text: &str| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, text)));
    let components = ComponentsBuilder::new()
        .schema("Error", error())
        .schema("Problem", problem())
        .security_scheme("private_token", header("PRIVATE-TOKEN", "An access token."))
        .security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        )
        .security_scheme("gitlab_token", header("X-Gitlab-Token", "The secret of the source."))
        .build();

    let info = InfoBuilder::new()
        .title("Quickdraw")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Webhooks in GitLab's format. `/api/v4` is the part of GitLab's REST API that webhooks and their \
             clients need; parameters can be JSON, a form or a query. `/api/v1` has the endpoints that GitLab does \
             not have. Commands for curl read the header `PRIVATE-TOKEN: …` from a file named `token-header`, because \
             every user of a machine can read arguments.",
        ))
        .build();

    let empty = Vec::<String>::new();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new(external_url)]))
        .components(Some(components))
        .security(Some([
            SecurityRequirement::new("private_token", empty.clone()),
            SecurityRequirement::new("bearer", empty),
        ]))
        .build()
}

/// Serves the description and its pages. They are made at the first request, because most servers never get one.
pub(crate) fn routes(description: OpenApi) -> Router<Arc<App>> {
    let pages = Arc::new(LazyLock::new(move || Pages::of(description)));
    let [viewer, plain, assets] = [(); 3].map(|()| Arc::clone(&pages));

    Router::new()
        .route(
            "/api/v1/openapi.json",
            get(async move |RawQuery(query): RawQuery, headers: HeaderMap| {
                refuse_all(query.as_deref())?;
                Ok::<Response, ApiError>(pages.description.answer(&headers))
            }),
        )
        .route(
            "/api/v1/docs",
            get(async move |headers: HeaderMap| viewer.viewer.answer(&headers)),
        )
        .route(
            "/api/v1/docs/plain",
            get(async move |headers: HeaderMap| plain.plain.answer(&headers)),
        )
        .route(
            "/api/v1/docs/assets/{name}",
            get(async move |Path(name): Path<String>, headers: HeaderMap| {
                let file = assets.assets.get(&name).ok_or_else(no_file)?;
                Ok::<Response, ApiError>(file.answer(&headers))
            }),
        )
        .layer(axum::middleware::from_fn(crate::error::shape))
}

/// Completes the description: parts that follow from paths, fields in one place, and examples.
fn complete(mut description: OpenApi) -> Value {
    finish(&mut description);

    let mut description = serde_json::to_value(&description).expect("a description is JSON");
    flatten::flatten(&mut description);
    errors::add(&mut description);
    examples::add(&mut description);
    description
}

/// The description of all endpoints, as the server completes it.
#[cfg(test)]
fn whole() -> Value {
    let mut description = about("https://quickdraw.example.com");
    description.merge(crate::receive::routes().into_openapi());
    description.merge(crate::api::routes().into_openapi());
    description.merge(crate::ops::routes().into_openapi());
    complete(description)
}

fn no_file() -> ApiError {
    ApiError::problem(
        StatusCode::NOT_FOUND,
        "there is no file of this name; reload /api/v1/docs",
    )
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The two shapes of errors in `/api/v4`. Clients handle both.
fn error() -> Schema {
    let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let message = ObjectBuilder::new().property("message", anything).required("message");
    let error = ObjectBuilder::new()
        .property("error", text())
        .property("error_description", text())
        .property("scope", text())
        .required("error");
    OneOfBuilder::new().item(message).item(error).into()
}

/// Problem details (RFC 9457).
fn problem() -> Schema {
    let status = ObjectBuilder::new().schema_type(Type::Integer);
    let kinds = Kind::ALL.map(|(_, word)| format!("/problems/{word}"));
    let kind = text().enum_values(Some(kinds));
    let errors = ArrayBuilder::new()
        .items(FieldError::schema())
        .description(Some("Errors by parameter; absent if no parameter is wrong."));

    let problem = ObjectBuilder::new()
        .property("type", kind)
        .property("title", text())
        .property("status", status);

    problem
        .property("detail", text())
        .property("errors", errors)
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .into()
}

/// Adds the parts that follow from the path of each operation.
fn finish(description: &mut OpenApi) {
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method, path));
            if let Some(tag) = narrower_tag(path) {
                operation.tags = Some(vec![tag.to_owned()]);
            }

            let of_metric = path.contains("/metrics/{name}");
            let named = path.split(['{', '}']).skip(1).step_by(2);

            let named = named.map(|name| {
                RefOr::T(if of_metric {
                    metric_parameter()
                } else {
                    path_parameter(name)
                })
            });
            operation.parameters.get_or_insert_default().splice(0..0, named);
            describe_answers(operation);

            if path.starts_with("/api/v4") {
                add_form(operation);
            }
        }
    }
}

/// Divides the two largest groups of operations: hooks by their level, insights by their subject.
fn narrower_tag(path: &str) -> Option<&'static str> {
    if let Some(rest) = path.strip_prefix("/api/v4/") {
        return match rest {
            _ if !rest.split('/').any(|part| part == "hooks") => None,
            _ if rest.starts_with("projects/") => Some("Hooks of projects"),
            _ if rest.starts_with("groups/") => Some("Hooks of groups"),
            _ => Some("Hooks of the instance"),
        };
    }

    let subject = path.strip_prefix("/api/v1/insights/")?;
    Some(match subject.split('/').next().unwrap_or_default() {
        "metrics" | "query" | "commits" | "reviews" => "Insights: metrics",
        "alerts" => "Insights: alerts",
        "identities" | "members" | "teams" => "Insights: people",
        _ => "Insights: data",
    })
}

/// Builds an operation id such as `get_v4_projects_id_hooks`, which is unique.
fn operation_id(method: &HttpMethod, path: &str) -> String {
    let method = match method {
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        HttpMethod::Delete => "delete",
        _ => "get",
    };

    let path = path.trim_start_matches("/api/").replace(['{', '}'], "");
    let words = path.split(['/', '.']).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static HttpMethod, &mut Operation)> {
    let PathItem {
        get, put, post, delete, ..
    } = item;
    let all = [
        (&HttpMethod::Get, get),
        (&HttpMethod::Put, put),
        (&HttpMethod::Post, post),
        (&HttpMethod::Delete, delete),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Describes the path parameter with the name of a metric, with the definition of each.
fn metric_parameter() -> Parameter {
    let meaning = |metric: &Metric| format!("- `{}` ({}): {}", metric.name, metric.kind.unit(), metric.help);
    let meanings: Vec<String> = metrics::all().map(meaning).collect();
    let schema = text().enum_values(Some(metrics::all().map(|metric| metric.name)));

    ParameterBuilder::new()
        .name("name")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(format!("Name of the metric:\n\n{}", meanings.join("\n"))))
        .schema(Some(schema))
        .build()
}

/// Describes a path parameter.
fn path_parameter(name: &str) -> Parameter {
    let number = || ObjectBuilder::new().schema_type(Type::Integer);
    let (schema, words) = match name {
        "id" => (
            text(),
            "Id; for a project or group also its full path, with `%2F` for each slash.",
        ),
        "user_id" => (number(), "Id of the user."),
        "hook_id" => (number(), "Id of the hook."),
        "hook_event_id" => (number(), "Id of the entry in the hook's log."),
        "key_id" => (number(), "Id of the SSH key."),
        "token_id" => (text(), "Id of the token; for personal tokens also `self`."),
        "key" => (
            text(),
            "Name of the header or variable; in the URL of a source, the id of the source.",
        ),
        "alert_id" => (text(), "Id of the alert rule."),
        "event_id" => (text(), "Id of the event."),
        "delivery_id" => (text(), "Id of the delivery."),
        "source_id" => (text(), "Id of the source."),
        "inspector_id" => (text(), "Id of the inspector, which is the last segment of its URL."),
        "request_id" => (text(), "Id of the request."),
        "replay_id" => (text(), "Id of the replay."),
        "stream_id" => (text(), "Id of the open stream."),
        "session_id" => (number(), "Id of the session."),
        "notification_id" => (text(), "Id of the notification rule."),
        "member_id" => (text(), "Id of the member."),
        "team_id" => (text(), "Id of the team."),
        "trigger_name" => (text(), "Kind of event, such as `push_hooks`."),
        "trigger" => (
            text(),
            "Attribute that selects the kind of event, such as `push_events`.",
        ),
        _ => (text(), "Id."),
    };

    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(words))
        .schema(Some(schema))
        .build()
}

/// Adds the form encoding to bodies that are described as JSON.
fn add_form(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    if let Some(json) = body.content.get("application/json").cloned() {
        body.content
            .insert("application/x-www-form-urlencoded".to_owned(), json);
    }
}

/// Gives every response a description. The default is the name of its status.
fn describe_answers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let status = status.parse().ok().and_then(|number| StatusCode::from_u16(number).ok());
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = status
                .and_then(|status| status.canonical_reason())
                .unwrap_or("Refused")
                .to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_named_by_method_and_address() {
        assert_eq!(
            operation_id(&HttpMethod::Get, "/api/v4/projects/{id}/hooks"),
            "get_v4_projects_id_hooks"
        );

        assert_eq!(operation_id(&HttpMethod::Post, "/api/v1/events"), "post_v1_events");
        assert_eq!(operation_id(&HttpMethod::Get, "/metrics"), "get_metrics");
    }
}
