//! The scope of an answer about insights: days in a time zone, projects, and people.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use quickdraw_domain::Timestamp;
use quickdraw_engine::Waited;
use quickdraw_insights::metrics::{Choice, Metric};
use quickdraw_insights::people::{People, Times, Whose, times_of};
use quickdraw_insights::privacy::Privacy;
use quickdraw_insights::question::{Answer, Days, DaysError, Every, Grouping, NamedPeople, Output, Question, TooLarge};
use quickdraw_insights::roster::{Resolver, Roster, Team};
use serde::Deserialize;
use utoipa::IntoParams;

use super::item_filters::ItemFilters;
use super::{named, not_a_choice, projects, roster};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Wait;
use crate::state::App;

/// Number of days if the request does not give `from`.
const DEFAULT_DAYS: i32 = 30;
/// Parameters that select days, projects and people.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ScopeQuery {
    /// First day of the window. Default: 30 days before `to`.
    #[param(format = Date)]
    from: Option<String>,

    /// Day after the last day of the window. Default: tomorrow.
    #[param(format = Date)]
    to: Option<String>,

    /// Time zone of the days, an IANA name such as `Europe/Bratislava`. Default: UTC.
    zone: Option<String>,

    /// Only this project: its id in Quickdraw, or its full path.
    project: Option<String>,

    /// Only projects of this group and its subgroups: the id of the group, or its full path. Users who are no
    /// administrators must give a project or a group.
    group: Option<String>,

    /// Only work of this team's members while they belonged to it: id or name of the team, in any case.
    team: Option<String>,

    /// Only work of this member: id, name, username, e-mail address, or account as `#77`, in any case.
    member: Option<String>,

    /// Only work of members, independent of their teams.
    #[serde(default)]
    members: bool,

    /// Whose work counts: `people` (default), `bots` or `all`. Reviewers, commenters and first responders are always
    /// people.
    whose: Option<String>,

    /// `true` means `whose=all`.
    #[serde(default)]
    bots: bool,

    /// Wait until all events that were accepted before this request are counted: `10s`, at most 30 s. The answer is 504
    /// if they are not counted in time.
    #[param(value_type = Option<String>)]
    wait: Option<Wait>,

    /// Replace names by pseudonyms. A person always has the same pseudonym.
    #[serde(default)]
    pseudonyms: bool,
}

/// The scope of an answer.
pub(super) struct Scope {
    pub(super) window: Days,

    /// Only these projects; `None` for all.
    pub(super) projects: Option<Vec<i64>>,
    pub(super) people: People,

    /// Whose work counts.
    pub(super) whose: Whose,

    /// Members of the chosen team, including those without any work.
    pub(super) team: Option<Vec<i64>>,

    /// The roster that was applied.
    pub(super) roster: Roster,

    /// Privacy settings, with pseudonyms if the request asks for them.
    pub(super) privacy: Privacy,

    /// Labels that mark an issue as an incident.
    incident_labels: Arc<[String]>,
}

