//! Identities of commits: which members they belong to, suggestions for the others, marks, and imports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use quickdraw_domain::Timestamp;
use quickdraw_insights::people::User;
use quickdraw_insights::roster::{Contributor, Handle, Imported, LineError, Mark, Resolver, Roster, Suggestion, Who};
use quickdraw_store::insights::{Identity, IdentityUse};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::roster;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Invalid};
use crate::state::App;

const MAX_IDENTITIES: usize = 1_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(mark))
        .routes(routes!(export_mailmap, import_mailmap))
        .routes(routes!(export_csv, import_csv))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct IdentityQuery {
    /// Only identities that belong to no member.
    #[serde(default)]
    unmatched: bool,

    /// Only identities after this position: `next` of the previous page.
    #[param(minimum = 0)]
    after: Option<i64>,

    /// Maximum number of identities. Those with the most commits come first.
    #[param(default = 100, minimum = 1, maximum = 1_000)]
    limit: Option<i64>,
}

/// A committer. Each e-mail address of a member is an entry of its own.
#[derive(Serialize, ToSchema)]
struct IdentityView {
    /// The name in most of the commits.
    name: String,

    /// The e-mail address in most of the commits.
    email: String,

    /// All names in the commits.
    names: BTreeSet<String>,

    /// All e-mail addresses in the commits.
    emails: BTreeSet<String>,

    /// The GitLab account that a private e-mail address names, if it belongs to no member.
    user_id: Option<i64>,

    /// Number of commits without merges, as the metric `commits` counts them.
    commits: i64,

    /// Number of merge commits.
    merge_commits: i64,

    /// Time of the first commit.
    #[schema(format = DateTime)]
    first: String,

    /// Time of the last commit.
    #[schema(format = DateTime)]
    last: String,

    /// Ids of the projects in received bodies.
    projects: BTreeSet<i64>,

    /// Kind of identity: `member`, `bot`, `ignored` or `unmatched`.
    kind: &'static str,

    /// Id of the member, for `member`.
    member_id: Option<i64>,

    /// Members that the identity could belong to, the most likely first.
    suggestions: Vec<SuggestionView>,
}

/// A member that an identity could belong to. Nothing is assigned automatically: add the e-mail address to the
/// handles of the member.
#[derive(Serialize, ToSchema)]
struct SuggestionView {
    /// Id of the member.
    member_id: i64,

    /// Name of the member.
    name: String,

    /// Reason of the suggestion.
    reason: &'static str,

    /// Likelihood, from 0 to 1.
    score: f64,
}

/// A GitLab account that events named and that belongs to no member.
#[derive(Serialize, ToSchema)]
struct AccountView {
    /// Id of the account in GitLab.
    user_id: i64,

    /// Username, as last seen.
    username: String,

    /// Display name, as last seen.
    name: String,
}

/// Committers, and the share of commits that belong to no member.
#[derive(Serialize, ToSchema)]
struct Identities {
    /// The identities of the page, those with the most commits first.
    items: Vec<IdentityView>,

    /// Value of `after` for the next page; null on the last page. It is a number of identities, so new commits can move
    /// an identity from one page to another.
    next: Option<String>,

    /// Number of all identities that match the request.
    total: usize,

    /// Number of all commits, without bots, ignored identities and merges.
    commits: i64,

    /// Number of commits of unmatched identities, without merges.
    unmatched_commits: i64,

    /// Share of `unmatched_commits` in `commits`, from 0 to 1; null without commits.
    unmatched_share: Option<f64>,

    /// The first accounts that belong to no member and no bot, at most `limit`.
    unmatched_accounts: Vec<AccountView>,
}

