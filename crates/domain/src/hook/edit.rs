//! Changes of a hook, and the rule that secrets do not follow its URL to another address.

mod dropped;
mod refusal;

use std::time::Duration;

pub use dropped::Dropped;
pub use refusal::EditError;

use super::body_template;
use super::branch_filter::BranchFilter;
use super::headers::{check_headers, check_together};
use super::template_check;
use super::url::HookUrl;
use super::values::ValueError;
use super::{ClientCertificate, EventFilter, Hook, NamedValues, Pause, Senders};
use crate::retry::OwnRetry;
use crate::signature::SigningToken;
use crate::{Edit, Secret, Timestamp, Trigger};

/// The default time for which a replaced signing token still signs: a day, as in hosted webhook services.
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(86_400);
/// The longest time for which a replaced signing token may still sign.
pub const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 86_400);

/// A change of a hook. `None` and [`Edit::Keep`] keep a value.
#[derive(Clone, Default)]
pub struct HookEdit {
    /// As the user typed it, with `{placeholders}`.
    pub url: Option<String>,

    /// Plain token.
    pub token: Edit<Secret>,

    /// Signing token.
    pub signing_token: Edit<SigningToken>,

    /// The time for which the previous token still signs as well. The default is [`DEFAULT_OVERLAP`].
    pub signing_token_overlap: Option<Duration>,

    /// Triggers of a new hook that nobody named.
    pub default_triggers: Vec<(Trigger, bool)>,

    /// Triggers to enable or disable.
    pub triggers: Vec<(Trigger, bool)>,

    /// Whether the hook is subscribed to all events of its level.
    pub all_events: Option<bool>,

    /// Sources to which a hook of the instance is restricted.
    pub sources: Edit<Senders>,

    /// Groups to which a hook of the instance is restricted.
    pub groups: Edit<Vec<i64>>,

    /// Projects to which a hook of the instance is restricted.
    pub projects: Edit<Vec<i64>>,

    /// The pause: `Set` with the username of the person who pauses the hook, `Clear` to resume it.
    pub pause: Edit<String>,

    /// Whether certificates are checked.
    pub enable_ssl_verification: Option<bool>,

    /// `wildcard`, `regex` or `all_branches`, as sent.
    pub branch_filter_strategy: Option<String>,

    /// The text of the branch filter.
    pub push_events_branch_filter: Edit<String>,

    /// Merged by name. A name without a value keeps its value: clients send it back as they read it.
    pub custom_headers: Vec<(String, Option<Secret>)>,

    /// Merged by name, in the same way.
    pub url_variables: Vec<(String, Option<Secret>)>,

    /// The template of the body.
    pub body_template: Edit<String>,

    /// The retry policy.
    pub retry: Edit<OwnRetry>,

    /// The event filter.
    pub event_filter: Edit<EventFilter>,

    /// Whether events about one object are delivered in order.
    pub ordered: Option<bool>,

    /// The client certificate.
    pub client_certificate: Edit<ClientCertificate>,

    /// Shown name.
    pub name: Edit<String>,

    /// Free text.
    pub description: Edit<String>,
}

impl Hook {
    /// The hook after a change.
    ///
    /// If the called address changes, every secret that was set for the old address is dropped: token, signing token,
    /// client certificate, header values, and variables that are not sent again. Only secrets in the same request stay.
    /// GitLab needed three attempts at this rule: CVE-2022-4342, CVE-2023-0838, CVE-2023-2620. GitLab also drops
    /// headers that are sent in the same request, which surprises users and protects nothing.
    ///
    /// # Errors
    /// Every reason of [`EditError`].
    pub fn edited(&self, edit: HookEdit, now: Timestamp) -> Result<Self, EditError> {
        self.edited_with_drops(edit, now).map(|(hook, _)| hook)
    }

