//! Who committed, whoever that is: what is matched and what is not, with suggestions; marks; and imports.

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

use super::{invalid, roster};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Invalid};
use crate::state::App;

const MOST: usize = 1_000;

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
    /// Only those that nobody is known to be.
    #[serde(default)]
    unmatched: bool,
    /// Most of them, those with the most commits first; at most 1,000.
    #[param(default = 100, minimum = 1, maximum = 1_000)]
    limit: Option<i64>,
}

/// A person who committed; of members, one of their addresses.
#[derive(Serialize, ToSchema)]
struct IdentityView {
    /// The name that most of the commits have.
    name: String,
    /// The address that most of the commits have.
    email: String,
    /// All names, as commits spell them.
    names: BTreeSet<String>,
    /// All addresses.
    emails: BTreeSet<String>,
    /// The account in GitLab that a private address names, if that is no member's.
    user_id: Option<i64>,
    /// How many commits without merges, as the insight `commits` counts them.
    commits: i64,
    /// How many merges.
    merge_commits: i64,
    /// The first of them.
    #[schema(format = DateTime)]
    first: String,
    /// The last of them.
    #[schema(format = DateTime)]
    last: String,
    /// Projects, by their numbers in events.
    projects: BTreeSet<i64>,
    /// Who it is: `member`, `bot`, `ignored` or `unmatched`.
    who: &'static str,
    /// The member that it is.
    member_id: Option<i64>,
    /// Members that it may be, the likeliest first.
    suggestions: Vec<SuggestionView>,
}

/// A member that an identity may be. Nothing is taken for granted: add the address to the member's handles.
#[derive(Serialize, ToSchema)]
struct SuggestionView {
    /// The member's number.
    member_id: i64,
    /// Its name.
    name: String,
    /// Why.
    reason: &'static str,
    /// How likely, from 0 to 1.
    score: f64,
}

/// An account that events named and that is no member's.
#[derive(Serialize, ToSchema)]
struct AccountView {
    /// The number in GitLab.
    user_id: i64,
    /// The username, as last seen.
    username: String,
    /// The name, as last seen.
    name: String,
}

/// Who committed, and who is not known.
#[derive(Serialize, ToSchema)]
struct Identities {
    /// Those that were asked for.
    items: Vec<IdentityView>,
    /// How many there are of them.
    total: usize,
    /// Commits of everybody, without bots and without merges.
    commits: i64,
    /// Commits of those that are not matched, without merges.
    unmatched_commits: i64,
    /// The share of the two; null without commits.
    unmatched_share: Option<f64>,
    /// Accounts that are no member's and no bot's.
    unmatched_accounts: Vec<AccountView>,
}

/// List the people who committed, and whose names and addresses those are; and accounts that are no member's. Administrators.
#[utoipa::path(get, path = "/insights/identities", tag = "Insights", params(IdentityQuery),
    responses((status = 200, body = Identities)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<IdentityQuery>,
) -> Result<Json<Identities>, ApiError> {
    let limit = usize::try_from(query.limit.unwrap_or(100)).ok().filter(|limit| (1..=MOST).contains(limit));
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
        // Each address of a member can be taken away, so they stay apart.
        let address = if let Who::Member(_) = who { author.email.clone() } else { String::new() };
        let person =
            people.entry((resolver.contributor(author), word(who), address)).or_insert_with(|| Person::new(who));
        if who == Who::Unmatched {
            person.suggest(resolver.suggestions(author));
        }
        person.add(one);
    }
    let mut items: Vec<IdentityView> =
        people.into_iter().map(|((contributor, ..), person)| person.view(&contributor, &roster)).collect();
    items.sort_by_key(|one| std::cmp::Reverse((one.commits, one.merge_commits)));
    let total = items.len();
    items.truncate(limit);
    let nobodys = |user: &&User| resolver.user(user.id) == Who::Unmatched;
    let account =
        |user: &User| AccountView { user_id: user.id, username: user.username.clone(), name: user.name.clone() };
    Ok(Json(Identities {
        items,
        total,
        commits,
        unmatched_commits: unmatched,
        unmatched_share: share(unmatched, commits),
        unmatched_accounts: users.iter().filter(nobodys).take(limit).map(account).collect(),
    }))
}

#[expect(clippy::cast_precision_loss, reason = "counts of commits")]
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

/// A person, with all spellings of the name and the address.
struct Person {
    who: Who,
    used: Vec<Used>,
    suggestions: Vec<Suggestion>,
}

impl Person {
    const fn new(who: Who) -> Self {
        Self { who, used: Vec::new(), suggestions: Vec::new() }
    }

    fn add(&mut self, used: Used) {
        self.used.push(used);
    }

