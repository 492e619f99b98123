//! Views of notification rules and their messages. The URL of a chat is never shown.

use quickdraw_domain::notification::{Digest, Kind, MailAddress, Target};
use quickdraw_domain::scope::Scope;
use quickdraw_store::notifications::{RuleWithState, SentMessage};
use serde::Serialize;
use utoipa::ToSchema;

use super::Iso;

/// A notification rule: which news is sent, to whom and how often.
#[derive(Serialize, ToSchema)]
pub struct NotificationRule {
    /// Id of the rule.
    pub id: i64,

    /// Display name.
    pub name: String,

    /// Project whose news is sent; null for a rule of a group or of the instance.
    pub project_id: Option<i64>,

    /// Group whose news is sent, with that of its subgroups and projects; null for a rule of a project or of the
    /// instance.
    pub group_id: Option<i64>,

    /// Kinds of news that are sent.
    pub kinds: Vec<&'static str>,

    /// `mail`, `slack`, `mattermost` or `teams`.
    pub channel: &'static str,

    /// Mail addresses; empty for a chat.
    pub to: Vec<String>,

    /// Host of the chat's URL, which itself is never shown; null for mail.
    pub url_host: Option<String>,

    /// `at_once`, `hourly` or `daily`.
    pub digest: &'static str,

    /// Hour of the day at which a daily digest is sent; null for other digests.
    pub hour: Option<i8>,

    /// Time zone of the hour; null for other digests.
    pub zone: Option<String>,

    /// Hours without a request after which a source is silent.
    pub silent_hours: u32,

    /// Number of waiting deliveries of a webhook above which its backlog is news.
    pub backlog_above: u32,

    /// True if news is sent.
    pub active: bool,

    /// Username of the creator.
    pub created_by: String,

    /// Time at which the rule was created.
    pub created_at: Iso,

    /// Time of the last change.
    pub updated_at: Iso,

    /// Number of news that wait for the next message.
    pub pending: i64,

    /// Number of failed attempts in a row to send the next message.
    pub failures: u32,

    /// Time of the next attempt after a failure; otherwise null.
    pub next_attempt_at: Option<Iso>,

    /// Time of the last message that was sent.
    pub last_sent_at: Option<Iso>,

    /// Error of the last message; null if it was sent to all recipients.
    pub last_error: Option<String>,

    /// Time of that error.
    pub last_error_at: Option<Iso>,
}

impl From<&RuleWithState> for NotificationRule {
    fn from(found: &RuleWithState) -> Self {
        let RuleWithState { rule, state } = found;
        let (project_id, group_id) = match rule.scope {
            Scope::Project(id) => (Some(id.0), None),
            Scope::Group(id) => (None, Some(id.0)),
            Scope::Instance => (None, None),
        };

        let (to, url_host) = match &rule.target {
            Target::Mail(addresses) => (addresses.iter().map(MailAddress::to_string).collect(), None),
            Target::Chat(_, url) => (Vec::new(), Some(url.host().to_string())),
        };

        let daily = match &rule.digest {
            Digest::Daily(time) => Some(time),
            Digest::AtOnce | Digest::Hourly => None,
        };

        Self {
            id: rule.id,
            name: rule.name.clone(),
            project_id,
            group_id,
            kinds: rule.kinds.iter().map(Kind::word).collect(),
            channel: rule.target.channel(),
            to,
            url_host,
            digest: rule.digest.word(),
            hour: daily.map(|time| time.hour()),
            zone: daily.map(|time| time.zone().to_owned()),
            silent_hours: rule.silent_hours,
            backlog_above: rule.backlog_above,
            active: rule.active,
            created_by: rule.created_by.clone(),
            created_at: Iso(rule.created_at),
            updated_at: Iso(rule.updated_at),
            pending: state.pending + state.unlisted,
            failures: state.failures,
            next_attempt_at: (state.failures > 0).then_some(Iso(state.next_attempt_at)),
            last_sent_at: state.last_sent_at.map(Iso),
            last_error: state.last_error.clone(),
            last_error_at: state.last_error_at.map(Iso),
        }
    }
}

/// A message that a notification rule sent, or tried to send.
#[derive(Serialize, ToSchema)]
pub struct NotificationMessage {
    /// Id of the message.
    pub id: i64,

    /// Time of the attempt.
    pub at: Iso,

    /// Number of news in the message; 0 for a test.
    pub news: i64,

    /// Subject of the message.
    pub subject: String,

    /// `sent`, `failed` (it is tried again) or `given_up`.
    pub result: &'static str,

    /// Error; for a sent mail, the recipients that the mail server refused.
    pub error: Option<String>,
}

impl From<&SentMessage> for NotificationMessage {
    fn from(message: &SentMessage) -> Self {
        Self {
            id: message.id,
            at: Iso(message.at),
            news: message.news,
            subject: message.subject.clone(),
            result: message.result.word(),
            error: message.error.clone(),
        }
    }
}
