//! The registry: the only list of the kinds of event. Each kind is a value with all that the program knows of it, in a
//! file of its own in this folder. Objects that several kinds share are in `compose/`.
//!
//! `trigger`, `envelope` and `compose` do not know the registry. `report.rs` asks it for the composer of a kind.
//!
//! Source: GitLab's webhook events and system hooks pages, `app/models/concerns/triggerable_hooks.rb`, and the
//! exceptions that its test suite asserts.

mod deployment;
mod emoji;
mod feature_flag;
mod group;
mod hook_state;
mod insight_alert;
mod issue;
mod job;
mod key;
mod look_up;
mod member;
mod member_approval;
mod merge_request;
mod milestone;
mod note;
mod object_key;
mod pipeline;
mod project;
mod push;
mod recognise;
mod release;
mod repository_update;
mod resource_access_token;
mod resource_deploy_token;
mod tag_push;
mod unknown;
mod user;
mod vulnerability;
mod wiki_page;

use crate::compose::Composer;
use crate::compose::system_events::Shape;
use crate::envelope::ObjectName;
use crate::times::spelling::Times;
use crate::trigger::Row;

/// The kinds in the order of their codes: the code of a kind is its position in this list. Databases store the codes,
/// so a new kind is added at the end, and no kind is ever moved or removed.
pub(crate) static KINDS: [&Kind; 51] = [
    &unknown::UNKNOWN,
    &push::PUSH,
    &tag_push::TAG_PUSH,
    &issue::ISSUE,
    &issue::CONFIDENTIAL_ISSUE,
    &note::NOTE,
    &note::CONFIDENTIAL_NOTE,
    &merge_request::MERGE_REQUEST,
    &job::JOB,
    &pipeline::PIPELINE,
    &wiki_page::WIKI_PAGE,
    &deployment::DEPLOYMENT,
    &feature_flag::FEATURE_FLAG,
    &release::RELEASE,
    &milestone::MILESTONE,
    &emoji::EMOJI,
    &resource_access_token::RESOURCE_ACCESS_TOKEN,
    &resource_deploy_token::RESOURCE_DEPLOY_TOKEN,
    &vulnerability::VULNERABILITY,
    &member::MEMBER,
    &group::SUBGROUP,
    &project::PROJECT,
    &repository_update::REPOSITORY_UPDATE,
    &project::PROJECT_CREATE,
    &project::PROJECT_DESTROY,
    &project::PROJECT_UPDATE,
    &project::PROJECT_RENAME,
    &project::PROJECT_TRANSFER,
    &member::USER_ADD_TO_TEAM,
    &member::USER_REMOVE_FROM_TEAM,
    &member::USER_UPDATE_FOR_TEAM,
    &member::USER_ACCESS_REQUEST_TO_PROJECT,
    &member::USER_ACCESS_REQUEST_REVOKED_FOR_PROJECT,
    &member::USER_ADD_TO_GROUP,
    &member::USER_REMOVE_FROM_GROUP,
    &member::USER_UPDATE_FOR_GROUP,
    &member::USER_ACCESS_REQUEST_TO_GROUP,
    &member::USER_ACCESS_REQUEST_REVOKED_FOR_GROUP,
    &user::USER_CREATE,
    &user::USER_DESTROY,
    &user::USER_RENAME,
    &user::USER_FAILED_LOGIN,
    &key::KEY_CREATE,
    &key::KEY_DESTROY,
    &group::GROUP_CREATE,
    &group::GROUP_DESTROY,
    &group::GROUP_RENAME,
    &member_approval::MEMBER_APPROVAL,
    &member_approval::MEMBER_APPROVALS,
    &hook_state::HOOK_STATE,
    &insight_alert::INSIGHT_ALERT,
];

// Invariant: the position of a kind is its code, and a set of kinds fits 64 bits.
const _: () = {
    assert!(KINDS.len() <= 64);

    let mut at = 0;
    while at < KINDS.len() {
        assert!(
            KINDS[at].row.code as usize == at,
            "the code of a kind must be its position in the registry"
        );

        at += 1;
    }
};

/// One kind of event.
pub(crate) struct Kind {
    /// Its columns.
    pub(crate) row: Row,

    /// The way in which its bodies are composed. `None`: Quickdraw writes them itself, or does not know them.
    pub(crate) composer: Option<Composer>,

    /// Attributes of a reported object that identify it when several saves are one event, the best first. Empty for a
    /// kind whose objects are not saved.
    pub(crate) identified_by: &'static [&'static str],

    /// The part of a body that names its object, for hooks that want the events of an object in order.
    pub(crate) object_name: ObjectName,

    /// A realistic report, from which the test of a hook is composed.
    pub(crate) report: Option<&'static str>,
}

impl Kind {
    /// The values that most kinds share; each kind states its differences.
    const USUAL: Self = Self {
        row: Row::USUAL,
        composer: None,
        identified_by: &[],
        object_name: ObjectName::Attributes,
        report: None,
    };

    /// A kind whose bodies are a list of attributes without an object.
    const fn without_object(row: Row, shape: &'static Shape) -> Self {
        Self {
            row: Row {
                objects: &["user", "group", "project", "owner"],
                times: Times::ISO,
                ..row
            },
            composer: Some(Composer::Attributes(shape)),
            ..Self::USUAL
        }
    }

    /// A kind of that form which every system hook receives, and no other hook. It goes by the one name of its events.
    const fn system(
        code: u8,
        event_name: &'static [&'static str; 1],
        meaning: &'static str,
        shape: &'static Shape,
    ) -> Self {
        Self::without_object(Row::system(code, event_name[0], meaning, event_name), shape)
    }
}

#[cfg(test)]
mod tests;
