//! The project, group or instance that a page belongs to.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::Uri;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use quickdraw_domain::scope::{Group, Project, Scope};
use quickdraw_domain::{GroupId, ProjectId};
use serde::Deserialize;

use super::Ui;
use super::error::PageError;
use super::person::Person;

/// Bytes of a path segment that are written as they are.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Bytes of an address that would end it or change its meaning.
const ADDRESS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'?')
    .add(b'#');

/// The page within the router of places to which the path of a project or group leads.
const START: &str = "start";
/// First segments of paths that never belong to a project.
const RESERVED: [&str; 6] = ["-", "admin", "api", "groups", "metrics", "problems"];

/// The level of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    Project,
    Group,
    Instance,
}

impl Level {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Project, "project"),
        (Self::Group, "group"),
        (Self::Instance, "instance"),
    ];

    /// The word of the level, as in "this project".
    pub(super) fn word(self) -> &'static str {
        let found = Self::ALL.into_iter().find(|(level, _)| *level == self);
        found.map_or("instance", |(_, word)| word)
    }
}

/// The address of a page of a place, as it is in the browser.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Address<'a> {
    level: Level,

    /// Full path of the project or group, encoded as in the browser.
    path: &'a str,

    /// The page, such as `hooks/3`.
    page: &'a str,
}

impl<'a> Address<'a> {
    /// Reads the path of a request. None if no place has this page.
    pub(super) fn read(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?.trim_end_matches('/');
        if path == "admin" {
            let (level, path, page) = (Level::Instance, "-", "overview");
            return Some(Self { level, path, page });
        }

        if let Some(page) = path.strip_prefix("admin/") {
            let (level, path) = (Level::Instance, "-");
            return Some(Self { level, path, page });
        }

        let Some((place, page)) = path.split_once("/-/") else {
            return Self::start(path);
        };
        let (level, path) = match place.strip_prefix("groups/") {
            Some(group) => (Level::Group, group),
            None => (Level::Project, place),
        };

        // GitLab's and GitBlixt's pages of settings have this part in their addresses.
        let in_settings = page.strip_prefix("settings/");
        let page = in_settings
            .filter(|page| page.starts_with("hooks") || page.starts_with("access_tokens"))
            .unwrap_or(page);
        (!path.is_empty()).then_some(Self { level, path, page })
    }

    /// Reads the path of a start page: that of a project, or that of a group after `groups/`.
    fn start(path: &'a str) -> Option<Self> {
        if let Some(path) = path.strip_prefix("groups/") {
            let (level, page) = (Level::Group, START);
            return Some(Self { level, path, page });
        }

        let (first, _) = path.split_once('/')?;
        let (level, page) = (Level::Project, START);
        (!first.is_empty() && !RESERVED.contains(&first)).then_some(Self { level, path, page })
    }

    /// True for the start page of a project or group.
    pub(super) fn is_start(&self) -> bool {
        self.page == START
    }

    /// The address within the router of places, in which the full path is one segment.
    pub(super) fn inner(&self, outer: &Uri) -> Option<Uri> {
        let path = percent_encoding::percent_decode_str(self.path).decode_utf8().ok()?;
        let path = utf8_percent_encode(&path, SEGMENT);
        let query = outer.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("/{}/{path}/{}{query}", self.level.word(), self.page)
            .parse()
            .ok()
    }
}

/// A place that exists, and that the person may see.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) level: Level,

    /// Number of the project or group; 0 for the instance.
    pub(super) id: i64,
    pub(super) full_path: String,
    pub(super) name: String,
}

/// The fields of a project or group that pages need.
#[derive(Deserialize)]
struct Found {
    id: i64,
    name: String,
    #[serde(alias = "path_with_namespace")]
    full_path: String,
}

impl Place {
    pub(super) fn of_project(project: Project) -> Self {
        Self {
            level: Level::Project,
            id: project.id.0,
            full_path: project.path_with_namespace,
            name: project.name,
        }
    }

    pub(super) fn of_group(group: Group) -> Self {
        Self {
            level: Level::Group,
            id: group.id.0,
            full_path: group.full_path,
            name: group.name,
        }
    }

