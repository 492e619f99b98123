//! Projects and groups, as pages show them.

use serde::Deserialize;

use super::place::{Level, Place};

/// A project.
#[derive(Deserialize)]
pub(super) struct Project {
    id: i64,
    pub(super) name: String,
    pub(super) path_with_namespace: String,
}

impl Project {
    /// The address of its first page.
    pub(super) fn href(&self) -> String {
        place(Level::Project, self.id, &self.path_with_namespace, &self.name).page("hooks")
    }
}

/// A group.
#[derive(Deserialize)]
pub(super) struct Group {
    id: i64,
    pub(super) name: String,
    pub(super) full_path: String,
}

impl Group {
    /// The address of its first page.
    pub(super) fn href(&self) -> String {
        place(Level::Group, self.id, &self.full_path, &self.name).page("hooks")
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
