//! `quickdraw guard check`: why is this URL refused?

use std::io::BufRead;
use std::net::IpAddr;
use std::sync::Arc;

use clap::Subcommand;
use quickdraw_domain::guard::{self, Question, Verdict, verdict};
use quickdraw_domain::hook::HookUrl;
use quickdraw_egress::{Hickory, Resolve};
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
            Question { url: text, ..Question::default() }
        };
        say(judge(&line, &own, resolver.as_deref()).await);
    }
    Ok(())
}

async fn judge(line: &Question, own: &guard::Settings, resolver: Option<&dyn Resolve>) -> serde_json::Value {
    let answer = |verdict: &str, rule: &str, message: String| json!({ "url": line.url, "verdict": verdict, "rule": rule, "message": message });
    let settings = match line.settings(own) {
        Ok(settings) => settings,
        Err(error) => return answer("blocked", "allowlist", format!("the allowlist is refused: {error}")),
    };
    // Redirects are never followed, so what a redirect points to is never called.
    if line.redirect.is_some() {
        return answer("blocked", "redirect", "redirects are not followed".to_owned());
    }
    let mut found = line.answer().map(<[IpAddr]>::to_vec);
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
