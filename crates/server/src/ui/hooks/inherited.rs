//! Webhooks of the groups above a project, which its events call too.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Hook;
use crate::ui::error::PageError;
use crate::ui::place::{Level, Place, Visit};

/// The webhooks of a group above a project.
pub(super) struct Inherited {
    /// Full path of the group.
    pub(super) group: String,

    /// The address of the group's webhooks.
    pub(super) address: String,
    pub(super) hooks: Vec<Hook>,
}

#[derive(Deserialize)]
struct Owned {
    full_path: String,
}

/// Lists the webhooks of the groups above a project, the nearest group first, as far as the person may see them.
pub(super) async fn inherited(at: &Visit) -> Result<Vec<Inherited>, PageError> {
    let mut groups = Vec::new();
    if at.place.level != Level::Project || at.person.portal.is_some() {
        return Ok(groups);
    }

    let api = &at.person.api;
    let above = above(&at.place.full_path);
    let seen: Vec<&str> = if at.person.actor.is_admin {
        above
    } else {
        // Owners see the webhooks of their groups. Asking for those of another group would be refused.
        let owned = api
            .list::<Owned>("/api/v4/groups?min_access_level=50&per_page=100")
            .await?;
        let is_owned = |path: &&str| owned.rows.iter().any(|group| group.full_path == *path);
        above.into_iter().filter(is_owned).collect()
    };

    for path in seen {
        let encoded = utf8_percent_encode(path, NON_ALPHANUMERIC);
        let hooks = api
            .list::<Hook>(&format!("/api/v4/groups/{encoded}/hooks?per_page=20"))
            .await?
            .rows;
        if hooks.is_empty() {
            continue;
        }

        let place = Place {
            level: Level::Group,
            id: 0,
            full_path: path.to_owned(),
            name: String::new(),
        };
        groups.push(Inherited {
            group: path.to_owned(),
            address: place.page("hooks"),
            hooks,
        });
    }

    Ok(groups)
}

/// The paths of the groups above a project, the nearest first.
fn above(path: &str) -> Vec<&str> {
    let slashes = path.match_indices('/').rev();
    slashes.map(|(end, _)| &path[..end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_group_comes_first() {
        assert_eq!(above("gear/ice/rope"), ["gear/ice", "gear"]);
    }
}
