//! An example as a command line for curl.

use std::fmt::Write;

use serde_json::Value;

/// Builds the command. The token is in a file with the header, because every user of a machine can read arguments.
pub(super) fn curl(method: &str, url: &str, body: Option<&Value>, security: &Value) -> String {
    let mut command = "curl".to_owned();
    let usual = if body.is_some() { "post" } else { "get" };
    if method != usual {
        let _ = write!(command, " -X {}", method.to_uppercase());
    }

    if security.is_null() {
        command += " -H @token-header";
    } else if security.to_string().contains("gitlab_token") {
        command += " -H @secret-header -H 'X-Gitlab-Event: Push Hook'";
    }

    if let Some(body) = body {
        let _ = write!(command, " \\\n  --json {}", quoted(&format!("{body:#}")));
    }

    let _ = write!(command, " \\\n  {}", quoted(url));
    command
}

/// Quotes a text for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_has_method_token_body_and_address() {
        let none = Value::Null;
        assert_eq!(
            curl("get", "https://q.example/a?b=c", None, &none),
            "curl -H @token-header \\\n  'https://q.example/a?b=c'"
        );
        assert_eq!(
            curl("put", "https://q.example/a", Some(&json!("it's")), &none),
            "curl -X PUT -H @token-header \\\n  --json '\"it'\\''s\"' \\\n  'https://q.example/a'"
        );
        assert_eq!(
            curl("get", "https://q.example/a", None, &json!([{}])),
            "curl \\\n  'https://q.example/a'"
        );
    }
}
