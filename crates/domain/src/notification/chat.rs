//! Incoming webhooks of chats: the JSON that each of them reads, and words from outside made harmless.
//!
//! Sources: Slack's "Sending messages using incoming webhooks" and "Formatting text", Mattermost's "Incoming webhooks",
//! and Microsoft's "Create incoming webhooks with Workflows" and the schema of Adaptive Cards.

use serde_json::{Value, json};

use super::text::{MAX_IN_CHAT, Message};

/// A kind of chat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chat {
    /// Slack.
    Slack,

    /// Mattermost.
    Mattermost,

    /// Microsoft Teams.
    Teams,
}

impl Chat {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Slack, Self::Mattermost, Self::Teams];

    /// The word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Mattermost => "mattermost",
            Self::Teams => "teams",
        }
    }

    /// The body of the request that shows a message in the chat.
    #[must_use]
    pub fn body(self, message: &Message<'_>) -> String {
        let body = match self {
            Self::Slack => json!({ "text": joined(message, quote_slack) }),
            Self::Mattermost => json!({ "text": joined(message, quote_markdown) }),
            Self::Teams => card(message),
        };
        body.to_string()
    }
}

/// The paragraphs as one text, in which addresses become links by themselves.
fn joined(message: &Message<'_>, quote: impl Fn(&str) -> String) -> String {
    let mut paragraphs = Vec::new();
    for paragraph in message.paragraphs(MAX_IN_CHAT, quote) {
        let mut lines = paragraph.lines;
        lines.extend(paragraph.link.map(|(_, address)| address));
        paragraphs.push(lines.join("\n"));
    }

    paragraphs.join("\n\n")
}

/// Slack's control characters. Without them, a text can neither mention anybody nor show another address than it links.
fn quote_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Markdown shows the characters as they are. A mention is broken by a space without width, because a backslash does
/// not prevent it.
fn quote_markdown(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '@' => quoted.push_str("@\u{200b}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' | '<' | '>' | ':' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            _ => quoted.push(letter),
        }
    }

    quoted
}

/// An Adaptive Card. The text is in runs, which have no markup; only our own links are Markdown.
fn card(message: &Message<'_>) -> Value {
    let mut blocks = Vec::new();
    for paragraph in message.paragraphs(MAX_IN_CHAT, str::to_owned) {
        for (number, line) in paragraph.lines.iter().enumerate() {
            blocks.push(json!({
                "type": "RichTextBlock",
                "separator": number == 0 && !blocks.is_empty(),
                "inlines": [{ "type": "TextRun", "text": line }],
            }));
        }

        if let Some((label, address)) = paragraph.link {
            blocks.push(json!({ "type": "TextBlock", "wrap": true, "text": format!("[{label}]({address})") }));
        }
    }

    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": blocks,
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::text::tests::{disabled, with_message};

    /// The message that a chat shows about a hook with a hostile name.
    fn body(chat: Chat) -> Value {
        let news = [disabled("<!channel> @all [x](https://evil.example)")];
        let body = with_message(&news, 0, |message| chat.body(message));
        serde_json::from_str(&body).expect("JSON")
    }

    #[test]
    fn slack_gets_a_text_without_mentions() {
        let body = body(Chat::Slack);
        let text = body["text"].as_str().expect("a text");
        assert!(text.starts_with("The webhook \"&lt;!channel&gt; @all [x]"), "{text}");
        assert!(
            text.contains("\nhttps://quickdraw.example.com/gear/rope/-/hooks/7\n\n"),
            "{text}"
        );
    }

    #[test]
    fn mattermost_gets_a_text_without_markup_and_mentions() {
        let body = body(Chat::Mattermost);
        let text = body["text"].as_str().expect("a text");
        assert!(
            text.contains("\\<\\!channel\\> @\u{200b}all \\[x\\]\\(https\\://evil.example\\)"),
            "{text}"
        );
    }

    #[test]
    fn teams_gets_a_card_whose_text_has_no_markup() {
        let body = body(Chat::Teams);
        let blocks = body
            .pointer("/attachments/0/content/body")
            .and_then(Value::as_array)
            .expect("blocks");
        assert_eq!(blocks[0]["type"], "RichTextBlock");
        let first = blocks[0]["inlines"][0]["text"].as_str().expect("a text");
        assert!(first.contains("[x](https://evil.example)"), "{first}");

        let links: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        assert_eq!(
            links,
            [
                "[Webhook 7](https://quickdraw.example.com/gear/rope/-/hooks/7)",
                "[Notification rules](https://quickdraw.example.com/gear/rope/-/notifications)",
            ]
        );
    }
}
