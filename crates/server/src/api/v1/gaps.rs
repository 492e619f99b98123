//! Gaps: the completeness of each project, and the events that never arrived.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::Timestamp;
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::gaps::{After, Completeness, Gap, Sequence};
use quickdraw_store::insights::Projects;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::period::Period;
use super::projects;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Invalid, When};
use crate::state::App;

const DEFAULT: usize = 100;
const LARGEST: usize = 1_000;
/// Largest number of projects of a group in a page of completeness.
const MAX_PROJECTS: usize = 100;
/// Largest number of sequences of a project.
const OF_PROJECT: usize = 5;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(completeness)).routes(routes!(gaps))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CompletenessQuery {
    /// Only this project: its id in Quickdraw, or its full path. Users who are no administrators must give a project or
    /// a group.
    project: Option<String>,

    /// Only projects of this group and its subgroups: the id of the group, or its full path.
    group: Option<String>,

    /// Only the project with this id in received bodies, which is GitLab's. Users who are no administrators must also
    /// give its project or group.
    source_project_id: Option<i64>,

    /// Only sequences with missing events.
    #[serde(default)]
    #[param(default = false)]
    missing: bool,

    /// Position after which the page begins: `next` of the previous page.
    after: Option<i64>,

    /// Maximum number of entries. A page ends with a whole project, so it can have a few less although more follow.
    #[param(default = 1000, minimum = 5, maximum = 1000)]
    limit: Option<i64>,
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

    /// Value of `after` for the next page; null on the last page.
    next: Option<String>,
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

/// Show how complete the received events of each project are. Maintainers of the project, owners of the group, and
/// administrators.
///
/// The answer covers pushes, merge requests, issues and CI pipelines. Missing events are found from payloads alone: by
/// pushes that do not begin where the last push to their branch ended, and by skipped numbers.
#[utoipa::path(get, path = "/insights/completeness", tag = "Insights", params(CompletenessQuery),
    responses((status = 200, body = CompletenessList)))]
async fn completeness(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<CompletenessQuery>,
) -> Result<Json<CompletenessList>, ApiError> {
    let (project, group) = (query.project.as_deref(), query.group.as_deref());
    let limit = limit(query.limit, OF_PROJECT, LARGEST)?;
    let ids = chosen(&app, &caller, project, group, query.source_project_id).await?;

    let as_of = app.engine.insights.counted_until().await?.to_iso();
    let page = CompletenessPage {
        after: query.after,
        only_missing: query.missing,
        limit,
    };
    let (found, next) = match ids {
        Some(ids) => page.of(&app, &ids).await?,
        None => page.of_all(&app).await?,
    };

    Ok(Json(CompletenessList {
        as_of,
        definition_version: DEFINITION_VERSION,
        items: found.into_iter().map(CompletenessView::from).collect(),
        next: next.map(|project| project.to_string()),
    }))
}

/// Returns the ids by which insights know the projects that a request names; `None` for all projects. Ids of several
/// GitLab instances can be equal, so only administrators can name a project by such an id alone.
async fn chosen(
    app: &App,
    caller: &Caller,
    project: Option<&str>,
    group: Option<&str>,
    source_project_id: Option<i64>,
) -> Result<Option<Vec<i64>>, ApiError> {
    let Some(id) = source_project_id else {
        return projects::chosen(app, caller, project, group).await;
    };

    let is_known = if caller.actor.is_admin && project.is_none() && group.is_none() {
        !app.store().completeness(Projects::One(id), 1).await?.is_empty()
    } else {
        let ids = projects::chosen(app, caller, project, group).await?;
        ids.is_some_and(|ids| ids.contains(&id))
    };
    if !is_known {
        let text = format!("no event has named a project with the source_project_id {id} here");
        return Err(ApiError::problem(StatusCode::NOT_FOUND, text));
    }

    Ok(Some(vec![id]))
}

/// A page of completeness that a request asked for.
struct CompletenessPage {
    after: Option<i64>,
    only_missing: bool,
    limit: usize,
}

impl CompletenessPage {
    /// Reads a page of some projects. Returns the last project of the page if more follow.
    async fn of(&self, app: &App, ids: &[i64]) -> Result<(Vec<Completeness>, Option<i64>), ApiError> {
        let is_after = |id: &i64| self.after.is_none_or(|after| *id > after);
        let mut ids: Vec<i64> = ids.iter().copied().filter(is_after).collect();
        ids.sort_unstable();

        let mut found = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            if index == MAX_PROJECTS || found.len() + OF_PROJECT > self.limit {
                return Ok((found, Some(ids[index - 1])));
            }

            let of_one = app.store().completeness(Projects::One(*id), LARGEST).await?;
            found.extend(of_one.into_iter().filter(|one| self.is_wanted(one)));
        }

        Ok((found, None))
    }

    /// Reads a page of all projects. Returns the last project of the page if more follow.
    async fn of_all(&self, app: &App) -> Result<(Vec<Completeness>, Option<i64>), ApiError> {
        let projects = self.after.map_or(Projects::ALL, Projects::After);
        let mut found = app.store().completeness(projects, LARGEST + 1).await?;
        let last_read = cut(&mut found, LARGEST);
        found.retain(|one| self.is_wanted(one));

        let last = cut(&mut found, self.limit);
        Ok((found, last.or(last_read)))
    }

    const fn is_wanted(&self, one: &Completeness) -> bool {
        one.missing > 0 || !self.only_missing
    }
}

