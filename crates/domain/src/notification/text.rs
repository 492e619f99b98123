//! The text of notifications. It is plain text; words from outside pass through a function that makes them harmless for
//! their channel.

use super::Rule;
use super::news::{HookName, News, PlaceName, What};
use crate::Timestamp;

/// Maximum number of news that a mail lists.
pub const MAX_IN_MAIL: usize = 50;
/// Maximum number of news that a message of a chat lists. Chats refuse long messages.
pub const MAX_IN_CHAT: usize = 20;

/// A message about news, before it is written for a channel.
pub struct Message<'a> {
    /// The rule that sends it.
    pub rule: &'a Rule,

    /// The owner of the rule.
    pub place: &'a PlaceName,

    /// The news, the oldest first.
    pub news: &'a [News],

    /// The number of further news that are not listed.
    pub unlisted: i64,

    /// Base URL of this server, without a slash at its end.
    pub base_url: &'a str,
}

/// A paragraph of a message: its lines, and the address of the page to open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paragraph {
    /// The lines.
    pub lines: Vec<String>,

    /// The label and the address of a link.
    pub link: Option<(String, String)>,
}

impl Message<'_> {
    /// Whether the message is a test: it has no news.
    #[must_use]
    pub const fn is_test(&self) -> bool {
        self.news.is_empty() && self.unlisted == 0
    }

    /// The subject of a mail. It contains no names that people chose, except paths.
    #[must_use]
    pub fn subject(&self) -> String {
        let count = self.news.len() as i64 + self.unlisted;
        let about = match self.news {
            _ if self.is_test() => "Test of a notification".to_owned(),
            [one] if count == 1 => headline(&one.what),
            _ => format!("{count} changes of webhooks and sources"),
        };
        format!("[Quickdraw] {about}")
    }

    /// The paragraphs of the message, of at most `most` news. `quote` makes words from outside harmless.
    #[must_use]
    pub fn paragraphs(&self, most: usize, quote: impl Fn(&str) -> String) -> Vec<Paragraph> {
        let mut paragraphs = Vec::new();
        if self.is_test() {
            paragraphs.push(Paragraph {
                lines: vec!["This is a test. News will arrive here in the same way.".to_owned()],
                link: None,
            });
        }

        for news in self.news.iter().take(most) {
            paragraphs.push(Paragraph {
                lines: lines(news, &quote),
                link: link(&news.what, self.base_url),
            });
        }

        let hidden = self.news.len().saturating_sub(most) as i64 + self.unlisted;
        if hidden > 0 {
            let changes = if hidden == 1 {
                "1 more change".to_owned()
            } else {
                format!("{hidden} more changes")
            };
            paragraphs.push(Paragraph {
                lines: vec![format!("{changes} are not listed here.")],
                link: None,
            });
        }

        paragraphs.push(self.footer(&quote));
        paragraphs
    }

    /// The text of a mail.
    #[must_use]
    pub fn mail(&self) -> String {
        let mut text = String::new();
        for paragraph in self.paragraphs(MAX_IN_MAIL, str::to_owned) {
            if !text.is_empty() {
                text.push('\n');
            }

            for line in &paragraph.lines {
                text.push_str(line);
                text.push('\n');
            }

            if let Some((_, address)) = &paragraph.link {
                text.push_str(address);
                text.push('\n');
            }
        }

        text
    }

    /// The paragraph that names the rule, so that a reader knows where to change it.
    fn footer(&self, quote: &impl Fn(&str) -> String) -> Paragraph {
        let rule = quote(&self.rule.name);
        let path = match self.place {
            PlaceName::Project(path) => format!("{path}/-/notifications"),
            PlaceName::Group(path) => format!("groups/{path}/-/notifications"),
            PlaceName::Instance => "admin/notifications".to_owned(),
        };

        Paragraph {
            lines: vec![format!(
                "The notification rule \"{rule}\" of {} sent this.",
                of(self.place, quote)
            )],
            link: Some(("Notification rules".to_owned(), format!("{}/{path}", self.base_url))),
        }
    }
}

/// One line about a change, for subjects.
fn headline(what: &What) -> String {
    let webhook = |hook: &HookName| match &hook.place {
        PlaceName::Project(path) | PlaceName::Group(path) => format!("Webhook {} of {path}", hook.id),
        PlaceName::Instance => format!("Webhook {} of the instance", hook.id),
    };

    match what {
        What::HookFailing { hook, .. } => format!("{} fails", webhook(hook)),
        What::HookDisabled { hook, .. } => format!("{} is disabled", webhook(hook)),
        What::HookEnabled { hook } => format!("{} is called again", webhook(hook)),
        What::BacklogGrew { hook, above, .. } => format!("{} has more than {above} waiting deliveries", webhook(hook)),
        What::BacklogShrank { hook, .. } => format!("{} has few waiting deliveries again", webhook(hook)),
        What::SourceSilent { .. } => "A source gets no requests".to_owned(),
        What::SourceSends { .. } => "A source gets requests again".to_owned(),
        What::SilentModeOn => "Silent mode is on".to_owned(),
        What::SilentModeOff => "Silent mode is off".to_owned(),
    }
}

