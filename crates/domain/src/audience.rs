//! The audience of an event: a decision about each candidate hook, with a reason.

use crate::event::Event;
use serde_json::Value;

use crate::hook::filter::Answer;
use crate::hook::{Hook, Passage};
use crate::recursion::{Chain, Stop};
use crate::scope::{Place, Scope};
use crate::work::Work;
use crate::{GroupId, HookId, Trigger};

/// The reason for which a subscribed hook does not get an event. It is stored, so that "why was this hook not called?"
/// has an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SkipReason {
    /// The branch filter stops this push.
    BranchFilter,

    /// The branch filter takes more work on this branch's name than is allowed.
    BranchFilterGaveUp,

    /// The hook was created after the event.
    TooYoung,

    /// The hook already fired in the chain that the event continues.
    Recursion,

    /// The chain that the event continues has called too many hooks.
    LongChain,

    /// The namespace has used up its deliveries for this minute.
    RateLimit,

    /// The hook is disabled, and its events are dropped while it is.
    Disabled,

    /// The hook has been disabled for too long, or holds too many deliveries, so no more are held for it.
    HoldBudget,

    /// The same event was received shortly before through another hook.
    Duplicate,

    /// The hook's event filter stops this event.
    EventFilter,

    /// The hook's event filter takes more work on this event than is allowed.
    EventFilterGaveUp,

    /// Silent mode is on: nothing is delivered.
    SilentMode,

    /// A person has paused the hook, and its events are dropped while it is.
    HookPaused,
}

/// All reasons, with the number in the databases (never change one) and the word of the API.
const REASONS: [(SkipReason, i16, &str); 13] = [
    (SkipReason::BranchFilter, 1, "branch_filter"),
    (SkipReason::TooYoung, 2, "hook_created_later"),
    (SkipReason::BranchFilterGaveUp, 3, "branch_filter_gave_up"),
    (SkipReason::Recursion, 4, "recursion"),
    (SkipReason::LongChain, 5, "chain_too_long"),
    (SkipReason::RateLimit, 6, "rate_limit"),
    (SkipReason::Disabled, 7, "hook_disabled"),
    (SkipReason::HoldBudget, 8, "hold_budget"),
    (SkipReason::Duplicate, 9, "duplicate"),
    (SkipReason::EventFilter, 10, "event_filter"),
    (SkipReason::EventFilterGaveUp, 11, "event_filter_gave_up"),
    (SkipReason::SilentMode, 12, "silent_mode"),
    (SkipReason::HookPaused, 13, "hook_paused"),
];

impl SkipReason {
    /// The number in the databases.
    #[must_use]
    pub fn code(self) -> i16 {
        REASONS
            .iter()
            .find(|(reason, ..)| *reason == self)
            .map_or(0, |(_, code, _)| *code)
    }

    /// The reason with this number in the databases.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        REASONS
            .iter()
            .find(|(_, known, _)| *known == code)
            .map(|(reason, ..)| *reason)
    }

    /// The reason with this word in the API.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        REASONS
            .iter()
            .find(|(.., known)| *known == word)
            .map(|(reason, ..)| *reason)
    }

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        REASONS
            .iter()
            .find(|(reason, ..)| *reason == self)
            .map_or("", |(.., word)| word)
    }
}

/// The decision about one hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The hook gets a delivery.
    Deliver,

    /// The hook gets no delivery, and the reason is stored.
    Skip(SkipReason),

    /// The hook is not subscribed to this kind of event.
    NotSelected,
}

/// Whether a hook is subscribed to a trigger, and its level can get it.
#[must_use]
pub fn selects(hook: &Hook, trigger: Trigger) -> bool {
    let row = trigger.row();
    if hook.all_events {
        return hook.scope == Scope::Instance || row.levels.contain(hook.scope);
    }

    // Kinds without an attribute go to every system hook.
    row.levels.contain(hook.scope) && (row.is_system_only() || hook.triggers.contains(trigger))
}

/// Whether a hook gets events in `place`, as far as its scope and its restriction to places say. A hook of the instance
/// for all events also gets those of groups, which GitLab sends to no system hook.
///
/// `Place::Elsewhere` is the place of our own events that came back, and of imported history. They reach no hook: each
/// hook got them when they happened.
#[must_use]
pub fn reaches(hook: &Hook, place: Place, groups: &[GroupId]) -> bool {
    let gets_groups = hook.all_events && hook.scope == Scope::Instance && matches!(place, Place::Group(_));
    (gets_groups || covers(hook.scope, place, groups)) && hook.only.admits_place(place, groups)
}

