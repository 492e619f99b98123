//! Finds the members behind the identities in events.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Handle, Mark, Roster};
use crate::commits::Author;
use crate::entity::number;
use crate::people::{User, is_bot, is_bot_name};

/// Names that many people use, so they identify nobody.
const NOBODY: [&str; 5] = ["root", "admin", "administrator", "unknown", "(no author)"];

/// The owner of an identity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// A member that is not merged into another one.
    Member(i64),

    /// A bot.
    Bot,

    /// An identity with the mark "ignored".
    Ignored,

    /// No known member.
    Unmatched,
}

/// The author of a commit, as far as commits distinguish people.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Contributor {
    /// A member.
    Member(i64),

    /// The account in a private address of GitLab.
    Account(i64),

    /// The owner of an e-mail address, with any name.
    Address(String),

    /// A name without an address, in lower case.
    Name(String),
}

impl Contributor {
    /// A number that identifies the person. Members have negative numbers.
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

/// A member who may own an unmatched identity. Suggestions are never applied automatically.
#[derive(Clone, PartialEq, Debug)]
pub struct Suggestion {
    /// The suggested member.
    pub member: i64,

    /// The reason, as shown to users.
    pub reason: &'static str,

    /// Likelihood from 0 to 1.
    pub score: f64,
}

/// The name and address that replace others, if they differ.
type Mapped = (Option<String>, Option<String>);

/// A roster with indexes for look-ups.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    members: HashMap<Handle, i64>,
    marks: BTreeMap<Handle, Mark>,

    /// By address and, if the line has one, name. Both are in lower case.
    mailmap: HashMap<(String, Option<String>), Mapped>,
    usernames: HashMap<i64, String>,

    /// Accounts that are bots by their username or display name.
    bots: HashSet<i64>,
    ids: HashMap<String, i64>,

    /// Members by name. Only names of two or more words count. None if several members have the name.
    by_name: HashMap<String, Option<i64>>,

    /// Accounts by name. None if several accounts have the name.
    accounts: HashMap<String, Option<i64>>,
}

impl Resolver {
    /// Builds the indexes from a roster and the accounts in events.
    #[must_use]
    pub fn new(roster: &Roster, users: &[User]) -> Self {
        let mut resolver = Self {
            marks: roster.marks.clone(),
            ..Self::default()
        };

        for (id, member) in &roster.members {
            let root = roster.root(*id);
            resolver
                .members
                .extend(member.handles.iter().map(|handle| (handle.clone(), root)));

            let name = member.name.to_lowercase();
            if name.split_whitespace().count() > 1 && !NOBODY.contains(&name.as_str()) {
                add_unique(&mut resolver.by_name, name, root);
            }
        }

        // A username can change its owner. The latest owner wins.
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
                add_unique(&mut resolver.accounts, name, user.id);
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

    /// Replaces the name and address of a commit as `.mailmap` says. A line that contains the name wins over one
    /// without.
    #[must_use]
    pub fn mapped(&self, author: &Author) -> Author {
        let email = author.email.trim().to_lowercase();
        let by_pair = self
            .mailmap
            .get(&(email.clone(), Some(author.name.trim().to_lowercase())));
        let (name, mapped) = by_pair
            .or_else(|| self.mailmap.get(&(email.clone(), None)))
            .cloned()
            .unwrap_or_default();

        Author {
            name: name.unwrap_or_else(|| author.name.clone()),
            email: mapped.map_or(email, |email| email.trim().to_lowercase()),
        }
    }

    /// The author of a commit. It tries marks, `.mailmap`, addresses of members and GitLab's private addresses, and
    /// then checks for a bot.
    #[must_use]
    pub fn author(&self, author: &Author) -> Who {
        let mapped = self.mapped(author);
        let mark = [&author.email, &mapped.email]
            .into_iter()
            .find_map(|email| self.mark(Handle::Email(email.clone())));
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

        if is_program && mark.is_none() {
            Who::Bot
        } else {
            Who::Unmatched
        }
    }

    /// The author of a commit: a member, the account in a private address, or the owner of the address. Names vary in
    /// spelling, so they only count without an address.
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

        let Some((local, host)) = address
            .rsplit_once('@')
            .filter(|(_, host)| host.starts_with("users.noreply."))
        else {
            return Contributor::Address(address);
        };

        // GitHub's private addresses have the form `77+ida@…` with ids of GitHub's accounts.
        if let Some((number, _)) = local.split_once('+') {
            return Contributor::Address(format!("{number}+@{host}"));
        }

        let number = local.split_once('-').and_then(|(number, _)| number.parse().ok());
        match number.or_else(|| self.ids.get(local).copied()) {
            Some(id) => Contributor::Account(id),
            None => Contributor::Address(address),
        }
    }

    /// The owner of an account. The id is checked first, because usernames can change.
    #[must_use]
    pub fn user(&self, id: i64) -> Who {
        let name = self.usernames.get(&id);
        let mark = self
            .mark(Handle::UserId(id))
            .or_else(|| self.mark(Handle::Username(name?.clone())));
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

    /// The owner of a handle.
    #[must_use]
    pub fn handle(&self, handle: &Handle) -> Who {
        match handle {
            Handle::Email(email) => self.author(&Author {
                email: email.clone(),
                name: String::new(),
            }),
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
        let member = || {
            self.members
                .get(&Handle::Username(name))
                .map(|member| Who::Member(*member))
        };
        mark.or_else(member).unwrap_or(Who::Unmatched)
    }

    fn mark(&self, handle: Handle) -> Option<Mark> {
        self.marks.get(&handle).copied()
    }

    /// Suggests members for an unmatched author, likeliest first.
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

        let member_of = |id: i64| {
            if let Who::Member(member) = self.user(id) {
                Some(member)
            } else {
                None
            }
        };

        add(
            self.by_name.get(&name).copied().flatten(),
            "a member has this name",
            0.8,
        );

        add(
            self.accounts.get(&name).copied().flatten().and_then(member_of),
            "only one account has this name, and it belongs to this member",
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

/// Adds a name. None marks a name with several owners.
fn add_unique(all: &mut HashMap<String, Option<i64>>, name: String, id: i64) {
    all.entry(name)
        .and_modify(|known| *known = known.filter(|known| *known == id))
        .or_insert(Some(id));
}