    /// Begins the addresses of the place's pages, such as `/gear/rope/-`.
    pub(super) fn base(&self) -> String {
        let path = utf8_percent_encode(&self.full_path, ADDRESS);
        match self.level {
            Level::Project => format!("/{path}/-"),
            Level::Group => format!("/groups/{path}/-"),
            Level::Instance => "/admin".to_owned(),
        }
    }

    /// The address of its first page, such as `/gear/rope`.
    pub(super) fn start(&self) -> String {
        match self.level {
            Level::Project | Level::Group => self.base().trim_end_matches("/-").to_owned(),
            Level::Instance => self.page("overview"),
        }
    }

    /// The address of a page of the place, such as `hooks/3`.
    pub(super) fn page(&self, page: &str) -> String {
        format!("{}/{page}", self.base())
    }

    /// Begins the addresses of the place in `/api/v4`.
    pub(super) fn api(&self) -> String {
        match self.level {
            Level::Project => format!("/api/v4/projects/{}", self.id),
            Level::Group => format!("/api/v4/groups/{}", self.id),
            Level::Instance => "/api/v4".to_owned(),
        }
    }

    /// The filter of `/api/v1` for this place, such as `project=3`. The instance has none.
    pub(super) fn filter(&self) -> String {
        match self.level {
            Level::Project => format!("project={}", self.id),
            Level::Group => format!("group={}", self.id),
            Level::Instance => String::new(),
        }
    }

    /// The scope of the place.
    pub(super) const fn scope(&self) -> Scope {
        match self.level {
            Level::Project => Scope::Project(ProjectId(self.id)),
            Level::Group => Scope::Group(GroupId(self.id)),
            Level::Instance => Scope::Instance,
        }
    }

    async fn find(level: Level, path: &str, person: &Person) -> Result<Self, PageError> {
        let kind = match level {
            Level::Instance if person.actor.is_admin => return Ok(Self::instance()),
            Level::Instance => return Err(PageError::Forbidden),
            Level::Project => "projects",
            Level::Group => "groups",
        };

        // A path of digits only is a number for the API, and no project or group has such a path.
        let encoded = utf8_percent_encode(path, SEGMENT);
        let found: Found = person.api.get(&format!("/api/v4/{kind}/{encoded}")).await?;
        Ok(Self {
            level,
            id: found.id,
            full_path: found.full_path,
            name: found.name,
        })
    }

    /// The place that an answer of the API names by its level and full path.
    pub(super) fn named(level: &str, full_path: &str) -> Self {
        let level = Level::ALL.into_iter().find(|(_, word)| *word == level);
        match level {
            Some((level @ (Level::Project | Level::Group), _)) => Self {
                level,
                id: 0,
                full_path: full_path.to_owned(),
                name: full_path.to_owned(),
            },
            _ => Self::instance(),
        }
    }

    /// The instance.
    pub(super) fn instance() -> Self {
        Self {
            level: Level::Instance,
            id: 0,
            full_path: String::new(),
            name: "Administration".to_owned(),
        }
    }
}

/// A page of a place: the place, the person, and the other parameters of the path.
pub(super) struct Visit {
    pub(super) place: Place,
    pub(super) person: Person,
    parameters: Vec<(String, String)>,
}

impl Visit {
    /// A number in the path, such as the id of a hook.
    pub(super) fn number(&self, name: &str) -> Result<i64, PageError> {
        self.text(name)?.parse().map_err(|_| PageError::Missing)
    }

    /// A text in the path, such as the id of an event.
    pub(super) fn text(&self, name: &str) -> Result<&str, PageError> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).ok_or(PageError::Missing)
    }
}

impl FromRequestParts<Arc<Ui>> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, ui: &Arc<Ui>) -> Result<Self, PageError> {
        let found = RawPathParams::from_request_parts(parts, ui).await;
        let found = found.map_err(|_| PageError::Missing)?;
        let parameters: Vec<_> = found.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();

