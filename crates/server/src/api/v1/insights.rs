//! `/api/v1/insights/commits`: counts of commits for a window, projects and people.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::Timestamp;
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::metrics::Metric;
use quickdraw_insights::people::Whose;
use quickdraw_insights::question::{CommitAnswer, CommitAuthor, CommitOutput, Output, Question};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::scope::{Scope, ScopeQuery, ask, large_enough};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(commits))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CommitQuery {
    /// Only this author: a name or an e-mail address, as in the commits.
    author: Option<String>,
}

/// Count the commits of a window of days. Maintainers of the project, owners of the group, and
/// administrators.
#[utoipa::path(get, path = "/insights/commits", tag = "Insights", params(ScopeQuery, CommitQuery),
    responses((status = 200, body = Value, description = "The report, with the version of the definitions.")))]
async fn commits(caller: Caller, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let now = app.now();
    let (scope_query, query): (ScopeQuery, CommitQuery) = (params.read()?, params.read()?);
    let scope = scope_query.scope(&app, &caller, now).await?;

    if scope.people.is_of_bots() && scope.people.is_limited() {
        return Err(ApiError::field(
            "whose",
            "bots are not members: whose=bots cannot be combined with members or teams",
        ));
    }

    let as_of = app.engine.insights.counted_until().await?;
    if query.author.is_some() {
        large_enough(&scope.privacy, 1)?;
    }

    let commits = Metric::by_name("commits").ok_or_else(|| ApiError::not_found("Metric"))?;
    let output = Output {
        commit_report: Some(CommitOutput {
            days: scope.window.clone(),
            author: query.author.clone(),
            team: scope.team.clone(),
        }),
        ..Output::default()
    };

    let question = Question {
        projects: scope.projects.clone(),
        people: scope.people.clone(),
        output,
        ..Question::new(commits, scope.window.window(), now)
    };
    let group = ask(&app, question).await?.whole();

    let mut filters = scope_query.filters();
    filters.extend(query.author.map(|author| ("author", author)));

    let mut answer = view(&scope, &filters, &group.commits.unwrap_or_default(), as_of);
    answer["coverage_starts"] = json!(group.coverage.since.map(Timestamp::to_iso));
    Ok(Json(answer))
}

/// Name, e-mail address and member of an author.
fn named(scope: &Scope, author: &CommitAuthor) -> Value {
    let privacy = &scope.privacy;
    if privacy.pseudonyms {
        let spelled = match author {
            CommitAuthor::Member(id) => format!("member {id}"),
            CommitAuthor::Other(author) => format!("{} {}", author.email, author.name),
        };
        return json!({ "name": privacy.pseudonym(&spelled), "email": null, "member_id": null });
    }

    match author {
        CommitAuthor::Member(id) => match scope.roster.members().get(id) {
            Some(member) => json!({ "name": member.name, "email": null, "member_id": id }),
            None => json!({ "name": null, "email": null, "member_id": null }),
        },
        CommitAuthor::Other(author) => json!({ "name": author.name, "email": author.email, "member_id": null }),
    }
}

fn view(scope: &Scope, filters: &BTreeMap<&'static str, String>, answer: &CommitAnswer, as_of: Timestamp) -> Value {
    let (window, report) = (&scope.window, &answer.report);
    let of_authors: Vec<Value> = answer
        .authors
        .iter()
        .map(|one| {
            let mut view = named(scope, &one.author);
            view["commits"] = json!(one.commits);
            view["active_days"] = json!(one.active_days);
            view["coding_days_share"] = json!(one.coding_days_share);

            view
        })
        .collect();

    // With a minimum group size, numbers of single people are not shown.
    let of_authors = if large_enough(&scope.privacy, 1).is_ok() {
        of_authors
    } else {
        Vec::new()
    };

    let by_day: BTreeMap<String, i64> = report
        .by_day
        .iter()
        .map(|(day, count)| (day.to_string(), *count))
        .collect();

    json!({
        "from": window.first.to_string(),
        "days": window.days,
        "zone": window.zone_name,
        "filters": filters,
        "whose": scope.whose.name(),
        "bots": scope.whose != Whose::People,
        "as_of": as_of.to_iso(),
        "definition_version": DEFINITION_VERSION,
        "commits": report.commits,
        "merge_commits": report.merge_commits,
        "commits_landed": report.commits_landed,
        "unique_changes": report.unique_changes,
        "commits_unlisted": answer.unlisted,
        "files_added": report.files_added,
        "files_modified": report.files_modified,
        "files_removed": report.files_removed,
        "files_touched": report.files_touched,
        "work_balance": answer.work_balance,
        "burst_share": answer.burst_share,
        "authors": of_authors,
        "by_day": by_day,
        "time_distribution": {
            "zone": report.week_in_zone,
            "author_local": report.week_author_local,
            "utc": report.week_in_utc,
        },
    })
}
