//! The columns of every kind. Its bodies are checked in `tests/bodies/registry.rs`, which reads the fixtures.

use std::collections::HashSet;

use super::{KINDS, Kind};
use crate::compose::Composer;
use crate::trigger::SYSTEM_HOOK;

#[test]
fn names_are_unique() {
    let names: HashSet<&str> = KINDS.iter().map(|kind| kind.row.name).collect();
    assert_eq!(names.len(), KINDS.len());

    let attributes: Vec<&str> = KINDS.iter().filter_map(|kind| kind.row.attribute).collect();
    let distinct: HashSet<&&str> = attributes.iter().collect();
    assert_eq!(attributes.len(), distinct.len());
}

#[test]
fn each_kind_says_its_meaning_in_a_sentence_of_its_own() {
    let meanings: HashSet<&str> = KINDS.iter().map(|kind| kind.row.meaning).collect();
    assert_eq!(meanings.len(), KINDS.len());
    assert!(
        meanings
            .iter()
            .all(|meaning| meaning.ends_with('.') && meaning.len() <= 100)
    );
}

#[test]
fn headers_are_the_trigger_names_in_the_singular_and_in_title_case() {
    let has_own_header = |kind: &&&Kind| kind.row.attribute.is_some() && kind.row.header != SYSTEM_HOOK;
    for kind in KINDS.iter().skip(1).filter(has_own_header) {
        let singular = kind
            .row
            .name
            .strip_suffix('s')
            .expect("a trigger with an attribute ends in hooks");
        let title: Vec<String> = singular
            .split('_')
            .map(|word| word[..1].to_uppercase() + &word[1..])
            .collect();

        assert_eq!(kind.row.header, title.join(" "));
    }
}

#[test]
fn a_confidential_half_describes_the_same_bodies() {
    let mut halves = 0;
    for kind in KINDS {
        let Some(half) = kind.row.confidential_half.map(|row| KINDS[usize::from(row.code)]) else {
            continue;
        };
        assert_eq!(half.row.name, format!("confidential_{}", kind.row.name));
        assert_eq!((half.row.confidential, kind.row.confidential), (true, false));
        assert_eq!(half.row.object_kinds, kind.row.object_kinds);
        assert_eq!(
            (half.row.actions, half.identified_by),
            (kind.row.actions, kind.identified_by)
        );
        halves += 1;
    }

    assert_eq!(halves, KINDS.iter().filter(|kind| kind.row.confidential).count());
}

/// Two kinds with one word would have their objects named by the first of them.
#[test]
fn an_object_kind_belongs_to_one_kind_and_its_confidential_half() {
    let mut words = HashSet::new();
    for kind in KINDS.iter().filter(|kind| !kind.row.confidential) {
        for word in kind.row.object_kinds {
            assert!(words.insert(*word), "{word}");
        }
    }
}

#[test]
fn a_kind_without_an_object_has_no_words_and_no_saves() {
    for kind in KINDS {
        if matches!(kind.composer, Some(Composer::Attributes(_))) {
            assert!(
                kind.row.actions.is_empty() && kind.identified_by.is_empty(),
                "{}",
                kind.row.name
            );

            assert!(!kind.row.event_names.is_empty(), "{}", kind.row.name);
        }
    }
}
