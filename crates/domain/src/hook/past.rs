//! A hook as it was when something was sent: what history needs to show a request, and no secret.

use serde::{Deserialize, Serialize};

use super::{Hook, HookUrl, NamedValues};
use crate::Secret;
use crate::signature::SigningToken;

/// What stands where a secret stood. History masks it like one.
const PLACEHOLDER: &str = "placeholder";

/// The settings that a request is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PastHook {
    /// URL as it is shown: variables by name, user info masked.
    pub url: String,
    /// Whether there was a token.
    pub token: bool,
    /// Whether there was a signing token.
    pub signing_token: bool,
    /// Names of the custom headers.
    pub custom_headers: Vec<String>,
    /// What was sent instead of the event's body.
    pub body_template: Option<String>,
}

impl PastHook {
    /// What is kept of a hook.
    #[must_use]
    pub fn of(hook: &Hook) -> Self {
        Self {
            url: hook.url.masked(),
            token: hook.token.is_some(),
            signing_token: hook.signing_token.is_some(),
            custom_headers: hook.custom_headers.iter().map(|(name, _)| name.to_owned()).collect(),
            body_template: hook.body_template.clone(),
        }
    }

    /// The hook of today with the settings of then, and something else in the place of each secret.
    #[must_use]
    pub fn restore(&self, hook: &Hook) -> Hook {
        let mut custom_headers = NamedValues::default();
        for name in &self.custom_headers {
            // It was a good name when it was kept.
            let _ = custom_headers.set(name, Secret::new(PLACEHOLDER));
        }
        // A mask is not taken for user info.
        let url = self.url.replacen("//*****", "//placeholder", 1).replacen(":*****@", ":placeholder@", 1);
        Hook {
            url: HookUrl::parse(&url).unwrap_or_else(|_| hook.url.clone()),
            token: self.token.then(|| Secret::new(PLACEHOLDER)),
            signing_token: self.signing_token.then(|| SigningToken::from_key(PLACEHOLDER.as_bytes())),
            previous_signing_token: None,
            custom_headers,
            url_variables: NamedValues::default(),
            body_template: self.body_template.clone(),
            ..hook.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::tests::hook;
    use crate::scope::Scope;

    #[test]
    fn what_is_kept_makes_the_same_request_without_a_secret() {
        let mut then = hook(Scope::Instance, &[]);
        then.url = HookUrl::parse("https://ida:s3cret@hooks.example.com/in").expect("a URL");
        then.token = Some(Secret::new("s3cret"));
        then.custom_headers.set("X-Team", Secret::new("s3cret")).expect("a header");
        then.body_template = Some("{}".to_owned());
        let kept = serde_json::to_string(&PastHook::of(&then)).expect("it can be written");
        assert!(!kept.contains("s3cret"), "{kept}");
        let kept: PastHook = serde_json::from_str(&kept).expect("it can be read");
        let restored = kept.restore(&hook(Scope::Instance, &[]));
        assert_eq!(PastHook::of(&restored), kept);
        assert!(restored.url.basic_authorization().is_some() && restored.signing_token.is_none());
    }
}
