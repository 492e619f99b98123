//! `quickdraw guard check`: why is this URL refused?

use std::io::BufRead;
use std::net::IpAddr;
use std::sync::Arc;

use clap::Subcommand;
use quickdraw_domain::guard::{self, Allowlist, Verdict, verdict};
use quickdraw_domain::hook::HookUrl;
use quickdraw_egress::{Hickory, Resolve};
use serde::Deserialize;
use serde_json::json;

use super::say;
use crate::config::Config;
use crate::wiring;

#[derive(Subcommand)]
pub(crate) enum Guard {
    /// Judge URLs from standard input, one a line; a line may also be a JSON object with url, resolves_to, config, ….
    /// Names are looked up unless resolves_to gives the answer.
    Check,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Line {
    url: String,
    resolves_to: Option<Vec<IpAddr>>,
    resolves_then: Option<Vec<IpAddr>>,
    stage: String,
    url_variables: std::collections::HashMap<String, String>,
    redirect: Option<serde_json::Value>,
    config: Option<Overrides>,
}

/// Settings of one line, in place of the server's own.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Overrides {
    allow_local_networks: bool,
    allowlist: Vec<String>,
    deny_all_except_allowlist: bool,
    allowed_ports: Option<Vec<u16>>,
    https_only: bool,
    nat64: String,
}

pub(crate) async fn run(_command: Guard, config: Config) -> anyhow::Result<()> {
    let own = wiring::guard(&config)?;
    let resolver: Option<Arc<dyn Resolve>> =
        Hickory::from_system().ok().map(|resolver| Arc::new(resolver) as Arc<dyn Resolve>);
    for text in std::io::stdin().lock().lines() {
        let text = text?;
        let line = if text.trim_start().starts_with('{') {
            match serde_json::from_str(&text) {
                Ok(line) => line,
                Err(error) => {
                    say(json!({ "url": text, "verdict": "invalid", "rule": "line", "message": error.to_string() }));
                    continue;
                }
            }
        } else {
            Line { url: text, ..Line::default() }
        };
        say(judge(&line, &own, resolver.as_deref()).await);
    }
    Ok(())
}

async fn judge(line: &Line, own: &guard::Settings, resolver: Option<&dyn Resolve>) -> serde_json::Value {
    let answer = |verdict: &str, rule: &str, message: String| json!({ "url": line.url, "verdict": verdict, "rule": rule, "message": message });
    let settings = match &line.config {
        None => own.clone(),
        Some(overrides) => match overrides.settings() {
            Ok(settings) => settings,
            Err(error) => return answer("blocked", "allowlist", format!("the allowlist is refused: {error}")),
        },
    };
    // Redirects are never followed, so what a redirect points to is never called.
    if line.redirect.is_some() {
        return answer("blocked", "redirect", "redirects are not followed".to_owned());
    }
    let later = line.stage != "connect" && line.resolves_then.is_some();
    let mut found = if later { line.resolves_then.clone() } else { line.resolves_to.clone() };
    if found.is_none()
        && let (Ok(url), Some(resolver)) = (HookUrl::parse(&line.url), resolver)
        && guard::judge_url(&url, &settings).is_ok()
        && url.host().to_string().trim_matches(['[', ']']).parse::<IpAddr>().is_err()
    {
        found = Some(resolver.resolve(&url.host().to_string()).await.unwrap_or_default());
    }
    let value_of = |name: &str| line.url_variables.get(name).map(String::as_str);
    match verdict(&line.url, value_of, found.as_deref(), &settings) {
        Verdict::Allowed => answer("allowed", "", String::new()),
        Verdict::Blocked(rule) => answer("blocked", rule.name(), rule.to_string()),
        Verdict::Invalid(error) => answer("invalid", "url", format!("the URL {error}")),
    }
}

impl Overrides {
    fn settings(&self) -> anyhow::Result<guard::Settings> {
        Ok(guard::Settings {
            allow_local_networks: self.allow_local_networks,
            allowlist: Allowlist::parse(self.allowlist.iter().map(String::as_str))?,
            deny_all_except_allowlist: self.deny_all_except_allowlist,
            allowed_ports: self.allowed_ports.clone(),
            https_only: self.https_only,
            decode_nat64: self.nat64 == "decode",
            own: Vec::new(),
        })
    }
}
