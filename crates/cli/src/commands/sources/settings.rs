//! The options that set the attributes of a source.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value, json};

#[derive(Args)]
pub(super) struct Settings {
    /// Display name.
    #[arg(long)]
    name: Option<String>,

    /// Required credentials: any, token, signature or both.
    #[arg(long)]
    pub(super) mode: Option<String>,

    /// Largest allowed difference between the time of a signature and the server's clock, in seconds.
    #[arg(long)]
    window: Option<u32>,

    /// IP address or block that may post, such as 10.0.0.0/8; may be repeated.
    #[arg(long = "address")]
    addresses: Vec<String>,

    /// Maximum number of requests per minute without a valid credential from one address, or off for no limit.
    #[arg(long)]
    rate_limit: Option<String>,

    /// Maximum number of requests per minute with a valid credential, from all addresses, or off for no limit. GitLab
    /// does not send an event again that this limit refuses.
    #[arg(long)]
    sender_rate_limit: Option<String>,

    /// Largest body, in bytes.
    #[arg(long)]
    body_limit: Option<u32>,

    /// Deliver an event twice if it arrives through the webhooks of a project and of its group.
    #[arg(long)]
    no_deduplicate: bool,

    /// Base URL of the GitLab that posts to the source, such as `https://gitlab.example.com`. any accepts every GitLab;
    /// first binds the source to the GitLab of the next request that names one.
    #[arg(long)]
    instance: Option<String>,
}

impl Settings {
    /// The attributes that the options set.
    pub(super) fn json(&self) -> anyhow::Result<Map<String, Value>> {
        let mut asked = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                asked.insert(name.to_owned(), value);
            }
        };
        put("name", self.name.as_ref().map(|name| json!(name)));
        put("mode", self.mode.as_ref().map(|mode| json!(mode)));
        put("window", self.window.map(|window| json!(window)));
        put("addresses", (!self.addresses.is_empty()).then(|| json!(self.addresses)));

        put("rate_limit", per_minute("--rate-limit", self.rate_limit.as_deref())?);
        let rate = per_minute("--sender-rate-limit", self.sender_rate_limit.as_deref())?;
        put("sender_rate_limit", rate);
        put("body_limit", self.body_limit.map(|limit| json!(limit)));
        put("deduplicate", self.no_deduplicate.then_some(json!(false)));

        let instance = match self.instance.as_deref() {
            Some("first") => Some(Value::Null),
            given => given.map(|instance| json!(instance)),
        };
        put("instance", instance);
        Ok(asked)
    }
}

/// Reads a rate limit: `100`, `100/min` or `off`.
fn per_minute(option: &str, given: Option<&str>) -> anyhow::Result<Option<Value>> {
    let Some(text) = given else { return Ok(None) };
    if text == "off" {
        return Ok(Some(Value::Null));
    }

    let number = text.trim_end_matches("/min").parse::<u32>();
    let number = number.with_context(|| format!("{option} {text:?} is neither off nor a number such as 100/min"))?;
    Ok(Some(json!(number)))
}
