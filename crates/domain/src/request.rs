//! The request of a delivery: a fixed list of headers, with names in the same case as GitLab's.
//!
//! Source: GitLab's `app/services/web_hook_service.rb` and the webhooks page of 19.x. Some receivers look up headers by
//! their exact case, so the case is a part of the format.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

use crate::event::{Event, Origin};
use crate::hook::body_template::{self, TemplateError};
use crate::hook::{ClientCertificate, Hook, HookUrl};
use crate::recursion::begun_by;
use crate::signature::hub_signature;
use crate::{DeliveryId, Timestamp};

/// The user agent, with the version of GitLab whose format this is. Some receivers look for `GitLab/` in it.
pub const USER_AGENT: &str = concat!("GitLab/19.1 Quickdraw/", env!("CARGO_PKG_VERSION"));

/// A request that is ready to be sent. It has no `Debug`, because header values contain secrets.
pub struct Request {
    /// The URL. User info has become `Authorization`.
    pub url: HookUrl,

    /// Names and values in the order in which they are sent. The HTTP client sets `Host` and `Content-Length`.
    pub headers: Vec<(Cow<'static, str>, String)>,

    /// The exact bytes, which are also signed.
    pub body: Bytes,

    /// Whether the certificate is checked.
    pub verify_tls: bool,

    /// Certificate for receivers that require one, in place of the instance's.
    pub client_certificate: Option<ClientCertificate>,
}

/// Header values that describe the event.
pub struct About<'a> {
    /// `X-Gitlab-Event`.
    pub event: &'a str,

    /// `X-Gitlab-Instance`.
    pub instance: &'a str,

    /// `X-Gitlab-Event-UUID`.
    pub chain: Uuid,
}

impl<'a> About<'a> {
    /// The values for one delivery of an event. `is_system` says that it goes to a system hook, or to a stream with the
    /// headers of one. `instance` is our own base URL.
    #[must_use]
    pub fn new(is_system: bool, event: &'a Event, delivery: DeliveryId, instance: &'a str) -> Self {
        // A relayed event keeps the values that GitLab sent.
        let relayed = matches!(event.origin, Origin::Source(_));
        Self {
            event: match &event.sent_as {
                Some(sent_as) => sent_as,
                None if is_system && !relayed => crate::trigger::SYSTEM_HOOK,
                _ => event.trigger.row().header,
            },
            instance: event.instance.as_deref().unwrap_or(instance),
            chain: event.chain.unwrap_or_else(|| begun_by(delivery)),
        }
    }
}

