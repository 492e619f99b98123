//! Who may be seen: numbers of small groups, names in answers, and people who are to be forgotten. Facts keep what was done, and lose
//! who did it.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Fact;
use super::commits::Author;
use super::people::User;

/// Bytes of a digest that pseudonyms show, which makes two alike one in four thousand million.
const SHOWN: usize = 4;
/// What stands for whom nobody knows any more.
const ERASED: &str = "erased";

/// What people decided about privacy. The salt makes digests that nobody can guess names from.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Privacy {
    /// Numbers of fewer people are not shown; 0 and 1 show everybody.
    pub min_group: u32,
    /// Names in answers are replaced by pseudonyms.
    pub pseudonyms: bool,
    salt: String,
    /// Digests of addresses of people who were erased.
    erased_emails: BTreeSet<String>,
    /// Numbers of accounts of people who were erased.
    erased_users: BTreeSet<i64>,
    /// Digests of usernames of people who were erased, whose numbers nobody knew.
    #[serde(default)]
    erased_usernames: BTreeSet<String>,
    /// Days for which facts of a project are kept, by its number in events.
    pub kept_days: BTreeMap<i64, u32>,
}

impl Privacy {
    /// Nothing is decided, with a salt of its own.
    #[must_use]
    pub fn new(salt: [u8; 32]) -> Self {
        Self { salt: hex::encode(salt), ..Self::default() }
    }

    /// Whether somebody has decided something: from then on, digests are always the same.
    #[must_use]
    pub const fn has_salt(&self) -> bool {
        !self.salt.is_empty()
    }

    /// What stands for somebody in answers: always the same.
    #[must_use]
    pub fn pseudonym(&self, of: &str) -> String {
        format!("person {}", &self.digest(&["pseudonym", of])[..SHOWN * 2])
    }

    /// Whether somebody is to be forgotten.
    #[must_use]
    pub fn forgets(&self) -> bool {
        !(self.erased_emails.is_empty() && self.erased_users.is_empty() && self.erased_usernames.is_empty())
    }

    /// Has an address forgotten.
    pub fn erase_email(&mut self, email: &str) {
        let digest = self.digest(&["email", &email.trim().to_lowercase()]);
        self.erased_emails.insert(digest);
    }

    /// Has an account forgotten.
    pub fn erase_user(&mut self, id: i64) {
        self.erased_users.insert(id);
    }

    /// Has an account forgotten, by its username.
    pub fn erase_username(&mut self, username: &str) {
        let digest = self.digest(&["username", &username.to_lowercase()]);
        self.erased_usernames.insert(digest);
    }

    fn is_erased_username(&self, username: &str) -> bool {
        !self.erased_usernames.is_empty()
            && self.erased_usernames.contains(&self.digest(&["username", &username.to_lowercase()]))
    }

    /// Whether an address is one that GitLab gives to an account that is to be forgotten: `77-ida@users.noreply.…`.
    fn is_of_erased(&self, email: &str) -> bool {
        let Some((local, _)) = email.rsplit_once('@').filter(|(_, host)| host.starts_with("users.noreply.")) else {
            return false;
        };
        let (id, name) = local.split_once('-').unwrap_or(("", local));
        match id.parse() {
            Ok(id) => self.erased_users.contains(&id) || self.is_erased_username(name),
            Err(_) => self.is_erased_username(local),
        }
    }

    /// What is left of an author who is to be forgotten; nothing for others.
    #[must_use]
    pub fn left_of(&self, author: &Author) -> Option<Author> {
        if !self.forgets() || author.email.is_empty() {
            return None;
        }
        if !self.erased_emails.contains(&self.digest(&["email", &author.email])) && !self.is_of_erased(&author.email) {
            return None;
        }
        let digest = self.digest(&["author", &author.email, &author.name]);
        Some(Author { email: String::new(), name: format!("{ERASED} {}", &digest[..SHOWN * 2]) })
    }

    /// What is left of an account that is to be forgotten; nothing for others, and where nothing is left to be taken.
    #[must_use]
    pub fn left_of_user(&self, user: &User) -> Option<User> {
        let left = || User { username: format!("{ERASED}-{}", user.id), name: ERASED.to_owned(), ..user.clone() };
        let is_erased = self.erased_users.contains(&user.id) || self.is_erased_username(&user.username);
        is_erased.then(left).filter(|left| left != user)
    }

    /// Takes out of facts who is to be forgotten.
    pub fn apply(&self, facts: &mut [Fact]) {
        if !self.forgets() {
            return;
        }
        for fact in facts {
            match fact {
                Fact::Commit(commit) => {
                    if let Some(left) = self.left_of(&commit.told.author) {
                        commit.told.author = left;
                    }
                }
                Fact::User(user) => {
                    if let Some(left) = self.left_of_user(user) {
                        *user = left;
                    }
                }
                _ => {}
            }
        }
    }

    fn digest(&self, parts: &[&str]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.salt.as_bytes()).expect("HMAC takes keys of any length");
        for part in parts {
            // Lengths first: no two lists of parts may run into the same bytes.
            mac.update(&u64::try_from(part.len()).expect("a length fits 64 bits").to_be_bytes());
            mac.update(part.as_bytes());
        }
        hex::encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(email: &str, name: &str) -> Author {
        Author { email: email.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn whoever_is_erased_leaves_something_that_is_always_the_same_and_tells_nothing() {
        let mut privacy = Privacy::new([7; 32]);
        assert_eq!(privacy.left_of(&author("ida@x.example", "Ida")), None);
        privacy.erase_email(" Ida@X.example");
        let left = privacy.left_of(&author("ida@x.example", "Ida")).expect("something");
        assert_eq!(privacy.left_of(&author("ida@x.example", "Ida")), Some(left.clone()));
        assert_ne!(privacy.left_of(&author("ida@x.example", "I. B.")), Some(left.clone()), "spellings stay apart");
        assert!(left.email.is_empty() && left.name.starts_with("erased ") && !left.name.contains("Ida"));
        assert_eq!(privacy.left_of(&left), None, "once is enough");
        assert_eq!(privacy.left_of(&author("jo@x.example", "Jo")), None);
        // GitLab's private addresses name accounts.
        privacy.erase_user(77);
        privacy.erase_username("Ida");
        for email in ["77-old@users.noreply.x.example", "ida@users.noreply.x.example", "5-ida@users.noreply.x.example"]
        {
            assert!(privacy.left_of(&author(email, "I.")).is_some(), "{email}");
        }
        assert_eq!(privacy.left_of(&author("7-jo@users.noreply.x.example", "Jo")), None);
        let written = serde_json::to_string(&privacy).expect("JSON");
        assert!(!written.contains("ida") && !written.contains("Ida"), "nor does the list name anybody: {written}");
        assert_ne!(Privacy::new([8; 32]).pseudonym("Ida"), privacy.pseudonym("Ida"), "each installation has its own");
        assert_eq!(privacy.pseudonym("Ida"), privacy.pseudonym("Ida"));
    }
}
