//! The object that an event is about, for hooks that want the events of an object in order.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::member::{Members, nested, string};
use super::{Envelope, Member};
use crate::ids::ObjectKey;
use crate::scope::Place;

/// The members of a body that names no object.
static NOTHING: Members<'static> = Members::NONE;

/// The part of a body that names the object of an event.
pub(crate) enum ObjectName {
    /// `iid`, `id` or `slug` of `object_attributes`.
    Attributes,

    /// A member of the body.
    Member(Member),

    /// The object that a comment or a reaction belongs to.
    Noteable,
}

impl Envelope<'_> {
    /// `object_kind` as the body states it. An ambiguous body states none.
    pub(crate) fn stated_kind(&self) -> Option<Cow<'_, str>> {
        string(self.naming_members().get(Member::ObjectKind))
    }

    /// The key of the object that a body of some kind names. Only the registry knows how a kind names its objects.
    pub(crate) fn key_of(&self, kind: &str, name: &ObjectName, place: Place) -> ObjectKey {
        let members = self.naming_members();
        let object = named(kind, name, members);

        let project = nested::<Numbers<'_>>(members.get(Member::Project)).id;
        let project = project.or(members.get(Member::ProjectId)).map_or("", RawValue::get);

        let place = match place {
            Place::Project(id) => format!("p{id}"),
            Place::Group(id) => format!("g{id}"),
            Place::Instance => "i".to_owned(),
            Place::Elsewhere => String::new(),
        };
        let parts = [&place, project, object.kind, object.number.unwrap_or_default()];
        // JSON texts and words hold no line feed, so the parts cannot run into each other.
        let digest = Sha256::digest(parts.join("\n"));
        let mut key = [0; 8];

        key.copy_from_slice(&digest[..8]);
        ObjectKey(i64::from_be_bytes(key))
    }

    /// The object that a body of some kind names.
    pub(crate) fn object_of(&self, kind: &str, name: &ObjectName) -> NamedObject {
        let object = named(kind, name, self.naming_members());
        NamedObject {
            kind: object.kind.to_owned(),
            number: object.number.unwrap_or_default().to_owned(),
        }
    }

    /// The members that can name the object. An ambiguous body has none.
    fn naming_members(&self) -> &Members<'_> {
        if self.is_ambiguous { &NOTHING } else { &self.members }
    }
}

/// An object of an event, with its kind and the JSON text of its number; empty if the body names none.
pub(crate) struct NamedObject {
    pub(crate) kind: String,
    pub(crate) number: String,
}

/// An object of an event: its kind and the JSON text of its number.
struct Object<'a> {
    kind: &'a str,
    number: Option<&'a str>,
}

/// The object of a body of a kind.
fn named<'a>(kind: &'a str, name: &ObjectName, members: &Members<'a>) -> Object<'a> {
    match *name {
        ObjectName::Attributes => Object {
            kind,
            number: attributes_number(members, Member::ObjectAttributes),
        },
        ObjectName::Member(member) => Object {
            kind,
            number: members.get(member).map(RawValue::get),
        },
        ObjectName::Noteable => noteable(members).unwrap_or(Object { kind, number: None }),
    }
}

/// The object that a comment or a reaction belongs to.
fn noteable<'a>(members: &Members<'a>) -> Option<Object<'a>> {
    let objects = [
        ("merge_request", Member::MergeRequest),
        ("issue", Member::Issue),
        ("snippet", Member::Snippet),
        ("commit", Member::Commit),
        ("wiki_page", Member::WikiPage),
    ];

    for (kind, member) in objects {
        let number = attributes_number(members, member);
        if number.is_some() {
            return Some(Object { kind, number });
        }
    }

    None
}

/// The names of an object: its number within the project, its number on the instance, the slug of a page.
#[derive(Deserialize, Default)]
struct Numbers<'a> {
    #[serde(borrow)]
    iid: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    slug: Option<&'a RawValue>,
}

/// The number of an object in a member of the body. Any other value has none.
fn attributes_number<'a>(members: &Members<'a>, member: Member) -> Option<&'a str> {
    let numbers: Numbers<'a> = members.nested(member);
    numbers.iid.or(numbers.id).or(numbers.slug).map(RawValue::get)
}
