//! Masks e-mail addresses in the bodies that the log shows. The text is copied once, without building a JSON tree.

/// Text that replaces a hidden value.
pub(super) const MASK: &str = "[REDACTED]";

/// Masks JSON strings that are an e-mail address as a whole, at any depth. Names of object members stay.
pub(super) fn masked(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    let mut rest = json;

    while let Some(start) = rest.find('"') {
        let (before, from) = rest.split_at(start);
        let (text, after) = from.split_at(end_of_text(from));
        shown.push_str(before);

        let is_name = after.trim_start().starts_with(':');
        if !is_name && is_mail_in_quotes(text) {
            shown.extend(["\"", MASK, "\""]);
        } else {
            shown.push_str(text);
        }

        rest = after;
    }

    shown.push_str(rest);
    shown
}

/// Finds the end of a JSON string that starts with its quote: the position after the next unescaped quote.
fn end_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }

    text.len()
}

fn is_mail_in_quotes(text: &str) -> bool {
    if text.contains('\\') {
        return serde_json::from_str::<String>(text).is_ok_and(|text| is_mail(&text));
    }

    is_mail(text.trim_matches('"'))
}

/// Whether a text is an e-mail address and nothing else. The SSH address of a repository (`git@host:path`) is not an
/// e-mail address.
fn is_mail(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else {
        return false;
    };
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "@<>,;\"".contains(c));
    plain(name) && plain(host) && host.contains('.') && !host.contains([':', '/'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_at_any_depth_and_nothing_else() {
        let json = r#"{ "a": [{ "mail" : "ida@climb.example" }, "ida@climb.example"], "ida@climb.example" : "x",
            "text": "write to ida@climb.example", "git":"git@git.host:a/b.git", "quote": "\"ida@climb.example", "n": 1.50 }"#;
        let expected = r#"{ "a": [{ "mail" : "[REDACTED]" }, "[REDACTED]"], "ida@climb.example" : "x",
            "text": "write to ida@climb.example", "git":"git@git.host:a/b.git", "quote": "\"ida@climb.example", "n": 1.50 }"#;
        assert_eq!(masked(json), expected);
        assert_eq!(masked(r#"["ida\u0040climb.example","\\"]"#), r#"["[REDACTED]","\\"]"#);
        assert_eq!(masked(r#""ida@climb.example""#), r#""[REDACTED]""#);
        assert_eq!(masked("[1,2]"), "[1,2]");
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        for text in ["", "\"", "\"\\", "\"a", "{\"a\":\"", "]\"\"\"", "\"é\\"] {
            assert_eq!(masked(text), text);
        }
    }
}
