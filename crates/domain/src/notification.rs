//! Notifications: messages to people about webhooks and sources. A rule says which kinds of news are sent, to whom and
//! how often.
//!
//! This file has the rules. `notification/topic_state.rs` decides what is news, `notification/news.rs` describes it,
//! `notification/text.rs` and `notification/chat.rs` write it down, and `notification/schedule.rs` decides when it is
//! sent.

mod address;
pub mod chat;
pub mod news;
pub mod schedule;
pub mod text;
pub mod topic_state;

use std::time::Duration;

use uuid::Uuid;

use crate::Timestamp;
use crate::hook::HookUrl;
use crate::scope::Scope;

pub use address::{AddressError, MailAddress};
pub use chat::Chat;
pub use schedule::{Digest, ZoneError};

/// Maximum number of rules of a project, a group or the instance.
pub const MAX_RULES: i64 = 50;
/// Maximum number of mail addresses of a rule.
pub const MAX_ADDRESSES: usize = 10;
/// Longest silence of a source that a rule can wait for, in hours: 30 days.
pub const MAX_SILENT_HOURS: u32 = 720;
/// Largest backlog that a rule can wait for.
pub const MAX_BACKLOG: u32 = 100_000;

/// A kind of news.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A hook fails and is temporarily disabled.
    HookFailing,

    /// A hook is disabled until somebody re-enables it.
    HookDisabled,

    /// A hook is called again.
    HookEnabled,

    /// Many deliveries wait for a hook, or no longer.
    HookBacklog,

    /// A source that usually gets requests gets none, or gets some again.
    SourceSilent,

    /// Silent mode was turned on or off.
    SilentMode,
}

impl Kind {
    /// All kinds, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::HookFailing,
        Self::HookDisabled,
        Self::HookEnabled,
        Self::HookBacklog,
        Self::SourceSilent,
        Self::SilentMode,
    ];

    /// The word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::HookFailing => "hook_failing",
            Self::HookDisabled => "hook_disabled",
            Self::HookEnabled => "hook_enabled",
            Self::HookBacklog => "hook_backlog",
            Self::SourceSilent => "source_silent",
            Self::SilentMode => "silent_mode",
        }
    }

    /// The bit in the databases. Never change a bit.
    const fn bit(self) -> i64 {
        match self {
            Self::HookFailing => 1,
            Self::HookDisabled => 2,
            Self::HookEnabled => 4,
            Self::HookBacklog => 8,
            Self::SourceSilent => 16,
            Self::SilentMode => 32,
        }
    }

    /// Whether rules of this scope can have the kind. Sources belong to the instance.
    #[must_use]
    pub fn is_of(self, scope: Scope) -> bool {
        self != Self::SourceSilent || scope == Scope::Instance
    }
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds(i64);

impl Kinds {
    /// The set from its number in the databases.
    #[must_use]
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// The number of the set in the databases.
    #[must_use]
    pub const fn bits(self) -> i64 {
        self.0
    }

    /// Whether the set contains a kind.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The kinds of the set.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | kind.bit()))
    }
}

/// The recipient of the messages of a rule. It has no `Debug`, because the URL of a chat is a secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Target {
    /// A mail to these addresses.
    Mail(Vec<MailAddress>),

    /// A post to the incoming webhook of a chat.
    Chat(Chat, HookUrl),
}

impl Target {
    /// The word of the channel in the API and in metrics.
    #[must_use]
    pub const fn channel(&self) -> &'static str {
        match self {
            Self::Mail(_) => "mail",
            Self::Chat(chat, _) => chat.word(),
        }
    }
}

/// A rule: which news of a scope is sent, to whom and how often.
#[derive(Clone)]
pub struct Rule {
    /// Its number.
    pub id: i64,

    /// Its name in sealed values and in the ids of mails.
    pub uuid: Uuid,

    /// The project, group or instance whose news is sent. A rule of a group covers the groups and projects in it.
    pub scope: Scope,

    /// Shown name.
    pub name: String,

    /// The kinds of news that are sent.
    pub kinds: Kinds,

    /// The recipient.
    pub target: Target,

    /// When news is sent.
    pub digest: Digest,

    /// The time without a request after which a source is silent, in hours.
    pub silent_hours: u32,

    /// A backlog of more deliveries than that is news.
    pub backlog_above: u32,

    /// Whether anything is sent.
    pub active: bool,

    /// The username of the creator.
    pub created_by: String,

    /// Creation time. Earlier changes are not sent.
    pub created_at: Timestamp,

