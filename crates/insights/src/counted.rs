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

impl Counted {
    /// The counted kind of an event; nothing for an event that insights do not count.
    pub(crate) fn of(trigger: Trigger) -> Option<Self> {
        Some(match trigger {
            Trigger::PUSH => Self::Push,
            Trigger::TAG_PUSH => Self::TagPush,
            Trigger::ISSUE | Trigger::CONFIDENTIAL_ISSUE => Self::Issue,
            Trigger::NOTE | Trigger::CONFIDENTIAL_NOTE => Self::Note,
            Trigger::MERGE_REQUEST => Self::MergeRequest,
            Trigger::JOB => Self::Job,
            Trigger::PIPELINE => Self::Pipeline,
            Trigger::DEPLOYMENT => Self::Deployment,
            Trigger::RELEASE => Self::Release,
            _ => return None,
        })
    }
}
