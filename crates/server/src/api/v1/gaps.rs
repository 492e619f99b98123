//! What never came: how complete each project is, and where its gaps are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::Timestamp;
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::gaps::{After, Completeness, Gap, Sequence};
use quickdraw_store::insights::Projects;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::covered::project;
use super::invalid;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;

const DEFAULT: usize = 100;
const LARGEST: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(completeness)).routes(routes!(gaps))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CompletenessQuery {
    /// Only this project: its number in events, or its path.
    project: Option<String>,
    /// Go on behind this: `next` of the page before.
    after: Option<i64>,
}

/// How much of something came.
#[derive(Serialize, ToSchema)]
struct CompletenessView {
    /// The project's number in the source's bodies: GitLab's, and not ours.
    source_project_id: i64,
    /// Its path in events.
    path_with_namespace: Option<String>,
    /// `push`, `merge_request`, `issue` or `pipeline`.
    metric: &'static str,
    /// How many came.
    known: i64,
    /// How many are missing: of pushes at least, of others at most, because objects are deleted.
    missing: i64,
    /// The share that came, from 0 to 1.
    completeness: f64,
    /// The lowest number that came.
    first_iid: Option<i64>,
    /// The highest number that came.
    last_iid: Option<i64>,
    /// When the first of them was received: of what was before, nothing is known.
    #[schema(format = DateTime)]
    coverage_starts: String,
}

/// How complete what was received is.
#[derive(Serialize, ToSchema)]
struct CompletenessList {
    /// Until when everything that was received is counted.
    #[schema(format = DateTime)]
    as_of: String,
    /// Version of the definitions.
    definition_version: u32,
    /// One for each project and metric, at most 1,000.
    items: Vec<CompletenessView>,
    /// What to give as `after` for the next page; absent on the last.
    next: Option<i64>,
}

impl From<Completeness> for CompletenessView {
    fn from(one: Completeness) -> Self {
        Self {
            completeness: one.share(),
            source_project_id: one.project,
            path_with_namespace: one.project_path,
            metric: one.metric.name(),
            known: one.known,
            missing: one.missing,
            first_iid: one.first,
            last_iid: one.last,
            coverage_starts: one.since.to_iso(),
        }
    }
}

/// Tell how much of the pushes, merge requests, issues and pipelines of each project came: from payloads alone, by pushes
/// that do not begin where the last one of their branch ended, and by numbers that were passed over. Administrators.
#[utoipa::path(get, path = "/insights/completeness", tag = "Insights", params(CompletenessQuery),
    responses((status = 200, body = CompletenessList)))]
