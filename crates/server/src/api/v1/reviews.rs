//! `/api/v1/insights/reviews`: pairs of authors and reviewers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::metrics::Metric;
use quickdraw_insights::people::Whose;
use quickdraw_insights::question::{Detail, Output, Question};
use quickdraw_insights::reviews::Pair;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::export;
use super::item_filters::FilterQuery;
use super::scope::{Scope, ScopeQuery, ask, large_enough};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

/// Largest number of pairs in one answer.
const MAX_PAIRS: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(reviews))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReviewQuery {
    /// `json` (default) or `csv`.
    format: Option<String>,
}

/// An author or reviewer.
#[derive(Serialize, ToSchema, Clone)]
struct PersonView {
    /// Name of the member, or username; a pseudonym if names are hidden.
    name: String,

    /// Id of the member; null for others, and if names are hidden.
    member_id: Option<i64>,

    /// Id in GitLab, if the person is not a member; null if names are hidden.
    user_id: Option<i64>,
}

impl PersonView {
    /// Distinguishes people with the same name: `member 3` or `user 7`.
    fn id(&self) -> String {
        let member = self.member_id.map(|id| format!("member {id}"));
        member
            .or_else(|| self.user_id.map(|id| format!("user {id}")))
            .unwrap_or_default()
    }
}

/// Reviews by one person of another person's merge requests.
#[derive(Serialize, ToSchema)]
struct PairView {
    /// Author of the merge requests.
    author: PersonView,

    /// Reviewer of the merge requests.
    reviewer: PersonView,

    /// Number of reviewed merge requests.
    merge_requests: usize,

    /// Number of comments.
    comments: usize,

    /// Number of approved merge requests.
    approvals: usize,
}

/// Pairs of authors and reviewers.
#[derive(Serialize, ToSchema)]
struct Reviews {
    /// First day of the window.
    from: String,

    /// Number of days in the window.
    days: i32,

    /// Time zone of the days.
    zone: String,

    /// The filters of the request, by name.
    filters: BTreeMap<&'static str, String>,

    /// Whose merge requests count: those of `people`, `bots` or `all`.
    whose: &'static str,

    /// True if merge requests of bots count.
    bots: bool,

    /// All events that were received before this time are counted.
    #[schema(format = DateTime)]
    as_of: String,

    /// Version of the definitions.
    definition_version: u32,

    /// Definition versions by which the underlying items were counted.
    counted_versions: Vec<u32>,

    /// Definition in words.
    help: &'static str,

    /// The pairs, those with the most merge requests first; at most 10,000.
    pairs: Vec<PairView>,
}

const HELP: &str = "Merge requests that one person wrote and another reviewed in the window, with a comment or \
    approval before the merge. Authors are people unless bots are requested; reviewers are always people. With a team or \
    member, only their reviews count.";

/// Show who reviews whom, as pairs of authors and reviewers. Maintainers of the project, owners of the group, and
/// administrators.
#[utoipa::path(get, path = "/insights/reviews", tag = "Insights", params(ScopeQuery, FilterQuery, ReviewQuery),
    responses((status = 200, content((Reviews = "application/json"), (String = "text/csv")))))]
async fn reviews(caller: Caller, State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let (scope_query, query): (ScopeQuery, ReviewQuery) = (params.read()?, params.read()?);
    let wanted = params.read::<FilterQuery>()?.read()?;
    let reviews = Metric::by_name("mr_reviews").ok_or_else(|| ApiError::not_found("Metric"))?;
    wanted.check(reviews, false)?;

    let is_csv = export::is_csv(query.format.as_deref())?;
    let scope = scope_query.scope(&app, &caller, app.now()).await?;
    let mut filters = scope_query.filters();
    filters.extend(wanted.filters());

    // The answer shows single people.
    large_enough(&scope.privacy, 1)?;

    let as_of = app.engine.insights.counted_until().await?.to_iso();
    let output = Output {
        detail: Detail::Reviews,
        ..Output::default()
    };
    let question = Question {
        output,
        ..scope.question(reviews, wanted, app.now())?
    };
    let found = ask(&app, question).await?.whole().pairs;
    let users = app.store().insights_users().await?;
    let usernames: HashMap<i64, &str> = users.iter().map(|user| (user.id, user.username.as_str())).collect();

    let view = |pair: Pair| PairView {
        author: person(&scope, &usernames, pair.author),
        reviewer: person(&scope, &usernames, pair.reviewer),
        merge_requests: pair.merge_requests,
        comments: pair.comments,
        approvals: pair.approvals,
    };
    let pairs: Vec<PairView> = found.into_iter().take(MAX_PAIRS).map(view).collect();

    if is_csv {
        let columns = [
            "author",
            "author_id",
            "reviewer",
            "reviewer_id",
            "merge_requests",
            "comments",
            "approvals",
            "as_of",
            "definition_version",
            "definition",
        ];

        let row = |pair: &PairView| {
            let numbers = [pair.merge_requests, pair.comments, pair.approvals].map(|number| number.to_string());
            let names = [&pair.author, &pair.reviewer].map(|person| [person.name.clone(), person.id()]);
            let about = [as_of.clone(), DEFINITION_VERSION.to_string(), HELP.to_owned()];
            names.into_iter().flatten().chain(numbers).chain(about).collect()
        };
        return export::csv(&columns, pairs.iter().map(row));
    }

    let window = &scope.window;
    Ok(Json(Reviews {
        from: window.first.to_string(),
        days: window.days,
        zone: window.zone_name.clone(),
        filters,
        whose: scope.whose.name(),
        bots: scope.whose != Whose::People,
        as_of,
        definition_version: DEFINITION_VERSION,
        counted_versions: app.engine.insights.counted_versions().await?,
        help: HELP,
        pairs,
    })
    .into_response())
}

/// Names a person: a negative number is a member, another one an account.
fn person(scope: &Scope, usernames: &HashMap<i64, &str>, person: i64) -> PersonView {
    let member = (person < 0).then_some(-person);
    if scope.privacy.pseudonyms {
        let of = member.map_or_else(|| format!("user {person}"), |member| format!("member {member}"));
        return PersonView {
            name: scope.privacy.pseudonym(&of),
            member_id: None,
            user_id: None,
        };
    }

    let known = member
        .and_then(|member| scope.roster.members().get(&member))
        .map(|member| member.name.clone());
    let name = known.unwrap_or_else(|| {
        usernames
            .get(&person)
            .map_or_else(|| format!("user {person}"), |name| (*name).to_owned())
    });

    PersonView {
        name,
        member_id: member,
        user_id: member.is_none().then_some(person),
    }
}
