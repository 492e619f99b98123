//! Custom body templates: each `{{path}}` is replaced by the value at this path of the event's body.
//!
//! Source: GitLab's `app/services/web_hook_service.rb`, as of 18.10. There is one difference: a step into an array by
//! its index (`commits.0.id`) works here and is an error in GitLab.
//!
//! Neither the body nor the result is parsed into a tree, and the length of the result is known before it is written: a
//! template of 4 kB can name a list of 30 kB hundreds of times.

mod look_up;

use std::io::{self, Write};

use serde_json::value::RawValue;

use self::look_up::look_up;
use crate::work::Exhausted;

/// Longest template, in characters.
pub const MAX_LEN: usize = 4096;
/// The longest body that a template may produce, in bytes: GitLab's limit.
pub const MAX_BODY: usize = 25 << 20;

/// The largest factor by which encoding can lengthen a text: `1e15` is written out.
const LONGER: usize = 5;

/// The reason why a template produced no body.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Error while parsing rendered custom webhook template: {0}")]
pub struct TemplateError(String);

impl TemplateError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }

    fn too_long() -> Self {
        Self("it is longer than 25 MiB".to_owned())
    }

    fn stepped_wrong() -> Self {
        Self("You may be trying to access an array value, which is not supported.".to_owned())
    }
}

impl From<Exhausted> for TemplateError {
    fn from(_: Exhausted) -> Self {
        Self("its names reach too deep into a long body".to_owned())
    }
}

/// Renders a template with an event's body. The result is encoded again, so the template's own spacing is lost.
///
/// # Errors
/// When the body or the rendered text is not JSON, a path steps into a value without parts, the result is too long, or
/// the look-up of the names takes too much work.
pub fn render(template: &str, body: &[u8]) -> Result<Vec<u8>, TemplateError> {
    let parts = filled(template, body)?;
    let length = parts.iter().map(|part| part.len()).sum();
    if length > MAX_BODY {
        return Err(TemplateError::too_long());
    }

    let mut text = String::with_capacity(length);
    for part in parts {
        text.push_str(part);
    }

    let mut encoded = Encoded {
        bytes: Vec::with_capacity((2 * length).min(MAX_BODY)),
        is_too_long: false,
    };

    let mut parser = serde_json::Deserializer::from_str(&text);
    let written = serde_transcode::transcode(&mut parser, &mut serde_json::Serializer::new(&mut encoded));

    if encoded.is_too_long {
        return Err(TemplateError::too_long());
    }

    written.map_err(TemplateError::new)?;
    parser.end().map_err(TemplateError::new)?;
    Ok(encoded.bytes)
}

/// Collects the encoded bytes, up to the maximum length of a body.
struct Encoded {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Write for Encoded {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let length = self.bytes.len() + more.len();
        if length > MAX_BODY {
            self.is_too_long = true;
            return Err(io::Error::other("too long"));
        }

        if length > self.bytes.capacity() {
            let room = (2 * self.bytes.capacity()).clamp(length, MAX_BODY);
            self.bytes.reserve_exact(room - self.bytes.len());
        }

        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length of the rendered text before it is encoded again. Nothing is written.
///
/// # Errors
/// As [`render`], except for errors in the rendered text.
pub fn rendered_len(template: &str, body: &[u8]) -> Result<usize, TemplateError> {
    Ok(filled(template, body)?.iter().map(|part| part.len()).sum())
}

/// The maximum length of a rendered body, from the template and the length of the event's body.
#[must_use]
pub fn longest(template: &str, body_len: usize) -> usize {
    let names = template.matches("{{").count();
    template
        .len()
        .saturating_add(names.saturating_mul(body_len))
        .min(MAX_BODY)
}

/// The maximum length of a text of this length after it is encoded again.
#[must_use]
pub fn longest_encoded(rendered: usize) -> usize {
    rendered.saturating_mul(LONGER).min(MAX_BODY)
}

/// The texts of a template, with the values of its names between them.
fn filled<'a>(template: &'a str, body: &'a [u8]) -> Result<Vec<&'a str>, TemplateError> {
    let body: &RawValue = serde_json::from_slice(body).map_err(TemplateError::new)?;
    let (mut parts, mut names, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = template;

    while let Some(open) = rest.find("{{") {
        parts.push(&rest[..open]);
        rest = &rest[open..];

        // The shortest match on one line, with at least one character between the braces.
        let path = rest[2..].char_indices().nth(1).and_then(|(second, _)| {
            let close = 2 + second + rest[2 + second..].find("}}")?;
            Some(&rest[2..close]).filter(|path| !path.contains('\n'))
        });

        if let Some(path) = path {
            places.push(parts.len());
            parts.push("");
            names.push(path);
            rest = &rest[path.len() + 4..];
        } else {
            parts.push("{{");
            rest = &rest[2..];
        }
    }

    parts.push(rest);

    for (place, value) in places.into_iter().zip(look_up(body.get(), &names)?) {
        // A string loses its quotes. Any other value is inserted as JSON.
        parts[place] = value
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .unwrap_or(value);
    }

    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"a":{"b":"q\"uote\n","n":3,"list":[{"id":"x"}]},"":1,"s":"\"","t":true}"#;

    fn rendered(template: &str) -> Result<String, String> {
        let bytes = render(template, BODY).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(bytes).expect("JSON is UTF-8"))
    }