    /// The hook after a change, and the secrets that it no longer has because its address changed.
    ///
    /// # Errors
    /// Every reason of [`EditError`].
    pub fn edited_with_drops(&self, edit: HookEdit, now: Timestamp) -> Result<(Self, Vec<Dropped>), EditError> {
        let mut hook = self.clone();
        let mut dropped = Vec::new();
        let may_collide = edit.url.is_some() || !edit.custom_headers.is_empty() || !edit.url_variables.is_empty();

        // Clients that save whole objects send back the URL that they read, so a masked URL means the stored one.
        let typed = match edit.url {
            Some(url) if url != self.url.masked() => url,
            _ => self.url.as_typed().to_owned(),
        };

        // The URL is first filled with the stored values, to find out whether the called address changes.
        let merged = merge(&self.url_variables, &edit.url_variables).map_err(EditError::UrlVariables)?;
        hook.url = HookUrl::parse_with(&typed, &merged)?;
        hook.url_variables = merged;

        if edit.branch_filter_strategy.is_some() || !edit.push_events_branch_filter.is_keep() {
            let strategy = edit
                .branch_filter_strategy
                .as_deref()
                .unwrap_or_else(|| self.branch_filter.strategy());
            // A filter that is set on a hook for all branches, without a strategy, is a wildcard.
            let strategy = match &edit.push_events_branch_filter {
                Edit::Set(_) if edit.branch_filter_strategy.is_none() && strategy == "all_branches" => "wildcard",
                _ => strategy,
            };

            let filter = match &edit.push_events_branch_filter {
                Edit::Keep => self.branch_filter.text(),
                Edit::Clear => None,
                Edit::Set(filter) => Some(filter.as_str()),
            };
            hook.branch_filter =
                BranchFilter::parse(strategy, filter).map_err(|error| EditError::BranchFilter(error.to_string()))?;
        }

        check_headers(&edit.custom_headers)?;
        if let Edit::Set(token) = &edit.token {
            token.check_header().map_err(EditError::Token)?;
        }

        // Headers are merged in every case, so that a name without any value is refused.
        hook.custom_headers = merge(&self.custom_headers, &edit.custom_headers).map_err(EditError::CustomHeaders)?;

        if !hook.url.calls_same(&self.url) {
            let typed_now = |sent: &[(String, Option<Secret>)]| {
                let fresh: Vec<_> = sent.iter().filter(|(_, value)| value.is_some()).cloned().collect();
                merge(&NamedValues::default(), &fresh)
            };

            // The variables were merged above, so those of the stored hook are the ones that are dropped.
            hook.url_since = now;
            hook.url_variables = self.url_variables.clone();
            hook.custom_headers = self.custom_headers.clone();
            dropped = hook.drop_secrets();
            hook.custom_headers = typed_now(&edit.custom_headers).map_err(EditError::CustomHeaders)?;
            hook.url_variables = typed_now(&edit.url_variables).map_err(EditError::UrlVariables)?;
            hook.url = HookUrl::parse_with(&typed, &hook.url_variables)?;
        }

        // Stored settings are checked again only if the change concerns them.
        if may_collide {
            check_together(&hook)?;
        }

        hook.token = edit.token.apply(hook.token);

        if !edit.signing_token.is_keep() {
            let overlap = edit.signing_token_overlap.unwrap_or(DEFAULT_OVERLAP);
            let before = std::mem::replace(&mut hook.signing_token, edit.signing_token.value());
            // Removing the token means that no signature is wanted, so the previous token stops signing too.
            hook.previous_signing_token = before
                .filter(|_| hook.signing_token.is_some() && !overlap.is_zero())
                .map(|before| (before, now.plus(overlap)));
        }

        hook.all_events = edit.all_events.unwrap_or(hook.all_events);
        for (trigger, on) in &edit.triggers {
            if hook.all_events && !on {
                return Err(EditError::AllEvents(trigger.row().attribute.unwrap_or_default()));
            }
        }

        // While all events are selected, clients send back each trigger as true. The stored set stays as it was.
        let named = if hook.all_events { Vec::new() } else { edit.triggers };
        for (trigger, on) in edit.default_triggers.into_iter().chain(named) {
            hook.triggers.set(trigger, on);
            hook.confidential_notes_set |= trigger == Trigger::CONFIDENTIAL_NOTE;
        }

        hook.only.sources = edit.sources.apply(hook.only.sources);
        hook.only.groups = edit.groups.apply(hook.only.groups);
        hook.only.projects = edit.projects.apply(hook.only.projects);

        hook.paused = match edit.pause {
            // A second pause changes nothing.
            Edit::Set(by) => hook.paused.or(Some(Pause { at: now, by })),
            Edit::Clear => None,
            Edit::Keep => hook.paused,
        };

        hook.enable_ssl_verification = edit.enable_ssl_verification.unwrap_or(hook.enable_ssl_verification);

        if let Edit::Set(template) = &edit.body_template {
            if template.chars().count() > body_template::MAX_LEN {
                return Err(EditError::BodyTemplate);
            }

            template_check::check(template)?;
        }

        hook.body_template = edit.body_template.apply(hook.body_template);
        hook.retry = edit.retry.apply(hook.retry);
        hook.event_filter = edit.event_filter.apply(hook.event_filter);
        hook.ordered = edit.ordered.unwrap_or(hook.ordered);
        hook.client_certificate = edit.client_certificate.apply(hook.client_certificate);
        hook.name = edit.name.apply(hook.name);
        hook.description = edit.description.apply(hook.description);
        hook.updated_at = now;
        dropped.retain(|secret| !hook.has_again(secret));

        Ok((hook, dropped))
    }
}

