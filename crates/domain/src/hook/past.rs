//! A hook's settings at the time of a request, as far as history needs them to show the request, and without secrets.

use serde::{Deserialize, Serialize};

use super::{Hook, HookUrl, NamedValues};
use crate::Secret;
use crate::signature::SigningToken;

/// The value in place of each secret. History masks it like a secret.
const PLACEHOLDER: &str = "placeholder";

/// The settings from which a request is made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PastHook {
    /// The URL as it is shown: variables by name, user info masked.
    pub url: String,

    /// Whether the hook had a token.
    pub token: bool,

    /// Whether the hook had a signing token.
    pub signing_token: bool,

    /// Names of the custom headers.
    pub custom_headers: Vec<String>,

    /// The template of the body, in place of the event's body.
    pub body_template: Option<String>,
}

impl PastHook {
    /// The stored part of a hook's settings.
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

    /// The current hook with the settings of that time, and the placeholder in place of each secret.
    #[must_use]
    pub fn restore(&self, hook: &Hook) -> Hook {
        let mut custom_headers = NamedValues::default();
        for name in &self.custom_headers {
            // The name was valid when it was stored.
            let _ = custom_headers.set(name, Secret::new(PLACEHOLDER));
        }

        // The parser refuses a mask as user info.
        let url = self
            .url
            .replacen("//*****", "//placeholder", 1)
            .replacen(":*****@", ":placeholder@", 1);

        Hook {
            url: HookUrl::parse(&url).unwrap_or_else(|_| hook.url.clone()),
            token: self.token.then(|| Secret::new(PLACEHOLDER)),
            signing_token: self
                .signing_token
                .then(|| SigningToken::from_key(PLACEHOLDER.as_bytes())),
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
    fn the_stored_settings_make_the_same_request_without_a_secret() {
        let mut then = hook(Scope::Instance, &[]);
        then.url = HookUrl::parse("https://ida:s3cret@hooks.example.com/in").expect("a URL");
        then.token = Some(Secret::new("s3cret"));
        then.custom_headers
            .set("X-Team", Secret::new("s3cret"))
            .expect("a header");
        then.body_template = Some("{}".to_owned());

        let kept = serde_json::to_string(&PastHook::of(&then)).expect("it can be written");
        assert!(!kept.contains("s3cret"), "{kept}");

        let kept: PastHook = serde_json::from_str(&kept).expect("it can be read");
        let restored = kept.restore(&hook(Scope::Instance, &[]));
        assert_eq!(PastHook::of(&restored), kept);
        assert!(restored.url.basic_authorization().is_some() && restored.signing_token.is_none());
    }
}
