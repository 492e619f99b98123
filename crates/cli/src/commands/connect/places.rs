//! The places that get a webhook: projects, groups, or the whole GitLab.

use std::cell::Cell;
use std::collections::HashSet;

use anyhow::Context;
use quickdraw_egress::Method;
use serde_json::Value;

use super::hook::Level;
use crate::commands::encoded;
use crate::commands::gitlab::GitLab;

/// The lowest role that may manage the webhooks of a project: Maintainer.
const MAINTAINER: u32 = 40;

/// The wish of the user.
pub(super) struct Wish<'a> {
    pub(super) groups: &'a [String],
    pub(super) projects: &'a [String],
    pub(super) all: bool,
    pub(super) system: bool,

    /// Maximum number of places.
    pub(super) max: usize,

    /// Whether a group also counts with each of its projects, because webhooks may be on both.
    pub(super) groups_and_projects: bool,
}

/// A place that gets a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) level: Level,

    /// GitLab's number; 0 for the instance.
    pub(super) id: i64,
    pub(super) path: String,

    /// Reason for which a project gets no webhook: it sends no events, and GitLab refuses changes of it.
    pub(super) skipped: Option<&'static str>,
}

impl Place {
    /// The path of its webhooks in GitLab's API.
    pub(super) fn hooks(&self) -> String {
        match self.level {
            Level::Instance => "hooks".to_owned(),
            Level::Group => format!("groups/{}/hooks", self.id),
            Level::Project => format!("projects/{}/hooks", self.id),
        }
    }
}

/// The places of a wish.
#[derive(Default)]
pub(super) struct Places {
    pub(super) list: Vec<Place>,

    /// Explanations for the user.
    pub(super) notes: Vec<String>,

    /// The base URL that GitLab names in its events, if an object of GitLab showed it.
    pub(super) base_url: Option<String>,
}

impl Places {
    /// Finds the places of a wish.
    ///
    /// # Errors
    /// When a named place does not exist, or there are more than the maximum.
    pub(super) async fn find(gitlab: &GitLab, wish: &Wish<'_>) -> anyhow::Result<Self> {
        let mut places = Self::default();

        if wish.system {
            places.base_url = first_base_url(gitlab).await?;
            places.list.push(Place {
                level: Level::Instance,
                id: 0,
                path: "(instance)".to_owned(),
                skipped: None,
            });
        }

        for name in wish.groups {
            places.add_group(gitlab, name, wish).await?;
        }

        for name in wish.projects {
            let found = gitlab.get(&format!("projects/{}", encoded(name))).await?;
            let found = found.with_context(|| {
                format!("GitLab has no project {name}, or the token cannot see it; give its full path or its number")
            })?;
            places.add_projects(&[found]);
        }

        if wish.all {
            let is_admin = gitlab.get("user").await?.is_some_and(|user| user["is_admin"] == true);
            let filter = if is_admin {
                String::new()
            } else {
                format!("&min_access_level={MAINTAINER}")
            };

            let list = format!("projects?order_by=id&sort=asc&per_page=100{filter}");
            let found = projects(gitlab, &list, wish.max).await?;
            places.add_projects(&found.context("GitLab refuses the list of its projects to this token")?);

            if !is_admin {
                places
                    .notes
                    .push("--all: every project in which the token has the role Maintainer or Owner".to_owned());
            }
        }

        let mut seen = HashSet::new();
        places.list.retain(|place| seen.insert((place.level, place.id)));

        anyhow::ensure!(
            places.list.len() <= wish.max,
            "there are more than {} projects; raise --max, or choose some with --group or --project",
            wish.max
        );

        Ok(places)
    }