/// Whether hooks of `scope` get events in `place`. `groups` are the groups of the place, the nearest first.
///
/// Source: GitLab's developer guide. An event of a project reaches the hooks of the project, of its group and all
/// ancestors, and system hooks. An event of a group reaches the hooks of the group and its ancestors. Identical hooks
/// on several levels all fire.
#[must_use]
pub fn covers(scope: Scope, place: Place, groups: &[GroupId]) -> bool {
    match (scope, place) {
        (_, Place::Elsewhere) => false,
        (Scope::Project(hook), Place::Project(event)) => hook == event,
        (Scope::Project(_), _) => false,
        (Scope::Group(_), Place::Instance) => false,
        (Scope::Group(hook), Place::Project(_) | Place::Group(_)) => groups.contains(&hook),
        (Scope::Instance, Place::Project(_) | Place::Instance) => true,
        (Scope::Instance, Place::Group(_)) => false,
    }
}

/// Whether a hook has filters that apply to an event of this kind, with a branch or without.
#[must_use]
pub fn has_filters(hook: &Hook, trigger: Trigger, has_branch: bool) -> bool {
    hook.event_filter.is_some() || (has_branch && trigger.row().branch_filter && !hook.branch_filter.passes_all())
}

/// The result of a hook's filters for an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filtered {
    /// The event passes.
    Passes,

    /// The event passes because the push does not list the commits that the filter needs.
    PassesUnlisted,

    /// The event does not pass.
    Stopped(SkipReason),
}

/// Applies a hook's filters to an event. `branch` is the branch of a push. `body` is `None` if the body is too large to
/// be parsed or is not JSON; the event filter is skipped then.
#[must_use]
pub fn ask_filters(
    hook: &Hook,
    trigger: Trigger,
    branch: Option<&str>,
    body: Option<&Value>,
    work: &mut Work,
) -> Filtered {
    let branch = branch.filter(|_| trigger.row().branch_filter);
    match branch.map_or(Passage::Passes, |branch| hook.branch_filter.judge(branch, work)) {
        Passage::Passes => {}
        Passage::Stopped => return Filtered::Stopped(SkipReason::BranchFilter),
        Passage::GaveUp => return Filtered::Stopped(SkipReason::BranchFilterGaveUp),
    }

    let (Some(filter), Some(body)) = (&hook.event_filter, body) else {
        return Filtered::Passes;
    };
    match filter.judge(body, work) {
        Ok(Answer::Passes) => Filtered::Passes,
        Ok(Answer::Unknown) => Filtered::PassesUnlisted,
        Ok(Answer::Stopped) => Filtered::Stopped(SkipReason::EventFilter),
        Err(_) => Filtered::Stopped(SkipReason::EventFilterGaveUp),
    }
}