/// Shortens a list to at most `limit` entries that end with a whole project. Returns the last project if something was
/// removed.
fn cut(found: &mut Vec<Completeness>, limit: usize) -> Option<i64> {
    let next = found.get(limit)?.project;
    found.truncate(limit);
    found.retain(|one| one.project != next);
    found.last().map(|one| one.project)
}

/// A sequence of events whose gaps are listed.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum SequenceWord {
    /// Pushes of a branch.
    Push,

    /// Merge requests by number.
    MergeRequest,

    /// Issues by number.
    Issue,

    /// CI pipelines by number.
    Pipeline,
}

impl From<SequenceWord> for Sequence {
    fn from(word: SequenceWord) -> Self {
        match word {
            SequenceWord::Push => Self::Push,
            SequenceWord::MergeRequest => Self::MergeRequest,
            SequenceWord::Issue => Self::Issue,
            SequenceWord::Pipeline => Self::Pipeline,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct GapsQuery {
    /// The project: its id in Quickdraw, or its full path.
    project: Option<String>,

    /// The group that contains the project, instead of `project`: id or full path. It requires `source_project_id`.
    group: Option<String>,

    /// The project by its id in received bodies, which is GitLab's. Users who are no administrators must also give
    /// `project` or `group`.
    source_project_id: Option<i64>,

    /// Only these sequences, separated by commas.
    #[serde(default)]
    #[param(inline)]
    kind: Vec<SequenceWord>,

    /// Only pushes whose next known push was received at this time or later: `2026-03-16T09:30:00Z`, a day, or a
    /// span back from now such as `2h`. Other missing events have no time, so only pushes are listed.
    #[param(value_type = Option<String>)]
    since: Option<When>,

    /// Only pushes whose next known push was received before this time, written like `since`.
    #[param(value_type = Option<String>)]
    until: Option<When>,

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

    /// Value of `after` for the next page; null on the last page.
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

/// List the gaps of a project. Maintainers of the project, owners of its group, and administrators.
#[utoipa::path(get, path = "/insights/gaps", tag = "Insights", params(GapsQuery),
    responses((status = 200, body = GapList)))]
async fn gaps(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<GapsQuery>,
) -> Result<Json<GapList>, ApiError> {
    let limit = limit(query.limit, 1, DEFAULT)?;
    let period = Period::read(query.since, query.until, app.now())?;
    let wanted = sequences(&query.kind, period)?;
    let after_gap = query.after.as_deref().map(parse).transpose()?;
    let project = project(&app, &caller, &query).await?;
    let (mut found, mut next) = (Vec::new(), None);

    for kind in wanted {
        let after = match &after_gap {
            Some(after_gap) if kind < of(after_gap) => continue,
            Some(after_gap) if kind == of(after_gap) => after_gap.clone(),
            _ => After::start(kind),
        };

        // Reads one gap more than fits, to see whether a next page exists.
        let most = limit - found.len() + 1;
        let mut more = app.store().gaps(project, beginning(after, period), most).await?;
        more.retain(|gap| is_in(gap, period));

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

/// Returns the sequences that a request selects, in the order of the list.
fn sequences(asked: &[SequenceWord], period: Period) -> Result<Vec<Sequence>, ApiError> {
    let asked: Vec<Sequence> = asked.iter().copied().map(Sequence::from).collect();

    if !period.is_any() && asked.iter().any(|kind| *kind != Sequence::Push) {
        let name = if period.since.is_some() { "since" } else { "until" };
        let detail = format!("{name} applies to pushes only, because other missing events have no time; use kind=push");
        return Err(ApiError::field(name, detail));
    }

    let is_wanted = |kind: &Sequence| {
        if asked.is_empty() {
            period.is_any() || *kind == Sequence::Push
        } else {
            asked.contains(kind)
        }
    };
    Ok(Sequence::ALL.into_iter().filter(is_wanted).collect())
}

/// Returns the id in received bodies of the project that a request names. Of several projects that had the path one
/// after the other, it is the newest.
async fn project(app: &App, caller: &Caller, query: &GapsQuery) -> Result<i64, ApiError> {
    let project = query.project.as_deref();
    if project.is_none() && query.source_project_id.is_none() {
        return Err(Invalid::missing("project").into());
    }

    let ids = chosen(app, caller, project, query.group.as_deref(), query.source_project_id).await?;
    ids.unwrap_or_default()
        .into_iter()
        .max()
        .ok_or_else(|| ApiError::not_found("Project"))
}

/// Reads the number of rows of an answer.
fn limit(asked: Option<i64>, least: usize, default: usize) -> Result<usize, ApiError> {
    let Some(asked) = asked else { return Ok(default) };
    let limit = usize::try_from(asked).ok();
    limit
        .filter(|limit| (least..=LARGEST).contains(limit))
        .ok_or_else(|| ApiError::field("limit", format!("limit must be from {least} to {LARGEST}")))
}

/// The position after which a page begins: that of the request, or the beginning of the period.
fn beginning(after: After, period: Period) -> After {
    match (after, period.since) {
        (After::Pushes(time, _), Some(since)) if time < since => After::Pushes(since, String::new()),
        (after, _) => after,
    }
}

/// Checks whether a gap is in the period. Only pushes have a time.
fn is_in(gap: &Gap, period: Period) -> bool {
    match gap {
        Gap::Pushes { received_at, .. } => period.contains(*received_at),
        Gap::Objects { .. } => period.is_any(),
    }
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
    read().ok_or_else(|| ApiError::field("after", "after is not the next of an earlier answer"))
}