impl ScopeQuery {
    pub(super) async fn scope(&self, app: &App, caller: &Caller, now: Timestamp) -> Result<Scope, ApiError> {
        wait(app, self.wait).await?;

        let window = days(self.from.as_deref(), self.to.as_deref(), self.zone.as_deref(), now)?;
        let projects = projects::chosen(app, caller, self.project.as_deref(), self.group.as_deref()).await?;

        let roster = roster::read(app).await?;
        let users = app.store().insights_users().await?;
        let resolver = Resolver::new(&roster, &users);
        let always = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        let (mut only, mut team) = (None, None);

        match (&self.member, &self.team) {
            (Some(_), Some(_)) => {
                return Err(ApiError::field(
                    "team",
                    "member and team cannot be combined; remove one of them",
                ));
            }
            (Some(_), None) | (None, Some(_)) if self.members => {
                return Err(ApiError::field(
                    "members",
                    "members cannot be combined with member or team; remove one of them",
                ));
            }
            (Some(name), None) => {
                only = Some(Times::from([(named::member(&roster, &resolver, name)?, vec![always])]));
            }
            (None, None) if self.members => {
                let all: Vec<i64> = roster
                    .members()
                    .keys()
                    .copied()
                    .filter(|id| roster.root(*id) == *id)
                    .collect();

                only = Some(all.iter().map(|id| (*id, vec![always])).collect());
                team = Some(all);
            }

            (None, Some(name)) => {
                let times = times(&roster, named::team(&roster, name)?, &window.zone)?;

                // A member who left before the window or joined after it does not belong to the team here.
                let is_in = |all: &[(Timestamp, Timestamp)]| {
                    all.iter().any(|(from, to)| *from < window.to && window.from < *to)
                };
                let of_these_days = times.iter().filter(|(_, all)| is_in(all));
                team = Some(of_these_days.map(|(id, _)| *id).collect::<Vec<i64>>());
                only = Some(times);
            }
            (None, None) => {}
        }

        let mut privacy = app.engine.insights.privacy().await.map_err(ApiError::internal)?;
        if self.pseudonyms && !privacy.pseudonyms {
            // The salt is stored, so pseudonyms stay the same from one request to the next.
            privacy = app.engine.insights.salted_privacy().await.map_err(ApiError::internal)?;
            privacy.pseudonyms = true;
        }

        if self.member.is_some() {
            large_enough(&privacy, 1)?;
        }

        if let Some(team) = &team {
            large_enough(&privacy, team.len())?;
        }

        let whose = self.whose()?;
        let people = People::new(resolver, &users, whose, only);
        let incident_labels = app.engine.context.incident_labels();

        Ok(Scope {
            window,
            projects,
            people,
            whose,
            team,
            roster,
            privacy,
            incident_labels,
        })
    }

    /// Reads whose work counts.
    pub(super) fn whose(&self) -> Result<Whose, ApiError> {
        let Some(name) = &self.whose else {
            return Ok(if self.bots { Whose::All } else { Whose::People });
        };
        let whose = Whose::by_name(name).ok_or_else(|| not_a_choice("whose", name, &["people", "bots", "all"]))?;

        if self.bots && whose != Whose::All {
            return Err(ApiError::field(
                "bots",
                format!("bots=true means whose=all, but whose is {name}; remove one of them"),
            ));
        }

        Ok(whose)
    }

    /// Refuses combinations whose answer would always be 0: work of bots for a metric without people, or bots as
    /// members.
    pub(super) fn check_whose(&self, metric: &Metric, of_members: bool) -> Result<(), ApiError> {
        if self.whose()? != Whose::Bots {
            return Ok(());
        }

        if !metric.can_be_of_members() {
            let text = format!("\"whose\" does not apply to the metric \"{}\"; remove it", metric.name);
            return Err(ApiError::field("whose", text));
        }

        if of_members && !metric.is_of_acts() {
            return Err(ApiError::field(
                "whose",
                "bots are not members: whose=bots cannot be combined with members or teams",
            ));
        }

        Ok(())
    }

    /// Checks whether the question is limited to members.
    pub(super) const fn is_of_members(&self) -> bool {
        self.team.is_some() || self.member.is_some() || self.members
    }

    /// Lists the parameters by name, for the answer.
    pub(super) fn filters(&self) -> BTreeMap<&'static str, String> {
        let all = [
            ("project", &self.project),
            ("group", &self.group),
            ("team", &self.team),
            ("member", &self.member),
        ];
        let mut filters: BTreeMap<&'static str, String> = all
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect();

        filters.extend(self.members.then(|| ("members", "true".to_owned())));
        filters
    }
}

impl Scope {
    /// Builds a question without output about a metric, from this scope and the filters.
    pub(super) fn question(
        &self,
        metric: &'static Metric,
        wanted: ItemFilters,
        now: Timestamp,
    ) -> Result<Question, ApiError> {
        Ok(Question {
            metric,
            window: self.window.window(),
            before: Some(self.window.before().map_err(refused)?),
            projects: self.projects.clone(),
            people: self.people.clone(),
            choice: self.choice(wanted, metric),
            grouping: Grouping::None,
            output: Output::default(),
            now,
        })
    }

