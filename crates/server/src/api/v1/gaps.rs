//! Gaps: the completeness of each project, and the events that never arrived.

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

use super::invalid;
use super::scope::project;
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
    /// Only this project: its id in received bodies, or its path.
    project: Option<String>,

    /// Position after which the page begins: `next` of the previous page.
    after: Option<i64>,
}

/// Completeness of one sequence of a project.
#[derive(Serialize, ToSchema)]
struct CompletenessView {
    /// The project's id in received bodies, which is GitLab's and not Quickdraw's.
    source_project_id: i64,

    /// The project's path in events.
    path_with_namespace: Option<String>,

    /// The sequence: `push`, `merge_request`, `issue` or `pipeline`.
    kind: &'static str,

    /// Number of objects or pushes that arrived.
    known: i64,

    /// Number that is missing. It is a lower bound for pushes, and an upper bound for others, because GitLab deletes
    /// objects.
    missing: i64,

    /// Share that arrived, from 0 to 1.
    completeness: f64,

    /// Lowest number (iid) that arrived.
    first_iid: Option<i64>,

    /// Highest number (iid) that arrived.
    last_iid: Option<i64>,

    /// Time at which the first event of the sequence was received. Earlier times are unknown.
    #[schema(format = DateTime)]
    coverage_starts: String,
}

/// Completeness of the received events.
#[derive(Serialize, ToSchema)]
struct CompletenessList {
    /// All events that were received before this time are counted.
    #[schema(format = DateTime)]
    as_of: String,

    /// Version of the definitions.
    definition_version: u32,

    /// One entry per project and sequence, at most 1,000.
    items: Vec<CompletenessView>,

    /// Value of `after` for the next page; absent on the last page.
    next: Option<i64>,
}

impl From<Completeness> for CompletenessView {
    fn from(one: Completeness) -> Self {
        Self {
            completeness: one.share(),
            source_project_id: one.project,
            path_with_namespace: one.project_path,
            kind: one.kind.name(),
            known: one.known,
            missing: one.missing,
            first_iid: one.first,
            last_iid: one.last,
            coverage_starts: one.since.to_iso(),
        }
    }
}

/// Show how complete the received events of each project are. Administrators only.
///
/// The answer covers pushes, merge requests, issues and CI pipelines. Missing events are found from payloads alone: by
/// pushes that do not begin where the last push to their branch ended, and by skipped numbers.
#[utoipa::path(get, path = "/insights/completeness", tag = "Insights", params(CompletenessQuery),
    responses((status = 200, body = CompletenessList)))]
async fn completeness(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<CompletenessQuery>,
) -> Result<Json<CompletenessList>, ApiError> {
    let projects = match query.project {
        Some(name) => Projects::One(project(&app, &name).await?),
        None => query.after.map_or(Projects::ALL, Projects::After),
    };

    let as_of = app.engine.insights.counted_until().await?.to_iso();
    let mut found = app.store().completeness(projects, LARGEST).await?;
    let mut next = None;

    if found.len() == LARGEST {
        // The last project may have more sequences, so it goes to the next page.
        let last = found.last().map(|one| one.project);
        found.retain(|one| Some(one.project) != last);
        next = found.last().map(|one| one.project);
    }

    let items = found.into_iter().map(CompletenessView::from).collect();
    Ok(Json(CompletenessList {
        as_of,
        definition_version: DEFINITION_VERSION,
        items,
        next,
    }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GapsQuery {
    /// The project: its id in received bodies, or its path.
    project: String,

    /// Only these sequences: `push`, `merge_request`, `issue`, `pipeline`.
    #[serde(default)]
    kind: Vec<String>,

    /// Position after which the page begins: `next` of the previous page.
    after: Option<String>,

    /// Maximum number of gaps in a page. Default: 100.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Events that never arrived.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum GapView {
    /// One or more missing pushes of a branch.
    Pushes {
        /// Always `push`.
        kind: &'static str,
        /// The branch.
        #[serde(rename = "ref")]
        git_ref: String,
        /// Commit at which the last known push ended.
        before: Option<String>,
        /// Commit at which the next known push began.
        after: String,
        /// Time at which the next known push was received.
        #[schema(format = DateTime)]
        received_at: String,
    },

    /// Missing objects, from the first to the last number.
    Objects {
        /// The sequence: `merge_request`, `issue` or `pipeline`.
        kind: &'static str,
        /// First missing number (iid).
        first_iid: i64,
        /// Last missing number (iid).
        last_iid: i64,
    },
}

/// A page of gaps.
#[derive(Serialize, ToSchema)]
struct GapList {
    /// The gaps. Pushes are ordered by `received_at`, other objects by number.
    items: Vec<GapView>,

    /// Value of `after` for the next page; absent on the last page.
    next: Option<String>,
}

impl From<&Gap> for GapView {
    fn from(gap: &Gap) -> Self {
        let kind = gap.kind().name();
        match gap.clone() {
            Gap::Pushes {
                git_ref,
                before,
                after,
                received_at,
            } => Self::Pushes {
                kind,
                git_ref,
                before,
                after,
                received_at: received_at.to_iso(),
            },

            Gap::Objects { first, last, .. } => Self::Objects {
                kind,
                first_iid: first,
                last_iid: last,
            },
        }
    }
}

/// List the gaps of a project. Administrators only.
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
            .ok_or_else(|| ApiError::field("limit", format!("limit must be from 1 to {LARGEST}")))?,
    };

    let kind = |name: &String| Sequence::by_name(name).ok_or_else(|| invalid("kind does not have a valid value"));
    let mut wanted = query.kind.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
    if wanted.is_empty() {
        wanted = Sequence::ALL.to_vec();
    }

    let after_gap = query.after.as_deref().map(parse).transpose()?;
    let project = project(&app, &query.project).await?;
    let (mut found, mut next) = (Vec::new(), None);

    for kind in Sequence::ALL.into_iter().filter(|kind| wanted.contains(kind)) {
        let after = match &after_gap {
            Some(after_gap) if kind < of(after_gap) => continue,
            Some(after_gap) if kind == of(after_gap) => after_gap.clone(),
            _ => After::start(kind),
        };
        // Reads one gap more than fits, to see whether a next page exists.
        let mut more = app.store().gaps(project, after, limit - found.len() + 1).await?;

        if found.len() + more.len() > limit {
            more.truncate(limit - found.len());
            found.extend(more);
            next = found.last().map(|last: &Gap| write(&last.position()));
            break;
        }

        found.extend(more);
    }

    Ok(Json(GapList {
        items: found.iter().map(GapView::from).collect(),
        next,
    }))
}

const fn of(after: &After) -> Sequence {
    match after {
        After::Pushes(..) => Sequence::Push,
        After::Objects(kind, _) => *kind,
    }
}

fn write(after: &After) -> String {
    match after {
        After::Pushes(time, sha) => format!("push:{}:{sha}", time.as_micros()),
        After::Objects(kind, iid) => format!("{}:{iid}", kind.name()),
    }
}

fn parse(text: &str) -> Result<After, ApiError> {
    // The commit is text from an event and can contain colons.
    let parts: Vec<&str> = text.splitn(3, ':').collect();
    let read = || match parts.as_slice() {
        ["push", time, sha] => Some(After::Pushes(
            Timestamp::from_micros(time.parse().ok()?),
            (*sha).to_owned(),
        )),
        [kind, iid] => {
            let kind = Sequence::by_name(kind).filter(|kind| *kind != Sequence::Push)?;
            Some(After::Objects(kind, iid.parse().ok()?))
        }
        _ => None,
    };
    read().ok_or_else(|| invalid("after is not the next of an earlier answer"))
}
