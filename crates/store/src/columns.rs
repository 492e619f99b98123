//! How things stand in columns, where both engines do it alike.

use quickdraw_domain::delivery::{BLOCKED, Stage, State, Tally};
use quickdraw_domain::event::{DedupeKey, Origin};
use quickdraw_domain::health::Health;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{GroupId, HookId, ProjectId, SourceId, Timestamp};
use sha2::{Digest, Sha256};

pub(crate) const fn place(kind: i16, id: i64) -> Place {
    match kind {
        1 => Place::Project(ProjectId(id)),
        2 => Place::Group(GroupId(id)),
        3 => Place::Instance,
        _ => Place::Elsewhere,
    }
}

pub(crate) const fn place_columns(place: Place) -> (i16, i64) {
    match place {
        Place::Elsewhere => (0, 0),
        Place::Project(id) => (1, id.0),
        Place::Group(id) => (2, id.0),
        Place::Instance => (3, 0),
    }
}

pub(crate) const fn origin(kind: i16, id: i64) -> Origin {
    match kind {
        1 => Origin::Source(SourceId(id)),
        2 => Origin::Test,
        3 => Origin::Backfill,
        _ => Origin::Api,
    }
}

pub(crate) const fn origin_columns(origin: Origin) -> (i16, i64) {
    match origin {
        Origin::Api => (0, 0),
        Origin::Source(id) => (1, id.0),
        Origin::Test => (2, 0),
        Origin::Backfill => (3, 0),
    }
}

/// The two columns of `hooks` that hold a scope.
pub(crate) const fn scope_columns(scope: Scope) -> (Option<i64>, Option<i64>) {
    match scope {
        Scope::Instance => (None, None),
        Scope::Group(id) => (None, Some(id.0)),
        Scope::Project(id) => (Some(id.0), None),
    }
}

/// The condition of rows in a scope, and the number that is its first parameter. Each names the one column that its
/// index begins with. `mark` begins a parameter's name.
pub(crate) fn in_scope(scope: Scope, rows: &str, mark: char) -> (String, i64) {
    match scope {
        Scope::Project(id) => (format!("{rows}.project_id = {mark}1"), id.0),
        Scope::Group(id) => (format!("{rows}.group_id = {mark}1"), id.0),
        Scope::Instance => (
            format!("{rows}.project_id IS NULL AND {rows}.group_id IS NULL AND CAST({mark}1 AS BIGINT) = 0"),
            0,
        ),
    }
}

pub(crate) fn scope(project: Option<i64>, group: Option<i64>) -> Scope {
    match (project, group) {
        (Some(project), _) => Scope::Project(ProjectId(project)),
        (None, Some(group)) => Scope::Group(GroupId(group)),
        (None, None) => Scope::Instance,
    }
}

/// The condition that a delivery is in a state; any state without one.
pub(crate) fn is_in(stage: Option<Stage>) -> String {
    let Some(stage) = stage else { return "TRUE".to_owned() };
    let code = stage.code();

    match stage {
        Stage::Waiting => format!("state = {code} AND due_at < {BLOCKED}"),
        Stage::Blocked => format!("state = {code} AND due_at >= {BLOCKED}"),
        Stage::Retrying | Stage::Delivered | Stage::GivenUp | Stage::Cancelled => format!("state = {code}"),
    }
}

/// State and tally as the columns hold them: code, due time, attempts, unknown ones.
pub(crate) fn state_columns(state: State, tally: Tally) -> (i16, i64, i64, i64) {
    let due_at = state.due_at().map_or(0, Timestamp::as_micros);
    (
        state.code(),
        due_at,
        i64::from(tally.attempts),
        i64::from(tally.unknown),
    )
}

pub(crate) fn tally(attempts: i64, unknown: i64) -> Tally {
    let read = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Tally {
        attempts: read(attempts),
        unknown: read(unknown),
    }
}

/// A number of rows as SQL's LIMIT wants it.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// Keys of different sources must not meet, and long ones must not cost more: what is stored is a digest of both.
pub(crate) fn key_hash(key: &DedupeKey) -> [u8; 16] {
    let (kind, id) = origin_columns(key.origin);
    let (place_kind, place) = place_columns(key.place);

    let digest = Sha256::new()
        .chain_update(kind.to_be_bytes())
        .chain_update(id.to_be_bytes())
        .chain_update(place_kind.to_be_bytes())
        .chain_update(place.to_be_bytes())
        .chain_update(key.key.as_bytes())
        .finalize();

    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    hash
}

/// Health from its columns.
pub(crate) fn health(failures: i64, pauses: i64, disabled_until: Option<i64>, disabled: bool) -> Health {
    let read = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Health {
        recent_failures: read(failures),
        pauses: read(pauses),
        disabled_until: disabled_until.map(Timestamp::from_micros),
        disabled,
    }
}

/// Hooks whose filter could not be answered, as a text: a number and a question mark for each. No hook is no text.
pub(crate) fn unlisted(hooks: &[HookId]) -> Option<String> {
    (!hooks.is_empty()).then(|| {
        hooks
            .iter()
            .map(|hook| format!("{hook}?"))
            .collect::<Vec<_>>()
            .join(" ")
    })
}

/// The same from a text. Earlier versions wrote numbers without a mark, for hooks whose filter stopped the event.
pub(crate) fn read_unlisted(text: Option<&str>) -> Vec<HookId> {
    let marked = text
        .into_iter()
        .flat_map(str::split_whitespace)
        .filter_map(|word| word.strip_suffix('?'));
    marked.filter_map(|number| number.parse().ok().map(HookId)).collect()
}
