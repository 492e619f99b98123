//! Custom body templates: `{{path}}` replaced by what stands there in the event's body.
//!
//! Source: GitLab's `app/services/web_hook_service.rb` (`contract/behaviour.md` section 8, the rule since 18.10). One thing
//! is ours: a step into an array by its number (`commits.0.id`) works, where GitLab stops with an error.

use serde_json::Value;

/// Longest template, in characters.
pub const MAX_LEN: usize = 4096;
/// Longest body that a template may make, in bytes: what GitLab takes at most.
pub const MAX_BODY: usize = 25 << 20;

/// Why no body could be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Error while parsing rendered custom webhook template: {0}")]
pub struct TemplateError(String);

/// Renders a template with an event's body and encodes the result anew, so its own spacing is lost.
///
/// # Errors
/// When the body or the rendered text is no JSON, a path steps into something that has no parts, or the result is too long.
pub fn render(template: &str, body: &[u8]) -> Result<Vec<u8>, TemplateError> {
    let fail = |error: &dyn std::fmt::Display| TemplateError(error.to_string());
    let data: Value = serde_json::from_slice(body).map_err(|error| fail(&error))?;
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find("{{") {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        // The shortest match on one line, with at least one character between the braces.
        let path = rest[2..].char_indices().nth(1).and_then(|(second, _)| {
            let close = 2 + second + rest[2 + second..].find("}}")?;
            Some(&rest[2..close]).filter(|path| !path.contains('\n'))
        });
        if let Some(path) = path {
            write(&mut text, look_up(&data, path)?);
            rest = &rest[path.len() + 4..];
        } else {
            text.push_str("{{");
            rest = &rest[2..];
        }
        if text.len() > MAX_BODY {
            return Err(TemplateError("it is longer than 25 MiB".to_owned()));
        }
    }
    text.push_str(rest);
    let rendered: Value = serde_json::from_str(&text).map_err(|error| fail(&error))?;
    serde_json::to_vec(&rendered).map_err(|error| fail(&error))
}

fn look_up<'a>(data: &'a Value, path: &str) -> Result<&'a Value, TemplateError> {
    let mut here = data;
    for part in path.split('.') {
        here = match here {
            Value::Object(object) => object.get(part).unwrap_or(&Value::Null),
            Value::Array(array) => match part.parse::<usize>() {
                Ok(at) => array.get(at).unwrap_or(&Value::Null),
                Err(_) => return Err(stepped_wrong()),
            },
            Value::Null => &Value::Null,
            _ => return Err(stepped_wrong()),
        };
    }
    Ok(here)
}

fn stepped_wrong() -> TemplateError {
    TemplateError("You may be trying to access an array value, which is not supported.".to_owned())
}

/// A string without its quotes, anything else as JSON.
fn write(text: &mut String, value: &Value) {
    let json = value.to_string();
    if value.is_string() {
        text.push_str(json.trim_start_matches('"').strip_suffix('"').unwrap_or_default());
    } else {
        text.push_str(&json);
    }
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
    fn what_is_missing_is_null_and_names_are_not_trimmed() {
        assert_eq!(rendered(r#"["{{no}}", {{no.where}}, {{ t }}]"#).as_deref(), Ok(r#"["null",null,null]"#));
        assert_eq!(rendered(r#"{"a": "{{}}"}"#).as_deref(), Ok(r#"{"a":"{{}}"}"#));
    }

    #[test]
    fn wrong_steps_and_broken_json_are_errors() {
        assert!(rendered(r#"{"a": {{a.list.id}}}"#).unwrap_err().ends_with("which is not supported."));
        assert!(rendered(r#"{"a": {{t.x}}}"#).unwrap_err().ends_with("which is not supported."));
        assert!(rendered(r#"{"a": {{a.b}}}"#).is_err());
    }
}
