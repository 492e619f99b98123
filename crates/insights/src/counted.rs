//! The kinds of event that insights count, and the only list of them.

use quickdraw_domain::Trigger;

/// A kind of event that insights count. Both halves of a kind count alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    Push,
    TagPush,
    Issue,
    Note,
    MergeRequest,
    Job,
    Pipeline,
    Deployment,
    Release,
}

/// The counted kinds.
const COUNTED: [(Trigger, Counted); 11] = [
    (Trigger::PUSH, Counted::Push),
    (Trigger::TAG_PUSH, Counted::TagPush),
    (Trigger::ISSUE, Counted::Issue),
    (Trigger::CONFIDENTIAL_ISSUE, Counted::Issue),
    (Trigger::NOTE, Counted::Note),
    (Trigger::CONFIDENTIAL_NOTE, Counted::Note),
    (Trigger::MERGE_REQUEST, Counted::MergeRequest),
    (Trigger::JOB, Counted::Job),
    (Trigger::PIPELINE, Counted::Pipeline),
    (Trigger::DEPLOYMENT, Counted::Deployment),
    (Trigger::RELEASE, Counted::Release),
];

impl Counted {
    /// The counted kind of an event; nothing for an event that insights do not count.
    pub(crate) fn of(trigger: Trigger) -> Option<Self> {
        let known = COUNTED.iter().find(|(known, _)| *known == trigger);
        known.map(|(_, counted)| *counted)
    }
}
