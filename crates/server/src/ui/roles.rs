//! Roles, as pages name them.

use axum::http::StatusCode;
use serde::Deserialize;

use super::error::PageError;
use super::form::Choice;
use super::place::{Level, Visit};

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

/// Checks whether the person may change members, tokens and settings of the place: Maintainers of a project, owners of a
/// group, and administrators. The API decides; pages only leave out forms that it would refuse.
pub(super) async fn manages(at: &Visit) -> Result<bool, PageError> {
    #[derive(Deserialize)]
    struct Member {
        access_level: i64,
    }

    if at.person.actor.is_admin {
        return Ok(true);
    }

    let least = match at.place.level {
        Level::Project => 40,
        Level::Group => 50,
        Level::Instance => return Ok(false),
    };
    let address = format!("{}/members/all/{}", at.place.api(), at.person.actor.user_id);
    match at.person.api.get::<Member>(&address).await {
        Ok(member) => Ok(member.access_level >= least),
        Err(refusal) if matches!(refusal.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => Ok(false),
        Err(refusal) => Err(refusal.into()),
    }
}
