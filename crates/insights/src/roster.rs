//! Who is who: members with their addresses and accounts, teams with dates, and what was said of single identities.
//!
//! Facts never name a member. A roster is applied when numbers are read, so a change of it is seen at once, can be taken back,
//! and needs nothing to be counted anew.

mod imports;
mod resolver;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use imports::{Imported, LineError};
pub use resolver::{Contributor, Resolver, Suggestion, Who};

/// Most members.
const MOST_MEMBERS: usize = 20_000;
/// Most teams.
const MOST_TEAMS: usize = 2_000;
/// Most of what one member or team lists.
const MOST_EACH: usize = 1_000;
/// Most marks.
const MOST_MARKS: usize = 20_000;
/// Letters of a name.
const LONGEST: usize = 255;

/// Who is who.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Roster {
    /// By their numbers.
    members: BTreeMap<i64, Member>,
    /// By their numbers.
    teams: BTreeMap<i64, Team>,
    /// What was said of identities by hand.
    marks: BTreeMap<Handle, Mark>,
    /// A `.mailmap`, as it was imported.
    mailmap: String,
    /// The last number that was given.
    last: i64,
}

/// A person.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Member {
    /// Shown name.
    pub name: String,
    /// Accounts and addresses.
    pub handles: BTreeSet<Handle>,
    /// This is another member: everything of it is that one's until they are taken apart again.
    pub merged_into: Option<i64>,
}

/// A team.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Team {
    /// Shown name.
    pub name: String,
    /// Who is in it, and when.
    pub people: Vec<Enrolment>,
}

/// When somebody is in a team.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// Who.
    pub member: i64,
    /// The first day; nothing for always.
    pub from: Option<Date>,
    /// The first day that is no longer one; nothing for ever.
    pub to: Option<Date>,
}

/// What events know somebody by. Written as `ida@example.com`, `@ida` and `#77`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Handle {
    /// An address of commits, in small letters.
    Email(String),
    /// A username in GitLab, in small letters.
    Username(String),
    /// A number in GitLab.
    UserId(i64),
}

/// What somebody said of an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A program.
    Bot,
    /// A person, though the name is like that of a program.
    Person,
    /// Nobody that matters; it counts for nobody, and is not listed as unmatched.
    Ignored,
}

/// Why a roster cannot be changed like that, and how it can.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RosterError(String);

fn no(text: impl Into<String>) -> RosterError {
    RosterError(text.into())
}

impl TryFrom<String> for Handle {
    type Error = RosterError;

    fn try_from(text: String) -> Result<Self, RosterError> {
        let text = text.trim();
        let is_plain = |text: &str| !text.is_empty() && text.len() <= LONGEST && !text.contains(char::is_control);
        if let Some(number) = text.strip_prefix('#') {
            let number = number.parse().ok().filter(|number| *number > 0);
            return number.map(Self::UserId).ok_or_else(|| no(format!("{text} is no number of a user, such as #77")));
        }
        match text.strip_prefix('@') {
            Some(name) if is_plain(name) && !name.contains('@') => Ok(Self::Username(name.to_lowercase())),
            None if is_plain(text) && text.contains('@') => Ok(Self::Email(text.to_lowercase())),
            _ => Err(no(format!(
                "{text:?} is no handle: write an address as ida@example.com, a username as @ida, a user's number as #77"
            ))),
        }
    }
}

impl From<Handle> for String {
    fn from(handle: Handle) -> Self {
        match handle {
            Handle::Email(email) => email,
            Handle::Username(name) => format!("@{name}"),
            Handle::UserId(id) => format!("#{id}"),
        }
    }
}

impl Enrolment {
    fn overlaps(&self, other: &Self) -> bool {
        let begins_before = |one: &Self, other: &Self| match (one.from, other.to) {
            (Some(from), Some(to)) => from < to,
            _ => true,
        };
        self.member == other.member && begins_before(self, other) && begins_before(other, self)
    }
}

