//! From identities in events to members.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Handle, Mark, Roster};
use crate::commits::Author;
use crate::entity::number;
use crate::people::{User, is_bot, is_bot_name};

/// Names that nobody is known by.
const NOBODY: [&str; 5] = ["root", "admin", "administrator", "unknown", "(no author)"];

/// Who an identity is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// A member, who is not merged into another.
    Member(i64),
    /// A program.
    Bot,
    /// Somebody said that it does not matter.
    Ignored,
    /// Nobody that is known.
    Unmatched,
}

/// The person who wrote a commit, as far as commits tell people apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Contributor {
    /// A member.
    Member(i64),
    /// An account that a private address names.
    Account(i64),
    /// The owner of an address, however the name is spelled.
    Address(String),
    /// A name without an address, in small letters.
    Name(String),
}

impl Contributor {
    /// A number that stands for the person; of members, theirs below zero.
    #[must_use]
    pub fn number(&self) -> i64 {
        match self {
            Self::Member(member) => -member,
            Self::Account(id) => number(&["account", &id.to_string()]),
            Self::Address(address) => number(&["address", address]),
            Self::Name(name) => number(&["name", name]),
        }
    }
}

/// Who an unmatched identity may be. It is never taken for granted.
#[derive(Clone, PartialEq, Debug)]
pub struct Suggestion {
    /// The member.
    pub member: i64,
    /// Why.
    pub reason: &'static str,
    /// How likely, from 0 to 1.
    pub score: f64,
}

/// The name and address in place of others, where they differ.
type Mapped = (Option<String>, Option<String>);

/// A roster made ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    members: HashMap<Handle, i64>,
    marks: BTreeMap<Handle, Mark>,
    /// By address, and name where the line has one, both in small letters.
    mailmap: HashMap<(String, Option<String>), Mapped>,
    usernames: HashMap<i64, String>,
    /// Accounts that are programs by their username or their display name.
    bots: HashSet<i64>,
    ids: HashMap<String, i64>,
    /// Members by names of at least two words, where one alone has it.
    by_name: HashMap<String, Option<i64>>,
    /// Accounts likewise, by any name.
    accounts: HashMap<String, Option<i64>>,
}

impl Resolver {
    /// Of a roster, and the accounts that events named.
    #[must_use]
    pub fn new(roster: &Roster, users: &[User]) -> Self {
        let mut resolver = Self { marks: roster.marks.clone(), ..Self::default() };
        for (id, member) in &roster.members {
            let root = roster.root(*id);
            resolver.members.extend(member.handles.iter().map(|handle| (handle.clone(), root)));
            let name = member.name.to_lowercase();
            if name.split_whitespace().count() > 1 && !NOBODY.contains(&name.as_str()) {
                only(&mut resolver.by_name, name, root);
            }
        }
        // A username that was somebody else's before is its last owner's.
        let mut users: Vec<&User> = users.iter().collect();
        users.sort_unstable_by_key(|user| (user.seen_at, user.id));
        for user in users {
            let username = user.username.to_lowercase();
            if is_bot(&username) || is_bot_name(&user.name) {
                resolver.bots.insert(user.id);
            } else {
                resolver.bots.remove(&user.id);
            }
            resolver.ids.insert(username.clone(), user.id);
            resolver.usernames.insert(user.id, username);
            let name = user.name.to_lowercase();
            if !name.is_empty() && !NOBODY.contains(&name.as_str()) {
                only(&mut resolver.accounts, name, user.id);
            }
        }
        for entry in gix_mailmap::Snapshot::from_bytes(roster.mailmap.as_bytes()).iter() {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let email = String::from_utf8_lossy(entry.old_email()).to_lowercase();
            let name = text(entry.old_name().map(|name| -> &[u8] { name })).map(|name| name.to_lowercase());
            let new = (
                text(entry.new_name().map(|name| -> &[u8] { name })),
                text(entry.new_email().map(|email| -> &[u8] { email })),
            );
            resolver.mailmap.insert((email, name), new);
        }
        resolver
    }

    /// The name and address that a `.mailmap` has in place of those of a commit. A line with a name comes before one without.
    #[must_use]
    pub fn mapped(&self, author: &Author) -> Author {
        let email = author.email.trim().to_lowercase();
        let by_pair = self.mailmap.get(&(email.clone(), Some(author.name.trim().to_lowercase())));
        let (name, mapped) = by_pair.or_else(|| self.mailmap.get(&(email.clone(), None))).cloned().unwrap_or_default();
        Author {
            name: name.unwrap_or_else(|| author.name.clone()),
            email: mapped.map_or(email, |email| email.trim().to_lowercase()),
        }
    }

