//! Who events name, and who of them is a bot. Everybody else is a person, whatever team they are in.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use std::collections::HashMap;
use std::sync::Arc;

use super::commits::{Author, clean};
use super::roster::{Resolver, Roster, Who};
use crate::Timestamp;

/// An account, as the latest event that named it has it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct User {
    /// GitLab's number: usernames change.
    pub id: i64,
    /// When it was received.
    pub seen_at: Timestamp,
    /// Login.
    pub username: String,
    /// Shown name.
    pub name: String,
}

/// Who an event says did it.
pub(super) fn of(received_at: Timestamp, body: &Value) -> Option<User> {
    let text = |name: &str, of_push: &str| {
        let text = body["user"][name].as_str().or_else(|| body[of_push].as_str()).unwrap_or_default();
        clean(text, 512)
    };
    let id = body["user"]["id"].as_i64().or_else(|| body["user_id"].as_i64()).filter(|id| *id > 0)?;
    let (username, name) = (text("username", "user_username"), text("name", "user_name"));
    (!username.is_empty()).then_some(User { id, seen_at: received_at, username, name })
}

/// When members count, by their numbers: from when to before when.
pub type Times = HashMap<i64, Vec<(Timestamp, Timestamp)>>;

/// When who was in a team, by the days of a zone; nothing where a day is out of range.
#[must_use]
pub fn times_of(roster: &Roster, team: i64, zone: &TimeZone) -> Option<Times> {
    let start = |day: Option<Date>, otherwise: i64| match day {
        Some(day) => {
            let zoned = day.to_zoned(zone.clone()).ok()?;
            Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
        }
        None => Some(Timestamp::from_micros(otherwise)),
    };
    let mut times = Times::new();
    for enrolment in roster.teams().get(&team).map(|team| team.people.as_slice()).unwrap_or_default() {
        let time = (start(enrolment.from, i64::MIN)?, start(enrolment.to, i64::MAX)?);
        times.entry(roster.root(enrolment.member)).or_default().push(time);
    }
    Some(times)
}

/// Whose doings count.
#[derive(Clone, Debug, Default)]
pub struct People {
    resolver: Arc<Resolver>,
    accounts: Arc<HashMap<i64, Who>>,
    bots: bool,
    only: Option<Times>,
}

impl People {
    /// Everybody but bots, or with them; or only members at their times.
    #[must_use]
    pub fn new(resolver: Resolver, users: &[User], bots: bool, only: Option<Times>) -> Self {
        let accounts = users.iter().map(|user| (user.id, resolver.user(user.id))).collect();
        Self { resolver: Arc::new(resolver), accounts: Arc::new(accounts), bots, only }
    }

    /// The same, but only these members at these times.
    #[must_use]
    pub fn limited_to(&self, only: Times) -> Self {
        Self { only: Some(only), ..self.clone() }
    }

    /// When a member counts; nothing if never.
    #[must_use]
    pub fn times_of(&self, member: i64) -> Option<Vec<(Timestamp, Timestamp)>> {
        match &self.only {
            None => Some(vec![(Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX))]),
            Some(only) => only.get(&member).cloned(),
        }
    }

    /// How many members are asked for at some time of a window; nothing where everybody is.
    #[must_use]
    pub fn count_in(&self, from: Timestamp, to: Timestamp) -> Option<usize> {
        let is_in = |times: &&Vec<(Timestamp, Timestamp)>| times.iter().any(|(start, end)| *start < to && from < *end);
        self.only.as_ref().map(|only| only.values().filter(is_in).count())
    }

    /// Who an account is.
    #[must_use]
    pub fn user(&self, id: i64) -> Who {
        self.accounts.get(&id).copied().unwrap_or_else(|| self.resolver.user(id))
    }

    /// Whether what an account does is left out, as that of a program.
    #[must_use]
    pub fn is_bot(&self, id: i64) -> bool {
        self.is_left_out(self.user(id))
    }

    /// Whether what somebody does is left out, as that of a program.
    #[must_use]
    pub const fn is_left_out(&self, who: Who) -> bool {
        !self.bots && matches!(who, Who::Bot | Who::Ignored)
    }

    /// Whether only some members are asked for.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.only.is_some()
    }

    /// Whether what somebody did at a time is asked for.
    #[must_use]
    pub fn is_wanted(&self, who: Who, at: Timestamp) -> bool {
        let Some(only) = &self.only else { return true };
        let Who::Member(member) = who else { return false };
        only.get(&member).is_some_and(|times| times.iter().any(|(from, to)| *from <= at && at < *to))
    }

    /// Who wrote a commit.
    #[must_use]
    pub fn author(&self, author: &Author) -> Who {
        self.resolver.author(author)
    }

    /// Whether what somebody committed at a time counts.
    #[must_use]
    pub fn counts(&self, who: Who, at: Timestamp) -> bool {
        !self.is_left_out(who) && self.is_wanted(who, at)
    }

    /// A number for the person behind an account: two accounts of one member have the same.
    #[must_use]
    pub fn person(&self, id: i64) -> i64 {
        match self.user(id) {
            // Below zero, where no account is.
            Who::Member(member) => -member,
            _ => id,
        }
    }
}

/// Whether a username is that of GitLab's account for alerts: `alert-bot`, with a number behind where somebody else had that name.
#[must_use]
pub fn is_alert_bot(username: &str) -> bool {
    let number = username.strip_prefix("alert-bot");
    number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Accounts that GitLab and the usual services make.
const KNOWN: [&str; 6] = ["ghost", "support-bot", "gitlab-security-bot", "renovate", "renovate-bot", "dependabot"];

/// Whether a username is that of a bot: GitLab's own for access tokens (`project_7_bot_3f…`, `group_7_bot`, and `project7_bot`
/// of before), what ends in `[bot]`, and the usual ones.
#[must_use]
pub fn is_bot(username: &str) -> bool {
    let name = username.to_ascii_lowercase();
    KNOWN.contains(&name.as_str()) || is_alert_bot(&name) || name.ends_with("[bot]") || is_token_bot(&name)
}

fn is_token_bot(name: &str) -> bool {
    let rest = name.strip_prefix("project").or_else(|| name.strip_prefix("group"));
    let rest = rest.map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    let Some((number, rest)) = rest.and_then(|rest| rest.split_once("_bot")) else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    let is_suffix =
        rest.is_empty() || rest.strip_prefix('_').is_some_and(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()));
    is_number && is_suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_are_known_by_their_names() {
        for bot in [
            "project_12_bot",
            "project_12_bot_4ffca233d8298ea1",
            "group_7_bot_0a",
            "project12_bot",
            "renovate[bot]",
            "Dependabot",
            "ghost",
            "alert-bot",
            "alert-bot1",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
        for person in [
            "ida",
            "project_manager",
            "abbott",
            "project_12_bottle",
            "project__bot",
            "robot",
            "alert-botanist",
            "group_bot",
        ] {
            assert!(!is_bot(person), "{person}");
        }
    }
}
