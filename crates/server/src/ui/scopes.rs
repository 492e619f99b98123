//! Projects and groups, as pages list them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::client::{Api, Refusal};
use super::form::Fields;
use super::place::{Level, Place};

/// Largest number of projects and of groups on a page.
const SHOWN: usize = 30;

/// A project.
#[derive(Deserialize)]
pub(super) struct Project {
    id: i64,
    pub(super) name: String,
    pub(super) path_with_namespace: String,
    pub(super) description: Option<String>,
}

impl Project {
    /// The address of its first page.
    pub(super) fn href(&self) -> String {
        place(Level::Project, self.id, &self.path_with_namespace, &self.name).start()
    }
}

/// A group.
#[derive(Deserialize)]
pub(super) struct Group {
    id: i64,
    pub(super) name: String,
    pub(super) full_path: String,
    pub(super) description: Option<String>,
}

impl Group {
    /// The address of its first page.
    pub(super) fn href(&self) -> String {
        place(Level::Group, self.id, &self.full_path, &self.name).start()
    }
}

fn place(level: Level, id: i64, full_path: &str, name: &str) -> Place {
    Place {
        level,
        id,
        full_path: full_path.to_owned(),
        name: name.to_owned(),
    }
}

/// Lists of groups and projects with a filter. Each list has its own pages.
pub(super) struct Lists {
    /// The text in the filter.
    pub(super) filter: String,
    pub(super) groups: Vec<Group>,
    pub(super) projects: Vec<Project>,

    /// Addresses of further pages.
    pub(super) more_groups: Option<String>,
    pub(super) more_projects: Option<String>,

    /// The address without a filter.
    pub(super) own: String,
}

impl Lists {
    /// Reads the lists at two addresses of the API. `own` is the address of the page.
    pub(super) async fn read(
        api: &Api,
        groups: &str,
        projects: &str,
        query: &Fields,
        own: String,
    ) -> Result<Self, Refusal> {
        let filter = query.text("filter").trim().to_owned();
        let search = utf8_percent_encode(&filter, NON_ALPHANUMERIC).to_string();
        let number = |name: &str| query.text(name).parse::<u32>().unwrap_or(1).max(1);
        let (group_page, project_page) = (number("groups"), number("projects"));

        let ask = |list: &str, page: u32| {
            let search = if search.is_empty() {
                String::new()
            } else {
                format!("&search={search}")
            };
            format!("{list}?per_page={SHOWN}&page={page}{search}")
        };
        let (groups, projects) = (ask(groups, group_page), ask(projects, project_page));
        let (groups, projects) = tokio::try_join!(api.list::<Group>(&groups), api.list::<Project>(&projects))?;

        let address = |groups: u32, projects: u32| format!("{own}?filter={search}&groups={groups}&projects={projects}");
        Ok(Self {
            more_groups: groups.next.map(|next| address(next, project_page)),
            more_projects: projects.next.map(|next| address(group_page, next)),
            filter,
            groups: groups.rows,
            projects: projects.rows,
            own,
        })
    }

    /// True if nothing is there, also without a filter.
    pub(super) fn is_empty(&self) -> bool {
        self.filter.is_empty() && self.groups.is_empty() && self.projects.is_empty()
    }
}
