//! `quickdraw guard check`: explains which URLs the guard blocks, and why.

use std::io::BufRead;
use std::net::IpAddr;
use std::sync::Arc;

use clap::Subcommand;
use quickdraw_domain::guard::{self, Question, Verdict, verdict};
use quickdraw_domain::hook::HookUrl;
use quickdraw_egress::{Hickory, Resolve};
use serde_json::json;

use super::say;
use crate::settings::Config;
use crate::wiring;

#[derive(Subcommand)]
pub(crate) enum Guard {
    /// Check URLs from standard input, one per line, and print a verdict for each as JSON.
    ///
    /// A line can also be a JSON object with the fields url, url_variables, resolves_to (addresses to use instead of a
    /// look-up) and config (settings of the guard for this line). The exit code is 1 if a URL is blocked or invalid.
    Check,
}

pub(crate) async fn run(_command: Guard, config: Config) -> anyhow::Result<()> {
    let own = wiring::guard(&config)?;
    let resolver: Option<Arc<dyn Resolve>> = Hickory::from_system()
        .ok()
        .map(|resolver| Arc::new(resolver) as Arc<dyn Resolve>);
    let mut refused = 0;

    for text in std::io::stdin().lock().lines() {
        let answer = match read(text?) {
            Ok(question) => judge(&question, &own, resolver.as_deref()).await,
            Err(answer) => answer,
        };
        refused += usize::from(answer["verdict"] != "allowed");
        say(answer);
    }

    anyhow::ensure!(refused == 0, "blocked or invalid URLs: {refused}");
    Ok(())
}

/// Reads a line: a URL, or a question as JSON. The error is the answer to a line that is not valid.
fn read(text: String) -> Result<Question, serde_json::Value> {
    if !text.trim_start().starts_with('{') {
        return Ok(Question {
            url: text,
            ..Question::default()
        });
    }

    serde_json::from_str(&text).map_err(|error| {
        let message = error.to_string();
        json!({ "url": text, "verdict": "invalid", "rule": "line", "message": message })
    })
}

async fn judge(line: &Question, own: &guard::Settings, resolver: Option<&dyn Resolve>) -> serde_json::Value {
    let answer = |verdict: &str, rule: &str, message: String| json!({ "url": line.url, "verdict": verdict, "rule": rule, "message": message });
    let settings = match line.settings(own) {
        Ok(settings) => settings,
        Err(error) => return answer("blocked", "allowlist", format!("the allowlist is not valid: {error}")),
    };

    // Deliveries never follow redirects.
    if line.redirect.is_some() {
        return answer("blocked", "redirect", "redirects are not followed".to_owned());
    }

    let mut found = line.answer().map(<[IpAddr]>::to_vec);
    if found.is_none()
        && let (Ok(url), Some(resolver)) = (HookUrl::parse(&line.url), resolver)
        && guard::judge_url(&url, &settings).is_ok()
        && url
            .host()
            .to_string()
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_err()
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