    /// Who wrote a commit: by `.mailmap`, address of a member, GitLab's private address, and then whether it is a bot.
    #[must_use]
    pub fn author(&self, author: &Author) -> Who {
        let mapped = self.mapped(author);
        let mark = [&author.email, &mapped.email].into_iter().find_map(|email| self.mark(Handle::Email(email.clone())));
        if let Some(who) = mark.and_then(known) {
            return who;
        }
        if let Some(member) = self.members.get(&Handle::Email(mapped.email.clone())) {
            return Who::Member(*member);
        }
        let (local, host) = mapped.email.rsplit_once('@').unwrap_or((&mapped.email, ""));
        let host = host.to_ascii_lowercase();
        if host.starts_with("users.noreply.") {
            let private = match local.split_once('-').map(|(id, name)| (id.parse::<i64>(), name)) {
                Some((Ok(id), name)) => match self.user(id) {
                    Who::Unmatched => self.username(name),
                    who => who,
                },
                _ => self.username(local),
            };
            if private != Who::Unmatched {
                return private;
            }
        }
        let is_account = host.starts_with("noreply.") || host.starts_with("users.noreply.");
        let is_program = is_bot_name(&mapped.name) || is_bot(&mapped.name) || (is_account && is_bot(local));
        if is_program && mark.is_none() { Who::Bot } else { Who::Unmatched }
    }

    /// The person who wrote a commit: a member, the account that a private address names, or else the owner of the address. Names are spelled
    /// in many ways, so they count only where there is no address.
    #[must_use]
    pub fn contributor(&self, author: &Author) -> Contributor {
        if let Who::Member(member) = self.author(author) {
            return Contributor::Member(member);
        }

        let mapped = self.mapped(author);
        let address = mapped.email;
        if address.is_empty() {
            return Contributor::Name(mapped.name.trim().to_lowercase());
        }
        let Some((local, host)) = address.rsplit_once('@').filter(|(_, host)| host.starts_with("users.noreply."))
        else {
            return Contributor::Address(address);
        };

        // GitHub's are as `77+ida@…`, and its numbers are of its own accounts.
        if let Some((number, _)) = local.split_once('+') {
            return Contributor::Address(format!("{number}+@{host}"));
        }
        let number = local.split_once('-').and_then(|(number, _)| number.parse().ok());
        match number.or_else(|| self.ids.get(local).copied()) {
            Some(id) => Contributor::Account(id),
            None => Contributor::Address(address),
        }
    }

    /// Who an account is: by its number first, because usernames change.
    #[must_use]
    pub fn user(&self, id: i64) -> Who {
        let name = self.usernames.get(&id);
        let mark = self.mark(Handle::UserId(id)).or_else(|| self.mark(Handle::Username(name?.clone())));
        if let Some(who) = mark.and_then(known) {
            return who;
        }
        let by_name = || self.members.get(&Handle::Username(name?.clone()));
        match self.members.get(&Handle::UserId(id)).or_else(by_name) {
            Some(member) => Who::Member(*member),
            None if mark.is_none() && self.bots.contains(&id) => Who::Bot,
            None => Who::Unmatched,
        }
    }

    /// Who a handle is.
    #[must_use]
    pub fn handle(&self, handle: &Handle) -> Who {
        match handle {
            Handle::Email(email) => self.author(&Author { email: email.clone(), name: String::new() }),
            Handle::Username(name) => self.username(name),
            Handle::UserId(id) => self.user(*id),
        }
    }

    fn username(&self, name: &str) -> Who {
        let name = name.to_lowercase();
        if let Some(id) = self.ids.get(&name) {
            return self.user(*id);
        }
        let mark = self.mark(Handle::Username(name.clone())).and_then(known);
        let member = || self.members.get(&Handle::Username(name)).map(|member| Who::Member(*member));
        mark.or_else(member).unwrap_or(Who::Unmatched)
    }

    fn mark(&self, handle: Handle) -> Option<Mark> {
        self.marks.get(&handle).copied()
    }

    /// Who an unmatched author may be, the likeliest first.
    #[must_use]
    pub fn suggestions(&self, author: &Author) -> Vec<Suggestion> {
        let mapped = self.mapped(author);
        let name = mapped.name.trim().to_lowercase();
        let mut found: Vec<Suggestion> = Vec::new();
        let mut add = |member: Option<i64>, reason, score| {
            if let Some(member) = member.filter(|member| !found.iter().any(|known| known.member == *member)) {
                found.push(Suggestion { member, reason, score });
            }
        };
        if NOBODY.contains(&name.as_str()) {
            return Vec::new();
        }
        let member_of = |id: i64| if let Who::Member(member) = self.user(id) { Some(member) } else { None };
        add(self.by_name.get(&name).copied().flatten(), "a member has this name", 0.8);
        add(
            self.accounts.get(&name).copied().flatten().and_then(member_of),
            "one account alone has this name, and it is this member's",
            0.7,
        );
        let local = mapped.email.split(['@', '+']).next().unwrap_or_default();
        let by_username = match self.username(local) {
            Who::Member(member) => Some(member),
            _ => None,
        };
        add(by_username, "the address begins with the username of this member", 0.5);
        found
    }
}

const fn known(mark: Mark) -> Option<Who> {
    match mark {
        Mark::Bot => Some(Who::Bot),
        Mark::Ignored => Some(Who::Ignored),
        Mark::Person => None,
    }
}

/// Keeps what one alone has.
fn only(all: &mut HashMap<String, Option<i64>>, name: String, id: i64) {
    all.entry(name).and_modify(|known| *known = known.filter(|known| *known == id)).or_insert(Some(id));
}