fn merge(known: &NamedValues, sent: &[(String, Option<Secret>)]) -> Result<NamedValues, ValueError> {
    let mut merged = known.clone();
    for (at, (name, value)) in sent.iter().enumerate() {
        if sent[..at].iter().any(|(before, _)| before == name) {
            return Err(ValueError::Twice);
        }

        match value {
            Some(value) => merged.set(name, value.clone())?,
            None if known.get(name).is_some() => {}
            None => return Err(ValueError::Missing),
        }
    }

    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::url::UrlError;
    use crate::scope::Scope;
    use crate::secret::HeaderError;

    fn hook(url: &str, variables: &[(&str, &str)]) -> Hook {
        let url_variables = pairs(variables);
        let blank = Hook::new(
            Scope::Instance,
            HookUrl::parse("https://blank.example").expect("a URL"),
            uuid::Uuid::nil(),
            Timestamp::default(),
        );

        let edit = HookEdit {
            url: Some(url.to_owned()),
            url_variables,
            token: Edit::Set(Secret::new("token")),
            custom_headers: pairs(&[("X-Key", "header")]),
            ..HookEdit::default()
        };
        blank
            .edited(edit, Timestamp::default())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, Option<Secret>)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some(Secret::new(*value))))
            .collect()
    }

    fn edited(hook: &Hook, edit: HookEdit) -> Hook {
        hook.edited(edit, Timestamp::from_seconds(1))
            .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_replaced_signing_token_still_signs_for_a_while() {
        let token = |byte: u8| SigningToken::from_key(&[byte; 32]);
        let url = HookUrl::parse("https://example.com/in").expect("valid");

        let hook = Hook::new(
            crate::scope::Scope::Instance,
            url,
            uuid::Uuid::nil(),
            Timestamp::default(),
        );

        let now = Timestamp::from_seconds(1000);
        let give = |byte, overlap| HookEdit {
            signing_token: Edit::Set(token(byte)),
            signing_token_overlap: overlap,
            ..HookEdit::default()
        };
        let first = hook.edited(give(1, None), now).expect("valid");
        assert!(first.previous_signing_token.is_none(), "there is no previous token");

        let second = first.edited(give(2, None), now).expect("valid");
        let (before, until) = second
            .previous_signing_token
            .as_ref()
            .expect("the first token still signs");

        assert_eq!(before.to_text().expose(), token(1).to_text().expose());
        assert_eq!(*until, now.plus(DEFAULT_OVERLAP));

        let at_once = first.edited(give(2, Some(Duration::ZERO)), now).expect("valid");
        assert!(
            at_once.previous_signing_token.is_none(),
            "a leaked token must stop at once"
        );

        let none = HookEdit {
            signing_token: Edit::Clear,
            ..HookEdit::default()
        };

        assert!(
            second
                .edited(none, now)
                .expect("valid")
                .previous_signing_token
                .is_none()
        );

        let moved = HookEdit {
            url: Some("https://example.org/in".to_owned()),
            ..HookEdit::default()
        };

        assert!(
            second
                .edited(moved, now)
                .expect("valid")
                .previous_signing_token
                .is_none()
        );

        let kept = second.edited(HookEdit::default(), now).expect("valid");
        assert!(kept.previous_signing_token.is_some(), "other changes keep it");
    }

    #[test]
    fn a_url_can_be_sent_back_as_it_was_shown() {
        let url = HookUrl::parse("https://ida:s3cret@example.com/in").expect("valid");
        let mut hook = Hook::new(
            crate::scope::Scope::Instance,
            url,
            uuid::Uuid::nil(),
            Timestamp::default(),
        );
        hook.token = Some(Secret::new("t".to_owned()));

        let edit = |url: &str| HookEdit {
            url: Some(url.to_owned()),
            ..HookEdit::default()
        };
        let same = hook
            .edited(edit(&hook.url.masked()), Timestamp::from_seconds(1))
            .expect("unchanged");
        assert!(same.url.as_typed().contains("s3cret") && same.token.is_some());

        let refused = hook.edited(edit("https://*****:*****@example.org/in"), Timestamp::from_seconds(1));
        assert!(matches!(refused, Err(EditError::Url(UrlError::Mask))));
    }

    #[test]
    fn the_same_url_sent_again_keeps_every_secret() {
        let hook = hook("https://h.example/{path}", &[("path", "a")]);
        let nothing = edited(
            &hook,
            HookEdit {
                url: Some("https://h.example/{path}".to_owned()),
                ..HookEdit::default()
            },
        );
        assert!(nothing.token.is_some() && !nothing.custom_headers.is_empty());

        let read_back = HookEdit {
            custom_headers: vec![("X-Key".to_owned(), None)],
            url_variables: vec![("path".to_owned(), None)],
            ..HookEdit::default()
        };
        let kept = edited(&hook, read_back);
        assert_eq!(kept.custom_headers.get("X-Key").map(Secret::expose), Some("header"));
        assert_eq!(kept.url.path_and_query(), "/a");
    }

    #[test]
    fn another_address_drops_secrets_that_are_not_sent_again() {
        let hook = hook("https://h.example/{path}", &[("path", "a")]);
        let elsewhere = HookEdit {
            url: Some("https://evil.example/".to_owned()),
            ..HookEdit::default()
        };
        let moved = edited(&hook, elsewhere.clone());
        assert!(moved.token.is_none() && moved.custom_headers.is_empty() && moved.url_variables.is_empty());

        let (_, dropped) = hook
            .edited_with_drops(elsewhere, Timestamp::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<String> = dropped.iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            ["the secret token", "the custom header X-Key", "the URL variable path"]
        );

        let leak = HookEdit {
            url: Some("https://evil.example/{path}".to_owned()),
            ..HookEdit::default()
        };
        assert_eq!(
            hook.edited(leak, Timestamp::default()).err(),
            Some(EditError::Url(UrlError::MissingVariable))
        );

        let typed = HookEdit {
            url: Some("https://new.example/".to_owned()),
            token: Edit::Set(Secret::new("again")),
            custom_headers: pairs(&[("X-Key", "again")]),
            ..HookEdit::default()
        };
        let (_, dropped) = hook
            .edited_with_drops(typed.clone(), Timestamp::default())
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            dropped,
            [Dropped::UrlVariable("path".to_owned())],
            "others were sent again"
        );

        let typed = edited(&hook, typed);
        assert_eq!(typed.token.as_ref().map(Secret::expose), Some("again"));
        assert_eq!(typed.custom_headers.get("X-Key").map(Secret::expose), Some("again"));
    }

    #[test]
    fn a_variable_that_changes_the_address_counts_as_a_new_address() {
        let hook = hook("https://{host}.example/{path}", &[("host", "a"), ("path", "secret")]);
        assert_eq!(
            (hook.url.authority().as_str(), hook.url.masked()),
            ("a.example", "https://{host}.example/{path}".to_owned())
        );

        let only_host = HookEdit {
            url_variables: pairs(&[("host", "b")]),
            ..HookEdit::default()
        };
        assert_eq!(
            hook.edited(only_host, Timestamp::default()).err(),
            Some(EditError::Url(UrlError::MissingVariable))
        );

        let both = HookEdit {
            url_variables: pairs(&[("host", "b"), ("path", "p")]),
            ..HookEdit::default()
        };
        let moved = edited(&hook, both);
        assert_eq!(
            (moved.url.authority().as_str(), moved.token.is_none()),
            ("b.example", true)
        );
    }

    #[test]
    fn headers_that_would_not_be_sent_as_typed_are_refused() {
        let known = hook("https://h.example/", &[]);
        let refused = |hook: &Hook, headers: &[(&str, &str)]| {
            let edit = HookEdit {
                custom_headers: pairs(headers),
                ..HookEdit::default()
            };
            hook.edited(edit, Timestamp::default()).err()
        };

        for name in [
            "Content-Type",
            "user-agent",
            "X-Gitlab-Event",
            "Webhook-Id",
            "Idempotency-Key",
            "X-Gitlab-Token",
        ] {
            assert_eq!(
                refused(&known, &[(name, "v")]),
                Some(EditError::OwnHeader(name.to_owned()))
            );
        }

        for name in ["Host", "Content-Length", "Transfer-Encoding", "connection"] {
            assert_eq!(
                refused(&known, &[(name, "v")]),
                Some(EditError::ReservedHeader(name.to_owned()))
            );
        }

        let same = |one: &str, other: &str| Some(EditError::SameHeader(one.to_owned(), other.to_owned()));
        assert_eq!(refused(&known, &[("X-A", "1"), ("x-a", "2")]), same("X-A", "x-a"));

        assert_eq!(
            refused(&known, &[("x-key", "2")]),
            same("X-Key", "x-key"),
            "the stored header counts"
        );

        let twice = Some(EditError::CustomHeaders(ValueError::Twice));
        assert_eq!(refused(&known, &[("X-A", "1"), ("X-A", "2")]), twice);

        assert_eq!(
            refused(&known, &[("X-A", " 1")]),
            Some(EditError::CustomHeaders(ValueError::Blank))
        );

        assert_eq!(refused(&known, &[("Authorization", "Bearer x")]), None);

        let with_user = hook("https://me:secret@h.example/", &[]);
        assert_eq!(
            refused(&with_user, &[("authorization", "x")]),
            Some(EditError::Authorization)
        );

        let token = HookEdit {
            token: Edit::Set(Secret::new("t ")),
            ..HookEdit::default()
        };
        let error = known.edited(token, Timestamp::default()).err();
        assert_eq!(error, Some(EditError::Token(HeaderError::Blank)));
    }

    #[test]
    fn a_template_that_never_produces_json_is_refused_when_it_is_set() {
        let mut known = hook("https://h.example/", &[]);
        known.body_template = Some("stored before {{that}}".to_owned());

        assert!(
            known.edited(HookEdit::default(), Timestamp::default()).is_ok(),
            "other changes do not check it again"
        );

        let set = |text: &str| HookEdit {
            body_template: Edit::Set(text.to_owned()),
            ..HookEdit::default()
        };
        let refused = known
            .edited(set("hello {{x}}"), Timestamp::default())
            .err()
            .map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.starts_with("custom_webhook_template is not JSON")));
        assert!(known.edited(set(r#"{"a": {{x}}}"#), Timestamp::default()).is_ok());
    }

    #[test]
    fn a_name_without_value_is_refused_when_none_is_stored() {
        let hook = hook("https://h.example/", &[]);
        let edit = HookEdit {
            custom_headers: vec![("X-New".to_owned(), None)],
            ..HookEdit::default()
        };
        assert_eq!(
            hook.edited(edit, Timestamp::default()).err(),
            Some(EditError::CustomHeaders(ValueError::Missing))
        );
    }
}
