//! Who events name, and who of them is a bot. Everybody else is a person, whatever team they are in.

mod bots;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use std::collections::HashMap;
use std::sync::Arc;

use super::commits::{Author, clean};
use super::roster::{Resolver, Roster, Who};
use quickdraw_domain::Timestamp;

pub use bots::{is_alert_bot, is_bot, is_bot_name};

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

/// Whose work counts: commits, pushes, merge requests and so on by who made them. Reviews are always by people.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Whose {
    /// That of people, and of those who are unknown.
    #[default]
    People,
    /// That of bots only.
    Bots,
    /// That of both, and of those who are marked to be ignored.
    All,
}

impl Whose {
    /// All of them, with their names in the API.
    pub const ALL: [(Self, &'static str); 3] = [(Self::People, "people"), (Self::Bots, "bots"), (Self::All, "all")];

    /// By its name in the API.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(one, _)| one)
    }

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Bots => "bots",
            Self::All => "all",
        }
    }
}

/// Whose doings count.
#[derive(Clone, Debug, Default)]
pub struct People {
    resolver: Arc<Resolver>,
    accounts: Arc<HashMap<i64, Who>>,
    whose: Whose,
    only: Option<Times>,
}

impl People {
    /// Everybody whose work is asked for; or only members at their times.
    #[must_use]
    pub fn new(resolver: Resolver, users: &[User], whose: Whose, only: Option<Times>) -> Self {
        let accounts = users.iter().map(|user| (user.id, resolver.user(user.id))).collect();
        Self { resolver: Arc::new(resolver), accounts: Arc::new(accounts), whose, only }
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

    /// Whether an account is that of a program, or is ignored: it reviews nothing, whosever work counts.
    #[must_use]
    pub fn is_bot(&self, id: i64) -> bool {
        matches!(self.user(id), Who::Bot | Who::Ignored)
    }

    /// Whether only the work of bots counts.
    #[must_use]
    pub fn is_of_bots(&self) -> bool {
        self.whose == Whose::Bots
    }

    /// Whether the work of somebody is left out.
    #[must_use]
    pub const fn is_left_out(&self, who: Who) -> bool {
        match self.whose {
            Whose::People => matches!(who, Who::Bot | Who::Ignored),
            Whose::Bots => !matches!(who, Who::Bot),
            Whose::All => false,
        }
    }

    /// Whether the work of an account is left out; of an unknown one, if only that of bots counts.
    #[must_use]
    pub fn leaves_out(&self, account: Option<i64>) -> bool {
        account.map_or(self.is_of_bots(), |id| self.is_left_out(self.user(id)))
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

    /// A number for the person who wrote a commit, however they spelled their name; of members, theirs below zero.
    #[must_use]
    pub fn contributor(&self, author: &Author) -> i64 {
        self.resolver.contributor(author).number()
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