async fn completeness(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<CompletenessQuery>,
) -> Result<Json<CompletenessList>, ApiError> {
    let projects = match query.project {
        Some(name) => Projects::One(project(&app, &name).await?),
        None => query.after.map_or(Projects::ALL, Projects::Behind),
    };
    let as_of = app.engine.insights.counted_until().await?.to_iso();
    let mut found = app.store().completeness(projects, LARGEST).await?;
    let mut next = None;
    if found.len() == LARGEST {
        // The last project may have more: it is the first of the next page.
        let last = found.last().map(|one| one.project);
        found.retain(|one| Some(one.project) != last);
        next = found.last().map(|one| one.project);
    }
    let items = found.into_iter().map(CompletenessView::from).collect();
    Ok(Json(CompletenessList { as_of, definition_version: DEFINITION_VERSION, items, next }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GapsQuery {
    /// The project: its number in events, or its path.
    project: String,
    /// Only of these: `push`, `merge_request`, `issue`, `pipeline`.
    #[serde(default)]
    metric: Vec<String>,
    /// Go on behind this: `next` of the page before.
    after: Option<String>,
    /// Most gaps of a page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Something that never came.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum GapView {
    /// One push of a branch or more.
    Pushes {
        /// `push`.
        metric: &'static str,
        /// The branch.
        #[serde(rename = "ref")]
        git_ref: String,
        /// Where the last known push ended.
        before: Option<String>,
        /// Where the next known push began.
        after: String,
        /// When that one was received.
        #[schema(format = DateTime)]
        received_at: String,
    },
    /// Objects with these numbers, both included.
    Objects {
        /// `merge_request`, `issue` or `pipeline`.
        metric: &'static str,
        /// The first number.
        first_iid: i64,
        /// The last number.
        last_iid: i64,
    },
}

/// A page of gaps.
#[derive(Serialize, ToSchema)]
struct GapList {
    /// Gaps: pushes by when what follows was received, others by number.
    items: Vec<GapView>,
    /// What to give as `after` for the next page; absent on the last.
    next: Option<String>,
}

impl From<&Gap> for GapView {
    fn from(gap: &Gap) -> Self {
        let metric = gap.metric().name();
        match gap.clone() {
            Gap::Pushes { git_ref, before, after, received_at } => {
                Self::Pushes { metric, git_ref, before, after, received_at: received_at.to_iso() }
            }
            Gap::Objects { first, last, .. } => Self::Objects { metric, first_iid: first, last_iid: last },
        }
    }
}

/// List what never came of a project. Administrators.
#[utoipa::path(get, path = "/insights/gaps", tag = "Insights", params(GapsQuery),
    responses((status = 200, body = GapList)))]
async fn gaps(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<GapsQuery>,
) -> Result<Json<GapList>, ApiError> {
    let limit = match query.limit {
        None => DEFAULT,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=LARGEST).contains(limit))
            .ok_or_else(|| invalid(format!("limit must be from 1 to {LARGEST}")))?,
    };
    let metric = |name: &String| Sequence::by_name(name).ok_or_else(|| invalid("metric does not have a valid value"));
    let mut wanted = query.metric.iter().map(metric).collect::<Result<Vec<_>, _>>()?;
    if wanted.is_empty() {
        wanted = Sequence::ALL.to_vec();
    }
    let behind = query.after.as_deref().map(parse).transpose()?;
    let project = project(&app, &query.project).await?;
    let (mut found, mut next) = (Vec::new(), None);
    for metric in Sequence::ALL.into_iter().filter(|metric| wanted.contains(metric)) {
        let after = match &behind {
            Some(behind) if metric < of(behind) => continue,
            Some(behind) if metric == of(behind) => behind.clone(),
            _ => After::start(metric),
        };
        // One more than fits tells whether there is more.
        let mut more = app.store().gaps(project, after, limit - found.len() + 1).await?;
        if found.len() + more.len() > limit {
            more.truncate(limit - found.len());
            found.extend(more);
            next = found.last().map(|last: &Gap| write(&last.position()));
            break;
        }
        found.extend(more);
    }
    Ok(Json(GapList { items: found.iter().map(GapView::from).collect(), next }))
}

const fn of(after: &After) -> Sequence {
    match after {
        After::Pushes(..) => Sequence::Push,
        After::Objects(metric, _) => *metric,
    }
}

fn write(after: &After) -> String {
    match after {
        After::Pushes(time, sha) => format!("push:{}:{sha}", time.as_micros()),
        After::Objects(metric, iid) => format!("{}:{iid}", metric.name()),
    }
}

fn parse(text: &str) -> Result<After, ApiError> {
    // What pushes begin at is whatever an event said; it may have colons.
    let parts: Vec<&str> = text.splitn(3, ':').collect();
    let read = || match parts.as_slice() {
        ["push", time, sha] => Some(After::Pushes(Timestamp::from_micros(time.parse().ok()?), (*sha).to_owned())),
        [metric, iid] => {
            let metric = Sequence::by_name(metric).filter(|metric| *metric != Sequence::Push)?;
            Some(After::Objects(metric, iid.parse().ok()?))
        }
        _ => None,
    };
    read().ok_or_else(|| invalid("after is not what an answer gave as next"))
}
