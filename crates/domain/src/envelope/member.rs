//! The members of a body that its envelope remembers, and the words, texts and numbers in them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

/// The maximum length of a word, in bytes.
const MAX_WORD: usize = 1024;

/// The maximum length of a text, in characters.
const MAX_TEXT: usize = 1000;

/// A member at the top level of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Member {
    // The kind.
    ObjectKind,
    EventName,
    EventType,
    // Marks of something confidential.
    Confidential,
    Internal,
    // The object.
    ObjectAttributes,
    MergeRequest,
    Issue,
    Snippet,
    Commit,
    WikiPage,
    BuildId,
    DeploymentId,
    Ref,
    Tag,
    // The project.
    Project,
    ProjectId,
    // The project of events that create, rename and move projects, and of members.
    Name,
    PathWithNamespace,
    ProjectName,
    ProjectPathWithNamespace,
    OldPathWithNamespace,
    // The group.
    Group,
    GroupId,
    GroupPath,
    FullPath,
    ParentGroupId,
    ParentFullPath,
    OldFullPath,
    // The user.
    User,
    UserUsername,
    UserName,
    UserEmail,
}

impl Member {
    const COUNT: usize = Self::UserEmail as usize + 1;

    fn by_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"object_kind" => Self::ObjectKind,
            b"event_name" => Self::EventName,
            b"event_type" => Self::EventType,
            b"confidential" => Self::Confidential,
            b"internal" => Self::Internal,
            b"object_attributes" => Self::ObjectAttributes,
            b"merge_request" => Self::MergeRequest,
            b"issue" => Self::Issue,
            b"snippet" => Self::Snippet,
            b"commit" => Self::Commit,
            b"wiki_page" => Self::WikiPage,
            b"build_id" => Self::BuildId,
            b"deployment_id" => Self::DeploymentId,
            b"ref" => Self::Ref,
            b"tag" => Self::Tag,
            b"project" => Self::Project,
            b"project_id" => Self::ProjectId,
            b"name" => Self::Name,
            b"path_with_namespace" => Self::PathWithNamespace,
            b"project_name" => Self::ProjectName,
            b"project_path_with_namespace" => Self::ProjectPathWithNamespace,
            b"old_path_with_namespace" => Self::OldPathWithNamespace,
            b"group" => Self::Group,
            b"group_id" => Self::GroupId,
            b"group_path" => Self::GroupPath,
            b"full_path" => Self::FullPath,
            b"parent_group_id" => Self::ParentGroupId,
            b"parent_full_path" => Self::ParentFullPath,
            b"old_full_path" => Self::OldFullPath,
            b"user" => Self::User,
            b"user_username" => Self::UserUsername,
            b"user_name" => Self::UserName,
            b"user_email" => Self::UserEmail,
            _ => return None,
        })
    }

    /// Whether the member can be a part of the name of an object ([`super::Envelope::key_of`]).
    pub(super) const fn can_name_object(self) -> bool {
        matches!(
            self,
            Self::ObjectKind
                | Self::ObjectAttributes
                | Self::MergeRequest
                | Self::Issue
                | Self::Snippet
                | Self::Commit
                | Self::WikiPage
                | Self::BuildId
                | Self::DeploymentId
                | Self::Ref
                | Self::Tag
                | Self::Project
                | Self::ProjectId
        )
    }
}

/// The name of a member, as the parser reads it.
pub(super) enum MemberName {
    Known(Member),
    /// `is_doubtful`: the name may not be a text. It has a lone surrogate, or a control character that may not be
    /// escaped.
    Other {
        is_doubtful: bool,
    },
}

impl<'de> Deserialize<'de> for MemberName {
    /// Reads bytes, because unlike a `String` they may contain a lone surrogate, which JSON allows.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = MemberName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<MemberName, E> {
                if let Some(member) = Member::by_name(name) {
                    return Ok(MemberName::Known(member));
                }

                let is_doubtful = name.iter().any(|byte| *byte < b' ') || std::str::from_utf8(name).is_err();
                Ok(MemberName::Other { is_doubtful })
            }
        }

        deserializer.deserialize_bytes(NameVisitor)
    }
}

/// The values of the members that were found. The last value of a repeated name counts, and `null` counts as absent.
#[derive(Clone, Debug)]
pub(super) struct Members<'a> {
    values: [Option<&'a RawValue>; Member::COUNT],

    /// One bit for each member that was found, also for a `null`.
    found: u64,
}

impl Default for Members<'_> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<'a> Members<'a> {
    /// The members of an empty object.
    pub(super) const NONE: Self = Self {
        values: [None; Member::COUNT],
        found: 0,
    };

    /// Remembers the value of a member. Returns whether the member is repeated.
    pub(super) fn put(&mut self, member: Member, value: &'a RawValue) -> bool {
        let bit = 1 << member as u32;
        let is_repeated = self.found & bit != 0;
        self.found |= bit;
        self.values[member as usize] = Some(value).filter(|value| value.get() != "null");

        is_repeated
    }

    pub(super) fn get(&self, member: Member) -> Option<&'a RawValue> {
        self.values[member as usize]
    }

    /// A short text without control characters.
    pub(super) fn word(&self, member: Member) -> Option<Cow<'a, str>> {
        let word = string(self.get(member))?;
        let is_word = word.len() <= MAX_WORD && !word.chars().any(char::is_control);
        is_word.then_some(word)
    }

    /// A text of limited length, without control characters.
    pub(super) fn text(&self, member: Member) -> Option<String> {
        text(self.get(member))
    }

    pub(super) fn number(&self, member: Member) -> Option<i64> {
        number(self.get(member))
    }

    /// The members of a value that is an object. Any other value has none, and an object that repeats one has none.
    pub(super) fn nested<T: Deserialize<'a> + Default>(&self, member: Member) -> T {
        nested(self.get(member))
    }
}

/// The members of an object. Any other value has none, and an object that repeats one has none.
pub(super) fn nested<'a, T: Deserialize<'a> + Default>(value: Option<&'a RawValue>) -> T {
    value
        .and_then(|value| serde_json::from_str(value.get()).ok())
        .unwrap_or_default()
}

/// A string, borrowed if it contains no escapes.
pub(super) fn string(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    let json = value?.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }

    // Invariant: the parser has validated the value, so a string without escapes stands for itself.
    Some(Cow::Borrowed(inner))
}

/// A text of limited length, without control characters.
pub(super) fn text(value: Option<&RawValue>) -> Option<String> {
    let text: String = string(value)?
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_TEXT)
        .collect();

    (!text.is_empty()).then_some(text)
}

/// An integer.
pub(super) fn number(value: Option<&RawValue>) -> Option<i64> {
    value?.get().parse().ok()
}