/// The sentences about a change: its effect, its reason and its remedy.
fn lines(news: &News, quote: &impl Fn(&str) -> String) -> Vec<String> {
    let at = clock(news.at);

    match &news.what {
        What::HookFailing { hook, reason, until } => vec![
            match until {
                Some(until) => format!(
                    "{} fails. It is not called before {}.",
                    webhook(hook, quote),
                    clock(*until)
                ),
                None => format!("{} fails.", webhook(hook, quote)),
            },
            format!("Reason: {}. Noticed at {at}.", quote(reason)),
        ],
        What::HookDisabled { hook, reason } => vec![
            format!(
                "{} is disabled. It is not called until somebody re-enables it.",
                webhook(hook, quote)
            ),
            format!("Reason: {}. Noticed at {at}.", quote(reason)),
            "Correct the receiver and send a test: a success re-enables the webhook.".to_owned(),
        ],
        What::HookEnabled { hook } => vec![format!("{} is called again since {at}.", webhook(hook, quote))],
        What::BacklogGrew { hook, above, oldest } => {
            let mut lines = vec![format!(
                "More than {above} deliveries wait for {}. Noticed at {at}.",
                lower(&webhook(hook, quote))
            )];
            if let Some(oldest) = oldest {
                lines.push(format!("The oldest has been due since {}.", clock(*oldest)));
            }

            lines
        }
        What::BacklogShrank { hook, above } => vec![format!(
            "At most {} deliveries wait for {} since {at}.",
            above / 2,
            lower(&webhook(hook, quote))
        )],
        What::SourceSilent { name, last, .. } => vec![
            format!(
                "The source \"{}\" has accepted no request since {}.",
                quote(name),
                clock(*last)
            ),
            "It usually gets requests. Check the webhooks of the GitLab that posts to it.".to_owned(),
        ],
        What::SourceSends { name, .. } => vec![format!("The source \"{}\" gets requests again.", quote(name))],
        What::SilentModeOn => vec![
            format!("Silent mode is on: no webhook is called. Noticed at {at}."),
            "Events are stored and can be delivered later by a replay.".to_owned(),
        ],
        What::SilentModeOff => vec![format!("Silent mode is off: webhooks are called again since {at}.")],
    }
}

fn webhook(hook: &HookName, quote: &impl Fn(&str) -> String) -> String {
    let host = quote(&hook.host);
    let name = match &hook.name {
        Some(name) => format!("\"{}\" ({host})", quote(name)),
        None => format!("{} ({host})", hook.id),
    };
    format!("The webhook {name} of {}", of(&hook.place, quote))
}

fn of(place: &PlaceName, quote: &impl Fn(&str) -> String) -> String {
    match place {
        PlaceName::Project(path) => format!("the project {}", quote(path)),
        PlaceName::Group(path) => format!("the group {}", quote(path)),
        PlaceName::Instance => "the instance".to_owned(),
    }
}

/// A sentence that continues another one.
fn lower(sentence: &str) -> String {
    sentence.replacen("The ", "the ", 1)
}

/// The page about a change.
fn link(what: &What, base_url: &str) -> Option<(String, String)> {
    let (label, path) = match what {
        What::HookFailing { hook, .. }
        | What::HookDisabled { hook, .. }
        | What::HookEnabled { hook }
        | What::BacklogGrew { hook, .. }
        | What::BacklogShrank { hook, .. } => {
            let id = hook.id;
            let path = match &hook.place {
                PlaceName::Project(path) => format!("{path}/-/hooks/{id}"),
                PlaceName::Group(path) => format!("groups/{path}/-/hooks/{id}"),
                PlaceName::Instance => format!("admin/hooks/{id}"),
            };
            (format!("Webhook {id}"), path)
        }
        What::SourceSilent { key, .. } | What::SourceSends { key, .. } => {
            let key = if key.is_empty() { "default" } else { key };
            ("Source".to_owned(), format!("admin/sources/{key}"))
        }
        What::SilentModeOn | What::SilentModeOff => return None,
    };

    Some((label, format!("{base_url}/{path}")))
}

