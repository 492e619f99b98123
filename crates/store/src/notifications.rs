//! Notifications: the rules, the states that are known, the news that waits, and the messages that were sent.

use async_trait::async_trait;
use quickdraw_domain::hook::HookUrl;
use quickdraw_domain::notification::news::News;
use quickdraw_domain::notification::schedule::DailyTime;
use quickdraw_domain::notification::topic_state::{Change, Topic, TopicState};
use quickdraw_domain::notification::{Chat, Digest, Kinds, MailAddress, Rule, Target};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{HookId, NodeId, SourceId, Timestamp};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::seal::{Place, Ring};

/// A rule with the state of its messages.
#[derive(Clone)]
pub struct RuleWithState {
    /// The settings.
    pub rule: Rule,

    /// The state.
    pub state: RuleState,
}

/// The state of the messages of a rule.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RuleState {
    /// Failures in a row.
    pub failures: u32,

    /// No message is sent before this time.
    pub next_attempt_at: Timestamp,

    /// The time of the last message that was sent.
    pub last_sent_at: Option<Timestamp>,

    /// The error of the last message; `None` if it was sent.
    pub last_error: Option<String>,

    /// The time of that error.
    pub last_error_at: Option<Timestamp>,

    /// News that waits for the next message.
    pub pending: i64,

    /// News that is only counted, because too much waited.
    pub unlisted: i64,
}

/// A state other than the usual one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownTopicState {
    /// The topic.
    pub topic: Topic,

    /// The state.
    pub topic_state: TopicState,

    /// The time at which it was noticed.
    pub since: Timestamp,
}

/// A change of a state, with the rules that send it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Noticed {
    /// The change.
    pub change: Change,

    /// The description. `None` if nobody is to get it, because its topic is gone.
    pub news: Option<News>,

    /// The rules that send it.
    pub recipients: Vec<Recipient>,
}

/// A rule that sends news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recipient {
    /// The rule.
    pub rule: i64,

    /// The time at which the news is sent.
    pub due_at: Timestamp,
}

/// A rule with news that is due.
#[derive(Clone)]
pub struct DueMessage {
    /// The rule.
    pub rule: Rule,

    /// Its state.
    pub state: RuleState,

    /// The news, the oldest first.
    pub news: Vec<News>,

    /// The number of the last news, which identifies the message.
    pub last: i64,
}

impl DueMessage {
    /// A message without news.
    pub(crate) fn new(found: RuleWithState) -> Self {
        Self {
            rule: found.rule,
            state: found.state,
            news: Vec::new(),
            last: 0,
        }
    }

    /// Adds news as it is stored. News that this version cannot read is only counted.
    pub(crate) fn add(&mut self, id: i64, text: &str) {
        self.last = id;
        match serde_json::from_str(text) {
            Ok(news) => self.news.push(news),
            Err(_) => self.state.unlisted += 1,
        }
    }
}

/// The result of an attempt to send a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendResult {
    /// It was sent.
    Sent,

    /// It was not sent, and is tried again.
    Failed,

    /// It was not sent, and is not tried again.
    GivenUp,
}

impl SendResult {
    /// The word in the API and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }

    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Sent => 0,
            Self::Failed => 1,
            Self::GivenUp => 2,
        }
    }

    pub(crate) const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Sent,
            1 => Self::Failed,
            _ => Self::GivenUp,
        }
    }
}

/// A message in the history of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SentMessage {
    /// Its number; ignored when it is added.
    pub id: i64,

    /// The time of the attempt.
    pub at: Timestamp,

    /// The number of news in it; 0 for a test.
    pub news: i64,

    /// Its subject.
    pub subject: String,

    /// The result.
    pub result: SendResult,

    /// The error.
    pub error: Option<String>,
}

/// The end of an attempt to send the message of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageEnd {
    /// The rule.
    pub rule: i64,

    /// The number of the last news in the message.
    pub last: i64,

    /// The message for the history.
    pub message: SentMessage,

    /// No message is sent before this time.
    pub next_attempt_at: Timestamp,
}

