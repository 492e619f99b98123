//! Attributes of the API on the command line: `--set name=value`, where the value can also be in a file.

use clap::Args;
use serde_json::{Map, Value};

use crate::client;
use crate::client::Misused;

/// Attributes whose values are secret. Their values are read from files only.
const SECRET: [&str; 7] = [
    "token",
    "signing_token",
    "secret",
    "password",
    "custom_headers",
    "url_variables",
    "tls_client_cert",
];

/// The option for any attribute of the API.
#[derive(Args)]
pub(crate) struct Attributes {
    /// Set any attribute of the API; may be repeated. A value that is JSON, such as true, 5, null or a list, has its
    /// type; any other value is text. NAME=@FILE reads the value from a file, and NAME=@- from standard input.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Attributes {
    /// Adds the attributes to those that other options have set.
    pub(super) fn add_to(&self, body: &mut Map<String, Value>) -> anyhow::Result<()> {
        for text in &self.set {
            let (name, value) = read(text)?;
            body.insert(name, value);
        }

        Ok(())
    }
}

fn read(text: &str) -> anyhow::Result<(String, Value)> {
    let misused = |why: String| anyhow::Error::from(Misused(why));
    let (name, given) = text
        .split_once('=')
        .ok_or_else(|| misused(format!("--set {text} has no value: write --set NAME=VALUE")))?;

    let value = match given.strip_prefix('@') {
        Some(file) => client::text_in(file.as_ref())?.trim_end().to_owned(),
        None if SECRET.contains(&name) && given != "null" => {
            return Err(misused(format!(
                "the value of {name} would be visible to every user of this machine: put it into a file and write \
                 --set {name}=@FILE"
            )));
        }
        None => given.to_owned(),
    };

    let parsed = serde_json::from_str(&value).unwrap_or(Value::String(value));
    Ok((name.to_owned(), parsed))
}

/// Refuses a change without any attribute.
pub(super) fn some(body: Map<String, Value>) -> anyhow::Result<Value> {
    if body.is_empty() {
        return Err(
            Misused("nothing to change: name at least one attribute, as with --set NAME=VALUE".to_owned()).into(),
        );
    }

    Ok(body.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_has_the_type_of_its_json() {
        let check = |text: &str, value: Value| assert_eq!(read(text).expect("valid").1, value, "{text}");

        check("push_events=true", json!(true));
        check("limit=5", json!(5));
        check("name=Rope", json!("Rope"));
        check("name=\"5\"", json!("5"));
        check("name=", json!(""));
        check("event_filter={\"branch\":\"main\"}", json!({ "branch": "main" }));
        check("token=null", json!(null));
    }

    #[test]
    fn a_secret_is_read_from_a_file_only() {
        assert!(read("token=abc").is_err());
        assert!(read("custom_headers=[]").is_err());
        assert!(read("name").is_err());
    }
}
