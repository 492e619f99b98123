//! The names behind ids in lists of the administration. One call of the API names all ids of a page.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;

use crate::ui::client::{Api, Refusal};

/// Largest number of ids of a kind that the API takes at once.
const MAX_IDS: usize = 100;

/// A kind of object that has a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    Project,
    Group,
    Hook,
    User,
}

impl Kind {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Project, "projects"),
        (Self::Group, "groups"),
        (Self::Hook, "hooks"),
        (Self::User, "users"),
    ];
}

#[derive(Deserialize)]
struct Named {
    id: i64,

    /// The full path of a project or group, the title of a webhook, or the username.
    #[serde(alias = "full_path", alias = "title", alias = "username")]
    shown: String,
}

#[derive(Deserialize)]
struct Answer {
    projects: Vec<Named>,
    groups: Vec<Named>,
    hooks: Vec<Named>,
    users: Vec<Named>,
}

/// The ids whose names a page needs.
#[derive(Default)]
pub(super) struct Wanted(BTreeSet<(Kind, i64)>);

impl Wanted {
    pub(super) fn add(&mut self, kind: Kind, id: i64) {
        self.0.insert((kind, id));
    }

    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (kind, name) in Kind::ALL {
            let of_kind = self.0.iter().filter(|(known, _)| *known == kind);
            let ids: Vec<String> = of_kind.take(MAX_IDS).map(|(_, id)| id.to_string()).collect();
            if !ids.is_empty() {
                query.append_pair(name, &ids.join(","));
            }
        }

        query.finish()
    }

    /// Asks for the names.
    pub(super) async fn find(self, api: &Api) -> Result<Names, Refusal> {
        if self.0.is_empty() {
            return Ok(Names::default());
        }

        let answer: Answer = api.get(&format!("/api/v1/names?{}", self.query())).await?;
        let mut names = HashMap::new();
        for (kind, found) in [
            (Kind::Project, answer.projects),
            (Kind::Group, answer.groups),
            (Kind::Hook, answer.hooks),
            (Kind::User, answer.users),
        ] {
            names.extend(found.into_iter().map(|named| ((kind, named.id), named.shown)));
        }

        Ok(Names(names))
    }
}

/// The names behind ids.
#[derive(Default)]
pub(super) struct Names(HashMap<(Kind, i64), String>);

impl Names {
    /// The name of an object; None if it has been deleted.
    pub(super) fn of(&self, kind: Kind, id: i64) -> Option<&str> {
        self.0.get(&(kind, id)).map(String::as_str)
    }

    #[cfg(test)]
    pub(super) fn with(names: &[(Kind, i64, &str)]) -> Self {
        let named = names.iter().map(|(kind, id, name)| ((*kind, *id), (*name).to_owned()));
        Self(named.collect())
    }
}