/// List committers with the members they belong to, and accounts that belong to no member. Administrators only.
#[utoipa::path(get, path = "/insights/identities", tag = "Insights", params(IdentityQuery),
    responses((status = 200, body = Identities)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<IdentityQuery>,
) -> Result<Json<Identities>, ApiError> {
    let limit = usize::try_from(query.limit.unwrap_or(100))
        .ok()
        .filter(|limit| (1..=MAX_IDENTITIES).contains(limit));
    let limit = limit.ok_or_else(|| Invalid::value("limit"))?;
    let Known { roster, users, used } = Known::read(&app).await?;
    let resolver = Resolver::new(&roster, &users);
    let (mut commits, mut unmatched) = (0, 0);
    let mut people: BTreeMap<(Contributor, &'static str, String), Person> = BTreeMap::new();

    for one in used {
        let author = &one.identity.author;
        let who = resolver.author(author);
        if !matches!(who, Who::Bot | Who::Ignored) {
            commits += one.commits;
        }

        if who == Who::Unmatched {
            unmatched += one.commits;
        } else if query.unmatched {
            continue;
        }

        // Each e-mail address of a member can be removed from it, so they are separate entries.
        let address = if let Who::Member(_) = who {
            author.email.clone()
        } else {
            String::new()
        };
        let person = people
            .entry((resolver.contributor(author), word(who), address))
            .or_insert_with(|| Person::new(who));
        if who == Who::Unmatched {
            person.suggest(resolver.suggestions(author));
        }

        person.add(one);
    }

    let mut items: Vec<IdentityView> = people
        .into_iter()
        .map(|((contributor, ..), person)| person.view(&contributor, &roster))
        .collect();

    items.sort_by_key(|one| std::cmp::Reverse((one.commits, one.merge_commits)));

    let total = items.len();
    let start = usize::try_from(query.after.unwrap_or(0)).unwrap_or(0).min(total);
    items.drain(..start);

    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = has_more.then(|| (start + limit).to_string());

    let nobodys = |user: &&User| resolver.user(user.id) == Who::Unmatched;
    let account = |user: &User| AccountView {
        user_id: user.id,
        username: user.username.clone(),
        name: user.name.clone(),
    };

    Ok(Json(Identities {
        items,
        next,
        total,
        commits,
        unmatched_commits: unmatched,
        unmatched_share: share(unmatched, commits),
        unmatched_accounts: users.iter().filter(nobodys).take(limit).map(account).collect(),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "counts of commits are far below 2^52")]
fn share(part: i64, of: i64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

const fn word(who: Who) -> &'static str {
    match who {
        Who::Member(_) => "member",
        Who::Bot => "bot",
        Who::Ignored => "ignored",
        Who::Unmatched => "unmatched",
    }
}

/// A committer with all names and e-mail addresses.
struct Person {
    who: Who,
    used: Vec<Used>,
    suggestions: Vec<Suggestion>,
}

impl Person {
    const fn new(who: Who) -> Self {
        Self {
            who,
            used: Vec::new(),
            suggestions: Vec::new(),
        }
    }

    fn add(&mut self, used: Used) {
        self.used.push(used);
    }

    /// Adds suggestions. If a member is suggested for several reasons, the best one is kept.
    fn suggest(&mut self, found: Vec<Suggestion>) {
        for one in found {
            match self.suggestions.iter_mut().find(|known| known.member == one.member) {
                Some(known) if known.score < one.score => *known = one,
                Some(_) => {}
                None => self.suggestions.push(one),
            }
        }
    }

    fn view(mut self, contributor: &Contributor, roster: &Roster) -> IdentityView {
        self.suggestions.sort_by(|one, other| other.score.total_cmp(&one.score));

        let name = |member: i64| {
            roster
                .members()
                .get(&member)
                .map(|one| one.name.clone())
                .unwrap_or_default()
        };

        let suggestions = self.suggestions.into_iter().map(|found| SuggestionView {
            member_id: found.member,
            name: name(found.member),
            reason: found.reason,
            score: found.score,
        });

        let most = self
            .used
            .iter()
            .max_by_key(|one| (one.commits, std::cmp::Reverse(one.identity.id)));
        let author = most.map(|one| one.identity.author.clone()).unwrap_or_default();
        let all = || self.used.iter();

        IdentityView {
            name: author.name,
            email: author.email,
            names: all().map(|one| one.identity.author.name.clone()).collect(),
            emails: all().map(|one| one.identity.author.email.clone()).collect(),
            user_id: if let Contributor::Account(id) = contributor {
                Some(*id)
            } else {
                None
            },
            commits: all().map(|one| one.commits).sum(),
            merge_commits: all().map(|one| one.merge_commits).sum(),
            first: all().map(|one| one.first).min().unwrap_or_default().to_iso(),
            last: all().map(|one| one.last).max().unwrap_or_default().to_iso(),
            projects: all().flat_map(|one| one.projects.iter().copied()).collect(),
            kind: word(self.who),
            member_id: if let Who::Member(id) = self.who { Some(id) } else { None },
            suggestions: suggestions.collect(),
        }
    }
}

/// The commits of one identity in all projects.
struct Used {
    identity: Identity,
    commits: i64,
    merge_commits: i64,
    first: Timestamp,
    last: Timestamp,
    projects: BTreeSet<i64>,
}

/// All data that maps identities to members.
struct Known {
    roster: Roster,
    users: Vec<User>,
    used: Vec<Used>,
}

impl Known {
    async fn read(app: &App) -> Result<Self, ApiError> {
        let roster = roster::read(app).await?;
        let users = app.store().insights_users().await?;
        let mut used: BTreeMap<i64, Used> = BTreeMap::new();

        for IdentityUse {
            identity,
            project,
            commits,
            merge_commits,
            first,
            last,
        } in app.store().identity_uses().await?
        {
            let one = used.entry(identity.id).or_insert_with(|| Used {
                identity,
                commits: 0,
                merge_commits: 0,
                first,
                last,
                projects: BTreeSet::new(),
            });
            one.commits += commits;
            one.merge_commits += merge_commits;
            (one.first, one.last) = (one.first.min(first), one.last.max(last));
            one.projects.insert(project);
        }

        Ok(Self {
            roster,
            users,
            used: used.into_values().collect(),
        })
    }

    /// Counts the identities that another roster assigns differently, and their commits.
    fn moved(&self, other: &Roster) -> (usize, i64) {
        let (before, after) = (
            Resolver::new(&self.roster, &self.users),
            Resolver::new(other, &self.users),
        );

        let moved = self.used.iter().filter(|one| {
            let author = &one.identity.author;
            before.author(author) != after.author(author)
        });
        moved.fold((0, 0), |(identities, commits), one| {
            (identities + 1, commits + one.commits)
        })
    }
}

/// Mark of an identity.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum MarkWord {
    /// A program.
    Bot,

    /// A person, although the name looks like a program's.
    Person,

    /// Ignored: the identity does not count.
    Ignored,

    /// Removes the mark.
    None,
}

/// A mark for identities.
#[derive(Deserialize, ToSchema)]
struct MarkChange {
    /// Identities to mark: e-mail addresses such as `ci@example.com`, usernames such as `@ci`, account ids such as
    /// `#77`.
    #[serde(default)]
    handles: Vec<String>,

    /// Mark all unmatched e-mail addresses of this domain too.
    domain: Option<String>,

    /// The mark.
    mark: MarkWord,
}

/// Result of a mark.
#[derive(Serialize, ToSchema)]
struct Marked {
    /// The marked identities.
    handles: Vec<String>,
}

/// Mark identities as bots, persons or ignored, or remove a mark. Administrators only.
#[utoipa::path(put, path = "/insights/identities/marks", tag = "Insights", request_body = MarkChange,
    responses((status = 200, body = Marked)))]
