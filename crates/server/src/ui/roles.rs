//! Roles, as pages name them.

use super::form::Choice;

/// The roles that a member can have, by GitLab's numbers.
pub(super) const ROLES: [Choice; 5] = [
    Choice::new("10", "Guest"),
    Choice::new("20", "Reporter"),
    Choice::new("30", "Developer"),
    Choice::new("40", "Maintainer"),
    Choice::new("50", "Owner"),
];

/// The word of a role.
pub(super) fn role_word(number: i64) -> &'static str {
    let number = number.to_string();
    let found = ROLES.iter().find(|role| role.value == number);
    found.map_or("Other role", |role| role.word)
}
