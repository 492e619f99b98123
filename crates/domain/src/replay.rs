//! Replays: finished deliveries that match a filter are rescheduled.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::audience::SkipReason;
use crate::delivery::{Stage, State};
use crate::event::{Event, Origin};
use crate::outcome::Answers;
use crate::scope::Place;
use crate::{DeliveryId, HookId, ProjectId, Timestamp};

/// Largest number of deliveries that a filter can name.
pub const MAX_DELIVERIES: usize = 100;
/// Largest difference between the time in the id of a delivery and the time at which its event was received.
const TOLERANCE: Duration = Duration::from_secs(2);

/// The final state of a delivery that a replay can choose. Filters store it as the number of [`Stage::code`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "i16", try_from = "i16")]
pub enum Ended {
    /// The receiver accepted it.
    Delivered,

    /// The allowed attempts are used up.
    GivenUp,
}

impl Ended {
    /// The state of such a delivery.
    #[must_use]
    pub const fn stage(self) -> Stage {
        match self {
            Self::Delivered => Stage::Delivered,
            Self::GivenUp => Stage::GivenUp,
        }
    }
}

impl From<Ended> for i16 {
    fn from(ended: Ended) -> Self {
        ended.stage().code()
    }
}

impl TryFrom<i16> for Ended {
    type Error = &'static str;

    fn try_from(code: i16) -> Result<Self, Self::Error> {
        let found = [Self::Delivered, Self::GivenUp]
            .into_iter()
            .find(|ended| ended.stage().code() == code);
        found.ok_or("the state of a replay's filter is neither delivered nor given up")
    }
}

/// The filter by which a replay selects deliveries. It is stored with the replay, so that it continues unchanged after
/// a restart.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Only events received at this time or later, in microseconds.
    pub from: i64,

    /// Only events received before this time, in microseconds.
    pub to: i64,

    /// Only events of this kind, by its code.
    pub trigger: Option<u8>,

    /// Only events of this project.
    pub project: Option<i64>,

    /// Only events of this group, its subgroups and projects.
    pub group: Option<i64>,

    /// Only deliveries to this hook.
    pub hook: Option<i64>,

    /// Only deliveries in this final state.
    pub state: Option<Ended>,

    /// Only deliveries whose last attempt got one of these answers: see [`Answers::parse`].
    pub status: Vec<String>,

    /// Only events whose body contains this text.
    pub text: Option<String>,

    /// Only these deliveries, in the order of their ids. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<Uuid>,

    /// The code of a skip reason: instead of ended deliveries, the replay selects events that hooks did not get for
    /// this reason, and creates their deliveries. See [`Self::skipped`].
    pub skipped: Option<i16>,
}

/// The properties of a skipped event that a filter needs.
#[derive(Clone, Copy, Debug)]
pub struct Missed<'a> {
    /// The event.
    pub event: &'a Event,

    /// The hook that did not get it.
    pub hook: HookId,

    /// The event's body, if the filter has a text.
    pub body: Option<&'a [u8]>,
}

/// Reasons for which an event can be delivered later. No delivery exists for such an event and hook.
const DELIVERABLE: [SkipReason; 2] = [SkipReason::SilentMode, SkipReason::RateLimit];

/// The properties of a delivery that a filter needs.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The event.
    pub event: &'a Event,

    /// The hook.
    pub hook: HookId,

    /// The state of the delivery.
    pub state: State,

    /// The HTTP status of the last attempt.
    pub status: Option<u16>,

    /// The event's body, if the filter has a text.
    pub body: Option<&'a [u8]>,
}

impl Filter {
    /// Whether the filter selects a delivery. Only finished deliveries of real events can be selected. The caller
    /// checks the group, because only the directory knows the projects of a group.
    #[must_use]
    pub fn chooses(&self, delivery: DeliveryId, known: Known<'_>) -> bool {
        let Known {
            event,
            hook,
            state,
            status,
            body,
        } = known;

        matches!(state, State::Delivered | State::GivenUp)
            && (self.deliveries.is_empty() || self.deliveries.contains(&delivery.0))
            && self.chooses_event(event, hook, body)
            && self.state.is_none_or(|ended| state.stage() == ended.stage())
            && (self.status.is_empty() || Answers::parse(&self.status).is_some_and(|answers| answers.contain(status)))
    }

    /// Whether the filter selects an event that a hook did not get.
    #[must_use]
    pub fn chooses_missed(&self, missed: Missed<'_>) -> bool {
        self.chooses_event(missed.event, missed.hook, missed.body)
    }

    /// The reason for which the selected events were skipped. `None` for a replay of ended deliveries.
    #[must_use]
    pub fn skipped(&self) -> Option<SkipReason> {
        self.skipped.and_then(SkipReason::from_code)
    }

    /// The reasons whose events can be delivered later.
    #[must_use]
    pub const fn deliverable() -> &'static [SkipReason] {
        &DELIVERABLE
    }

    fn chooses_event(&self, event: &Event, hook: HookId, body: Option<&[u8]>) -> bool {
        let time = event.received_at.as_micros();
        let has_text = |text: &String| {
            let text = text.as_bytes();
            body.is_some_and(|body| body.windows(text.len().max(1)).any(|window| window == text))
        };

        event.origin != Origin::Test
            && (self.from..self.to).contains(&time)
            && self.trigger.is_none_or(|code| event.trigger.row().code == code)
            && self
                .project
                .is_none_or(|project| event.place == Place::Project(ProjectId(project)))
            && self.hook.is_none_or(|id| hook == HookId(id))
            && self.text.as_ref().is_none_or(has_text)
    }

    /// Selects only these deliveries, and limits the period to the time of their events.
    pub fn select(&mut self, mut deliveries: Vec<Uuid>) {
        deliveries.sort_unstable();
        deliveries.dedup();

        if let (Some(first), Some(last)) = (deliveries.first(), deliveries.last()) {
            self.from = self.from.max(time_of(first).minus(TOLERANCE).as_micros());
            self.to = self.to.min(time_of(last).plus(TOLERANCE).as_micros());
        }

        self.deliveries = deliveries;
    }

    /// The beginning of the period.
    #[must_use]
    pub const fn begin(&self) -> Timestamp {
        Timestamp::from_micros(self.from)
    }

    /// The end of the period.
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        Timestamp::from_micros(self.to)
    }
}