async fn mark(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<MarkChange>,
) -> Result<Json<Marked>, ApiError> {
    let mark = match asked.mark {
        MarkWord::Bot => Some(Mark::Bot),
        MarkWord::Person => Some(Mark::Person),
        MarkWord::Ignored => Some(Mark::Ignored),
        MarkWord::None => None,
    };

    let mut handles = roster::handles(asked.handles)?;
    if let Some(domain) = asked.domain {
        let end = format!("@{}", domain.trim_start_matches('@').to_lowercase());
        let Known { roster, users, used } = Known::read(&app).await?;
        let resolver = Resolver::new(&roster, &users);

        let authors = used
            .iter()
            .map(|one| &one.identity.author)
            .filter(|author| author.email.ends_with(&end));
        // A mark is removed from matched identities too.
        let wanted = authors.filter(|author| mark.is_none() || resolver.author(author) == Who::Unmatched);
        handles.extend(wanted.filter_map(|author| Handle::try_from(author.email.clone()).ok()));
    }

    if handles.is_empty() {
        return Err(ApiError::field(
            "handles",
            "give handles, or a domain of unmatched addresses",
        ));
    }

    roster::change(&app, |roster| {
        let marked = handles.iter().try_for_each(|handle| roster.mark(handle.clone(), mark));
        marked.map_err(roster::unable)
    })
    .await?;

    Ok(Json(Marked {
        handles: handles.into_iter().map(String::from).collect(),
    }))
}