        let person = <Person as FromRequestParts<Arc<Ui>>>::from_request_parts(parts, ui).await?;
        if person.portal.is_some() && !is_of_portals(parts.uri.path()) {
            return Err(PageError::Forbidden);
        }

        let value = |name: &str| {
            parameters
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
        };
        // Routes without a level belong to the instance.
        let level = value("level").unwrap_or(Level::Instance.word());
        let level = Level::ALL.into_iter().find(|(_, word)| *word == level);
        let (level, _) = level.ok_or(PageError::Missing)?;
        let place = Place::find(level, value("path").unwrap_or_default(), &person).await?;

        Ok(Self {
            place,
            person,
            parameters,
        })
    }
}

/// Checks whether a page of a place is for visitors of a portal. The path is the one within the router of places.
fn is_of_portals(path: &str) -> bool {
    let page = path.split('/').nth(3);
    matches!(page, Some("hooks" | "events" | "deliveries"))
}

/// The path and query of a request as the browser shows them.
pub(super) fn shown_path(parts: &Parts) -> String {
    let uri = parts.extensions.get::<axum::extract::OriginalUri>();
    let uri = uri.map_or(&parts.uri, |original| &original.0);
    uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        let uri: Uri = path.parse().expect("an address");
        let found = Address::read(uri.path()).and_then(|address| address.inner(&uri));
        assert_eq!(found.map(|uri| uri.to_string()).as_deref(), expected, "{path}");
    }

    #[test]
    fn addresses_of_all_levels_lead_to_the_same_pages() {
        check("/gear/rope/-/hooks", Some("/project/gear%2Frope/hooks"));
        check("/gear/rope/-/settings/hooks", Some("/project/gear%2Frope/hooks"));
        check(
            "/gear/ice/rope/-/hooks/3/edit?a=b",
            Some("/project/gear%2Fice%2Frope/hooks/3/edit?a=b"),
        );
        check("/groups/gear/-/hooks/", Some("/group/gear/hooks"));
        check("/groups/gear/ice/-/hooks", Some("/group/gear%2Fice/hooks"));
        check("/admin/hooks", Some("/instance/-/hooks"));
        check("/gear%2Frope/-/hooks", Some("/project/gear%2Frope/hooks"));
        check(
            "/gear/rope/-/settings/access_tokens",
            Some("/project/gear%2Frope/access_tokens"),
        );
        check("/gear/rope/-/settings", Some("/project/gear%2Frope/settings"));
        check("/groups//-/hooks", None);
        check("/-/hooks", None);
    }

    #[test]
    fn projects_groups_and_the_instance_have_start_pages() {
        check("/gear/rope", Some("/project/gear%2Frope/start"));
        check("/gear/ice/rope/?a=b", Some("/project/gear%2Fice%2Frope/start?a=b"));
        check("/groups/gear", Some("/group/gear/start"));
        check("/admin", Some("/instance/-/overview"));

        for other in [
            "/",
            "/gear",
            "/groups",
            "/api/v5/projects",
            "/-/rope",
            "/problems/x",
            "//rope",
        ] {
            check(other, None);
        }
    }

    #[test]
    fn visitors_of_a_portal_open_pages_of_webhooks_only() {
        for page in ["hooks", "hooks/3/edit", "events/live", "deliveries/7"] {
            assert!(is_of_portals(&format!("/project/gear%2Frope/{page}")), "{page}");
        }

        for page in ["settings", "members", "overview", "hooks2", "settings/hooks", ""] {
            assert!(!is_of_portals(&format!("/project/gear%2Frope/{page}")), "{page}");
        }
    }

    #[test]
    fn a_place_knows_its_addresses() {
        let place = Place {
            level: Level::Project,
            id: 3,
            full_path: "gear/rope".to_owned(),
            name: "Rope".to_owned(),
        };
        assert_eq!(place.page("hooks/7"), "/gear/rope/-/hooks/7");
        assert_eq!(place.start(), "/gear/rope");
        assert_eq!(place.api(), "/api/v4/projects/3");
        assert_eq!(Place::instance().page("hooks"), "/admin/hooks");
    }
}