/// A backlog of a hook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HookBacklog {
    /// The hook.
    pub hook: HookId,

    /// Its deliveries that have not ended, counted up to a bound.
    pub waiting: i64,

    /// The due time of the delivery that has been due longest. `None` if all of them are blocked.
    pub oldest_due_at: Option<Timestamp>,
}

/// Notifications: what can be done with them.
#[async_trait]
pub trait Notifications {
    /// Makes a rule; its `id` is ignored and the new one returned. `Missing` when the project or group is not there,
    /// `Full` when its scope has `most` rules already.
    async fn create_notification_rule(&self, rule: Rule, most: i64) -> Result<RuleWithState>;

    /// Replaces the settings of a rule that has not changed since it was read at `unchanged_since`. A message that
    /// failed is tried again at once. The news of a rule that is not active is forgotten. `None` when it has changed,
    /// or is gone: read it again.
    async fn update_notification_rule(&self, rule: Rule, unchanged_since: Timestamp) -> Result<Option<RuleWithState>>;

    /// One rule.
    async fn find_notification_rule(&self, id: i64) -> Result<Option<RuleWithState>>;

    /// The rules of a scope, without those of groups and projects in it: the newest first, and older than `before`.
    async fn list_notification_rules(&self, scope: Scope, before: i64, limit: usize) -> Result<Vec<RuleWithState>>;

    /// Deletes a rule with its news and its history. `false` if it was not there.
    async fn delete_notification_rule(&self, id: i64) -> Result<bool>;

    /// The active rules of all scopes that have one of these kinds.
    async fn active_notification_rules(&self, kinds: Kinds) -> Result<Vec<Rule>>;

    /// All states other than the usual one.
    async fn known_topic_states(&self) -> Result<Vec<KnownTopicState>>;

    /// Records changes of states, and gives the news to the rules that send it. A change whose state before is
    /// not the known one was recorded by another node: nothing is done then. Returns how many were recorded.
    async fn record_topic_states(&self, noticed: Vec<Noticed>, now: Timestamp) -> Result<usize>;

    /// Rules with news that is due and may be sent now; at most `limit`.
    async fn due_messages(&self, now: Timestamp, limit: usize) -> Result<Vec<DueMessage>>;

    /// Records the end of an attempt to send a message. The news is forgotten unless the message is tried again.
    async fn end_message(&self, end: MessageEnd) -> Result<()>;

    /// Adds a message to the history of a rule and changes nothing else: a test.
    async fn add_message(&self, rule: i64, message: SentMessage) -> Result<()>;

    /// The last messages of a rule, the newest first, and older than `before`.
    async fn list_messages(&self, rule: i64, before: i64, limit: usize) -> Result<Vec<SentMessage>>;

    /// Hooks with more than `above` deliveries that have not ended. Deliveries are counted up to `bound`, which is the
    /// most that one hook costs.
    async fn hook_backlogs(&self, above: i64, bound: i64) -> Result<Vec<HookBacklog>>;

    /// Takes or renews the lease of the one node that watches and sends. `false` if another node has it.
    async fn claim_watch(&self, node: NodeId, now: Timestamp, lease_until: Timestamp) -> Result<bool>;
}

/// The columns of a rule, as `r`, and the number of its news.
pub(crate) const RULE_COLUMNS: &str = "r.id, r.uuid, r.project_id, r.group_id, r.name, r.kinds, r.channel, r.target,
    r.digest, r.hour, r.zone, r.silent_hours, r.backlog_above, r.active, r.created_by, r.created_at, r.updated_at,
    r.failures, r.next_attempt_at, r.last_sent_at, r.last_error, r.last_error_at, r.unlisted,
    (SELECT count(*) FROM notification_news n WHERE n.rule_id = r.id) AS pending";

/// The columns of a message.
pub(crate) const MESSAGE_COLUMNS: &str = "id, at, news, subject, result, error";

/// The settings of a rule in its columns.
pub(crate) struct StoredRule {
    pub(crate) channel: i16,
    pub(crate) target: Vec<u8>,
    pub(crate) digest: i16,
    pub(crate) hour: i16,
    pub(crate) zone: String,
}

const TARGET: &str = "the target of a notification rule";

const fn target_place(uuid: &Uuid) -> Place<'_> {
    Place {
        table: "notification_rules",
        column: "target",
        row: uuid.as_bytes(),
    }
}