    /// The time of the last change of its settings.
    pub updated_at: Timestamp,
}

/// The reason for refusing a rule. The text follows the name of the field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuleError {
    /// Without a kind of news, nothing would ever be sent.
    #[error(
        "kinds is empty; choose at least one of hook_failing, hook_disabled, hook_enabled, hook_backlog, source_silent and silent_mode"
    )]
    NoKind,

    /// A kind of news that the scope does not have.
    #[error("kinds has {}, which only rules of the instance can have, because sources belong to the instance", .0.word())]
    Misplaced(Kind),

    /// A mail rule without a recipient, or with too many.
    #[error("to must have 1 to {MAX_ADDRESSES} mail addresses")]
    Addresses,

    /// A silence that is too short or too long.
    #[error("silent_hours must be a whole number from 1 to {MAX_SILENT_HOURS}")]
    SilentHours,

    /// A backlog that is too small or too large.
    #[error("backlog_above must be a whole number from 1 to {MAX_BACKLOG}")]
    Backlog,
}

impl RuleError {
    /// The field of the API that is wrong.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::NoKind | Self::Misplaced(_) => "kinds",
            Self::Addresses => "to",
            Self::SilentHours => "silent_hours",
            Self::Backlog => "backlog_above",
        }
    }
}

impl Rule {
    /// The time without a request after which a source is silent.
    #[must_use]
    pub fn silent_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.silent_hours) * 3600)
    }

    /// Checks the settings of the rule.
    ///
    /// # Errors
    /// Every reason of [`RuleError`].
    pub fn check(&self) -> Result<(), RuleError> {
        if self.kinds.bits() == 0 {
            return Err(RuleError::NoKind);
        }

        for kind in self.kinds.iter() {
            if !kind.is_of(self.scope) {
                return Err(RuleError::Misplaced(kind));
            }
        }

        if let Target::Mail(addresses) = &self.target
            && !(1..=MAX_ADDRESSES).contains(&addresses.len())
        {
            return Err(RuleError::Addresses);
        }

        if !(1..=MAX_SILENT_HOURS).contains(&self.silent_hours) {
            return Err(RuleError::SilentHours);
        }

        if !(1..=MAX_BACKLOG).contains(&self.backlog_above) {
            return Err(RuleError::Backlog);
        }

        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ProjectId;

    /// A mail rule for all kinds of news of a project.
    pub(crate) fn rule() -> Rule {
        Rule {
            id: 1,
            uuid: Uuid::from_u128(1),
            scope: Scope::Project(ProjectId(3)),
            name: "on call".to_owned(),
            kinds: [Kind::HookFailing, Kind::HookDisabled].into_iter().collect(),
            target: Target::Mail(vec![MailAddress::parse("ida@example.com").expect("an address")]),
            digest: Digest::AtOnce,
            silent_hours: 24,
            backlog_above: 1000,
            active: true,
            created_by: "ida".to_owned(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    fn check_refusal(change: impl Fn(&mut Rule), expected: Option<&RuleError>) {
        let mut changed = rule();
        change(&mut changed);
        assert_eq!(changed.check().err().as_ref(), expected);
    }

    #[test]
    fn a_rule_with_impossible_settings_is_refused() {
        check_refusal(|_| {}, None);
        check_refusal(|rule| rule.kinds = Kinds::default(), Some(&RuleError::NoKind));
        check_refusal(
            |rule| rule.target = Target::Mail(Vec::new()),
            Some(&RuleError::Addresses),
        );
        check_refusal(|rule| rule.silent_hours = 0, Some(&RuleError::SilentHours));
        check_refusal(|rule| rule.silent_hours = 721, Some(&RuleError::SilentHours));
        check_refusal(|rule| rule.backlog_above = 0, Some(&RuleError::Backlog));
    }

    #[test]
    fn only_the_instance_has_news_of_sources() {
        let kinds: Kinds = [Kind::SourceSilent].into_iter().collect();
        check_refusal(
            |rule| rule.kinds = kinds,
            Some(&RuleError::Misplaced(Kind::SourceSilent)),
        );
        check_refusal(
            |rule| {
                rule.kinds = kinds;
                rule.scope = Scope::Instance;
            },
            None,
        );
    }

    #[test]
    fn kinds_keep_their_words_and_bits() {
        let all: Kinds = Kind::ALL.into_iter().collect();
        assert_eq!(all.bits(), 63);
        assert_eq!(
            Kinds::from_bits(5).iter().collect::<Vec<_>>(),
            [Kind::HookFailing, Kind::HookEnabled]
        );
    }
}
