//! `quickdraw source`: manages the sources of a server.

use clap::{Args, Subcommand};
use quickdraw_egress::Method;
use serde_json::{Map, Value, json};

use super::say;
use crate::client;

#[derive(Subcommand)]
pub(crate) enum Source {
    /// List the sources of the server.
    List {
        #[command(flatten)]
        server: client::Server,
    },

    /// Create a source.
    ///
    /// A secret is generated and printed once, unless --secret is given. For the modes signature and both, the
    /// generated secret is a signing token (whsec_…).
    Add {
        /// Secret of the source: a secret token, or a signing token (whsec_…).
        #[arg(long)]
        secret: Option<String>,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        server: client::Server,
    },

    /// Change settings of a source.
    Change {
        /// Id of the source.
        id: String,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        server: client::Server,
    },

    /// Replace the secret of a source.
    ///
    /// A secret is generated and printed once, unless --secret is given.
    Secret {
        /// Id of the source.
        id: String,
        /// The new secret: a secret token, or a signing token (whsec_…).
        #[arg(long)]
        secret: Option<String>,
        /// Seconds for which the previous secret stays valid.
        #[arg(long, default_value_t = 86_400)]
        overlap: u32,
        #[command(flatten)]
        server: client::Server,
    },

    /// List the last 100 requests, including refused ones with the reason.
    Requests {
        /// Id of the source, or default.
        #[arg(default_value = "default")]
        id: String,
        #[command(flatten)]
        server: client::Server,
    },

    /// Delete a source.
    ///
    /// Its events are kept.
    Remove {
        /// Id of the source.
        id: String,
        #[command(flatten)]
        server: client::Server,
    },
}

#[derive(Args)]
pub(crate) struct Settings {
    /// Display name.
    #[arg(long)]
    name: Option<String>,

    /// Required credentials: any, token, signature or both.
    #[arg(long)]
    mode: Option<String>,

    /// Largest allowed difference between the time of a signature and the server's clock, in seconds.
    #[arg(long)]
    window: Option<u32>,

    /// IP address or block that may post, such as 10.0.0.0/8; may be repeated.
    #[arg(long = "address")]
    addresses: Vec<String>,

    /// Maximum number of requests per minute from one address, or off.
    #[arg(long)]
    rate_limit: Option<String>,

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
    fn json(&self) -> anyhow::Result<Map<String, Value>> {
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

        let rate = match self.rate_limit.as_deref() {
            None => None,
            Some("off") => Some(Value::Null),
            Some(number) => Some(json!(number.trim_end_matches("/min").parse::<u32>()?)),
        };
        put("rate_limit", rate);
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

pub(crate) async fn run(command: Source) -> anyhow::Result<()> {
    match command {
        Source::List { server } => {
            let list = ask(&server, Method::GET, "sources", None).await?;
            for one in items(&list) {
                let limit = one["rate_limit"]
                    .as_u64()
                    .map_or_else(|| "off".to_owned(), |number| format!("{number}/min"));
                let (id, mode, name) = (word(one, "id"), word(one, "mode"), word(one, "name"));

                say(format!(
                    "{id:<34} {mode:<10} {limit:<9} {:<30} {name}",
                    word(one, "instance")
                ));
            }
        }

        Source::Add {
            secret,
            settings,
            server,
        } => {
            let mut asked = settings.json()?;
            asked.extend(secret.map(|secret| ("secret".to_owned(), json!(secret))));
            show(&ask(&server, Method::POST, "sources", Some(asked.into())).await?);
        }

        Source::Change { id, settings, server } => {
            let path = format!("sources/{id}");
            let changed = ask(&server, Method::PUT, &path, Some(settings.json()?.into())).await?;
            show(&changed);

            if settings.mode.is_some() && matches!(word(&changed, "mode"), "signature" | "both") {
                say("  the secret is unchanged; GitLab needs a signing token (whsec_…), which this command generates:");
                say(format!("  quickdraw source secret {id}"));
            }
        }

        Source::Secret {
            id,
            secret,
            overlap,
            server,
        } => {
            let mut asked = json!({ "overlap": overlap });
            if let Some(secret) = secret {
                asked["secret"] = json!(secret);
            }

            show(&ask(&server, Method::POST, &format!("sources/{id}/secret"), Some(asked)).await?);
        }

        Source::Requests { id, server } => {
            let list = ask(&server, Method::GET, &format!("sources/{id}/requests"), None).await?;
            for one in items(&list).iter().rev() {
                let (at, event) = (word(one, "at"), word(one, "event"));
                let note = if one["note"].is_null() {
                    word(one, "event_id")
                } else {
                    word(one, "note")
                };

                say(format!(
                    "{at}  {:<39} {}  {event:<24} {note}",
                    word(one, "address"),
                    one["status"]
                ));
            }
        }

        Source::Remove { id, server } => {
            ask(&server, Method::DELETE, &format!("sources/{id}"), None).await?;
            say(format!("deleted source {id}"));
        }
    }

    Ok(())
}

async fn ask(server: &client::Server, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    client::ask_with(method, &server.url, &server.token()?, path, body.as_ref()).await
}

fn items(list: &Value) -> &[Value] {
    list["items"].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn show(source: &Value) {
    say(format!("{} ({})", word(source, "id"), word(source, "name")));
    say(format!("  URL: {}", word(source, "url")));

    if let Some(secret) = source["secret"].as_str() {
        let fields = match word(source, "mode") {
            "signature" => "Signing token (GitLab 19.0 and later; older versions do not sign)",
            "both" => "both Secret token and Signing token (GitLab 19.0 and later)",
            _ => "Secret token",
        };
        say(format!(
            "  in GitLab's webhook, paste this URL into URL, and the secret below into {fields}"
        ));
        say(format!("  secret, shown only once: {secret}"));
    }
}
