//! The roster: members with their addresses and accounts, teams with dates, and marks on identities.
//!
//! Facts never contain a member. The roster is applied when numbers are read. A change therefore takes effect at once,
//! can be undone, and needs no rebuild.

mod imports;
mod resolver;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use imports::{Imported, LineError};
pub use resolver::{Contributor, Resolver, Suggestion, Who};

/// Maximum number of members.
const MAX_MEMBERS: usize = 20_000;
/// Maximum number of teams.
const MAX_TEAMS: usize = 2_000;
/// Maximum number of handles of a member, and of people in a team.
const MAX_PER_ENTRY: usize = 1_000;
/// Maximum number of marks.
const MAX_MARKS: usize = 20_000;
/// Maximum length of a name, in characters.
const LONGEST: usize = 255;

/// Members, teams and marks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Roster {
    /// Members by their ids.
    members: BTreeMap<i64, Member>,

    /// Teams by their ids.
    teams: BTreeMap<i64, Team>,

    /// Marks that people set on identities.
    marks: BTreeMap<Handle, Mark>,

    /// The imported `.mailmap`.
    mailmap: String,

    /// The last id that was used.
    last: i64,
}

/// A person.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Member {
    /// Display name.
    pub name: String,

    /// Accounts and addresses.
    pub handles: BTreeSet<Handle>,

    /// The member that this one was merged into. Its handles count for that member until they are unmerged.
    pub merged_into: Option<i64>,
}

/// A team.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Team {
    /// Display name.
    pub name: String,

    /// People of the team, with their times.
    pub people: Vec<Enrolment>,
}

/// The membership of a person in a team.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Enrolment {
    /// Id of the member.
    pub member: i64,

    /// First day. None for no start.
    pub from: Option<Date>,

    /// The day after the last day. None for no end.
    pub to: Option<Date>,
}

/// An identity by which events know a person. Texts have the forms `ida@example.com`, `@ida` and `#77`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Handle {
    /// E-mail address of commits, in lower case.
    Email(String),

    /// Username in GitLab, in lower case.
    Username(String),

    /// User id in GitLab.
    UserId(i64),
}

/// A note on an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The identity is a bot.
    Bot,

    /// The identity is a person, although the name looks like a bot's.
    Person,

    /// The identity counts for no member, and is not listed as unmatched.
    Ignored,
}

