//! The commands, one module each.

pub(crate) mod attempts;
mod attributes;
pub(crate) mod backfill;
pub(crate) mod config;
pub(crate) mod connect;
pub(crate) mod deliveries;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod emit;
pub(crate) mod events;
pub(crate) mod gaps;
#[cfg(feature = "git")]
pub(crate) mod git_hook;
mod gitlab;
pub(crate) mod groups;
pub(crate) mod guard;
mod history;
pub(crate) mod hooks;
pub(crate) mod insights;
pub(crate) mod listen;
pub(crate) mod login;
pub(crate) mod members;
pub(crate) mod migrate;
pub(crate) mod pages;
mod place;
pub(crate) mod projects;
pub(crate) mod replay;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod setup_link;
pub(crate) mod silent;
pub(crate) mod sources;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod with;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::api::{Api, Query, items, parameters};
pub(crate) use crate::output::{plain, say};

/// Turns a duration, such as `2h` or `3d`, into the time that long ago. Any other text is left for the server to read.
pub(crate) fn moment(text: &str) -> anyhow::Result<String> {
    match duration(text) {
        Some(ago) => Ok((jiff::Timestamp::now() - ago.abs()).to_string()),
        None => Ok(text.to_owned()),
    }
}

/// Reads a duration such as `2h`, `3d` or `1w`. A day always has 24 hours.
fn duration(text: &str) -> Option<jiff::SignedDuration> {
    if let Ok(duration) = text.parse() {
        return Some(duration);
    }

    let (number, hours) = match (text.strip_suffix('d'), text.strip_suffix('w')) {
        (Some(days), _) => (days, 24),
        (None, Some(weeks)) => (weeks, 24 * 7),
        (None, None) => return None,
    };

    // No more than a thousand years, so that the time stays within its range.
    let number: u16 = number.parse().ok()?;
    Some(jiff::SignedDuration::from_hours(i64::from(number) * hours))
}

/// Encodes text for use in a URL.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The number of a group, by its full path or number.
async fn number_of_group(api: &Api, group: &str) -> anyhow::Result<Value> {
    let found = api.get(&format!("v4/groups/{}", encoded(group)), &Query::new()).await?;
    Ok(found["id"].clone())
}

/// The number of a user, by the username or number.
async fn number_of_user(api: &Api, user: &str) -> anyhow::Result<i64> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }

    let query = parameters([("username", Some(user.to_owned()))]);
    let found = api.get("v4/users", &query).await?;
    let number = items(&found).first().and_then(|user| user["id"].as_i64());

    number.ok_or_else(|| crate::client::Refused::new(404, &format!("there is no user {user}")).into())
}

/// Writes a file atomically: after a crash, it has either the old or the new content.
fn write_whole(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = PathBuf::from(format!("{}.new", file.display()));
    let written = File::create(&beside).and_then(|mut new| {
        new.write_all(bytes)?;
        new.sync_data()?;
        std::fs::rename(&beside, file)
    });
    written.with_context(|| format!("failed to write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_can_have_days_and_weeks() {
        let check = |text: &str, hours: Option<i64>| {
            assert_eq!(duration(text), hours.map(jiff::SignedDuration::from_hours), "{text}");
        };

        check("2h", Some(2));
        check("3d", Some(72));
        check("1w", Some(168));
        check("2026-03-16", None);
        check("second", None);
    }
}
