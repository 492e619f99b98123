//! The marks by which a body declares something confidential.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Member;

/// Whether a member marks the body as confidential.
pub(super) fn marks(member: Member, value: &RawValue) -> bool {
    match member {
        Member::ObjectAttributes | Member::Issue => is_marked(value),
        Member::Confidential | Member::Internal => is_set(value),
        _ => false,
    }
}

/// The fields that mark an object as confidential.
#[derive(Deserialize)]
struct Marks<'a> {
    #[serde(borrow)]
    confidential: Option<&'a RawValue>,
    #[serde(borrow)]
    internal: Option<&'a RawValue>,
}

/// Whether an object declares itself confidential. An object that repeats a mark counts as confidential, because
/// readers disagree on which of the two values counts.
fn is_marked(object: &RawValue) -> bool {
    if !object.get().starts_with('{') {
        return false;
    }

    match serde_json::from_str::<Marks<'_>>(object.get()) {
        Ok(marks) => marks.confidential.is_some_and(is_set) || marks.internal.is_some_and(is_set),
        Err(_) => true,
    }
}

/// Any value except `false` and `null` sets a mark: a mark in an unknown form must not make a body public.
fn is_set(mark: &RawValue) -> bool {
    !matches!(mark.get(), "false" | "null")
}
