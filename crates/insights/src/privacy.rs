//! Privacy: numbers of small groups, names in answers, and erased people. Facts keep the work of an erased person and
//! lose the name.

use std::collections::{BTreeMap, BTreeSet};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::Fact;
use super::commits::Author;
use super::people::User;

/// Number of bytes of a digest in pseudonyms. Two people get the same one with a probability of 1 in 4,000 million.
const SHOWN: usize = 4;
/// The name of an erased person.
const ERASED: &str = "erased";

/// The privacy settings of an installation. The salt prevents guessing names from digests.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Privacy {
    /// Minimum size of a group whose numbers are shown. 0 and 1 show all.
    pub min_group: u32,

    /// True if answers contain pseudonyms instead of names.
    pub pseudonyms: bool,
    salt: String,

    /// Digests of the e-mail addresses of erased people.
    erased_emails: BTreeSet<String>,

    /// Ids of the accounts of erased people.
    erased_users: BTreeSet<i64>,

    /// Digests of the usernames of erased people whose ids were unknown.
    #[serde(default)]
    erased_usernames: BTreeSet<String>,

    /// Number of days for which facts are kept, by the project's id in events.
    pub kept_days: BTreeMap<i64, u32>,
}

impl Privacy {
    /// Default settings with a new salt.
    #[must_use]
    pub fn new(salt: [u8; 32]) -> Self {
        Self {
            salt: hex::encode(salt),
            ..Self::default()
        }
    }

    /// True if settings were changed. From then on, the salt must not change.
    #[must_use]
    pub const fn has_salt(&self) -> bool {
        !self.salt.is_empty()
    }

    /// The pseudonym of a person. It never changes.
    #[must_use]
    pub fn pseudonym(&self, of: &str) -> String {
        format!("person {}", &self.digest(&["pseudonym", of])[..SHOWN * 2])
    }

    /// True if there are erased people.
    #[must_use]
    pub fn forgets(&self) -> bool {
        !(self.erased_emails.is_empty() && self.erased_users.is_empty() && self.erased_usernames.is_empty())
    }

    /// Erases the person with this address.
    pub fn erase_email(&mut self, email: &str) {
        let digest = self.digest(&["email", &email.trim().to_lowercase()]);
        self.erased_emails.insert(digest);
    }

    /// Erases the account with this id.
    pub fn erase_user(&mut self, id: i64) {
        self.erased_users.insert(id);
    }

    /// Erases the account with this username.
    pub fn erase_username(&mut self, username: &str) {
        let digest = self.digest(&["username", &username.to_lowercase()]);
        self.erased_usernames.insert(digest);
    }

    fn is_erased_username(&self, username: &str) -> bool {
        !self.erased_usernames.is_empty()
            && self
                .erased_usernames
                .contains(&self.digest(&["username", &username.to_lowercase()]))
    }

    /// True for a private address of GitLab that belongs to an erased account, such as `77-ida@users.noreply.…`.
    fn is_of_erased(&self, email: &str) -> bool {
        let Some((local, _)) = email
            .rsplit_once('@')
            .filter(|(_, host)| host.starts_with("users.noreply."))
        else {
            return false;
        };

        let (id, name) = local.split_once('-').unwrap_or(("", local));
        match id.parse() {
            Ok(id) => self.erased_users.contains(&id) || self.is_erased_username(name),
            Err(_) => self.is_erased_username(local),
        }
    }

    /// The replacement for an erased author. None for other authors.
    #[must_use]
    pub fn replacement_of(&self, author: &Author) -> Option<Author> {
        if !self.forgets() || author.email.is_empty() {
            return None;
        }

        if !self.erased_emails.contains(&self.digest(&["email", &author.email])) && !self.is_of_erased(&author.email) {
            return None;
        }

        let digest = self.digest(&["author", &author.email, &author.name]);
        Some(Author {
            email: String::new(),
            name: format!("{ERASED} {}", &digest[..SHOWN * 2]),
        })
    }

    /// The replacement for an erased account. None for other accounts, and if the account is already replaced.
    #[must_use]
    pub fn replacement_of_user(&self, user: &User) -> Option<User> {
        let left = || User {
            username: format!("{ERASED}-{}", user.id),
            name: ERASED.to_owned(),
            ..user.clone()
        };

        let is_erased = self.erased_users.contains(&user.id) || self.is_erased_username(&user.username);
        is_erased.then(left).filter(|left| left != user)
    }

    /// Replaces erased people in facts.
    pub fn apply(&self, facts: &mut [Fact]) {
        if !self.forgets() {
            return;
        }

        for fact in facts {
            match fact {
                Fact::Commit(commit) => {
                    if let Some(left) = self.replacement_of(&commit.details.author) {
                        commit.details.author = left;
                    }
                }
                Fact::User(user) => {
                    if let Some(left) = self.replacement_of_user(user) {
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
            // Each part is preceded by its length, so that different parts cannot give the same bytes.
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
        Author {
            email: email.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn an_erased_person_has_one_replacement_without_a_name() {
        let mut privacy = Privacy::new([7; 32]);
        assert_eq!(privacy.replacement_of(&author("ida@x.example", "Ida")), None);
        privacy.erase_email(" Ida@X.example");

        let left = privacy
            .replacement_of(&author("ida@x.example", "Ida"))
            .expect("something");
        assert_eq!(
            privacy.replacement_of(&author("ida@x.example", "Ida")),
            Some(left.clone())
        );

        assert_ne!(
            privacy.replacement_of(&author("ida@x.example", "I. B.")),
            Some(left.clone()),
            "another spelling has another replacement"
        );

        assert!(left.email.is_empty() && left.name.starts_with("erased ") && !left.name.contains("Ida"));
        assert_eq!(privacy.replacement_of(&left), None, "the replacement is not replaced");
        assert_eq!(privacy.replacement_of(&author("jo@x.example", "Jo")), None);

        // GitLab's private addresses contain the id of the account.
        privacy.erase_user(77);
        privacy.erase_username("Ida");

        for email in [
            "77-old@users.noreply.x.example",
            "ida@users.noreply.x.example",
            "5-ida@users.noreply.x.example",
        ] {
            assert!(privacy.replacement_of(&author(email, "I.")).is_some(), "{email}");
        }

        assert_eq!(
            privacy.replacement_of(&author("7-jo@users.noreply.x.example", "Jo")),
            None
        );

        let written = serde_json::to_string(&privacy).expect("JSON");
        assert!(
            !written.contains("ida") && !written.contains("Ida"),
            "the settings contain no names: {written}"
        );

        assert_ne!(
            Privacy::new([8; 32]).pseudonym("Ida"),
            privacy.pseudonym("Ida"),
            "each installation has its own"
        );

        assert_eq!(privacy.pseudonym("Ida"), privacy.pseudonym("Ida"));
    }
}
