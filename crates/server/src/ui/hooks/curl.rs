//! A request as a command of curl. Secrets are placeholders.

use std::collections::BTreeMap;

/// Largest size in bytes of a body that the command contains.
const MAX_BODY: usize = 4 << 10;
/// The API's word for a secret.
const MASK: &str = "[REDACTED]";

/// Writes the command.
pub(super) fn command(url: &str, headers: &BTreeMap<String, String>, body: &str) -> String {
    let mut lines = vec![format!("curl --request POST {}", quoted(url))];
    for (name, value) in headers {
        let value = if value == MASK {
            format!("<{name}>")
        } else {
            value.clone()
        };
        lines.push(format!("  --header {}", quoted(&format!("{name}: {value}"))));
    }

    // A long body is too much for a command line.
    if body.len() > MAX_BODY {
        lines.push("  --data-binary @body.json".to_owned());
    } else {
        lines.push(format!("  --data-raw {}", quoted(body)));
    }

    lines.join(" \\\n")
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_placeholders_and_quotes_are_safe() {
        let headers = BTreeMap::from([("X-Key".to_owned(), MASK.to_owned())]);
        let expected = "curl --request POST 'https://a.example/' \\\n  --header 'X-Key: <X-Key>' \\\n  --data-raw '{\"a\":\"it'\\''s\"}'";
        assert_eq!(command("https://a.example/", &headers, r#"{"a":"it's"}"#), expected);
    }

    #[test]
    fn a_long_body_is_a_file() {
        let body = "x".repeat(MAX_BODY + 1);
        assert!(command("https://a.example/", &BTreeMap::new(), &body).ends_with("@body.json"));
    }
}
