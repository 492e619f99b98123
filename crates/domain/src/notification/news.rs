//! News: the description of a change, with the names at its time. The databases store it until it is sent.

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::Timestamp;
use crate::hook::Hook;

/// Longest stored text of a reason or name, in characters.
const MAX_TEXT: usize = 300;

/// The project, group or instance that news is about, by its full path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceName {
    /// A project.
    Project(String),

    /// A group.
    Group(String),

    /// The instance.
    Instance,
}

/// A hook in news.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HookName {
    /// Its number.
    pub id: i64,

    /// Its name, if it has one.
    pub name: Option<String>,

    /// The host that it calls. The rest of the URL may contain secrets.
    pub host: String,

    /// Its owner.
    pub place: PlaceName,
}

impl HookName {
    /// The name of a hook, of which only the host of its URL is shown.
    #[must_use]
    pub fn new(hook: &Hook, place: PlaceName) -> Self {
        Self {
            id: hook.id.0,
            name: hook.name.clone().map(short),
            host: short(shown_host(&hook.url.masked())),
            place,
        }
    }
}

/// The host and port of a masked URL. A variable in the host stays a variable.
fn shown_host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

/// A text of limited length without control characters.
fn short(text: String) -> String {
    if text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control) {
        return text;
    }

    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

/// A change, described for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct News {
    /// The time at which the change was noticed.
    pub at: Timestamp,

    /// The change.
    pub what: What,
}

/// The change in news.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A hook is temporarily disabled.
    HookFailing {
        /// The hook.
        hook: HookName,
        /// The reason.
        reason: String,
        /// The end of the pause.
        until: Option<Timestamp>,
    },

    /// A hook is disabled until somebody re-enables it.
    HookDisabled {
        /// The hook.
        hook: HookName,
        /// The reason.
        reason: String,
    },

    /// A hook is called again.
    HookEnabled {
        /// The hook.
        hook: HookName,
    },

    /// Many deliveries wait for a hook.
    BacklogGrew {
        /// The hook.
        hook: HookName,
        /// The limit of the rule.
        above: u32,
        /// The time since which the oldest delivery is due.
        oldest: Option<Timestamp>,
    },

    /// At most half as many deliveries wait for a hook.
    BacklogShrank {
        /// The hook.
        hook: HookName,
        /// The limit of the rule.
        above: u32,
    },

    /// A source gets no requests.
    SourceSilent {
        /// The name of the source.
        name: String,
        /// The last segment of its URL; empty for the default source.
        key: String,
        /// The time of its last accepted request.
        last: Timestamp,
    },

    /// A source gets requests again.
    SourceSends {
        /// The name of the source.
        name: String,
        /// The last segment of its URL; empty for the default source.
        key: String,
    },

    /// Silent mode was turned on.
    SilentModeOn,

    /// Silent mode was turned off.
    SilentModeOff,
}

impl What {
    /// The kind of news.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::HookFailing { .. } => Kind::HookFailing,
            Self::HookDisabled { .. } => Kind::HookDisabled,
            Self::HookEnabled { .. } => Kind::HookEnabled,
            Self::BacklogGrew { .. } | Self::BacklogShrank { .. } => Kind::HookBacklog,
            Self::SourceSilent { .. } | Self::SourceSends { .. } => Kind::SourceSilent,
            Self::SilentModeOn | Self::SilentModeOff => Kind::SilentMode,
        }
    }
}

/// The reason for which a hook is not called: the number of its failures, and the last outcome if it is known.
#[must_use]
pub fn reason(failures: u32, last: Option<&str>) -> String {
    let failures = match failures {
        1 => "1 failure".to_owned(),
        many => format!("{many} failures in a row"),
    };
    match last {
        Some(last) => short(format!("{failures}, the last: {last}")),
        None => failures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProjectId;
    use crate::audience::tests::hook;
    use crate::hook::HookUrl;
    use crate::scope::Scope;

    #[test]
    fn news_shows_only_the_host_of_a_url() {
        let mut hook = hook(Scope::Project(ProjectId(3)), &[]);
        hook.url = HookUrl::parse("https://ida:s3cret@hooks.example.com:8443/in?key=s3cret").expect("a URL");

        let name = HookName::new(&hook, PlaceName::Project("gear/rope".to_owned()));
        assert_eq!(name.host, "hooks.example.com:8443");
        assert!(!serde_json::to_string(&name).expect("JSON").contains("s3cret"));
    }

    #[test]
    fn a_reason_counts_failures_and_names_the_last() {
        assert_eq!(
            reason(4, Some("rejected (404)")),
            "4 failures in a row, the last: rejected (404)"
        );
        assert_eq!(reason(1, None), "1 failure");
    }

    #[test]
    fn stored_news_can_be_read() {
        let news = News {
            at: Timestamp::from_seconds(60),
            what: What::HookEnabled {
                hook: HookName {
                    id: 7,
                    name: None,
                    host: "hooks.example.com".to_owned(),
                    place: PlaceName::Instance,
                },
            },
        };
        let stored = serde_json::to_string(&news).expect("JSON");
        assert_eq!(
            stored,
            r#"{"at":60000000,"what":{"hook_enabled":{"hook":{"id":7,"name":null,"host":"hooks.example.com","place":"instance"}}}}"#
        );

        let read: News = serde_json::from_str(&stored).expect("news");
        assert_eq!(read, news);
    }
}