/// The time in the id of a delivery: its first 48 bits are milliseconds.
fn time_of(delivery: &Uuid) -> Timestamp {
    let (high, _) = delivery.as_u64_pair();
    Timestamp::default().plus(Duration::from_millis(high >> 16))
}

/// The progress of a replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The replay is running.
    Running,

    /// A person paused it.
    Paused,

    /// All selected deliveries have been rescheduled.
    Finished,

    /// A person cancelled it.
    Cancelled,
}

impl Progress {
    const ALL: [(Self, i16, &'static str); 4] = [
        (Self::Running, 0, "running"),
        (Self::Paused, 1, "paused"),
        (Self::Finished, 2, "finished"),
        (Self::Cancelled, 3, "cancelled"),
    ];

    /// The number in the databases. Never change a number.
    #[must_use]
    pub fn code(self) -> i16 {
        Self::ALL
            .iter()
            .find(|(progress, ..)| *progress == self)
            .map_or(3, |(_, code, _)| *code)
    }

    /// The progress with this number in the databases.
    #[must_use]
    pub fn from_code(code: i16) -> Self {
        Self::ALL
            .iter()
            .find(|(_, known, _)| *known == code)
            .map_or(Self::Cancelled, |(progress, ..)| *progress)
    }

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(progress, ..)| *progress == self)
            .map_or("", |(.., word)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::tests::push;

    const DELIVERY: DeliveryId = DeliveryId(Uuid::nil());

    #[test]
    fn a_filter_selects_finished_deliveries_that_match_all_its_conditions() {
        let event = push("refs/heads/main");
        let body = br#"{"text":"rope"}"#.as_slice();

        let known = Known {
            event: &event,
            hook: HookId(1),
            state: State::GivenUp,
            status: Some(503),
            body: Some(body),
        };

        let all = Filter {
            from: 0,
            to: i64::MAX,
            ..Filter::default()
        };

        let check = |change: fn(&mut Filter), expected: bool| {
            let mut filter = all.clone();
            change(&mut filter);
            assert_eq!(filter.chooses(DELIVERY, known), expected, "{filter:?}");
        };
        check(|_| {}, true);
        check(|filter| filter.from = 20_000_001, false);
        check(|filter| filter.to = 20_000_000, false);
        check(|filter| filter.trigger = Some(1), true);
        check(|filter| filter.trigger = Some(2), false);
        check(|filter| filter.project = Some(1), true);
        check(|filter| filter.project = Some(2), false);
        check(|filter| filter.hook = Some(2), false);
        check(|filter| filter.state = Some(Ended::Delivered), false);
        check(|filter| filter.state = Some(Ended::GivenUp), true);
        check(|filter| filter.status = vec!["server_failure".to_owned()], true);

        check(
            |filter| filter.status = vec!["successful".to_owned(), "404".to_owned()],
            false,
        );

        check(|filter| filter.text = Some("rope".to_owned()), true);
        check(|filter| filter.text = Some("sling".to_owned()), false);
        check(|filter| filter.deliveries = vec![DELIVERY.0], true);
        check(|filter| filter.deliveries = vec![Uuid::max()], false);

        assert!(
            !all.chooses(
                DELIVERY,
                Known {
                    state: State::Cancelled,
                    ..known
                }
            ),
            "its hook was deleted"
        );

        assert!(!all.chooses(
            DELIVERY,
            Known {
                state: State::Waiting {
                    due_at: Timestamp::default()
                },
                ..known
            }
        ));

        let stored = serde_json::to_value(Filter {
            state: Some(Ended::GivenUp),
            ..all.clone()
        })
        .expect("it is written");
        assert_eq!(stored["state"], 3);
        assert!(serde_json::from_value::<Filter>(serde_json::json!({ "state": 4 })).is_err());

        let test = Event {
            origin: Origin::Test,
            ..event.clone()
        };
        assert!(!all.chooses(DELIVERY, Known { event: &test, ..known }));
    }

    #[test]
    fn selected_deliveries_limit_the_period() {
        let id = |seconds: u64| Uuid::from_u64_pair((seconds * 1000) << 16, 7);
        let mut filter = Filter {
            from: 0,
            to: i64::MAX,
            ..Filter::default()
        };

        filter.select(vec![id(500), id(100), id(500)]);
        assert_eq!(filter.deliveries, [id(100), id(500)]);
        assert_eq!(
            (filter.begin(), filter.end()),
            (Timestamp::from_seconds(98), Timestamp::from_seconds(502))
        );

        let mut narrow = Filter {
            from: Timestamp::from_seconds(300).as_micros(),
            to: Timestamp::from_seconds(400).as_micros(),
            ..Filter::default()
        };
        narrow.select(vec![id(100), id(500)]);
        assert_eq!(narrow.begin(), Timestamp::from_seconds(300), "a given period stays");
    }
}
