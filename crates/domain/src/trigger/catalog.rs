//! The one table of event kinds. A new kind is one row here.
//!
//! Source: GitLab's webhook events and system hooks pages, `app/models/concerns/triggerable_hooks.rb`, and the
//! exceptions that its test suite asserts. Codes are stored in databases: never change one, never use one again.

mod rows;

use crate::event::Skim;
use crate::scope::Levels;

/// One kind of event.
#[derive(Debug)]
pub struct Row {
    /// What databases store.
    pub code: u8,
    /// GitLab's internal name, shown as `trigger` in histories and used to report an event. Events that only system
    /// hooks know, and that no switch selects, go by their `event_name`.
    pub name: &'static str,
    /// The REST attribute that selects it. `None`: every system hook gets it.
    pub attribute: Option<&'static str>,
    /// `X-Gitlab-Event` of project and group hooks. System hooks always say `System Hook`.
    pub header: &'static str,
    /// Values of `object_kind` in its bodies.
    pub object_kinds: &'static [&'static str],
    /// Values of `event_name` in its bodies.
    pub event_names: &'static [&'static str],
    /// Whether it carries the confidential half of its kind.
    pub confidential: bool,
    /// Levels whose hooks can have it.
    pub levels: Levels,
    /// Levels whose new hooks have it unless told otherwise.
    pub on_by_default: Levels,
    /// Whether the branch filter of a hook applies.
    pub branch_filter: bool,
    /// Whether the test endpoint offers it.
    pub test: Testable,
}

/// Whether a sample of a trigger can be sent on demand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Testable {
    /// It can.
    Yes,
    /// It cannot, and this is what GitLab answers.
    No(&'static str),
}

impl Row {
    /// Whether a body is of this kind.
    #[must_use]
    pub fn describes(&self, body: &Skim) -> bool {
        let one_of =
            |values: &[&str], found: &Option<String>| found.as_deref().is_some_and(|found| values.contains(&found));
        if body.object_kind.is_some() {
            let confidential = body.event_type.as_deref().is_some_and(|kind| kind.starts_with("confidential_"));
            return one_of(self.object_kinds, &body.object_kind) && confidential == self.confidential;
        }
        one_of(self.event_names, &body.event_name)
    }

    /// Whether only system hooks hear of it, without a switch.
    #[must_use]
    pub const fn is_system_only(&self) -> bool {
        self.attribute.is_none()
    }
}

pub use rows::ROWS;

/// Where a name stands in [`ROWS`], for constants.
pub(super) const fn position(name: &str) -> u8 {
    let mut at = 0;
    while at < ROWS.len() {
        if same(ROWS[at].name.as_bytes(), name.as_bytes()) {
            return at as u8;
        }
        at += 1;
    }
    panic!("no row of the catalog has this name")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_fit_a_set_of_64_bits() {
        let codes: HashSet<u8> = ROWS.iter().map(|row| row.code).collect();
        let names: HashSet<&str> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!((codes.len(), names.len()), (ROWS.len(), ROWS.len()));
        assert!(codes.iter().all(|code| *code < 64));
    }

    #[test]
    fn headers_are_the_trigger_names_in_the_singular_and_in_title_case() {
        for row in ROWS.iter().filter(|row| row.code > 0 && row.attribute.is_some() && row.header != "System Hook") {
            let singular = row.name.strip_suffix('s').expect("a trigger with a switch ends in hooks");
            let title: Vec<String> = singular.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
            assert_eq!(row.header, title.join(" "));
        }
    }
}