    /// Of several reasons to suggest one member, the best is kept.
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
        let name = |member: i64| roster.members().get(&member).map(|one| one.name.clone()).unwrap_or_default();
        let suggestions = self.suggestions.into_iter().map(|found| SuggestionView {
            member_id: found.member,
            name: name(found.member),
            reason: found.reason,
            score: found.score,
        });
        let most = self.used.iter().max_by_key(|one| (one.commits, std::cmp::Reverse(one.identity.id)));
        let author = most.map(|one| one.identity.author.clone()).unwrap_or_default();
        let all = || self.used.iter();
        IdentityView {
            name: author.name,
            email: author.email,
            names: all().map(|one| one.identity.author.name.clone()).collect(),
            emails: all().map(|one| one.identity.author.email.clone()).collect(),
            user_id: if let Contributor::Account(id) = contributor { Some(*id) } else { None },
            commits: all().map(|one| one.commits).sum(),
            merge_commits: all().map(|one| one.merge_commits).sum(),
            first: all().map(|one| one.first).min().unwrap_or_default().to_iso(),
            last: all().map(|one| one.last).max().unwrap_or_default().to_iso(),
            projects: all().flat_map(|one| one.projects.iter().copied()).collect(),
            who: word(self.who),
            member_id: if let Who::Member(id) = self.who { Some(id) } else { None },
            suggestions: suggestions.collect(),
        }
    }
}

/// What one identity did in all projects.
struct Used {
    identity: Identity,
    commits: i64,
    merge_commits: i64,
    first: Timestamp,
    last: Timestamp,
    projects: BTreeSet<i64>,
}

/// Everything that tells who is who.
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
        for IdentityUse { identity, project, commits, merge_commits, first, last } in
            app.store().identity_uses().await?
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
        Ok(Self { roster, users, used: used.into_values().collect() })
    }

    /// How many identities somebody else is by another roster, and how many commits that moves.
    fn moved(&self, other: &Roster) -> (usize, i64) {
        let (before, after) = (Resolver::new(&self.roster, &self.users), Resolver::new(other, &self.users));
        let moved = self.used.iter().filter(|one| {
            let author = &one.identity.author;
            before.author(author) != after.author(author)
        });
        moved.fold((0, 0), |(identities, commits), one| (identities + 1, commits + one.commits))
    }
}

/// What is said of an identity.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum MarkWord {
    /// A program.
    Bot,
    /// A person, though the name is like that of a program.
    Person,
    /// Nobody that matters.
    Ignored,
    /// Nothing: what was said is taken back.
    None,
}

/// What is to be said of identities.
#[derive(Deserialize, ToSchema)]
struct MarkChange {
    /// Of these: addresses as `ci@example.com`, usernames as `@ci`, numbers of users as `#77`.
    #[serde(default)]
    handles: Vec<String>,
    /// Of every address of this domain that commits have and that is not matched.
    domain: Option<String>,
    /// What is said.
    mark: MarkWord,
}

/// What was said.
#[derive(Serialize, ToSchema)]
struct Marked {
    /// Of these.
    handles: Vec<String>,
}

/// Say that identities are bots, people, or of no matter, or take that back. Administrators.
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
        let authors = used.iter().map(|one| &one.identity.author).filter(|author| author.email.ends_with(&end));
        // What is said is taken back wherever it was said.
        let wanted = authors.filter(|author| mark.is_none() || resolver.author(author) == Who::Unmatched);
        handles.extend(wanted.filter_map(|author| Handle::try_from(author.email.clone()).ok()));
    }
    if handles.is_empty() {
        return Err(invalid("name handles, or a domain that unmatched addresses have"));
    }
    roster::change(&app, |roster| {
        let marked = handles.iter().try_for_each(|handle| roster.mark(handle.clone(), mark));
        marked.map_err(roster::unable)
    })
    .await?;
    Ok(Json(Marked { handles: handles.into_iter().map(String::from).collect() }))
}

/// Lines to be imported.
#[derive(Deserialize, ToSchema)]
struct Import {
    /// The lines.
    text: String,
    /// Only tell what it would do.
    #[serde(default)]
    dry_run: bool,
}

/// What an import does.
#[derive(Serialize, ToSchema)]
struct ImportView {
    /// It was only looked at.
    dry_run: bool,
    /// Lines that say something.
    lines: usize,
    /// Members that are made.
    new_members: usize,
    /// Teams that are made.
    new_teams: usize,
    /// Identities of commits that are somebody else by it.
    identities_changed: usize,
    /// Commits that are somebody else's by it.
    commits_moved: i64,
}

/// Show the `.mailmap`, as it was imported. Administrators.
#[utoipa::path(get, path = "/insights/identities/mailmap", tag = "Insights",
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn export_mailmap(_: Admin, State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let roster = roster::read(&app).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], roster.mailmap().to_owned()))
}

/// Take a `.mailmap` in place of the one before. Administrators.
#[utoipa::path(post, path = "/insights/identities/mailmap", tag = "Insights", request_body = Import,
    responses((status = 200, body = ImportView)))]
async fn import_mailmap(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<Import>,
) -> Result<Json<ImportView>, ApiError> {
    import(&app, &asked, Roster::import_mailmap).await
}

/// Show members and teams as CSV. Administrators.
#[utoipa::path(get, path = "/insights/identities/csv", tag = "Insights",
    responses((status = 200, body = String, content_type = "text/csv")))]
async fn export_csv(_: Admin, State(app): State<Arc<App>>) -> Result<impl IntoResponse, ApiError> {
    let roster = roster::read(&app).await?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], roster.to_csv()))
}

/// Take members and teams from CSV: `member,team,email,username,from,to`. They are added to what is there. Administrators.
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
    let lines: Vec<String> = errors.iter().map(|error| format!("line {}: {}", error.line, error.message)).collect();
    ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, format!("nothing was taken; {}", lines.join("; ")))
}