impl Roster {
    /// Members by their numbers.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<i64, Member> {
        &self.members
    }

    /// Teams by their numbers.
    #[must_use]
    pub const fn teams(&self) -> &BTreeMap<i64, Team> {
        &self.teams
    }

    /// What was said of identities by hand.
    #[must_use]
    pub const fn marks(&self) -> &BTreeMap<Handle, Mark> {
        &self.marks
    }

    /// The `.mailmap`, as it was imported.
    #[must_use]
    pub fn mailmap(&self) -> &str {
        &self.mailmap
    }

    /// Adds a member; gives its number.
    ///
    /// # Errors
    /// When the name is empty, or a handle is another member's.
    pub fn add_member(&mut self, name: &str, handles: BTreeSet<Handle>) -> Result<i64, RosterError> {
        if self.members.len() >= MOST_MEMBERS {
            return Err(no(format!("there are {MOST_MEMBERS} members already")));
        }
        let member = Member { name: checked(name)?, handles, merged_into: None };
        self.check_handles(0, &member.handles)?;
        self.last += 1;
        self.members.insert(self.last, member);
        Ok(self.last)
    }

    /// Changes a member: what is given replaces what it has.
    ///
    /// # Errors
    /// As [`Roster::add_member`], or when there is no such member.
    pub fn change_member(
        &mut self,
        id: i64,
        name: Option<&str>,
        handles: Option<BTreeSet<Handle>>,
    ) -> Result<(), RosterError> {
        let mut member = self.member(id)?.clone();
        if let Some(name) = name {
            member.name = checked(name)?;
        }
        if let Some(handles) = handles {
            self.check_handles(id, &handles)?;
            member.handles = handles;
        }
        self.members.insert(id, member);
        Ok(())
    }

    /// Takes a member away, out of teams too; who was merged into it is somebody again.
    ///
    /// # Errors
    /// When there is no such member.
    pub fn delete_member(&mut self, id: i64) -> Result<(), RosterError> {
        self.member(id)?;
        self.members.remove(&id);
        for member in self.members.values_mut().filter(|member| member.merged_into == Some(id)) {
            member.merged_into = None;
        }
        for team in self.teams.values_mut() {
            team.people.retain(|enrolment| enrolment.member != id);
        }
        Ok(())
    }

    /// Takes a handle out of everything that was written of it.
    pub fn forget(&mut self, handle: &Handle) {
        let mut nobody = Vec::new();
        for (id, member) in &mut self.members {
            if member.handles.remove(handle) && member.handles.is_empty() {
                nobody.push(*id);
            }
        }
        // Of whom nothing is left but a name, that goes too.
        for id in nobody {
            let _ = self.delete_member(id);
        }
        self.marks.remove(handle);
        if let Handle::Email(email) = handle {
            let names_it = |line: &&str| line.to_lowercase().contains(&format!("<{email}>"));
            let kept: Vec<&str> = self.mailmap.lines().filter(|line| !names_it(line)).collect();
            self.mailmap = kept.join("\n");
        }
    }

    /// Says that a member is another one. Nothing of either is lost, so it can be taken back.
    ///
    /// # Errors
    /// When one of them is not there, or it would go in a circle.
    pub fn merge(&mut self, id: i64, into: i64) -> Result<(), RosterError> {
        self.member(id)?;
        self.member(into)?;
        let mut at = Some(into);
        while let Some(other) = at.filter(|other| *other != id) {
            at = self.members.get(&other).and_then(|member| member.merged_into);
        }
        if at.is_some() {
            return Err(no("a member cannot be merged into itself, or into one that is merged into it"));
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.merged_into = Some(into);
        }
        Ok(())
    }

    /// Says that a member is somebody again.
    ///
    /// # Errors
    /// When there is no such member.
    pub fn unmerge(&mut self, id: i64) -> Result<(), RosterError> {
        self.member(id)?;
        if let Some(member) = self.members.get_mut(&id) {
            member.merged_into = None;
        }
        Ok(())
    }

    /// Adds a team; gives its number.
    ///
    /// # Errors
    /// When the name is empty or another team's.
    pub fn add_team(&mut self, name: &str) -> Result<i64, RosterError> {
        if self.teams.len() >= MOST_TEAMS {
            return Err(no(format!("there are {MOST_TEAMS} teams already")));
        }
        let name = checked(name)?;
        if self.teams.values().any(|team| team.name == name) {
            return Err(no(format!("there is a team {name} already")));
        }
        self.last += 1;
        self.teams.insert(self.last, Team { name, people: Vec::new() });
        Ok(self.last)
    }

    /// Takes a team away; its people stay members.
    ///
    /// # Errors
    /// When there is no such team.
    pub fn delete_team(&mut self, id: i64) -> Result<(), RosterError> {
        self.teams.remove(&id).map(drop).ok_or_else(|| no("there is no such team"))
    }

    /// Puts somebody into a team for some time. The same once more changes nothing.
    ///
    /// # Errors
    /// When one of them is not there, the time has no day, or overlaps with another.
    pub fn enrol(&mut self, team: i64, enrolment: Enrolment) -> Result<(), RosterError> {
        let name = self.member(enrolment.member)?.name.clone();
        let team = self.teams.get_mut(&team).ok_or_else(|| no("there is no such team"))?;
        if enrolment.from.zip(enrolment.to).is_some_and(|(from, to)| from >= to) {
            return Err(no("from must lie before to, which is the first day that is no longer one"));
        }
        if team.people.contains(&enrolment) {
            return Ok(());
        }
        if team.people.iter().any(|other| other.overlaps(&enrolment)) {
            return Err(no(format!("{name} is in the team at that time already: take that away first")));
        }
        if team.people.len() >= MOST_EACH {
            return Err(no(format!("a team has at most {MOST_EACH} people")));
        }
        team.people.push(enrolment);
        team.people.sort_unstable();
        Ok(())
    }

    /// Takes somebody out of a team, as if they had never been in it.
    ///
    /// # Errors
    /// When there is no such team, or they are not in it.
    pub fn leave(&mut self, team: i64, member: i64) -> Result<(), RosterError> {
        let team = self.teams.get_mut(&team).ok_or_else(|| no("there is no such team"))?;
        let before = team.people.len();
        team.people.retain(|enrolment| enrolment.member != member);
        if team.people.len() == before { Err(no("they are not in the team")) } else { Ok(()) }
    }

    /// Says something of an identity, or takes it back.
    ///
    /// # Errors
    /// When there are too many.
    pub fn mark(&mut self, handle: Handle, mark: Option<Mark>) -> Result<(), RosterError> {
        match mark {
            None => drop(self.marks.remove(&handle)),
            Some(_) if self.marks.len() >= MOST_MARKS && !self.marks.contains_key(&handle) => {
                return Err(no(format!("there are {MOST_MARKS} marks already")));
            }
            Some(mark) => drop(self.marks.insert(handle, mark)),
        }
        Ok(())
    }

    fn member(&self, id: i64) -> Result<&Member, RosterError> {
        self.members.get(&id).ok_or_else(|| no("there is no such member"))
    }

    /// Who a member is in the end.
    #[must_use]
    pub fn root(&self, id: i64) -> i64 {
        let mut at = id;
        // It goes in no circle, but a roster may have been written by hand.
        for _ in 0..self.members.len() {
            match self.members.get(&at).and_then(|member| member.merged_into) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// A handle is one member's only.
    fn check_handles(&self, id: i64, handles: &BTreeSet<Handle>) -> Result<(), RosterError> {
        if handles.len() > MOST_EACH {
            return Err(no(format!("a member has at most {MOST_EACH} handles")));
        }
        for (other, member) in self.members.iter().filter(|(other, _)| **other != id) {
            if let Some(taken) = member.handles.intersection(handles).next() {
                let (taken, name) = (String::from(taken.clone()), &member.name);
                return Err(no(format!(
                    "{taken} is {name}'s (member {other}): take it away there first, or merge the two"
                )));
            }
        }
        Ok(())
    }
}

fn checked(name: &str) -> Result<String, RosterError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST || name.contains(char::is_control) {
        return Err(no(format!("a name has 1 to {LONGEST} letters, on one line")));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests;