    /// Builds the choice with which `Items` counts, from this scope and the filters.
    fn choice(&self, wanted: ItemFilters, metric: &Metric) -> Choice {
        let mut choice = wanted.choice(
            self.window.zone.clone(),
            self.privacy.min_group,
            self.incident_labels.clone(),
        );
        choice.deployed_by = choice.deployed_by.or(metric.deployed_by());
        choice
    }

    /// Splits the scope by member, within the requested times. Members that are merged into another are not listed.
    pub(super) fn by_member(&self) -> Result<Vec<NamedPeople>, ApiError> {
        large_enough(&self.privacy, 1)?;

        let mut uses: HashMap<&str, usize> = HashMap::new();
        for member in self.roster.members().values() {
            *uses.entry(&member.name).or_default() += 1;
        }

        let is_one =
            |id: &i64| self.roster.root(*id) == *id && self.people.times_of(*id).is_some_and(|all| !all.is_empty());
        let all = self.roster.members().iter().filter(|(id, _)| is_one(id));

        all.map(|(id, member)| {
            let times = self.people.times_of(*id).unwrap_or_default();
            let is_alone = uses.get(member.name.as_str()) == Some(&1);

            let name = if is_alone {
                member.name.clone()
            } else {
                format!("{} (#{id})", member.name)
            };

            let name = if self.privacy.pseudonyms {
                self.privacy.pseudonym(&format!("member {id}"))
            } else {
                name
            };
            Ok(NamedPeople {
                name,
                people: self.people.limited_to(Times::from([(*id, times)])),
            })
        })
        .collect()
    }

    /// Splits the scope by team.
    pub(super) fn by_team(&self) -> Result<Vec<NamedPeople>, ApiError> {
        if self.people.is_limited() {
            return Err(ApiError::field(
                "group_by",
                "group_by=team cannot be combined with member, members or team; remove them",
            ));
        }

        let all = self.roster.teams().iter();
        let of_one = |(id, team): (&i64, &Team)| {
            let people = self.people.limited_to(times(&self.roster, *id, &self.window.zone)?);
            // Teams below the minimum group size are not shown.
            let size = people.count_in(self.window.from, self.window.to).unwrap_or_default();
            let is_shown = large_enough(&self.privacy, size).is_ok();
            Ok(is_shown.then(|| NamedPeople {
                name: team.name.clone(),
                people,
            }))
        };
        all.map(of_one).filter_map(Result::transpose).collect()
    }
}

/// Answers a question. A limit applies to the number of questions that are read and calculated at once.
pub(super) async fn ask(app: &App, question: Question) -> Result<Answer, ApiError> {
    let permit = app.calculations.acquire().await?;
    let answer = quickdraw_engine::ask(app.store(), question, permit).await;
    answer.map_err(|error| match error.downcast::<TooLarge>() {
        Ok(error @ TooLarge::Groups) => ApiError::field("group_by", error.to_string()),
        Ok(error @ TooLarge::Intervals) => ApiError::field("interval", error.to_string()),
        Err(error) => ApiError::internal(error),
    })
}

/// Refuses numbers about fewer people than the privacy settings allow.
pub(super) fn large_enough(privacy: &Privacy, people: usize) -> Result<(), ApiError> {
    if usize::try_from(privacy.min_group).is_ok_and(|least| people < least) {
        let text = format!(
            "the privacy settings hide numbers about fewer than {} people; choose a larger team, or all people",
            privacy.min_group
        );
        return Err(ApiError::problem(StatusCode::FORBIDDEN, text));
    }

    Ok(())
}

/// Reads the times of each member in a team.
fn times(roster: &Roster, team: i64, zone: &TimeZone) -> Result<Times, ApiError> {
    times_of(roster, team, zone).ok_or_else(|| ApiError::field("team", "a date of the team is out of range"))
}

