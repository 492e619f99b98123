//! The restriction of a hook of the instance to the events of some sources, groups and projects.

use serde::{Deserialize, Serialize};

use crate::event::Origin;
use crate::scope::Place;
use crate::{GroupId, ProjectId, SourceId};

/// The events that a hook of the instance gets. A part that is `None` does not restrict. A list never becomes empty by
/// itself: the number of a deleted source, group or project stays in it and matches nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Restriction {
    /// The senders of the events.
    pub sources: Option<Senders>,

    /// Groups: their own events, and those of all groups and projects below them.
    pub groups: Option<Vec<i64>>,

    /// Projects, in addition to those in `groups`.
    pub projects: Option<Vec<i64>>,
}

/// Senders of events.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Senders {
    /// Events that were reported through the API.
    pub reports: bool,

    /// Events that one of these sources received.
    pub sources: Vec<i64>,
}

impl Restriction {
    /// Whether nothing is restricted.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.sources.is_none() && self.groups.is_none() && self.projects.is_none()
    }

    /// Whether an event of this origin passes. A test goes to the hook that is tested, whatever its restriction.
    #[must_use]
    pub fn admits_origin(&self, origin: Origin) -> bool {
        let Some(senders) = &self.sources else { return true };
        match origin {
            Origin::Source(SourceId(id)) => senders.sources.contains(&id),
            Origin::Api => senders.reports,
            // Imported history is never delivered.
            Origin::Backfill => false,
            Origin::Test => true,
        }
    }

    /// Whether an event in this place passes. `groups` are the groups of the place. An event of the instance is in no
    /// group, so it passes only if places are not restricted.
    #[must_use]
    pub fn admits_place(&self, place: Place, groups: &[GroupId]) -> bool {
        if self.groups.is_none() && self.projects.is_none() {
            return true;
        }

        if let Place::Project(ProjectId(id)) = place
            && self.projects.as_ref().is_some_and(|projects| projects.contains(&id))
        {
            return true;
        }

        let chosen = self.groups.as_deref().unwrap_or_default();
        groups.iter().any(|group| chosen.contains(&group.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_restriction_admits_everything() {
        let none = Restriction::default();
        assert!(none.is_none());
        assert!(none.admits_origin(Origin::Api) && none.admits_place(Place::Instance, &[]));
    }

    #[test]
    fn senders_are_sources_and_reports() {
        let check = |senders: Senders, origin, expected| {
            let restriction = Restriction {
                sources: Some(senders),
                ..Restriction::default()
            };
            assert_eq!(restriction.admits_origin(origin), expected, "{origin:?}");
        };

        let source = Senders {
            reports: false,
            sources: vec![3],
        };
        check(source.clone(), Origin::Source(SourceId(3)), true);
        check(source.clone(), Origin::Source(SourceId(4)), false);
        check(source.clone(), Origin::Api, false);
        check(source, Origin::Test, true);

        let reports = Senders {
            reports: true,
            sources: Vec::new(),
        };
        check(reports.clone(), Origin::Api, true);
        check(reports, Origin::Source(SourceId(3)), false);
    }

    #[test]
    fn groups_include_everything_below_and_projects_add_to_them() {
        let restriction = Restriction {
            groups: Some(vec![2]),
            projects: Some(vec![9]),
            ..Restriction::default()
        };
        let check = |place, groups: &[i64], expected| {
            let groups: Vec<GroupId> = groups.iter().copied().map(GroupId).collect();
            assert_eq!(
                restriction.admits_place(place, &groups),
                expected,
                "{place:?} {groups:?}"
            );
        };

        check(Place::Project(ProjectId(1)), &[5, 2], true);
        check(Place::Group(GroupId(2)), &[2], true);
        check(Place::Project(ProjectId(9)), &[7], true);
        check(Place::Project(ProjectId(1)), &[7], false);
        check(Place::Group(GroupId(7)), &[7], false);
        check(Place::Instance, &[], false);
    }
}