    #[test]
    fn values_keep_their_type_and_strings_are_escaped() {
        assert_eq!(
            rendered(r#"{ "text": "{{a.b}}" , "n": {{a.n}}, "t": {{t}} }"#).as_deref(),
            Ok(r#"{"text":"q\"uote\n","n":3,"t":true}"#)
        );

        assert_eq!(
            rendered(r#"["{{s}}", {{a.list}}, "{{a.list.0.id}}"]"#).as_deref(),
            Ok(r#"["\"",[{"id":"x"}],"x"]"#)
        );
    }

    #[test]
    fn the_last_of_a_repeated_name_counts_and_escapes_are_kept() {
        let body = r#"{"a":1,"a":{"x":"\u00e9\"q"},"\u0062":2}"#;
        let rendered = render(r#"["{{a.x}}", {{b}}, {{a}}]"#, body.as_bytes()).expect("valid JSON");
        assert_eq!(String::from_utf8_lossy(&rendered), r#"["é\"q",2,{"x":"é\"q"}]"#);
    }

    #[test]
    fn a_body_that_would_be_too_long_is_never_written() {
        let template = format!("[{}]", vec!["{{x}}"; 680].join(","));
        let body = format!(r#"{{"x":[{}]}}"#, vec!["1"; 30_000].join(","));
        assert!(rendered_len(&template, body.as_bytes()).is_ok_and(|length| length > 40_000_000));

        let error = render(&template, body.as_bytes()).expect_err("too long").to_string();
        assert!(error.contains("longer than 25 MiB"), "{error}");
        assert_eq!(longest(&template, body.len()), MAX_BODY);
    }

    #[test]
    fn a_body_that_becomes_too_long_during_encoding_is_refused() {
        let body = |count| format!(r#"{{"x":[{}]}}"#, vec!["1e15"; count].join(","));
        let made = render("{{x}}", body(1_000).as_bytes()).expect("it is short");
        assert!(
            made.starts_with(b"[1000000000000000.0,1000000000000000.0,"),
            "they are written out"
        );

        assert!(made.len() <= longest_encoded(body(1_000).len()));

        let error = render("{{x}}", body(1_500_000).as_bytes())
            .expect_err("too long")
            .to_string();
        assert!(error.ends_with("it is longer than 25 MiB"), "{error}");
        assert_eq!(longest_encoded(20 << 20), MAX_BODY);
    }

    #[test]
    fn names_that_reach_deep_into_a_long_body_give_up() {
        let body = format!(
            "{}\"{}\"{}",
            r#"{"a":"#.repeat(100),
            "x".repeat(8 << 20),
            "}".repeat(100)
        );

        let deep = format!(r#""{{{{{}}}}}""#, vec!["a"; 100].join("."));
        let error = render(&deep, body.as_bytes()).expect_err("too much work").to_string();
        assert!(error.contains("too deep"), "{error}");
        assert!(render(r#"{{a.a.b}}"#, body.as_bytes()).is_ok_and(|body| body == b"null"));
    }

    #[test]
    fn items_of_a_list_are_found_in_any_order_and_more_than_once() {
        let body = r#"{"x":[10,11,{"a":12},13]}"#;
        let template = r#"[{{x.3}}, {{x.0}}, {{x.2.a}}, {{x.03}}, {{x.9}}, {{x.0}}, {{x.18446744073709551615}}]"#;
        let rendered = render(template, body.as_bytes()).expect("it is JSON");
        assert_eq!(String::from_utf8_lossy(&rendered), "[13,10,12,13,null,10,null]");
    }

    #[test]
    fn a_missing_value_is_null_and_names_are_not_trimmed() {
        assert_eq!(
            rendered(r#"["{{no}}", {{no.where}}, {{ t }}]"#).as_deref(),
            Ok(r#"["null",null,null]"#)
        );

        assert_eq!(rendered(r#"{"a": "{{}}"}"#).as_deref(), Ok(r#"{"a":"{{}}"}"#));
    }

    #[test]
    fn wrong_steps_and_broken_json_are_errors() {
        assert!(
            rendered(r#"{"a": {{a.list.id}}}"#)
                .unwrap_err()
                .ends_with("which is not supported.")
        );

        assert!(
            rendered(r#"{"a": {{t.x}}}"#)
                .unwrap_err()
                .ends_with("which is not supported.")
        );

        assert!(rendered(r#"{"a": {{a.b}}}"#).is_err());
    }
}
