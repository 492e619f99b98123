//! A JSON body as a page shows it: parts that fold, without a script.

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;

/// Largest size of a body that is shown in parts, in bytes of HTML. A page has at most 60 KB.
const BUDGET: usize = 30_000;
/// Largest size of a body that is shown as it is, in bytes.
const MAX_RAW: usize = 20_000;
/// Bytes of HTML around a value.
const AROUND: usize = 64;
/// Largest number of characters of one value.
const MAX_VALUE: usize = 400;
/// Parts with at most this number of entries are open at the beginning.
const OPEN: usize = 12;
/// Number of levels that are open at the beginning.
const OPEN_LEVELS: usize = 2;

/// A body.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<ul class="tree">{% for node in nodes %}{{ node }}{% endfor %}</ul>{% if is_cut %}<p class="soft">The body is larger than a page shows. The rest is in the JSON of the event.</p>{% endif %}"#
)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    is_cut: bool,
}

impl HtmlSafe for Tree {}

/// A value with its name, and the values in it.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<li>{% if is_part %}<details{% if is_open %} open{% endif %}><summary><span class="key">{{ key }}</span> <span class="soft">{{ text }}</span></summary><ul>{% for node in nodes %}{{ node }}{% endfor %}</ul></details>{% else %}<span class="key">{{ key }}</span> <code>{{ text }}</code>{% endif %}</li>"#
)]
struct Node {
    key: String,
    text: String,
    nodes: Vec<Self>,
    is_part: bool,
    is_open: bool,
}

impl HtmlSafe for Node {}

impl Tree {
    pub(super) fn new(value: &Value) -> Self {
        let mut left = BUDGET;
        let nodes = match value {
            Value::Object(_) | Value::Array(_) => nodes(value, 1, &mut left),
            other => vec![node("", other, 1, &mut left)],
        };

        Self {
            nodes,
            is_cut: left == 0,
        }
    }
}

/// The entries of an object or a list, as far as the budget allows.
fn nodes(value: &Value, level: usize, left: &mut usize) -> Vec<Node> {
    let mut found = Vec::new();
    let mut add = |key: &str, value: &Value| {
        if *left > 0 {
            found.push(node(key, value, level, left));
        }
    };

    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| add(key, value)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                add(&index.to_string(), item);
            }
        }
        _ => {}
    }

    found
}

fn node(key: &str, value: &Value, level: usize, left: &mut usize) -> Node {
    let count = match value {
        Value::Object(entries) => entries.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    let text = match value {
        Value::Object(_) if count > 0 => format!("{{{count}}}"),
        Value::Array(_) if count > 0 => format!("[{count}]"),
        other => cut(&other.to_string()),
    };

    let key = cut(key);
    *left = left.saturating_sub(AROUND + escaped(&key) + escaped(&text));
    let nodes = if count > 0 {
        nodes(value, level + 1, left)
    } else {
        Vec::new()
    };
    Node {
        key,
        text,
        nodes,
        is_part: count > 0,
        is_open: count > 0 && count <= OPEN && level < OPEN_LEVELS,
    }
}

/// Leaves out the middle of a long text.
fn cut(text: &str) -> String {
    let count = text.chars().count();
    if count <= MAX_VALUE {
        return text.to_owned();
    }

    let begin: String = text.chars().take(MAX_VALUE / 2).collect();
    let end: String = text.chars().skip(count - MAX_VALUE / 2).collect();
    format!("{begin} … {end}")
}

/// The size of a text in HTML.
fn escaped(text: &str) -> usize {
    let special = text
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'&'));
    text.len() + special.count() * 4
}

/// The beginning of a body as it is, and whether it is complete.
pub(super) fn raw(text: &str) -> (&str, bool) {
    if text.len() <= MAX_RAW {
        return (text, true);
    }

    let mut end = MAX_RAW;
    while !text.is_char_boundary(end) {
        end -= 1;
    }

    (&text[..end], false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_folds_and_its_texts_are_escaped() {
        let html = Tree::new(&json!({"a<b": {"c": "<script>"}, "d": [], "e": null})).to_string();
        assert!(
            html.contains("<details open><summary><span class=\"key\">a&#60;b</span>"),
            "{html}"
        );
        assert!(
            html.contains("&#60;script&#62;") && !html.contains("<script>"),
            "{html}"
        );
        assert!(
            html.contains("<code>[]</code>") && html.contains("<code>null</code>"),
            "{html}"
        );
    }

    #[test]
    fn a_large_body_is_cut() {
        let many: Vec<_> = (0..10_000)
            .map(|number| json!({"number": number, "text": "\"".repeat(900)}))
            .collect();
        let html = Tree::new(&json!({ "many": many })).to_string();
        assert!(
            html.len() < 60_000 && html.contains("larger than a page shows"),
            "{}",
            html.len()
        );
    }

    #[test]
    fn a_raw_body_ends_at_a_character() {
        assert_eq!(raw("{}"), ("{}", true));
        let text = "ä".repeat(MAX_RAW);
        let (shown, is_complete) = raw(&text);
        assert!(shown.len() <= MAX_RAW && !is_complete);
    }
}
