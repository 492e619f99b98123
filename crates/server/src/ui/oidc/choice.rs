//! Decides which user an account at the provider is.

use quickdraw_domain::scope::check_path_segment;
use quickdraw_engine::oidc::Account;
use quickdraw_engine::settings::OidcSection;
use quickdraw_store::access::{NewUser, User};

/// Number of the user to whom the root token belongs.
const FIRST_USER: i64 = 1;
/// Longest username that is made from the name at the provider, in characters.
const LONGEST_USERNAME: usize = 60;
/// Longest displayed name, in characters.
const LONGEST_NAME: usize = 255;

/// The decision about an account.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// The account is a user's already.
    Use(User),

    /// The account becomes that of an existing user.
    Link(User),

    /// The account gets a new user.
    Create(NewUser),

    /// The person cannot sign in, for this reason.
    Refuse(String),
}

/// Decides about an account. `known` is the user who has it already, and `same_email` are the users with the verified
/// address of the account.
pub(super) fn choose(settings: &OidcSection, account: &Account, known: Option<User>, same_email: Vec<User>) -> Choice {
    let is_in = |groups: &[String]| account.groups.iter().any(|group| groups.contains(group));
    if !settings.allowed_groups.is_empty() && !is_in(&settings.allowed_groups) {
        let text = "Your account is in none of the groups that may sign in here. Ask an administrator.";
        return Choice::Refuse(text.to_owned());
    }

    if let Some(user) = known {
        return Choice::Use(user);
    }

    let is_free = same_email.is_empty();
    if settings.link_by_email {
        let mut users = same_email;

        // An address that two users have shows nobody.
        if users.len() == 1
            && let Some(user) = users.pop()
        {
            return Choice::Link(user);
        }
    }

    if !settings.create_users {
        let text = "No user belongs to your account. Ask an administrator to create a user with your e-mail address.";
        return Choice::Refuse(text.to_owned());
    }

    let username = username(account);
    let name = account.name.as_deref().unwrap_or(&username);
    let name = name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME);

    Choice::Create(NewUser {
        name: name.collect(),
        username: username.clone(),
        // An address belongs to one user.
        email: account.verified_email.clone().filter(|_| is_free),
        is_admin: false,
    })
}

/// Decides whether a user becomes an administrator, or ceases to be one. None if nothing changes.
pub(super) fn role(settings: &OidcSection, account: &Account, user: &User) -> Option<bool> {
    if settings.admin_groups.is_empty() || user.id == FIRST_USER {
        return None;
    }

    let is_admin = account.groups.iter().any(|group| settings.admin_groups.contains(group));
    (is_admin != user.is_admin).then_some(is_admin)
}

/// Makes a username from the name at the provider, or from the address.
fn username(account: &Account) -> String {
    let of_email = account
        .verified_email
        .as_deref()
        .and_then(|email| email.split('@').next());
    let wanted = account.username.as_deref().or(of_email).or(account.name.as_deref());

    // Some providers use addresses as names.
    let wanted = wanted.unwrap_or_default().split('@').next().unwrap_or_default();
    let plain = wanted.chars().map(|letter| {
        let is_plain = letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if is_plain { letter } else { '-' }
    });

    let plain: String = plain.take(LONGEST_USERNAME).collect();
    let plain = plain.trim_matches(['.', '-', '_']);

    if check_path_segment(plain).is_ok() {
        plain.to_owned()
    } else {
        "user".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::Timestamp;

    use super::*;

    fn user(id: i64, is_admin: bool) -> User {
        User {
            id,
            username: format!("user{id}"),
            name: "U".to_owned(),
            email: None,
            is_admin,
            created_at: Timestamp::default(),
            bot_of: None,
            blocked: false,
        }
    }

    fn account() -> Account {
        Account {
            username: Some("ida".to_owned()),
            name: Some("Ida R.".to_owned()),
            verified_email: Some("ida@climb.example".to_owned()),
            groups: vec!["climbers".to_owned()],
            ..Account::default()
        }
    }

    fn settings(change: impl FnOnce(&mut OidcSection)) -> OidcSection {
        let mut settings = OidcSection::default();
        change(&mut settings);
        settings
    }

    #[test]
    fn an_account_keeps_its_user() {
        let known = user(7, false);
        let choice = choose(
            &OidcSection::default(),
            &account(),
            Some(known.clone()),
            vec![user(8, false)],
        );
        assert_eq!(choice, Choice::Use(known));
    }

    #[test]
    fn an_existing_user_is_linked_only_if_the_settings_allow_it() {
        let same = || vec![user(8, false)];
        let choice = choose(&OidcSection::default(), &account(), None, same());
        assert!(matches!(choice, Choice::Create(_)), "{choice:?}");

        let allowed = settings(|settings| settings.link_by_email = true);
        assert_eq!(choose(&allowed, &account(), None, same()), Choice::Link(user(8, false)));

        let two = vec![user(8, false), user(9, false)];
        assert!(matches!(choose(&allowed, &account(), None, two), Choice::Create(_)));
    }

    #[test]
    fn a_person_without_a_user_is_refused_if_none_is_created() {
        let closed = settings(|settings| settings.create_users = false);
        assert!(matches!(
            choose(&closed, &account(), None, Vec::new()),
            Choice::Refuse(_)
        ));
    }

    #[test]
    fn only_members_of_the_allowed_groups_sign_in() {
        let others = settings(|settings| settings.allowed_groups = vec!["hikers".to_owned()]);
        let choice = choose(&others, &account(), Some(user(7, false)), Vec::new());
        assert!(matches!(choice, Choice::Refuse(_)), "{choice:?}");

        let own = settings(|settings| settings.allowed_groups = vec!["climbers".to_owned()]);
        assert!(matches!(choose(&own, &account(), None, Vec::new()), Choice::Create(_)));
    }

    #[test]
    fn groups_make_administrators_and_take_the_role_away() {
        let unset = OidcSection::default();
        assert_eq!(role(&unset, &account(), &user(7, true)), None);

        let climbers = settings(|settings| settings.admin_groups = vec!["climbers".to_owned()]);
        assert_eq!(role(&climbers, &account(), &user(7, false)), Some(true));
        assert_eq!(role(&climbers, &account(), &user(7, true)), None);

        let hikers = settings(|settings| settings.admin_groups = vec!["hikers".to_owned()]);
        assert_eq!(role(&hikers, &account(), &user(7, true)), Some(false));
        assert_eq!(role(&hikers, &account(), &user(FIRST_USER, true)), None);
    }

    #[test]
    fn a_username_is_made_from_the_name_at_the_provider() {
        let check = |name: Option<&str>, email: Option<&str>, expected: &str| {
            let account = Account {
                username: name.map(str::to_owned),
                verified_email: email.map(str::to_owned),
                ..Account::default()
            };
            assert_eq!(username(&account), expected);
        };

        check(Some("ida"), None, "ida");
        check(Some("Ida Ránová"), None, "Ida-R-nov");
        check(Some("ida@climb.example"), None, "ida");
        check(None, Some("ida.r@climb.example"), "ida.r");
        check(Some("///"), None, "user");
        check(None, None, "user");
    }
}
