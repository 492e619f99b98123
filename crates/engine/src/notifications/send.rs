//! Sends messages: the news that is due, and tests.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use quickdraw_domain::hook::HookUrl;
use quickdraw_domain::notification::news::News;
use quickdraw_domain::notification::schedule::{self, GAP};
use quickdraw_domain::notification::text::Message;
use quickdraw_domain::notification::{Chat, Rule, Target};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::request::Request;
use quickdraw_store::notifications::{DueMessage, MessageEnd, SendResult, SentMessage};

use super::Notifier;
use crate::delivery::transport::{OutgoingMail, Sent};
use crate::telemetry;
use crate::workers::Stop;

/// Maximum number of rules whose messages are sent in one run.
const MAX_RULES: usize = 48;
/// Messages that are sent side by side.
const SIDE_BY_SIDE: usize = 8;
/// The deadline of a post to a chat. The deadline of deliveries may be longer, and the lease of this node is not.
const DEADLINE: Duration = Duration::from_secs(15);
/// The user agent of posts to chats.
const USER_AGENT: &str = concat!("Quickdraw/", env!("CARGO_PKG_VERSION"));

/// The reason for which a message was not sent.
struct Unsent {
    /// The reason, and how to correct it.
    error: String,

    /// The pause that the recipient's server asked for.
    retry_after: Option<Duration>,
}

impl Notifier {
    /// Sends the messages that are due.
    pub(super) async fn send_due(&self, stop: &Stop) -> anyhow::Result<()> {
        let due = self
            .context
            .store
            .due_messages(self.context.clock.now(), MAX_RULES)
            .await?;

        for some in due.chunks(SIDE_BY_SIDE) {
            // A lost lease means that another node sends these messages.
            if *stop.borrow() || !self.holds_watch().await? {
                return Ok(());
            }

            for ended in join_all(some.iter().map(|due| self.send_one(due))).await {
                ended?;
            }
        }

        Ok(())
    }

    /// Sends the message of a rule, and records the result.
    async fn send_one(&self, due: &DueMessage) -> anyhow::Result<()> {
        let DueMessage {
            rule,
            state,
            news,
            last,
        } = due;
        let id = format!("quickdraw-{}-{last}", rule.uuid.simple());
        let attempt = self.attempt(rule, news, state.unlisted, &id).await?;
        let now = self.context.clock.now();

        let failures = state.failures.saturating_add(1);
        let (result, pause, error) = match attempt.error {
            None => (SendResult::Sent, GAP, attempt.refused),
            Some(unsent) => match schedule::pause(failures, unsent.retry_after) {
                Some(pause) => (SendResult::Failed, pause, Some(unsent.error)),
                None => (SendResult::GivenUp, GAP, Some(unsent.error)),
            },
        };

        metrics::counter!(telemetry::NOTIFICATIONS, "channel" => rule.target.channel(), "result" => result.word())
            .increment(1);
        // The error may name mail addresses, so that only the rule shows it.
        if result == SendResult::GivenUp || result == SendResult::Failed && failures == 1 {
            tracing::warn!(
                rule.id = rule.id,
                channel = rule.target.channel(),
                result = result.word(),
                "failed to send a notification; its rule shows the error"
            );
        }

        let message = SentMessage {
            id: 0,
            at: now,
            news: i64::try_from(news.len())
                .unwrap_or(i64::MAX)
                .saturating_add(state.unlisted),
            subject: attempt.subject,
            result,
            error,
        };
        let end = MessageEnd {
            rule: rule.id,
            last: *last,
            message,
            next_attempt_at: now.plus(pause),
        };
        Ok(self.context.store.end_message(end).await?)
    }

    /// Sends a test to the target of a rule, and adds the result to its history.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn test(&self, rule: &Rule) -> anyhow::Result<SentMessage> {
        let id = format!("quickdraw-{}", self.context.clock.uuid().simple());
        let attempt = self.attempt(rule, &[], 0, &id).await?;

        let (result, error) = match attempt.error {
            None => (SendResult::Sent, attempt.refused),
            Some(unsent) => (SendResult::Failed, Some(unsent.error)),
        };
        let message = SentMessage {
            id: 0,
            at: self.context.clock.now(),
            news: 0,
            subject: attempt.subject,
            result,
            error,
        };
        self.context.store.add_message(rule.id, message.clone()).await?;