/// A time for people: `2026-12-01 04:12 UTC`.
fn clock(at: Timestamp) -> String {
    let iso = at.to_iso();
    match (iso.get(..10), iso.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => iso,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::notification::tests::rule;

    pub(crate) fn disabled(name: &str) -> News {
        News {
            at: Timestamp::from_seconds(60),
            what: What::HookDisabled {
                hook: HookName {
                    id: 7,
                    name: Some(name.to_owned()),
                    host: "hooks.example.com".to_owned(),
                    place: PlaceName::Project("gear/rope".to_owned()),
                },
                reason: "4 failures in a row, the last: rejected (404)".to_owned(),
            },
        }
    }

    /// Calls a function with a message about news.
    pub(crate) fn with_message<T>(news: &[News], unlisted: i64, then: impl Fn(&Message<'_>) -> T) -> T {
        let rule = rule();
        then(&Message {
            rule: &rule,
            place: &PlaceName::Project("gear/rope".to_owned()),
            news,
            unlisted,
            base_url: "https://quickdraw.example.com",
        })
    }

    #[test]
    fn a_mail_has_the_reason_the_remedy_and_the_page() {
        let text = with_message(&[disabled("rope hook")], 0, |message| message.mail());
        insta::assert_snapshot!(text, @r#"
        The webhook "rope hook" (hooks.example.com) of the project gear/rope is disabled. It is not called until somebody re-enables it.
        Reason: 4 failures in a row, the last: rejected (404). Noticed at 1970-01-01 00:01 UTC.
        Correct the receiver and send a test: a success re-enables the webhook.
        https://quickdraw.example.com/gear/rope/-/hooks/7

        The notification rule "on call" of the project gear/rope sent this.
        https://quickdraw.example.com/gear/rope/-/notifications
        "#);
    }

    #[test]
    fn a_subject_names_one_change_or_counts_several() {
        let subject = |news: &[News], unlisted| with_message(news, unlisted, |message| message.subject());
        let one = disabled("rope hook");

        assert_eq!(
            subject(std::slice::from_ref(&one), 0),
            "[Quickdraw] Webhook 7 of gear/rope is disabled"
        );
        assert_eq!(
            subject(&[one.clone(), one.clone()], 0),
            "[Quickdraw] 2 changes of webhooks and sources"
        );
        assert_eq!(subject(&[one], 9), "[Quickdraw] 10 changes of webhooks and sources");
        assert_eq!(subject(&[], 0), "[Quickdraw] Test of a notification");
    }

    #[test]
    fn a_long_digest_counts_the_news_that_it_does_not_list() {
        let news = vec![disabled("a"); MAX_IN_MAIL + 3];
        let text = with_message(&news, 4, |message| message.mail());
        assert_eq!(text.matches("is disabled").count(), MAX_IN_MAIL);
        assert!(text.contains("7 more changes are not listed here."), "{text}");
    }

    fn check_text(what: What, expected: &str, page: Option<&str>) {
        let news = News {
            at: Timestamp::from_seconds(60),
            what,
        };
        assert_eq!(lines(&news, &str::to_owned).join(" "), expected);

        let found = link(&news.what, "https://q.example.com").map(|(_, address)| address);
        assert_eq!(found.as_deref(), page);
    }

    fn hook_of_group() -> HookName {
        HookName {
            id: 9,
            name: None,
            host: "ci.example.com".to_owned(),
            place: PlaceName::Group("gear".to_owned()),
        }
    }

    #[test]
    fn every_change_of_a_hook_has_a_text() {
        let page = Some("https://q.example.com/groups/gear/-/hooks/9");
        check_text(
            What::HookFailing {
                hook: hook_of_group(),
                reason: "4 failures in a row".to_owned(),
                until: Some(Timestamp::from_seconds(120)),
            },
            "The webhook 9 (ci.example.com) of the group gear fails. It is not called before 1970-01-01 00:02 UTC. \
             Reason: 4 failures in a row. Noticed at 1970-01-01 00:01 UTC.",
            page,
        );
        check_text(
            What::HookEnabled { hook: hook_of_group() },
            "The webhook 9 (ci.example.com) of the group gear is called again since 1970-01-01 00:01 UTC.",
            page,
        );
        check_text(
            What::BacklogGrew {
                hook: hook_of_group(),
                above: 1000,
                oldest: Some(Timestamp::from_seconds(0)),
            },
            "More than 1000 deliveries wait for the webhook 9 (ci.example.com) of the group gear. Noticed at \
             1970-01-01 00:01 UTC. The oldest has been due since 1970-01-01 00:00 UTC.",
            page,
        );
        check_text(
            What::BacklogShrank {
                hook: hook_of_group(),
                above: 1000,
            },
            "At most 500 deliveries wait for the webhook 9 (ci.example.com) of the group gear since 1970-01-01 00:01 \
             UTC.",
            page,
        );
    }

    #[test]
    fn every_change_of_the_instance_has_a_text() {
        check_text(
            What::SourceSilent {
                name: "main".to_owned(),
                key: String::new(),
                last: Timestamp::from_seconds(0),
            },
            "The source \"main\" has accepted no request since 1970-01-01 00:00 UTC. It usually gets requests. Check \
             the webhooks of the GitLab that posts to it.",
            Some("https://q.example.com/admin/sources/default"),
        );
        check_text(
            What::SourceSends {
                name: "main".to_owned(),
                key: "k3y".to_owned(),
            },
            "The source \"main\" gets requests again.",
            Some("https://q.example.com/admin/sources/k3y"),
        );
        check_text(
            What::SilentModeOn,
            "Silent mode is on: no webhook is called. Noticed at 1970-01-01 00:01 UTC. Events are stored and can be \
             delivered later by a replay.",
            None,
        );
    }
}