impl StoredRule {
    pub(crate) fn seal(rule: &Rule, ring: &Ring) -> Result<Self> {
        let (channel, text) = match &rule.target {
            Target::Mail(addresses) => {
                let addresses: Vec<&str> = addresses.iter().map(MailAddress::as_str).collect();
                (1, addresses.join(" "))
            }
            Target::Chat(chat, url) => (chat_code(*chat), url.as_typed().to_owned()),
        };

        let (digest, hour, zone) = match &rule.digest {
            Digest::AtOnce => (0, 0, "UTC"),
            Digest::Hourly => (1, 0, "UTC"),
            Digest::Daily(time) => (2, i16::from(time.hour()), time.zone()),
        };

        Ok(Self {
            channel,
            target: ring.seal(target_place(&rule.uuid), &text)?,
            digest,
            hour,
            zone: zone.to_owned(),
        })
    }

    pub(crate) fn open_target(&self, uuid: &Uuid, ring: &Ring) -> Result<Target> {
        let text = ring.open(target_place(uuid), &self.target)?;
        if self.channel == 1 {
            let addresses = text.split_whitespace().map(MailAddress::parse);
            let addresses = addresses.collect::<std::result::Result<_, _>>();
            return Ok(Target::Mail(addresses.map_err(|_| Error::Damaged(TARGET))?));
        }

        let chat = chat_of_code(self.channel).ok_or(Error::Damaged(TARGET))?;
        let url = HookUrl::parse(&text).map_err(|_| Error::Damaged(TARGET))?;
        Ok(Target::Chat(chat, url))
    }

    pub(crate) fn digest(&self) -> Result<Digest> {
        Ok(match self.digest {
            0 => Digest::AtOnce,
            1 => Digest::Hourly,
            _ => {
                let time = DailyTime::new(i64::from(self.hour), &self.zone);
                Digest::Daily(time.map_err(|_| Error::Damaged("the digest of a notification rule"))?)
            }
        })
    }
}

const fn chat_code(chat: Chat) -> i16 {
    match chat {
        Chat::Slack => 2,
        Chat::Mattermost => 3,
        Chat::Teams => 4,
    }
}

fn chat_of_code(code: i16) -> Option<Chat> {
    Chat::ALL.into_iter().find(|chat| chat_code(*chat) == code)
}

/// A topic in its columns.
#[derive(Clone, Copy)]
pub(crate) struct TopicColumns {
    pub(crate) topic: i16,
    pub(crate) subject: i64,
    pub(crate) rule: i64,
}

impl TopicColumns {
    pub(crate) const fn of(topic: Topic) -> Self {
        let (topic, subject, rule) = match topic {
            Topic::Hook(hook) => (1, hook.0, 0),
            Topic::Backlog { hook, rule } => (2, hook.0, rule),
            Topic::Source { source, rule } => (3, source.0, rule),
            Topic::SilentMode => (4, 0, 0),
        };
        Self { topic, subject, rule }
    }

    pub(crate) const fn read(self) -> Topic {
        let Self { topic, subject, rule } = self;
        match topic {
            1 => Topic::Hook(HookId(subject)),
            2 => Topic::Backlog {
                hook: HookId(subject),
                rule,
            },
            3 => Topic::Source {
                source: SourceId(subject),
                rule,
            },
            _ => Topic::SilentMode,
        }
    }
}

pub(crate) const fn topic_state_code(topic_state: TopicState) -> i16 {
    match topic_state {
        TopicState::Usual => 0,
        TopicState::Failing => 1,
        TopicState::Disabled => 2,
        TopicState::Raised => 3,
    }
}

pub(crate) const fn topic_state_of_code(code: i16) -> TopicState {
    match code {
        1 => TopicState::Failing,
        2 => TopicState::Disabled,
        3 => TopicState::Raised,
        _ => TopicState::Usual,
    }
}

/// News as it is stored.
pub(crate) fn news_text(news: &News) -> Result<String> {
    serde_json::to_string(news).map_err(|_| Error::Damaged("news of a notification"))
}

/// A number of failures as stored.
pub(crate) fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