/// The reason for which a change of the roster is refused, with the correct form.
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
            return number
                .map(Self::UserId)
                .ok_or_else(|| no(format!("{text} is not a user id such as #77")));
        }

        match text.strip_prefix('@') {
            Some(name) if is_plain(name) && !name.contains('@') => Ok(Self::Username(name.to_lowercase())),
            None if is_plain(text) && text.contains('@') => Ok(Self::Email(text.to_lowercase())),
            _ => Err(no(format!(
                "{text:?} is not a handle; write an address as ida@example.com, a username as @ida, a user id as #77"
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
    /// Members by their ids.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<i64, Member> {
        &self.members
    }

    /// Teams by their ids.
    #[must_use]
    pub const fn teams(&self) -> &BTreeMap<i64, Team> {
        &self.teams
    }

    /// Marks that people set on identities.
    #[must_use]
    pub const fn marks(&self) -> &BTreeMap<Handle, Mark> {
        &self.marks
    }

    /// The imported `.mailmap`.
    #[must_use]
    pub fn mailmap(&self) -> &str {
        &self.mailmap
    }

    /// Adds a member and returns its id.
    ///
    /// # Errors
    /// When the name is empty, or a handle belongs to another member.
    pub fn add_member(&mut self, name: &str, handles: BTreeSet<Handle>) -> Result<i64, RosterError> {
        if self.members.len() >= MAX_MEMBERS {
            return Err(no(format!("there are {MAX_MEMBERS} members already")));
        }

        let member = Member {
            name: checked(name)?,
            handles,
            merged_into: None,
        };
        self.check_handles(0, &member.handles)?;
        self.last += 1;
        self.members.insert(self.last, member);

        Ok(self.last)
    }

    /// Replaces the given properties of a member.
    ///
    /// # Errors
    /// As [`Roster::add_member`], or when the member does not exist.
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

    /// Deletes a member, also from teams. Members that were merged into it become separate again.
    ///
    /// # Errors
    /// When the member does not exist.
    pub fn delete_member(&mut self, id: i64) -> Result<(), RosterError> {
        self.member(id)?;
        self.members.remove(&id);

        for member in self
            .members
            .values_mut()
            .filter(|member| member.merged_into == Some(id))
        {
            member.merged_into = None;
        }

        for team in self.teams.values_mut() {
            team.people.retain(|enrolment| enrolment.member != id);
        }

        Ok(())
    }

    /// Removes a handle from the whole roster.
    pub fn forget(&mut self, handle: &Handle) {
        let mut nobody = Vec::new();
        for (id, member) in &mut self.members {
            if member.handles.remove(handle) && member.handles.is_empty() {
                nobody.push(*id);
            }
        }

        // Members with no handle left are deleted too.
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

    /// Merges a member into another one. Both keep their data, so the merge can be undone.
    ///
    /// # Errors
    /// When one of them does not exist, or the merge would form a circle.
    pub fn merge(&mut self, id: i64, into: i64) -> Result<(), RosterError> {
        self.member(id)?;
        self.member(into)?;

        let mut at = Some(into);
        while let Some(other) = at.filter(|other| *other != id) {
            at = self.members.get(&other).and_then(|member| member.merged_into);
        }

        if at.is_some() {
            return Err(no(
                "a member cannot be merged into itself, or into a member that is merged into it",
            ));
        }

        if let Some(member) = self.members.get_mut(&id) {
            member.merged_into = Some(into);
        }

        Ok(())
    }

    /// Undoes the merge of a member.
    ///
    /// # Errors
    /// When the member does not exist.
    pub fn unmerge(&mut self, id: i64) -> Result<(), RosterError> {
        self.member(id)?;
        if let Some(member) = self.members.get_mut(&id) {
            member.merged_into = None;
        }

        Ok(())
    }

    /// Adds a team and returns its id.
    ///
    /// # Errors
    /// When the name is empty or belongs to another team.
    pub fn add_team(&mut self, name: &str) -> Result<i64, RosterError> {
        if self.teams.len() >= MAX_TEAMS {
            return Err(no(format!("there are {MAX_TEAMS} teams already")));
        }

        let name = checked(name)?;
        if self.teams.values().any(|team| team.name == name) {
            return Err(no(format!("a team named {name} exists already")));
        }

        self.last += 1;
        self.teams.insert(
            self.last,
            Team {
                name,
                people: Vec::new(),
            },
        );

        Ok(self.last)
    }

    /// Deletes a team. Its people remain members.
    ///
    /// # Errors
    /// When the team does not exist.
    pub fn delete_team(&mut self, id: i64) -> Result<(), RosterError> {
        self.teams
            .remove(&id)
            .map(drop)
            .ok_or_else(|| no("there is no such team"))
    }

    /// Adds a member to a team for a time. Repeating the call changes nothing.
    ///
    /// # Errors
    /// When the team or member does not exist, or when the time is empty or overlaps another one.
    pub fn enrol(&mut self, team: i64, enrolment: Enrolment) -> Result<(), RosterError> {
        let name = self.member(enrolment.member)?.name.clone();
        let team = self.teams.get_mut(&team).ok_or_else(|| no("there is no such team"))?;

        if enrolment.from.zip(enrolment.to).is_some_and(|(from, to)| from >= to) {
            return Err(no("from must be before to; to is the day after the last day"));
        }

        if team.people.contains(&enrolment) {
            return Ok(());
        }

        if team.people.iter().any(|other| other.overlaps(&enrolment)) {
            return Err(no(format!(
                "{name} is already in the team at that time; remove that membership first"
            )));
        }

        if team.people.len() >= MAX_PER_ENTRY {
            return Err(no(format!("a team has at most {MAX_PER_ENTRY} people")));
        }

        team.people.push(enrolment);
        team.people.sort_unstable();
        Ok(())
    }

    /// Removes all memberships of a member in a team.
    ///
    /// # Errors
    /// When the team does not exist, or the member is not in it.
    pub fn leave(&mut self, team: i64, member: i64) -> Result<(), RosterError> {
        let team = self.teams.get_mut(&team).ok_or_else(|| no("there is no such team"))?;
        let before = team.people.len();
        team.people.retain(|enrolment| enrolment.member != member);

        if team.people.len() == before {
            Err(no("the member is not in the team"))
        } else {
            Ok(())
        }
    }

    /// Sets or removes the mark of an identity.
    ///
    /// # Errors
    /// When there are too many marks.
    pub fn mark(&mut self, handle: Handle, mark: Option<Mark>) -> Result<(), RosterError> {
        match mark {
            None => drop(self.marks.remove(&handle)),
            Some(_) if self.marks.len() >= MAX_MARKS && !self.marks.contains_key(&handle) => {
                return Err(no(format!("there are {MAX_MARKS} marks already")));
            }
            Some(mark) => drop(self.marks.insert(handle, mark)),
        }

        Ok(())
    }

    fn member(&self, id: i64) -> Result<&Member, RosterError> {
        self.members.get(&id).ok_or_else(|| no("there is no such member"))
    }

    /// The member that this one is finally merged into.
    #[must_use]
    pub fn root(&self, id: i64) -> i64 {
        let mut at = id;

        // Merges form no circle, but the stored roster may have been edited outside of Quickdraw.
        for _ in 0..self.members.len() {
            match self.members.get(&at).and_then(|member| member.merged_into) {
                Some(next) => at = next,
                None => break,
            }
        }

        at
    }

    /// Checks that the handles belong to no other member.
    fn check_handles(&self, id: i64, handles: &BTreeSet<Handle>) -> Result<(), RosterError> {
        if handles.len() > MAX_PER_ENTRY {
            return Err(no(format!("a member has at most {MAX_PER_ENTRY} handles")));
        }

        for (other, member) in self.members.iter().filter(|(other, _)| **other != id) {
            if let Some(taken) = member.handles.intersection(handles).next() {
                let (taken, name) = (String::from(taken.clone()), &member.name);
                return Err(no(format!(
                    "{taken} belongs to {name} (member {other}); remove it there first, or merge both members"
                )));
            }
        }

        Ok(())
    }
}

fn checked(name: &str) -> Result<String, RosterError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST || name.contains(char::is_control) {
        return Err(no(format!("a name has 1 to {LONGEST} characters, on one line")));
    }

    Ok(name.to_owned())
}

#[cfg(test)]
mod tests;
