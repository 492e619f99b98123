//! The bodies of events about the condition of a hook. GitLab sends e-mails instead; the names are those of its hooks
//! API.

use serde_json::json;

use crate::Timestamp;
use crate::health::{Condition, Health};
use crate::hook::Hook;
use crate::scope::Scope;

/// Composes the event that a hook was paused, disabled or enabled again. `reason` is for people.
#[must_use]
pub fn hook_state(hook: &Hook, health: Health, reason: &str, now: Timestamp) -> String {
    compose(event_name(health.condition()), hook, health, reason, now)
}

fn compose(name: &str, hook: &Hook, health: Health, reason: &str, now: Timestamp) -> String {
    let (project_id, group_id) = match hook.scope {
        Scope::Project(id) => (Some(id.0), None),
        Scope::Group(id) => (None, Some(id.0)),
        Scope::Instance => (None, None),
    };

    let until = health
        .disabled_until
        .filter(|_| health.condition() == Condition::Paused);
    let body = json!({
        "event_name": name,
        "created_at": now.to_iso(),
        "reason": reason,
        "hook": {
            "id": hook.id.0,
            "name": hook.name,
            "url": hook.url.masked(),
            "project_id": project_id,
            "group_id": group_id,
            "alert_status": health.status(now).word(),
            "disabled_until": until.map(Timestamp::to_iso),
            "recent_failures": health.recent_failures,
        },
    });
    body.to_string()
}

/// Composes the event that a person paused or resumed a hook. `by` is the username of the person.
#[must_use]
pub fn hook_pause(hook: &Hook, health: Health, by: &str, now: Timestamp) -> String {
    let (name, did) = match hook.paused {
        Some(_) => (PAUSED_BY_USER, "paused"),
        None => (RESUMED_BY_USER, "resumed"),
    };
    compose(name, hook, health, &format!("{did} by {by}"), now)
}

/// The `event_name` of a pause that a person sets.
pub const PAUSED_BY_USER: &str = "hook_paused_by_user";
/// The `event_name` of the end of such a pause.
pub const RESUMED_BY_USER: &str = "hook_resumed_by_user";

/// The `event_name` of a condition.
#[must_use]
pub const fn event_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Well => "hook_enabled",
        Condition::Paused => "hook_paused",
        Condition::Disabled => "hook_disabled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audience::tests::hook;
    use crate::envelope::Envelope;
    use crate::hook::HookUrl;
    use crate::{ProjectId, Trigger};

    #[test]
    fn the_body_is_recognised_and_shows_no_secret() {
        let mut hook = hook(Scope::Project(ProjectId(3)), &[]);
        hook.url = HookUrl::parse("https://ida:s3cret@hooks.example.com/in").expect("a URL");

        let now = Timestamp::from_seconds(60);
        let health = Health {
            recent_failures: 4,
            pauses: 1,
            disabled_until: Some(Timestamp::from_seconds(120)),
            disabled: false,
        };
        let body = hook_state(&hook, health, "4 failures in a row", now);
        insta::assert_snapshot!(body, @r#"{"event_name":"hook_paused","created_at":"1970-01-01T00:01:00.000Z","reason":"4 failures in a row","hook":{"id":1,"name":null,"url":"https://*****:*****@hooks.example.com/in","project_id":3,"group_id":null,"alert_status":"temporarily_disabled","disabled_until":"1970-01-01T00:02:00.000Z","recent_failures":4}}"#);

        let envelope = Envelope::read(body.as_bytes()).expect("it is JSON");
        assert_eq!(Trigger::recognise(None, &envelope), Trigger::HOOK_STATE);
    }
}