/// Decides about one candidate: a hook whose scope contains the event's place. `stopped` lists the hooks whose filters
/// stop the event. `chain` has the hooks that already fired in the event's chain, and is empty if the event continues
/// none.
#[must_use]
pub fn select(event: &Event, hook: &Hook, stopped: &[(HookId, SkipReason)], chain: &Chain) -> Decision {
    if !selects(hook, event.trigger) || !hook.only.admits_origin(event.origin) {
        return Decision::NotSelected;
    }

    if event.duplicate_of.is_some() {
        return Decision::Skip(SkipReason::Duplicate);
    }

    // This happens only if a hook is created while the event waits for its fan-out.
    if hook.created_at > event.received_at {
        return Decision::Skip(SkipReason::TooYoung);
    }

    match stopped.iter().find(|(stopped, _)| *stopped == hook.id) {
        Some((_, reason)) => Decision::Skip(*reason),
        None => match chain.stops(hook.id) {
            Some(Stop::Repeated) => Decision::Skip(SkipReason::Recursion),
            Some(Stop::LongChain) => Decision::Skip(SkipReason::LongChain),
            None => Decision::Deliver,
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::Origin;
    use crate::hook::{BranchFilter, HookUrl};
    use crate::{EventId, HookId, ProjectId, Timestamp, TriggerSet};

    pub(crate) fn hook(scope: Scope, triggers: &[Trigger]) -> Hook {
        let url = HookUrl::parse("https://hooks.example.com/in?x=1").expect("a URL");
        let hook = Hook::new(scope, url, Uuid::from_u128(0x02af_fd2d), Timestamp::from_seconds(10));

        Hook {
            id: HookId(1),
            triggers: triggers.iter().copied().collect::<TriggerSet>(),
            ..hook
        }
    }

    pub(crate) fn push(git_ref: &str) -> Event {
        let id = EventId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001));
        let trigger = if git_ref.starts_with("refs/tags/") {
            Trigger::TAG_PUSH
        } else {
            Trigger::PUSH
        };

        Event {
            git_ref: Some(git_ref.to_owned()),
            ..Event::new(
                id,
                Place::Project(ProjectId(1)),
                trigger,
                Origin::Api,
                Timestamp::from_seconds(20),
            )
        }
    }

    #[test]
    fn events_reach_hooks_of_the_project_its_groups_and_the_instance() {
        let (project, group) = (Place::Project(ProjectId(1)), Place::Group(GroupId(5)));
        let up = [GroupId(5), GroupId(2)];
        assert!(covers(Scope::Project(ProjectId(1)), project, &up));
        assert!(!covers(Scope::Project(ProjectId(2)), project, &up));
        assert!(covers(Scope::Group(GroupId(5)), project, &up) && covers(Scope::Group(GroupId(2)), project, &up));
        assert!(!covers(Scope::Group(GroupId(6)), project, &up));
        assert!(covers(Scope::Instance, project, &up) && !covers(Scope::Instance, group, &up));
        assert!(covers(Scope::Group(GroupId(2)), group, &up));
        assert!(
            covers(Scope::Instance, Place::Instance, &[]) && !covers(Scope::Group(GroupId(2)), Place::Instance, &[])
        );
        assert!(!covers(Scope::Instance, Place::Elsewhere, &[]));
    }

    #[test]
    fn a_hook_gets_the_kinds_that_it_selects() {
        let hook = hook(Scope::Project(ProjectId(1)), &[Trigger::PUSH]);
        assert_eq!(
            select(&push("refs/heads/main"), &hook, &[], &Chain::default()),
            Decision::Deliver
        );

        assert_eq!(
            select(&push("refs/tags/v1"), &hook, &[], &Chain::default()),
            Decision::NotSelected
        );
    }

    #[test]
    fn every_system_hook_gets_kinds_without_an_attribute() {
        let system = hook(Scope::Instance, &[]);
        let created = Trigger::by_name("user_create").expect("a row");
        assert!(selects(&system, created));
        assert!(!selects(&hook(Scope::Project(ProjectId(1)), &[]), created));

        assert!(!selects(
            &hook(Scope::Instance, &[Trigger::all().nth(2).expect("a row")]),
            Trigger::PUSH
        ));
    }

    #[test]
    fn a_hook_for_everything_of_the_instance_gets_every_kind_in_every_place() {
        let mut everything = hook(Scope::Instance, &[]);
        everything.all_events = true;

        for trigger in Trigger::all() {
            assert!(selects(&everything, trigger), "{trigger}");
        }

        let groups = [GroupId(5)];
        for place in [Place::Project(ProjectId(1)), Place::Group(GroupId(5)), Place::Instance] {
            assert!(reaches(&everything, place, &groups), "{place:?}");
        }
        assert!(!reaches(&everything, Place::Elsewhere, &[]));
        assert!(!reaches(&hook(Scope::Instance, &[]), Place::Group(GroupId(5)), &groups));
    }

    #[test]
    fn a_project_hook_for_all_events_gets_the_kinds_of_projects() {
        let mut all = hook(Scope::Project(ProjectId(1)), &[]);
        all.all_events = true;

        for trigger in Trigger::all() {
            assert_eq!(
                selects(&all, trigger),
                trigger.row().levels.contain(all.scope),
                "{trigger}"
            );
        }
    }

    #[test]
    fn a_restriction_to_a_source_leaves_other_events_out() {
        let mut everything = hook(Scope::Instance, &[]);
        everything.all_events = true;
        everything.only.sources = Some(crate::hook::Senders {
            reports: false,
            sources: vec![3],
        });

        let reported = push("refs/heads/main");
        let received = Event {
            origin: Origin::Source(crate::SourceId(3)),
            ..push("refs/heads/main")
        };
        let decide = |event| select(event, &everything, &[], &Chain::default());
        assert_eq!(decide(&reported), Decision::NotSelected);
        assert_eq!(decide(&received), Decision::Deliver);
    }

    #[test]
    fn reasons_have_numbers_and_words_of_their_own() {
        for (reason, code, word) in REASONS {
            assert_eq!((reason.code(), reason.word()), (code, word));
            assert_eq!(SkipReason::from_code(code), Some(reason));
            assert_eq!(SkipReason::from_word(word), Some(reason));
        }
    }

    #[test]
    fn the_branch_filter_stops_branches_only() {
        let mut hook = hook(Scope::Project(ProjectId(1)), &[Trigger::PUSH, Trigger::TAG_PUSH]);
        hook.branch_filter = BranchFilter::parse("wildcard", Some("production/*")).expect("a filter");

        let ask = |git_ref: &str| {
            let event = push(git_ref);
            assert!(!has_filters(&hook, event.trigger, false));
            ask_filters(&hook, event.trigger, event.branch(), None, &mut Work::new(1_000))
        };
        assert_eq!(ask("refs/heads/production/eu"), Filtered::Passes);
        assert_eq!(ask("refs/heads/main"), Filtered::Stopped(SkipReason::BranchFilter));
        assert_eq!(ask("refs/tags/main"), Filtered::Passes);

        let stopped = [(hook.id, SkipReason::BranchFilter)];
        assert_eq!(
            select(&push("refs/heads/main"), &hook, &stopped, &Chain::default()),
            Decision::Skip(SkipReason::BranchFilter)
        );
    }

    #[test]
    fn a_hook_is_not_owed_events_from_before_it_was_created() {
        let mut hook = hook(Scope::Project(ProjectId(1)), &[Trigger::PUSH]);
        hook.created_at = Timestamp::from_seconds(21);

        assert_eq!(
            select(&push("refs/heads/main"), &hook, &[], &Chain::default()),
            Decision::Skip(SkipReason::TooYoung)
        );
    }
}