/// Builds the request of one attempt. Every attempt of a delivery has the same ids and body. Only the timestamp and the
/// signatures that include it differ.
///
/// # Errors
/// When the hook's body template cannot be rendered with this event.
pub fn build(
    hook: &Hook,
    event: &Event,
    delivery: DeliveryId,
    body: Bytes,
    instance: &str,
    now: Timestamp,
) -> Result<Request, TemplateError> {
    let body = match &hook.body_template {
        Some(template) => Bytes::from(body_template::render(template, &body)?),
        None => body,
    };

    let key = delivery.to_string();
    let about = About::new(hook.is_system(), event, delivery, instance);
    let mut headers: Vec<(Cow<'static, str>, String)> = Vec::with_capacity(14);

    headers.push(("Content-Type".into(), "application/json".to_owned()));
    headers.push(("User-Agent".into(), USER_AGENT.to_owned()));
    headers.push(("X-Gitlab-Event".into(), about.event.to_owned()));
    headers.push(("X-Gitlab-Instance".into(), about.instance.to_owned()));
    headers.push(("X-Gitlab-Webhook-UUID".into(), hook.uuid.to_string()));
    headers.push(("X-Gitlab-Event-UUID".into(), about.chain.to_string()));
    headers.push(("Idempotency-Key".into(), key.clone()));
    headers.push(("webhook-id".into(), key.clone()));
    headers.push(("webhook-timestamp".into(), now.as_seconds().to_string()));

    if let Some(token) = &hook.token {
        headers.push((
            "X-Gitlab-Token".into(),
            token.expose().chars().filter(|c| !matches!(c, '\r' | '\n')).collect(),
        ));

        headers.push(("X-Hub-Signature-256".into(), hub_signature(token, &body)));
    }

    if let Some(token) = &hook.signing_token {
        let mut signatures = token.sign(&key, now, &body);
        if let Some((before, until)) = &hook.previous_signing_token
            && now < *until
        {
            signatures.push(' ');
            signatures.push_str(&before.sign(&key, now, &body));
        }

        headers.push(("webhook-signature".into(), signatures));
    }

    if let Some(authorization) = hook.url.basic_authorization() {
        headers.push(("Authorization".into(), authorization.expose().to_owned()));
    }

    let ours = headers.len();
    for (name, value) in hook.custom_headers.iter() {
        // A custom header cannot replace one of ours.
        if !headers[..ours]
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
        {
            headers.push((name.to_owned().into(), value.expose().to_owned()));
        }
    }

    Ok(Request {
        url: hook.url.clone(),
        headers,
        body,
        verify_tls: hook.enable_ssl_verification,
        client_certificate: hook.client_certificate.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::tests::{hook, push};
    use crate::hook::HookUrl;
    use crate::hook::headers::{OWN_HEADERS, is_own_header};
    use crate::scope::Scope;
    use crate::signature::SigningToken;
    use crate::{HookId, ProjectId, Secret, Trigger};

    fn lines(request: &Request) -> String {
        let lines: Vec<String> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();

        lines.join("\n")
    }

    fn build_for(hook: &Hook) -> Request {
        let event = push("refs/heads/main");
        let delivery = DeliveryId::of(event.id, HookId(1));
        let now = Timestamp::from_seconds(1_744_578_123);
        let body = Bytes::from_static(br#"{"object_kind":"push"}"#);

        build(hook, &event, delivery, body, "https://git.example.com", now).expect("no template")
    }

    #[test]
    fn a_plain_hook_gets_the_headers_that_are_always_sent() {
        let request = build_for(&hook(Scope::Project(ProjectId(1)), &[Trigger::PUSH]));
        insta::assert_snapshot!(lines(&request), @r"
        Content-Type: application/json
        User-Agent: GitLab/19.1 Quickdraw/0.1.0
        X-Gitlab-Event: Push Hook
        X-Gitlab-Instance: https://git.example.com
        X-Gitlab-Webhook-UUID: 00000000-0000-0000-0000-000002affd2d
        X-Gitlab-Event-UUID: 7d8da2d5-93e8-82e6-92b0-38008b81ef09
        Idempotency-Key: 01920000-0000-7982-bddd-b9c768dba602
        webhook-id: 01920000-0000-7982-bddd-b9c768dba602
        webhook-timestamp: 1744578123
        ");
    }

    #[test]
    fn secrets_add_their_headers_and_user_info_becomes_authorization() {
        let mut hook = hook(Scope::Instance, &[Trigger::PUSH]);
        hook.token = Some(Secret::new("s3\ncret"));

        let key = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";
        hook.signing_token = Some(SigningToken::parse(key).expect("a token"));
        hook.url = HookUrl::parse("https://user:pass@hooks.example.com/in").expect("a URL");

        insta::assert_snapshot!(lines(&build_for(&hook)), @r"
        Content-Type: application/json
        User-Agent: GitLab/19.1 Quickdraw/0.1.0
        X-Gitlab-Event: System Hook
        X-Gitlab-Instance: https://git.example.com
        X-Gitlab-Webhook-UUID: 00000000-0000-0000-0000-000002affd2d
        X-Gitlab-Event-UUID: 7d8da2d5-93e8-82e6-92b0-38008b81ef09
        Idempotency-Key: 01920000-0000-7982-bddd-b9c768dba602
        webhook-id: 01920000-0000-7982-bddd-b9c768dba602
        webhook-timestamp: 1744578123
        X-Gitlab-Token: s3cret
        X-Hub-Signature-256: sha256=24c2e431be832c17c27c41253736b8222f6cd7044f35e72cee1b6e398a2af482
        webhook-signature: v1,rg6eThuSKpZ5hTMxd4GIV/Gbd8qfaN6RTEl9/sHA42Y=
        Authorization: Basic dXNlcjpwYXNz
        ");
    }

    #[test]
    fn a_hook_of_the_instance_for_all_events_gets_the_headers_of_project_hooks() {
        let mut hook = hook(Scope::Instance, &[]);
        hook.all_events = true;
        assert!(lines(&build_for(&hook)).contains("X-Gitlab-Event: Push Hook\n"));
    }

    #[test]
    fn every_header_that_quickdraw_sets_is_known_as_its_own() {
        let mut hook = hook(Scope::Project(ProjectId(1)), &[Trigger::PUSH]);
        hook.token = Some(Secret::new("t"));
        hook.signing_token = Some(SigningToken::from_key(&[7; 32]));

        let request = build_for(&hook);
        assert!(
            request.headers.iter().all(|(name, _)| is_own_header(name)),
            "{}",
            lines(&request)
        );

        assert_eq!(request.headers.len(), OWN_HEADERS.len());
        assert!(!is_own_header("Authorization") && is_own_header("content-TYPE"));
    }

    #[test]
    fn an_event_in_a_chain_continues_the_chain() {
        let hook = hook(Scope::Project(ProjectId(1)), &[Trigger::PUSH]);
        let mut event = push("refs/heads/main");
        event.chain = Some(Uuid::from_u128(7));

        let delivery = DeliveryId::of(event.id, HookId(1));
        let request = build(&hook, &event, delivery, Bytes::new(), "https://x", Timestamp::default());
        let request = request.expect("no template");

        let value = request
            .headers
            .iter()
            .find(|(name, _)| *name == "X-Gitlab-Event-UUID")
            .map(|(_, value)| value);
        assert_eq!(value, Some(&Uuid::from_u128(7).to_string()));
    }

    #[test]
    fn custom_headers_never_replace_others_and_the_rendered_body_is_signed() {
        let mut hook = hook(Scope::Project(ProjectId(1)), &[Trigger::PUSH]);
        for name in ["X-Team", "x-gitlab-event", "Authorization"] {
            hook.custom_headers.set(name, Secret::new("mine")).expect("a header");
        }

        hook.token = Some(Secret::new("t"));
        hook.body_template = Some(r#"{"kind":"{{object_kind}}"}"#.to_owned());

        let request = build_for(&hook);
        let value = |name: &str| -> Vec<&str> {
            let same = request
                .headers
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name));
            same.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(
            (value("X-Team"), value("X-Gitlab-Event"), value("Authorization")),
            (vec!["mine"], vec!["Push Hook"], vec!["mine"])
        );

        assert_eq!(&request.body[..], br#"{"kind":"push"}"#);
        assert_eq!(
            value("X-Hub-Signature-256"),
            [hub_signature(&Secret::new("t"), &request.body)]
        );
    }
}
