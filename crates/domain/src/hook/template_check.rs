//! Checks a custom body template when its hook is saved. A template that cannot produce JSON for any event is refused,
//! and a name that is null in every event gets a warning. [`super::body_template`] renders templates.

use serde::de::IgnoredAny;

/// The maximum number of warnings about one template.
const MAX_WARNINGS: usize = 10;

/// The reason for refusing a template.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is not JSON for any event: {0}")]
pub struct NeverJson(String);

/// A part of a template, split in the same way as for rendering.
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Checks that some values make the template JSON. GitLab does not check this when it saves, and fails at each event.
///
/// The check tries numbers, null and nothing for names outside of strings, and letters inside of strings. It also
/// refuses a template that only unusual values could complete, such as the second half of a word.
///
/// # Errors
/// Contains the position at which the parser stopped.
pub fn check(template: &str) -> Result<(), NeverJson> {
    let parts = parts(template);
    let mut reason = None;

    for outside in ["null", "1", ""] {
        for inside in ["0000", "n"] {
            match serde_json::from_str::<IgnoredAny>(&filled(&parts, outside, inside)) {
                Ok(_) => return Ok(()),
                Err(error) => reason = reason.or_else(|| Some(error.to_string())),
            }
        }
    }

    Err(NeverJson(reason.unwrap_or_default()))
}

/// Warnings about names that are null in every event, one sentence for each.
#[must_use]
pub fn warnings(template: &str) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for part in parts(template) {
        let Part::Name(name) = part else { continue };
        let steps: Vec<&str> = name.split('.').map(str::trim).collect();
        let meant = steps.join(".");
        if meant == name {
            continue;
        }

        let warning = format!(
            "custom_webhook_template: {{{{{name}}}}} is null in every event, because the blanks are part of the name; \
             write {{{{{meant}}}}}"
        );
        if warnings.contains(&warning) {
            continue;
        }

        if warnings.len() == MAX_WARNINGS {
            warnings.push("custom_webhook_template: more names contain blanks".to_owned());
            break;
        }

        warnings.push(warning);
    }

    warnings
}

/// Splits a template. A name is the shortest text of at least one character between braces, on one line.
fn parts(template: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = template;

    while let Some(open) = rest.find("{{") {
        parts.push(Part::Text(&rest[..open]));

        let inside = &rest[open + 2..];
        let close = inside
            .char_indices()
            .nth(1)
            .and_then(|(second, _)| Some(second + inside[second..].find("}}")?));

        match close.map(|close| &inside[..close]).filter(|name| !name.contains('\n')) {
            Some(name) => {
                parts.push(Part::Name(name));
                rest = &inside[name.len() + 2..];
            }
            None => {
                parts.push(Part::Text("{{"));
                rest = inside;
            }
        }
    }

    parts.push(Part::Text(rest));
    parts
}

/// A template with one value for each name outside of strings, and another for each name inside of them.
fn filled(parts: &[Part<'_>], outside: &str, inside: &str) -> String {
    let mut filled = String::new();
    let (mut is_inside, mut is_escaped) = (false, false);

    for part in parts {
        let Part::Text(text) = part else {
            filled.push_str(if is_inside { inside } else { outside });
            is_escaped = false;
            continue;
        };

        filled.push_str(text);

        for letter in text.chars() {
            if is_escaped {
                is_escaped = false;
            } else if letter == '"' {
                is_inside = !is_inside;
            } else if letter == '\\' {
                is_escaped = is_inside;
            }
        }
    }

    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_can_be_json_is_accepted() {
        for template in [
            "{}",
            "{{object_attributes}}",
            r#"{"a": "{{a.b}}", "n": {{n}}, "q": "\"{{s}}\"", "u": "\u{{code}}"}"#,
            r#"{"price": -{{n}}.{{m}}}"#,
            r#"{"a": "{{}}"}"#,
            "[1{{nothing}}]",
        ] {
            assert_eq!(check(template), Ok(()), "{template}");
        }
    }

    #[test]
    fn a_template_that_is_never_json_is_refused() {
        for template in [
            "",
            " ",
            "hello",
            r#"{"a": {{a}}"#,
            r#"{"a" {{a}}}"#,
            r#"{"a": "{{a}}}"#,
            "{{a",
            "{'a': 1}",
            "{} {}",
        ] {
            assert!(check(template).is_err(), "{template}");
        }

        let words = check("hello {{a}}").unwrap_err().to_string();
        assert!(
            words.starts_with("is not JSON for any event: expected value"),
            "{words}"
        );
    }

    #[test]
    fn names_with_blanks_get_a_warning() {
        let warnings = warnings(r#"{"a": "{{ a.b }}", "b": "{{a. b}}", "c": "{{a.b}}", "d": "{{ a.b }}"}"#);
        assert_eq!(warnings.len(), 2, "{warnings:?}");

        assert!(
            warnings[0].contains("{{ a.b }} is null") && warnings[0].ends_with("write {{a.b}}"),
            "{warnings:?}"
        );

        let many: String = (0..50).map(|number| format!("{{{{ n{number} }}}}")).collect();
        assert_eq!(super::warnings(&many).len(), MAX_WARNINGS + 1);
    }
}