        Ok(message)
    }

    /// Makes one attempt to send news to the target of a rule.
    async fn attempt(&self, rule: &Rule, news: &[News], unlisted: i64, id: &str) -> anyhow::Result<Attempt> {
        let place = self.place_name(rule.scope).await?;
        let message = Message {
            rule,
            place: &place,
            news,
            unlisted,
            base_url: &self.context.settings.instance,
        };

        let sent = match &rule.target {
            Target::Mail(to) => {
                let mail = OutgoingMail {
                    to,
                    subject: message.subject(),
                    text: message.mail(),
                    id,
                };
                let sent = self.transport.mail(mail, self.context.clock.now()).await;
                sent.map_err(|error| Unsent {
                    error,
                    retry_after: None,
                })
            }
            Target::Chat(chat, url) => self.post(*chat, url, &message).await.map(|()| None),
        };

        let (refused, error) = match sent {
            Ok(refused) => (refused, None),
            Err(unsent) => (None, Some(unsent)),
        };
        Ok(Attempt {
            subject: message.subject(),
            refused,
            error,
        })
    }

    /// Posts a message to the incoming webhook of a chat. The guard judges the URL as it judges those of hooks.
    async fn post(&self, chat: Chat, url: &HookUrl, message: &Message<'_>) -> Result<(), Unsent> {
        let mut headers = vec![
            ("Content-Type".into(), "application/json".to_owned()),
            ("User-Agent".into(), USER_AGENT.to_owned()),
        ];
        if let Some(authorization) = url.basic_authorization() {
            headers.push(("Authorization".into(), authorization.expose().to_owned()));
        }

        let request = Request {
            url: url.clone(),
            headers,
            body: Bytes::from(chat.body(message)),
            verify_tls: true,
            client_certificate: None,
        };
        let sent = self.transport.send(request, self.context.clock.now());
        match tokio::time::timeout(DEADLINE, sent).await {
            Ok(sent) => judge(&sent),
            Err(_) => Err(Unsent {
                error: format!("the chat did not answer within {} seconds", DEADLINE.as_secs()),
                retry_after: None,
            }),
        }
    }
}

/// The result of one attempt.
struct Attempt {
    subject: String,

    /// Recipients that the mail server refused, although it took the mail for others.
    refused: Option<String>,
    error: Option<Unsent>,
}

/// Reads the answer of a chat. Its body is not shown, because it may repeat the URL, which is a secret.
fn judge(sent: &Sent) -> Result<(), Unsent> {
    let (error, retry_after) = match sent.outcome {
        Outcome::Delivered { .. } => return Ok(()),
        Outcome::Rejected {
            status: status @ (401 | 403 | 404 | 410),
            retry_after,
        } => {
            let error = format!(
                "the chat answered {status}: its incoming webhook may have been removed; create a new one and save its \
                 URL in the rule"
            );
            (error, retry_after)
        }
        Outcome::Rejected { status, retry_after } | Outcome::Failed { status, retry_after } => {
            (format!("the chat answered {status}"), retry_after)
        }
        Outcome::Unreachable(_) | Outcome::Unknown => {
            let error = sent.error.clone().unwrap_or_else(|| sent.outcome.to_string());
            (error, None)
        }
    };

    Err(Unsent { error, retry_after })
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::outcome::Unreachable;

    use super::*;

    fn check_judged(outcome: Outcome, expected: Option<&str>) {
        let sent = Sent {
            outcome,
            address: None,
            phases: None,
            error: None,
            response_headers: None,
            response_body: Some(b"/services/s3cret".to_vec()),
        };
        let error = judge(&sent).err().map(|unsent| unsent.error);
        match (error, expected) {
            (Some(error), Some(part)) => assert!(error.contains(part) && !error.contains("s3cret"), "{error}"),
            (error, expected) => assert_eq!(error.as_deref(), expected),
        }
    }

    #[test]
    fn the_answer_of_a_chat_becomes_an_error_with_a_remedy() {
        let retry_after = None;
        check_judged(Outcome::Delivered { status: 202 }, None);
        check_judged(
            Outcome::Rejected {
                status: 404,
                retry_after,
            },
            Some("create a new one"),
        );
        check_judged(
            Outcome::Rejected {
                status: 400,
                retry_after,
            },
            Some("the chat answered 400"),
        );
        check_judged(
            Outcome::Failed {
                status: 503,
                retry_after,
            },
            Some("the chat answered 503"),
        );
        check_judged(Outcome::Unreachable(Unreachable::TimedOut), Some("timed_out"));
    }
}
