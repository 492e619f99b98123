//! The source at the Quickdraw server: one for each GitLab.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use quickdraw_domain::source::Mode;
use quickdraw_egress::{Method, Trust};
use serde_json::{Value, json};

use crate::client;
use crate::commands::encoded;

const PATIENCE: Duration = Duration::from_secs(60);

/// A Quickdraw server and the token for it.
pub(super) struct Quickdraw {
    url: String,
    token: String,
    caller: client::Caller,
}

/// A source of the server.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) id: String,
    pub(super) name: String,

    /// URL to which GitLab posts.
    pub(super) url: String,
    pub(super) mode: Mode,
}

/// A successful request to a source.
pub(super) struct Arrived {
    /// `X-Gitlab-Event`.
    pub(super) event: String,

    /// Id of the stored event.
    pub(super) id: String,
}

impl Quickdraw {
    pub(super) fn new(url: &str, token: String) -> anyhow::Result<Self> {
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            token,
            caller: client::Caller::new(PATIENCE, Trust::default())?,
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let asked = self.caller.ask(method, &self.url, &self.token, path, body.as_ref());
        asked.await.with_context(|| format!("Quickdraw at {}", self.url))
    }

    /// Finds the source of a GitLab: by the name or id that the user gave, or else by the instance that it serves.
    ///
    /// # Errors
    /// When several sources fit, or the chosen one serves another GitLab.
    pub(super) async fn find(&self, instance: &str, wanted: Option<&str>) -> anyhow::Result<Option<Source>> {
        let list = self.ask(Method::GET, "sources", None).await?;
        choose(list["items"].as_array().map_or(&[], Vec::as_slice), instance, wanted)
    }

    /// Creates a source that serves one GitLab.
    pub(super) async fn create(&self, instance: &str, name: &str, mode: Mode) -> anyhow::Result<Source> {
        let asked = json!({ "name": name, "instance": instance, "mode": mode.word() });
        let made = self.ask(Method::POST, "sources", Some(asked)).await?;
        Source::read(&made).context("the server's answer is not a source")
    }

    /// The current secret of a source.
    pub(super) async fn secret(&self, source: &Source) -> anyhow::Result<String> {
        let path = format!("sources/{}/secret/show", encoded(&source.id));
        let shown = self.ask(Method::POST, &path, Some(json!({}))).await?;
        let secret = shown["secret"].as_str().map(str::to_owned);
        secret.context("the server's answer has no secret")
    }

    /// The last successful requests to a source.
    pub(super) async fn arrived(&self, source: &Source) -> anyhow::Result<Vec<Arrived>> {
        let path = format!("sources/{}/requests", encoded(&source.id));
        let list = self.ask(Method::GET, &path, None).await?;
        let mut arrived = Vec::new();

        for request in list["items"].as_array().into_iter().flatten() {
            let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
            if request["status"] == 200 {
                arrived.push(Arrived {
                    event: text("event"),
                    id: text("event_id"),
                });
            }
        }

        Ok(arrived)
    }
}

impl Source {
    fn read(shown: &Value) -> Option<Self> {
        Some(Self {
            id: shown["id"].as_str()?.to_owned(),
            name: shown["name"].as_str()?.to_owned(),
            url: shown["url"].as_str()?.to_owned(),
            mode: Mode::by_word(shown["mode"].as_str()?)?,
        })
    }
}

/// Chooses a source from the list of the server. The default source is left out, because the settings contain its
/// secret.
fn choose(list: &[Value], instance: &str, wanted: Option<&str>) -> anyhow::Result<Option<Source>> {
    anyhow::ensure!(
        wanted != Some("default"),
        "--source default is not possible, because its secret is in the settings; leave --source out to make a source \
         for this GitLab"
    );

    let serves = |shown: &Value| {
        let bound = shown["instance"].as_str().unwrap_or_default();
        bound
            .trim_end_matches('/')
            .eq_ignore_ascii_case(instance.trim_end_matches('/'))
    };

    let mut found: Vec<&Value> = Vec::new();

    for shown in list.iter().filter(|shown| shown["id"] != "default") {
        let fits = match wanted {
            Some(wanted) => shown["id"] == wanted || shown["name"] == wanted,
            None => serves(shown),
        };
        if fits {
            found.push(shown);
        }
    }

    let Some(first) = found.first() else { return Ok(None) };
    let ids: HashSet<&str> = found.iter().filter_map(|shown| shown["id"].as_str()).collect();

    anyhow::ensure!(
        ids.len() == 1,
        "{} sources fit; choose one by its id with --source (quickdraw sources list)",
        ids.len()
    );

    let bound = first["instance"].as_str();
    anyhow::ensure!(
        serves(first) || bound.is_none_or(|bound| bound == "any"),
        "the source {} serves {} and not {instance}; choose another one with --source, or leave --source out",
        first["name"].as_str().unwrap_or_default(),
        bound.unwrap_or_default()
    );

    Source::read(first)
        .context("the server's answer is not a source")
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITLAB: &str = "https://gitlab.example.com";

    fn source(id: &str, name: &str, instance: Option<&str>) -> Value {
        json!({ "id": id, "name": name, "url": format!("https://quickdraw.example.com/{id}"), "mode": "token",
            "instance": instance })
    }

    fn check(list: &[Value], wanted: Option<&str>, expected: Result<Option<&str>, &str>) {
        let found = choose(list, GITLAB, wanted);
        match expected {
            Ok(id) => assert_eq!(found.expect("a choice").map(|source| source.id).as_deref(), id),
            Err(why) => {
                let error = found.expect_err("a reason").to_string();
                assert!(error.contains(why), "{error}");
            }
        }
    }

    #[test]
    fn the_source_of_a_gitlab_is_the_one_that_serves_it() {
        let default = source("default", "default", Some(GITLAB));
        let own = source("1a", "lab", Some("https://GitLab.example.com/"));
        let other = source("2b", "other", Some("https://two.example"));
        let free = source("3c", "free", None);

        check(&[default.clone(), other.clone()], None, Ok(None));
        check(&[default.clone(), own.clone(), other.clone()], None, Ok(Some("1a")));
        check(&[own.clone(), free.clone()], Some("free"), Ok(Some("3c")));
        check(&[own.clone(), free.clone()], Some("3c"), Ok(Some("3c")));
        check(std::slice::from_ref(&own), Some("new"), Ok(None));

        check(
            std::slice::from_ref(&other),
            Some("other"),
            Err("serves https://two.example"),
        );

        check(&[default], Some("default"), Err("settings"));
        check(
            &[own.clone(), source("4d", "lab", Some(GITLAB))],
            None,
            Err("2 sources fit"),
        );
    }
}
