//! What is seen in received events: projects, groups and users of other instances. What people entered is never changed.

use async_trait::async_trait;
use quickdraw_domain::event::{SeenProject, SeenUser};
use quickdraw_domain::{ProjectId, Timestamp};

use crate::error::Result;

/// Most projects of other instances that are taken up.
pub const MOST_PROJECTS: i64 = 100_000;
/// Most users that are taken up.
pub const MOST_USERS: i64 = 1_000_000;

/// Taking up what is seen.
#[async_trait]
pub trait Known {
    /// The project that stands for one of another instance. The first time, it is looked for by its path, and made with the
    /// groups above it if there is none; a path that stands for another instance's project already gets the instance's
    /// host in front. `None` when it cannot be had: too many, or its path is a group's.
    async fn know_project(&self, instance: String, seen: SeenProject, now: Timestamp) -> Result<Option<ProjectId>>;
    /// Makes users whose login is not known yet. They have no role and no token, and no address if another user has it.
    async fn know_users(&self, seen: Vec<SeenUser>, now: Timestamp) -> Result<()>;
}

/// The path with the instance's host in front.
#[must_use]
pub fn apart(instance: &str, path: &str) -> String {
    let host = instance.split("://").nth(1).unwrap_or(instance);
    let host: String = host
        .split('/')
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    format!("{}/{path}", if host.is_empty() { "elsewhere" } else { &host })
}

/// The groups above a path, from the top down: full path, and the name of each.
pub(crate) fn groups_above<'a>(path: &'a str, namespace: &'a str) -> Vec<(&'a str, &'a str)> {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let mut groups: Vec<(&str, &str)> =
        ends.map(|end| (&path[..end], path[..end].rsplit('/').next().unwrap_or_default())).collect();
    if let Some(last) = groups.last_mut()
        && !namespace.is_empty()
    {
        last.1 = namespace;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_from_the_top_down() {
        let expected = [("gear", "gear"), ("gear/sub", "Sub group")];
        assert_eq!(groups_above("gear/sub/rope", "Sub group"), expected);
        assert_eq!(apart("https://git.example.com:8443/x", "gear/rope"), "git.example.com-8443/gear/rope");
        assert_eq!(apart("", "gear/rope"), "elsewhere/gear/rope");
    }
}
