//! `/api/v1/insights/commits`: counts of commits for a window, projects and people.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::Timestamp;
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::people::Whose;
use quickdraw_insights::question::Days;
use quickdraw_insights::report::{
    self, Cell, CommitReport, Row, burst_share, has_whole_hours, work_balance, working_days,
};
use quickdraw_insights::roster::Who;
use quickdraw_store::insights::{CommitFilter, Identity};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::invalid;
use super::scope::{Scope, ScopeQuery, large_enough};
use crate::auth::Admin;
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

/// Count the commits of a window of days. Administrators only.
#[utoipa::path(get, path = "/insights/commits", tag = "Insights", params(ScopeQuery, CommitQuery),
    responses((status = 200, body = Value, description = "The report, with the version of the definitions.")))]
async fn commits(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let now = app.now();
    let (scope_query, query): (ScopeQuery, CommitQuery) = (params.read()?, params.read()?);
    let scope = scope_query.scope(&app, now).await?;

    if scope.people.is_of_bots() && scope.people.is_limited() {
        return Err(invalid(
            "bots are not members: whose=bots cannot be combined with members or teams",
        ));
    }

    let as_of = app.engine.insights.counted_until().await?;
    if query.author.is_some() {
        large_enough(&scope.privacy, 1)?;
    }

    let Days { from, to, ref zone, .. } = scope.window;
    let identities = app.store().find_identities(query.author.clone()).await?;

    let filter = CommitFilter {
        from,
        to,
        projects: scope.projects.clone(),
        identities: query
            .author
            .is_some()
            .then(|| identities.iter().map(|identity| identity.id).collect()),
    };

    // Hourly sums add up to whole local days only in zones that are whole hours from UTC. Elsewhere, single commits
    // are read.
    let cells = if has_whole_hours(zone, from, to) {
        app.store().commit_cells(filter.clone()).await?
    } else {
        app.store().commit_cells_from_facts(filter.clone()).await?
    };

    let rows = app.store().commit_rows(filter.clone()).await?;
    let authors = Authors::new(&identities, &scope);

    let cells: Vec<_> = cells
        .into_iter()
        .filter_map(|cell| {
            Some(Cell {
                identity: authors.person(cell.identity, cell.at)?,
                ..cell
            })
        })
        .collect();

    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|row| {
            Some(Row {
                identity: authors.person(row.identity, row.at)?,
                ..row
            })
        })
        .collect();

    let since = app.store().first_received(scope.projects.clone()).await?;
    let since = since.into_iter().chain(rows.iter().map(|row| row.at)).min();
    let report = report::report(&cells, &rows, zone);

    // Unlisted commits have no known author, so they count only if no people are selected.
    let of_everybody = query.author.is_none() && !scope.people.is_limited() && !scope.people.is_of_bots();
    let unlisted = if of_everybody {
        Some(app.store().commits_unlisted(filter).await?)
    } else {
        None
    };

    let mut filters = scope_query.filters();
    filters.extend(query.author.map(|author| ("author", author)));

    let mut answer = view(&scope, &filters, &report, unlisted, &authors, as_of);
    answer["coverage_starts"] = json!(since.map(Timestamp::to_iso));
    Ok(Json(answer))
}

/// Decides which commits count, and names their authors.
struct Authors<'a> {
    scope: &'a Scope,
    identities: HashMap<i64, Known<'a>>,
}

/// An identity, and the person that it belongs to.
struct Known<'a> {
    identity: &'a Identity,
    who: Who,

    /// Lowest identity of the same person. It stands for the person.
    first: i64,
}

impl<'a> Authors<'a> {
    fn new(identities: &'a [Identity], scope: &'a Scope) -> Self {
        // In ascending order, so that the lowest identity of a person is always the same one.
        let mut first: HashMap<i64, i64> = HashMap::new();
        let mut known = HashMap::with_capacity(identities.len());

        for identity in identities {
            let first = *first
                .entry(scope.people.contributor(&identity.author))
                .or_insert(identity.id);
            let who = scope.people.author(&identity.author);
            known.insert(identity.id, Known { identity, who, first });
        }

        Self {
            scope,
            identities: known,
        }
    }

    /// Returns a number for the person of an identity, if their work at this time counts. Numbers of members are
    /// negated, so that they differ from those of identities.
    fn person(&self, identity: i64, at: Timestamp) -> Option<i64> {
        let known = self.identities.get(&identity)?;
        if !self.scope.people.counts(known.who, at) {
            return None;
        }

        Some(if let Who::Member(member) = known.who {
            -member
        } else {
            known.first
        })
    }

    /// Name, e-mail address and member of a person.
    fn named(&self, person: i64) -> Value {
        let privacy = &self.scope.privacy;
        if privacy.pseudonyms {
            let spelled = self.identities.get(&person).map(|known| {
                let author = &known.identity.author;
                format!("{} {}", author.email, author.name)
            });
            let of = spelled.unwrap_or_else(|| format!("member {}", -person));
            return json!({ "name": privacy.pseudonym(&of), "email": null, "member_id": null });
        }

        match self.scope.roster.members().get(&-person) {
            Some(member) => json!({ "name": member.name, "email": null, "member_id": -person }),
            None => {
                let author = self.identities.get(&person).map(|known| &known.identity.author);
                json!({ "name": author.map(|author| &author.name), "email": author.map(|author| &author.email),
                    "member_id": null })
            }
        }
    }
}

fn view(
    scope: &Scope,
    filters: &BTreeMap<&'static str, String>,

    report: &CommitReport,
    unlisted: Option<i64>,
    authors: &Authors<'_>,
    as_of: Timestamp,
) -> Value {
    let window = &scope.window;
    let working = working_days(window.first, window.days);

    let share = |days: u64| {
        if working == 0 {
            None
        } else {
            Some(precise(days) / precise(working as u64))
        }
    };

    let of_authors: Vec<Value> = report
        .by_identity
        .iter()
        .map(|(person, commits)| {
            let active = report.active_days.get(person).copied().unwrap_or(0);
            let mut one = authors.named(*person);
            one["commits"] = json!(commits);
            one["active_days"] = json!(active);
            one["coding_days_share"] = json!(share(active));

            one
        })
        .collect();

    // With a minimum group size, numbers of single people are not shown.
    let of_authors = if large_enough(&scope.privacy, 1).is_ok() {
        of_authors
    } else {
        Vec::new()
    };

    let mut counts: Vec<i64> = report.by_identity.values().copied().collect();

    // Members of the team without commits count as well.
    let idle = scope
        .team
        .iter()
        .flatten()
        .filter(|member| !report.by_identity.contains_key(&-**member));
    counts.extend(idle.map(|_| 0));

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
        "commits_unlisted": unlisted,
        "files_added": report.files_added,
        "files_modified": report.files_modified,
        "files_removed": report.files_removed,
        "files_touched": report.files_touched,
        "work_balance": work_balance(&counts),
        "burst_share": burst_share(&report.by_day, window.first, window.days),
        "authors": of_authors,
        "by_day": by_day,
        "time_distribution": {
            "zone": report.week_in_zone,
            "author_local": report.week_author_local,
            "utc": report.week_in_utc,
        },
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of days are far below 2^52")]
fn precise(days: u64) -> f64 {
    days as f64
}