    /// Adds a group, or all of its projects if GitLab offers no webhooks for groups.
    async fn add_group(&mut self, gitlab: &GitLab, name: &str, wish: &Wish<'_>) -> anyhow::Result<()> {
        let group = gitlab.get(&format!("groups/{}", encoded(name))).await?;
        let group = group.with_context(|| {
            format!("GitLab has no group {name}, or the token cannot see it; give its full path or its number")
        })?;
        let id = group["id"].as_i64().context("GitLab shows a group without an id")?;
        let path = group["full_path"].as_str().unwrap_or(name).to_owned();

        self.note_base_url(&group, &format!("groups/{path}"));

        let probe = gitlab
            .call(Method::GET, &format!("groups/{id}/hooks?per_page=1"))
            .await?;
        let has_hooks = probe.status == 200;

        if has_hooks {
            self.list.push(Place {
                level: Level::Group,
                id,
                path: path.clone(),
                skipped: None,
            });
        } else {
            let why = match probe.status {
                403 => "the token is not an Owner of the group",
                _ => "this GitLab has no webhooks for groups (they need Premium), or the token is not an Owner",
            };
            self.notes.push(format!(
                "group {path}: {why}; each of its projects gets a webhook instead"
            ));
        }

        if !has_hooks || wish.groups_and_projects {
            let list = format!(
                "groups/{id}/projects?include_subgroups=true&with_shared=false&order_by=id&sort=asc&per_page=100"
            );
            let found = projects(gitlab, &list, wish.max).await?;
            self.add_projects(
                &found.with_context(|| format!("GitLab does not list the projects of the group {path}"))?,
            );
        }

        Ok(())
    }

    fn add_projects(&mut self, found: &[Value]) {
        for project in found {
            let Some(id) = project["id"].as_i64() else { continue };
            let path = project["path_with_namespace"].as_str().unwrap_or_default().to_owned();
            self.note_base_url(project, &path);

            self.list.push(Place {
                level: Level::Project,
                id,
                path,
                skipped: skipped(project),
            });
        }
    }

    fn note_base_url(&mut self, object: &Value, path: &str) {
        if self.base_url.is_none() {
            self.base_url = base_url(object, path);
        }
    }
}

fn skipped(project: &Value) -> Option<&'static str> {
    if project["archived"] == true {
        return Some("archived in GitLab: it sends no events");
    }

    // GitLab still shows a project whose deletion is scheduled.
    let is_doomed = ["marked_for_deletion_on", "marked_for_deletion_at"]
        .iter()
        .any(|name| project[*name].is_string());
    is_doomed.then_some("GitLab will delete it")
}

/// Reads a list of projects, and one more page than the maximum at most.
async fn projects(gitlab: &GitLab, list: &str, max: usize) -> anyhow::Result<Option<Vec<Value>>> {
    let pages = Cell::new(0);
    let is_within = |_: &Value| {
        pages.set(pages.get() + 1);
        pages.get() * 100 <= max
    };

    gitlab.list(list, is_within).await
}

/// The base URL of GitLab, from the first project that the token can see.
async fn first_base_url(gitlab: &GitLab) -> anyhow::Result<Option<String>> {
    let first = gitlab.rows("projects?per_page=1").await?.unwrap_or_default();
    let path = |project: &Value| project["path_with_namespace"].as_str().map(str::to_owned);
    Ok(first.first().and_then(|project| base_url(project, &path(project)?)))
}

/// The base URL of GitLab: the address of an object without the path of the object.
fn base_url(object: &Value, path: &str) -> Option<String> {
    let base = object["web_url"].as_str()?.strip_suffix(path)?;
    Some(base.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_base_url_is_the_address_of_an_object_without_its_path() {
        let check = |url: &str, path: &str, expected: Option<&str>| {
            assert_eq!(base_url(&json!({ "web_url": url }), path).as_deref(), expected, "{url}");
        };

        check(
            "https://gitlab.example.com/gear/rope",
            "gear/rope",
            Some("https://gitlab.example.com"),
        );

        check(
            "https://example.com/gitlab/gear/rope",
            "gear/rope",
            Some("https://example.com/gitlab"),
        );

        check(
            "https://gitlab.example.com/groups/gear",
            "groups/gear",
            Some("https://gitlab.example.com"),
        );

        check("https://gitlab.example.com/gear/other", "gear/rope", None);
    }
}
