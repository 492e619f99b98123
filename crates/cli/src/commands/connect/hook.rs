//! The webhook that a project, a group or a whole GitLab should have, and its comparison with the webhooks that exist.
//! This file makes no calls.

use std::fmt;

use quickdraw_domain::scope::Scope;
use quickdraw_domain::{GroupId, ProjectId, Trigger};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::version::Credential;

/// Name of the webhook in GitLab.
const NAME: &str = "Quickdraw";
/// Length of a secret from which a fingerprint is made. A shorter secret could be guessed from its fingerprint.
const SHORTEST_FOR_FINGERPRINT: usize = 32;

/// The level of a webhook in GitLab.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Level {
    Instance,
    Group,
    Project,
}

impl Level {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Group => "group",
            Self::Project => "project",
        }
    }

    /// The attributes of all triggers of GitLab at this level. A version of GitLab that does not know one ignores it.
    pub(super) fn triggers(self) -> Vec<&'static str> {
        let scope = match self {
            Self::Instance => Scope::Instance,
            Self::Group => Scope::Group(GroupId(0)),
            Self::Project => Scope::Project(ProjectId(0)),
        };

        Trigger::all()
            .filter(|trigger| trigger.is_in_gitlab() && trigger.row().levels.contain(scope))
            .filter_map(|trigger| trigger.row().attribute)
            .collect()
    }
}

/// The webhook that every place should have.
pub(super) struct Wanted {
    /// URL of the source.
    pub(super) url: String,

    /// Id of the source, which is the end of its URL.
    pub(super) source: String,
    pub(super) secret: String,
    pub(super) credential: Credential,

    /// Whether GitLab verifies the certificate of Quickdraw.
    pub(super) verify_tls: bool,

    /// Triggers that the user left out. They are neither enabled nor compared.
    pub(super) except: Vec<String>,
}

/// The webhooks of a place that belong to the source, and what is wrong with them.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Found {
    /// The webhook that is kept.
    pub(super) hook: Option<i64>,

    /// Further webhooks of the source, which would post every event again.
    pub(super) others: Vec<i64>,
    pub(super) differences: Vec<Difference>,

    /// GitLab does not show which secret the webhook has.
    pub(super) is_secret_unknown: bool,
}

/// A difference between a webhook and the wanted one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Difference {
    Missing,
    Url(String),
    Triggers(Vec<&'static str>),
    BranchFilter,
    Template,
    SslVerification(bool),

    /// `alert_status` of a webhook that GitLab disabled.
    Disabled(String),
    Secret,
    Others(usize),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no webhook"),
            Self::Url(url) => write!(f, "wrong URL {url}"),
            Self::Triggers(names) => write!(f, "disabled triggers: {}", names.join(", ")),
            Self::BranchFilter => f.write_str("a branch filter hides pushes"),
            Self::Template => f.write_str("a template replaces the bodies"),
            Self::SslVerification(true) => f.write_str("SSL verification is on"),
            Self::SslVerification(false) => f.write_str("SSL verification is off"),
            Self::Disabled(state) => write!(f, "GitLab disabled the webhook ({state})"),
            Self::Secret => f.write_str("not the current secret of the source"),
            Self::Others(1) => f.write_str("a second webhook of the same source"),
            Self::Others(number) => write!(f, "{number} more webhooks of the same source"),
        }
    }
}

impl Wanted {
    /// The attributes of the webhook, to repair one.
    pub(super) fn body(&self, level: Level) -> Value {
        let mut body = Map::new();
        body.insert("url".to_owned(), json!(self.url));
        body.insert("name".to_owned(), json!(NAME));
        body.insert("description".to_owned(), json!(self.description()));
        body.insert("enable_ssl_verification".to_owned(), json!(self.verify_tls));
        body.insert("branch_filter_strategy".to_owned(), json!("all_branches"));

        if self.credential.has_token() {
            body.insert("token".to_owned(), json!(self.secret));
        }

        if self.credential.has_signing_token() {
            body.insert("signing_token".to_owned(), json!(self.secret));
        }

        // System hooks have no templates.
        if level != Level::Instance {
            body.insert("custom_webhook_template".to_owned(), json!(""));
        }

        for attribute in self.triggers(level) {
            body.insert(attribute.to_owned(), json!(true));
        }

        Value::Object(body)
    }

