//! The accounts that events name. An account that is not a bot belongs to a person, with or without a team.

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

/// An account, as described by the latest event that named it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct User {
    /// GitLab's id. Usernames can change.
    pub id: i64,

    /// Time of receipt of that event.
    pub seen_at: Timestamp,

    /// Username.
    pub username: String,

    /// Display name.
    pub name: String,
}

/// Reads the account that caused an event.
pub(super) fn of(received_at: Timestamp, body: &Value) -> Option<User> {
    let text = |name: &str, of_push: &str| {
        let text = body["user"][name]
            .as_str()
            .or_else(|| body[of_push].as_str())
            .unwrap_or_default();
        clean(text, 512)
    };

    let id = body["user"]["id"]
        .as_i64()
        .or_else(|| body["user_id"].as_i64())
        .filter(|id| *id > 0)?;

    let (username, name) = (text("username", "user_username"), text("name", "user_name"));
    (!username.is_empty()).then_some(User {
        id,
        seen_at: received_at,
        username,
        name,
    })
}

/// For each member, the times in which their work counts: start, and end (exclusive).
pub type Times = HashMap<i64, Vec<(Timestamp, Timestamp)>>;

/// The times of the members of a team, by days of a zone. None if a day is out of range.
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
    for enrolment in roster
        .teams()
        .get(&team)
        .map(|team| team.people.as_slice())
        .unwrap_or_default()
    {
        let time = (start(enrolment.from, i64::MIN)?, start(enrolment.to, i64::MAX)?);
        times.entry(roster.root(enrolment.member)).or_default().push(time);
    }

    Some(times)
}

/// The accounts whose commits, pushes, merge requests and other items count. Reviews by bots never count.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Whose {
    /// People, including unknown accounts.
    #[default]
    People,

    /// Bots only.
    Bots,

    /// People, bots, and accounts with the mark "ignored".
    All,
}

impl Whose {
    /// All values with their names in the API.
    pub const ALL: [(Self, &'static str); 3] = [(Self::People, "people"), (Self::Bots, "bots"), (Self::All, "all")];

    /// Finds a value by its name in the API.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(one, _)| one)
    }

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Bots => "bots",
            Self::All => "all",
        }
    }
}

/// The people whose work counts.
#[derive(Clone, Debug, Default)]
pub struct People {
    resolver: Arc<Resolver>,
    accounts: Arc<HashMap<i64, Who>>,
    whose: Whose,
    only: Option<Times>,
}

impl People {
    /// `only` limits the work to members in their times.
    #[must_use]
    pub fn new(resolver: Resolver, users: &[User], whose: Whose, only: Option<Times>) -> Self {
        let accounts = users.iter().map(|user| (user.id, resolver.user(user.id))).collect();
        Self {
            resolver: Arc::new(resolver),
            accounts: Arc::new(accounts),
            whose,
            only,
        }
    }

    /// Returns a copy that is limited to these members in their times.
    #[must_use]
    pub fn limited_to(&self, only: Times) -> Self {
        Self {
            only: Some(only),
            ..self.clone()
        }
    }

    /// The times in which a member's work counts. None without times.
    #[must_use]
    pub fn times_of(&self, member: i64) -> Option<Vec<(Timestamp, Timestamp)>> {
        match &self.only {
            None => Some(vec![(
                Timestamp::from_micros(i64::MIN),
                Timestamp::from_micros(i64::MAX),
            )]),
            Some(only) => only.get(&member).cloned(),
        }
    }

    /// The number of selected members with a time in the window. None if the work is not limited to members.
    #[must_use]
    pub fn count_in(&self, from: Timestamp, to: Timestamp) -> Option<usize> {
        let is_in = |times: &&Vec<(Timestamp, Timestamp)>| times.iter().any(|(start, end)| *start < to && from < *end);
        self.only.as_ref().map(|only| only.values().filter(is_in).count())
    }

    /// The owner of an account.
    #[must_use]
    pub fn user(&self, id: i64) -> Who {
        self.accounts
            .get(&id)
            .copied()
            .unwrap_or_else(|| self.resolver.user(id))
    }

    /// True for bots and ignored accounts. Their reviews never count.
    #[must_use]
    pub fn is_bot(&self, id: i64) -> bool {
        matches!(self.user(id), Who::Bot | Who::Ignored)
    }

    /// True if only the work of bots counts.
    #[must_use]
    pub fn is_of_bots(&self) -> bool {
        self.whose == Whose::Bots
    }

    /// True if the work of `who` does not count.
    #[must_use]
    pub const fn is_left_out(&self, who: Who) -> bool {
        match self.whose {
            Whose::People => matches!(who, Who::Bot | Who::Ignored),
            Whose::Bots => !matches!(who, Who::Bot),
            Whose::All => false,
        }
    }

    /// True if the work of an account does not count. An unknown account does not count if only bots do.
    #[must_use]
    pub fn leaves_out(&self, account: Option<i64>) -> bool {
        account.map_or(self.is_of_bots(), |id| self.is_left_out(self.user(id)))
    }

    /// True if the work is limited to members.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.only.is_some()
    }

    /// True if work of `who` at this time is selected.
    #[must_use]
    pub fn is_wanted(&self, who: Who, at: Timestamp) -> bool {
        let Some(only) = &self.only else { return true };
        let Who::Member(member) = who else { return false };
        only.get(&member)
            .is_some_and(|times| times.iter().any(|(from, to)| *from <= at && at < *to))
    }

    /// The author of a commit.
    #[must_use]
    pub fn author(&self, author: &Author) -> Who {
        self.resolver.author(author)
    }

    /// A number that identifies the author of a commit, independent of the spelling of the name. Members have negative
    /// numbers.
    #[must_use]
    pub fn contributor(&self, author: &Author) -> i64 {
        self.resolver.contributor(author).number()
    }

    /// True if a commit of `who` at this time counts.
    #[must_use]
    pub fn counts(&self, who: Who, at: Timestamp) -> bool {
        !self.is_left_out(who) && self.is_wanted(who, at)
    }

    /// A number that identifies the owner of an account. All accounts of a member give the same number.
    #[must_use]
    pub fn person(&self, id: i64) -> i64 {
        match self.user(id) {
            // Members have negative numbers, because accounts have positive ids.
            Who::Member(member) => -member,
            _ => id,
        }
    }
}
