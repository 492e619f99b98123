//! Finds kinds in the registry: by name, by attribute, by code, and all of them in order.

use super::{KINDS, Kind};
use crate::{Trigger, TriggerSet};

impl Kind {
    /// The kind of a trigger.
    pub(crate) fn of(trigger: Trigger) -> &'static Self {
        KINDS[usize::from(trigger.row().code)]
    }

    /// The kind of a body by its `object_kind`; the public half of a kind that has two.
    pub(super) fn by_object_kind(object_kind: &str) -> Option<&'static Self> {
        KINDS
            .into_iter()
            .find(|kind| kind.row.object_kinds.contains(&object_kind))
    }
}

impl Trigger {
    /// Whether GitLab has the kind. Quickdraw adds kinds of its own, whose bodies are not composed from reports.
    #[must_use]
    pub fn is_in_gitlab(self) -> bool {
        Kind::of(self).composer.is_some()
    }

    /// Every kind, in the order of the registry, [`Trigger::UNKNOWN`] last.
    pub fn all() -> impl Iterator<Item = Self> {
        let known = KINDS.into_iter().skip(1).map(|kind| Self::of(&kind.row));
        known.chain([Self::UNKNOWN])
    }

    /// By the name used in history and in reports: `push_hooks`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().find(|trigger| trigger.row().name == name)
    }

    /// By the REST attribute: `push_events`.
    #[must_use]
    pub fn by_attribute(attribute: &str) -> Option<Self> {
        Self::all().find(|trigger| trigger.row().attribute == Some(attribute))
    }

    /// By the number that the database stores.
    #[must_use]
    pub fn by_code(code: u8) -> Self {
        KINDS
            .get(usize::from(code))
            .map_or(Self::UNKNOWN, |kind| Self::of(&kind.row))
    }
}

impl TriggerSet {
    /// The selected triggers in the order of the registry.
    pub fn iter(self) -> impl Iterator<Item = Trigger> {
        Trigger::all().filter(move |trigger| self.contains(*trigger))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitlab_has_every_kind_but_those_that_quickdraw_adds() {
        let added: Vec<Trigger> = Trigger::all().filter(|trigger| !trigger.is_in_gitlab()).collect();
        assert_eq!(added, [Trigger::HOOK_STATE, Trigger::INSIGHT_ALERT, Trigger::UNKNOWN]);
    }

    #[test]
    fn a_set_gives_back_what_was_put_in() {
        let mut set: TriggerSet = Trigger::all().collect();
        assert_eq!(set.iter().count(), Trigger::all().count());
        set.set(Trigger::PUSH, false);
        assert!(!set.contains(Trigger::PUSH));
        assert!(set.contains(Trigger::TAG_PUSH));
    }
}