/// Lines to import.
#[derive(Deserialize, ToSchema)]
struct Import {
    /// The lines.
    text: String,

    /// Only show the result, without storing it.
    #[serde(default)]
    dry_run: bool,
}

/// Result of an import.
#[derive(Serialize, ToSchema)]
struct ImportView {
    /// True if nothing was stored.
    dry_run: bool,

    /// Number of lines with content.
    lines: usize,

    /// Number of members that are created.
    new_members: usize,

    /// Number of teams that are created.
    new_teams: usize,

    /// Number of identities that belong to another member afterwards.
    identities_changed: usize,

    /// Number of commits that belong to another member afterwards.
    commits_moved: i64,
}

/// Show the `.mailmap`, as it was imported. Administrators only.
#[utoipa::path(get, path = "/insights/identities/mailmap", tag = "Insights",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn export_mailmap(_: Admin, State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let roster = roster::read(&app).await?;
    Ok((
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        roster.mailmap().to_owned(),
    ))
}

/// Import a `.mailmap`, which replaces an earlier import. Administrators only.
#[utoipa::path(post, path = "/insights/identities/mailmap", tag = "Insights", request_body = Import,
    responses((status = 200, body = ImportView)))]
async fn import_mailmap(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<Import>,
) -> Result<Json<ImportView>, ApiError> {
    import(&app, &asked, Roster::import_mailmap).await
}

/// Show members and teams as CSV. Administrators only.
#[utoipa::path(get, path = "/insights/identities/csv", tag = "Insights",
    responses((status = 200, body = String, content_type = "text/csv")))]
async fn export_csv(_: Admin, State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let roster = roster::read(&app).await?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], roster.to_csv()))
}

/// Import members and teams from CSV: `member,team,email,username,from,to`. Administrators only.
///
/// The lines are added to the existing members and teams.
#[utoipa::path(post, path = "/insights/identities/csv", tag = "Insights", request_body = Import,
    responses((status = 200, body = ImportView)))]
async fn import_csv(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<Import>,
) -> Result<Json<ImportView>, ApiError> {
    import(&app, &asked, Roster::import_csv).await
}

async fn import(
    app: &App,
    asked: &Import,
    take: fn(&mut Roster, &str) -> Result<Imported, Vec<LineError>>,
) -> Result<Json<ImportView>, ApiError> {
    let known = Known::read(app).await?;
    let apply = |roster: &mut Roster| take(roster, &asked.text).map_err(|errors| bad_lines(&errors));

    let (roster, imported) = if asked.dry_run {
        let mut roster = known.roster.clone();
        let imported = apply(&mut roster)?;
        (roster, imported)
    } else {
        roster::change(app, apply).await?
    };

    let (identities_changed, commits_moved) = known.moved(&roster);
    Ok(Json(ImportView {
        dry_run: asked.dry_run,
        lines: imported.lines,
        new_members: imported.members,
        new_teams: imported.teams,
        identities_changed,
        commits_moved,
    }))
}

fn bad_lines(errors: &[LineError]) -> ApiError {
    let lines: Vec<String> = errors
        .iter()
        .map(|error| format!("line {}: {}", error.line, error.message))
        .collect();

    ApiError::problem(
        StatusCode::UNPROCESSABLE_ENTITY,
        format!("nothing was imported; {}", lines.join("; ")),
    )
}