/// Reads `from`, `to` and `zone` of a request.
fn days(from: Option<&str>, to: Option<&str>, zone: Option<&str>, now: Timestamp) -> Result<Days, ApiError> {
    let zone_name = zone.unwrap_or("UTC").to_owned();
    let zone = TimeZone::get(&zone_name).map_err(|_| {
        ApiError::field(
            "zone",
            "zone is not a name of the IANA time zone database, such as Europe/Bratislava",
        )
    })?;
    let today = jiff::Timestamp::from_microsecond(now.as_micros())
        .unwrap_or_default()
        .to_zoned(zone.clone())
        .date();

    let day = |name: &str, text: Option<&str>| -> Result<Option<Date>, ApiError> {
        let parse = |text: &str| {
            let found = text.parse().ok().or_else(|| day_of(text, &zone, name == "to"));
            found.ok_or_else(|| ApiError::field(name, format!("{name} is not a date, such as 2026-05-01")))
        };
        text.map(parse).transpose()
    };

    let span = |days: i32| jiff::Span::new().days(days);
    let out_of_range = |_| refused(DaysError::OutOfRange);
    // `to` is the first day after the window. Without it, the window includes today.
    let to = match day("to", to)? {
        Some(to) => to,
        None => today.checked_add(span(1)).map_err(out_of_range)?,
    };
    let first = match day("from", from)? {
        Some(from) => from,
        None => to.checked_sub(span(DEFAULT_DAYS)).map_err(out_of_range)?,
    };

    Days::new(first, to, zone, zone_name).map_err(refused)
}

/// Reads `interval` of a request. The default depends on the number of days.
pub(super) fn interval(days: &Days, text: Option<&str>) -> Result<Every, ApiError> {
    let Some(text) = text else {
        return Ok(days.usual_interval());
    };
    Every::by_name(text).ok_or_else(|| not_a_choice("interval", text, &["hour", "day", "week", "month"]))
}

/// Converts an error of days into a 400.
pub(super) fn refused(error: DaysError) -> ApiError {
    let field = match error {
        DaysError::OutOfRange | DaysError::BeforeOutOfRange | DaysError::Length => "from",
        DaysError::TooManyIntervals(_) => "interval",
    };
    ApiError::field(field, error.to_string())
}

/// Finds the day of a point in time, which is written as RFC 3339, or in milliseconds as Grafana does. If the point
/// is an end within a day, the next day is returned.
fn day_of(text: &str, zone: &TimeZone, is_end: bool) -> Option<Date> {
    let time = match text.parse::<i64>() {
        Ok(millis) if text.len() > 8 => jiff::Timestamp::from_millisecond(millis).ok()?,
        _ => text.parse::<jiff::Timestamp>().ok()?,
    };
    let zoned = time.to_zoned(zone.clone());
    let date = zoned.date();
    let is_within = zoned.start_of_day().is_ok_and(|start| start < zoned);

    if is_end && is_within {
        date.checked_add(jiff::Span::new().days(1)).ok()
    } else {
        Some(date)
    }
}

/// Waits until all events that were accepted before the request are counted, if the request asks for it.
pub(super) async fn wait(app: &App, asked: Option<Wait>) -> Result<(), ApiError> {
    let Some(Wait(most)) = asked else { return Ok(()) };

    ended(app.engine.insights.wait_until_counted(most).await?)
}

/// Turns the end of a wait into the answer.
fn ended(waited: Waited) -> Result<(), ApiError> {
    match waited {
        Waited::Counted => Ok(()),
        Waited::TimedOut => Err(ApiError::problem(
            StatusCode::GATEWAY_TIMEOUT,
            "some of the events that were accepted before this request are not counted yet; wait longer, or leave out \
             wait and compare as_of",
        )),
        Waited::Refused => Err(ApiError::problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests wait for events to be counted; try again, or leave out wait and compare as_of",
        )),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    fn check(waited: Waited, status: StatusCode) {
        let error = ended(waited).expect_err("the events are not counted");
        assert_eq!(error.into_response().status(), status, "{waited:?}");
    }

    #[test]
    fn a_wait_that_ends_early_has_a_status_of_its_own() {
        assert!(ended(Waited::Counted).is_ok());
        check(Waited::TimedOut, StatusCode::GATEWAY_TIMEOUT);
        check(Waited::Refused, StatusCode::SERVICE_UNAVAILABLE);
    }
}
