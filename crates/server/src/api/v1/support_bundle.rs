//! The support bundle: an archive that describes the server to somebody who helps, without any secret in it.
//!
//! It contains no bodies, no URLs of webhooks, no names of people or projects, and no values of secrets. A test looks
//! for canaries of every secret in it.

use std::io::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use quickdraw_domain::Timestamp;
use quickdraw_domain::health::Health;
use quickdraw_domain::hook::{Hook, Restriction};
use quickdraw_domain::scope::Scope;
use quickdraw_store::hooks::HookWithHealth;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::status::status;
use super::workers::workers;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::state::App;
use crate::views::Iso;

/// Maximum number of webhooks in the bundle.
const MAX_HOOKS: usize = 10_000;
/// Maximum size of a file in the bundle, in bytes. The end of a longer file is left out.
const MAX_FILE: usize = 8 << 20;

const README: &str = "This archive describes a Quickdraw server to somebody who helps its administrator.

settings.json  the settings in force and their origin; secrets only as set or not set
status.json    version, database, queues, nodes, disk, guard and keys
workers.json   the workers of the node that answered
hooks.json     the state of each webhook, without its URL, name and secrets
metrics.txt    the metrics of the node, without those of projects
log.txt        the last lines of the log of the node

It contains no secret, no body of an event, and no URL of a webhook. Read it before you pass it on: the settings and the
log contain addresses and names of files of your network.
";

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(download))
}

/// State of a webhook in the bundle.
#[derive(Serialize)]
struct HookState {
    id: i64,

    /// `instance`, `group` or `project`, with its id.
    scope: String,
    triggers: Vec<&'static str>,
    all_events: bool,
    is_restricted: bool,
    is_paused: bool,
    is_ordered: bool,
    verifies_tls: bool,
    has_token: bool,
    has_signing_token: bool,
    has_client_certificate: bool,
    has_template: bool,
    has_event_filter: bool,
    custom_headers: usize,
    url_variables: usize,
    recent_failures: u32,
    pauses: u32,
    disabled_until: Option<Iso>,
    is_disabled: bool,
    created_at: Iso,
    updated_at: Iso,
}

impl HookState {
    fn new(known: &HookWithHealth) -> Self {
        let HookWithHealth { hook, health } = known;
        let Health {
            recent_failures,
            pauses,
            disabled_until,
            disabled,
        } = *health;

        Self {
            id: hook.id.0,
            scope: match hook.scope {
                Scope::Instance => "instance".to_owned(),
                Scope::Group(id) => format!("group {id}"),
                Scope::Project(id) => format!("project {id}"),
            },
            triggers: triggers(hook),
            all_events: hook.all_events,
            is_restricted: hook.only != Restriction::default(),
            is_paused: hook.paused.is_some(),
            is_ordered: hook.ordered,
            verifies_tls: hook.enable_ssl_verification,
            has_token: hook.token.is_some(),
            has_signing_token: hook.signing_token.is_some(),
            has_client_certificate: hook.client_certificate.is_some(),
            has_template: hook.body_template.is_some(),
            has_event_filter: hook.event_filter.is_some(),
            custom_headers: hook.custom_headers.iter().count(),
            url_variables: hook.url_variables.iter().count(),
            recent_failures,
            pauses,
            disabled_until: disabled_until.map(Iso),
            is_disabled: disabled,
            created_at: Iso(hook.created_at),
            updated_at: Iso(hook.updated_at),
        }
    }
}

fn triggers(hook: &Hook) -> Vec<&'static str> {
    hook.triggers.iter().map(|trigger| trigger.row().name).collect()
}

/// Download an archive that describes the server to somebody who helps. Administrators only.
///
/// The archive (`.tar.gz`) contains settings, status, workers, states of webhooks, metrics and the last log lines of
/// the node that answers. It contains no secret, no body of an event, and no URL of a webhook.
#[utoipa::path(get, path = "/support_bundle", tag = "Operations",
    responses((status = 200, body = String, content_type = "application/gzip")))]
async fn download(_: Admin, State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let now = app.now();
    let directory = app.store().directory().await?;
    let hooks: Vec<HookState> = directory.hooks.iter().take(MAX_HOOKS).map(HookState::new).collect();

    app.metrics.run_upkeep();

    let process = app.process();
    let files = [
        ("README.txt", README.to_owned()),
        ("settings.json", json(&process.settings)?),
        ("status.json", json(&status(&app).await?)?),
        ("workers.json", json(&workers(&app).await)?),
        ("hooks.json", json(&hooks)?),
        ("metrics.txt", app.metrics.render()),
        ("log.txt", process.log.text()),
    ];

    let packed = tokio::task::spawn_blocking(move || pack(&files, now)).await;
    let packed = packed.map_err(|error| ApiError::internal(error.into()))?;
    let packed = packed.map_err(|error| ApiError::internal(error.into()))?;

    let name = format!("attachment; filename=\"quickdraw-support-{}.tar.gz\"", now.as_seconds());
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, packed).into_response())
}

fn json(value: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string_pretty(value).map_err(|error| ApiError::internal(error.into()))
}

fn pack(files: &[(&str, String)], now: Timestamp) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in files {
        let bytes = &text.as_bytes()[..text.len().min(MAX_FILE)];
        let mut head = tar::Header::new_gnu();
        head.set_size(bytes.len() as u64);
        head.set_mode(0o600);
        head.set_mtime(now.as_seconds().unsigned_abs());
        archive.append_data(&mut head, format!("quickdraw-support/{name}"), bytes)?;
    }

    let mut packed = archive.into_inner()?;
    packed.flush()?;
    packed.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn an_archive_contains_its_files_within_their_bound() {
        let files = [("a.txt", "text".to_owned()), ("b.txt", "x".repeat(MAX_FILE + 5))];
        let packed = pack(&files, Timestamp::from_seconds(1_790_000_000)).expect("packed");

        let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
        let mut found = Vec::new();
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("a text");
            found.push((name, text.len()));
        }

        let expected = [("a.txt", 4), ("b.txt", MAX_FILE)];
        let expected = expected.map(|(name, len)| (format!("quickdraw-support/{name}"), len));
        assert_eq!(found, expected);
    }
}