    /// The attributes of a new webhook. GitLab enables pushes unless it is asked not to.
    pub(super) fn body_of_new(&self, level: Level) -> Value {
        let mut body = self.body(level);
        for attribute in level.triggers() {
            if body.get(attribute).is_none() {
                body[attribute] = json!(false);
            }
        }

        body
    }

    /// The triggers of the webhook.
    fn triggers(&self, level: Level) -> Vec<&'static str> {
        let mut triggers = level.triggers();
        triggers.retain(|attribute| !self.except.iter().any(|except| except == attribute));
        triggers
    }

    /// Finds the webhooks of the source in a list of GitLab, and compares the one that is kept.
    pub(super) fn compare(&self, level: Level, hooks: &[Value]) -> Found {
        let mut ours: Vec<(i64, &Value)> = Vec::new();
        for hook in hooks {
            if let Some(id) = hook["id"].as_i64()
                && self.is_ours(hook)
            {
                ours.push((id, hook));
            }
        }

        // A webhook with the right URL is kept before one whose URL was changed.
        ours.sort_by_key(|(id, hook)| (hook["url"] != json!(self.url), *id));

        let Some(((id, hook), others)) = ours.split_first() else {
            return Found {
                differences: vec![Difference::Missing],
                ..Found::default()
            };
        };

        let mut differences = self.differences(level, hook);
        if !others.is_empty() {
            differences.push(Difference::Others(others.len()));
        }

        let knows_description = hook.get("description").is_some();
        Found {
            hook: Some(*id),
            others: others.iter().map(|(id, _)| *id).collect(),
            differences,
            is_secret_unknown: self.fingerprint().is_none() || !knows_description,
        }
    }

    /// Whether a webhook of GitLab belongs to the source: by its URL, or by the description of one whose URL was
    /// changed.
    pub(super) fn is_ours(&self, hook: &Value) -> bool {
        let end = format!("/webhooks/gitlab/{}", self.source);
        let has_url = hook["url"].as_str().is_some_and(|url| {
            let url = url.split(['?', '#']).next().unwrap_or_default();
            url.trim_end_matches('/').ends_with(&end)
        });

        has_url
            || hook["description"]
                .as_str()
                .is_some_and(|text| text.contains(&self.mark()))
    }

    fn differences(&self, level: Level, hook: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        let url = hook["url"].as_str().unwrap_or_default();
        if url != self.url {
            found.push(Difference::Url(url.to_owned()));
        }

        // A version of GitLab that does not know a trigger does not show its attribute.
        let is_off = |attribute: &&str| hook.get(attribute).is_some_and(|value| *value != json!(true));
        let off: Vec<&'static str> = self.triggers(level).into_iter().filter(is_off).collect();

        if !off.is_empty() {
            found.push(Difference::Triggers(off));
        }

        let has_text = |name: &str| hook[name].as_str().is_some_and(|text| !text.is_empty());
        if has_text("push_events_branch_filter") && hook["branch_filter_strategy"] != json!("all_branches") {
            found.push(Difference::BranchFilter);
        }

        if has_text("custom_webhook_template") {
            found.push(Difference::Template);
        }

        if let Some(verifies) = hook["enable_ssl_verification"].as_bool()
            && verifies != self.verify_tls
        {
            found.push(Difference::SslVerification(verifies));
        }

        if !self.has_secret(hook) {
            found.push(Difference::Secret);
        }

        if let Some(state) = hook["alert_status"].as_str().filter(|state| *state != "executable") {
            found.push(Difference::Disabled(state.to_owned()));
        }

        found
    }

    /// Returns false if the webhook surely has another secret than the source, or none. GitLab never shows a secret, so
    /// the description of the webhook contains the fingerprint of the secret.
    fn has_secret(&self, hook: &Value) -> bool {
        let lacks = |name: &str| hook[name] == json!(false);
        if self.credential.has_token() && lacks("token_present")
            || self.credential.has_signing_token() && lacks("signing_token_present")
        {
            return false;
        }

        match (self.fingerprint(), hook.get("description")) {
            (Some(_), Some(description)) => description
                .as_str()
                .is_some_and(|text| text.contains(&self.description())),
            _ => true,
        }
    }

    /// The description of the webhook, by which later runs recognise the webhook and its secret.
    pub(super) fn description(&self) -> String {
        match self.fingerprint() {
            Some(fingerprint) => format!("{}, secret {fingerprint}", self.mark()),
            None => self.mark(),
        }
    }

    fn mark(&self) -> String {
        format!("Managed by quickdraw connect: source {}", self.source)
    }

    /// A short digest of the secret and its use. `None` for a secret that is short enough to be guessed.
    fn fingerprint(&self) -> Option<String> {
        if self.secret.len() < SHORTEST_FOR_FINGERPRINT {
            return None;
        }

        let parts = ["quickdraw connect", &self.credential.to_string(), &self.secret].join("\n");
        Some(hex::encode(&Sha256::digest(parts)[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            url: "https://quickdraw.example.com/api/v1/webhooks/gitlab/5e0c".to_owned(),
            source: "5e0c".to_owned(),
            secret: "0123456789abcdef0123456789abcdef".to_owned(),
            credential: Credential::Token,
            verify_tls: true,
            except: Vec::new(),
        }
    }

    /// The webhook as GitLab shows it after it was created.
    fn shown(id: i64, changes: Value) -> Value {
        let mut hook = wanted().body(Level::Project);
        hook["id"] = json!(id);
        hook["alert_status"] = json!("executable");
        hook["custom_webhook_template"] = Value::Null;

        let hidden = hook.as_object_mut().expect("an object");
        hidden.remove("token");

        if let Value::Object(changes) = changes {
            hidden.extend(changes);
        }

        hook
    }

    fn check(changes: Value, expected: &[Difference]) {
        let found = wanted().compare(Level::Project, &[shown(7, changes.clone())]);
        assert_eq!(found.hook, Some(7), "{changes}");
        assert_eq!(found.differences, expected, "{changes}");
    }

    #[test]
    fn each_level_has_its_own_triggers() {
        assert_eq!(
            Level::Instance.triggers(),
            [
                "push_events",
                "tag_push_events",
                "merge_requests_events",
                "repository_update_events"
            ]
        );

        let (project, group) = (Level::Project.triggers(), Level::Group.triggers());
        assert!(project.contains(&"resource_deploy_token_events") && !group.contains(&"resource_deploy_token_events"));
        assert!(group.contains(&"member_events") && !project.contains(&"member_events"));

        assert!(
            project
                .iter()
                .all(|name| *name != "other_events" && *name != "hook_state_events")
        );
    }

    #[test]
    fn a_created_webhook_has_no_differences() {
        check(json!({}), &[]);
        check(
            json!({ "description": format!("{} (do not edit)", wanted().description()) }),
            &[],
        );

        check(json!({ "push_events_branch_filter": "" }), &[]);
    }

    #[test]
    fn a_trigger_that_gitlab_does_not_know_is_no_difference() {
        let mut hook = shown(7, json!({}));
        hook.as_object_mut().expect("an object").remove("milestone_events");
        assert_eq!(wanted().compare(Level::Project, &[hook]).differences, []);
    }

    #[test]
    fn a_trigger_that_the_user_left_out_is_not_touched() {
        let wanted = Wanted {
            except: vec!["job_events".to_owned()],
            ..wanted()
        };
        let hook = shown(7, json!({ "job_events": false }));
        assert_eq!(wanted.compare(Level::Project, &[hook]).differences, []);
        assert_eq!(wanted.body(Level::Project).get("job_events"), None);
        assert_eq!(wanted.body_of_new(Level::Project)["job_events"], false);
    }

    #[test]
    fn every_edit_that_loses_events_is_a_difference() {
        check(
            json!({ "job_events": false, "confidential_note_events": null }),
            &[Difference::Triggers(vec!["confidential_note_events", "job_events"])],
        );

        check(
            json!({ "url": "https://old.example.com/webhooks/gitlab/5e0c" }),
            &[Difference::Url(
                "https://old.example.com/webhooks/gitlab/5e0c".to_owned(),
            )],
        );

        check(
            json!({ "push_events_branch_filter": "main", "branch_filter_strategy": "wildcard" }),
            &[Difference::BranchFilter],
        );

        check(json!({ "custom_webhook_template": "{}" }), &[Difference::Template]);
        check(
            json!({ "enable_ssl_verification": false }),
            &[Difference::SslVerification(false)],
        );

        check(
            json!({ "alert_status": "disabled" }),
            &[Difference::Disabled("disabled".to_owned())],
        );
    }

    #[test]
    fn an_unknown_or_earlier_secret_is_a_difference() {
        let mark = wanted().mark();
        check(json!({ "description": null }), &[Difference::Secret]);

        check(
            json!({ "description": format!("{mark}, secret 00000000") }),
            &[Difference::Secret],
        );

        check(json!({ "token_present": false }), &[Difference::Secret]);
        check(json!({ "token_present": true, "signing_token_present": false }), &[]);
    }

    #[test]
    fn the_secret_is_unknown_if_gitlab_shows_no_descriptions() {
        let mut hook = shown(7, json!({}));
        hook.as_object_mut().expect("an object").remove("description");

        let found = wanted().compare(Level::Project, &[hook]);
        assert_eq!((found.differences, found.is_secret_unknown), (Vec::new(), true));
    }

    #[test]
    fn a_webhook_is_recognised_by_its_url_or_description() {
        let ours = |hook: Value| wanted().is_ours(&hook);
        assert!(ours(json!({ "url": "http://old:8000/api/v1/webhooks/gitlab/5e0c/" })));
        assert!(ours(
            json!({ "url": "https://edited.example", "description": wanted().description() })
        ));
        assert!(!ours(
            json!({ "url": "https://quickdraw.example.com/api/v1/webhooks/gitlab/5e0c1" })
        ));
        assert!(!ours(
            json!({ "url": "https://quickdraw.example.com/api/v1/webhooks/gitlab" })
        ));
        assert!(!ours(
            json!({ "url": "https://ci.example.com/hook", "description": "CI" })
        ));
    }

    #[test]
    fn a_missing_and_a_second_webhook_are_differences() {
        let foreign = json!({ "id": 1, "url": "https://ci.example.com/hook" });
        let found = wanted().compare(Level::Project, std::slice::from_ref(&foreign));
        assert_eq!((found.hook, found.differences), (None, vec![Difference::Missing]));

        let moved = shown(2, json!({ "url": "https://old.example.com/webhooks/gitlab/5e0c" }));
        let found = wanted().compare(Level::Project, &[foreign, moved, shown(3, json!({}))]);
        assert_eq!((found.hook, found.others), (Some(3), vec![2]));
        assert_eq!(found.differences, [Difference::Others(1)]);
    }

    #[test]
    fn a_short_secret_has_no_fingerprint() {
        let short = Wanted {
            secret: "chosen-word".to_owned(),
            ..wanted()
        };
        assert_eq!(short.description(), short.mark());
        assert!(wanted().description().len() > wanted().mark().len());
    }

    #[test]
    fn only_the_chosen_credential_is_sent() {
        let signing = Wanted {
            credential: Credential::SigningToken,
            ..wanted()
        };
        let body = signing.body(Level::Group);
        assert!(body.get("token").is_none() && body["signing_token"] == json!(wanted().secret));
        assert!(wanted().body(Level::Instance).get("custom_webhook_template").is_none());
    }
}
