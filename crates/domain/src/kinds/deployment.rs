//! Deployments. Their attributes are members of the body, and not of an object. Source: GitLab's
//! `lib/gitlab/data_builder/deployment.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::Trigger;
use crate::compose::fields::{Field, Given, null, user, user_url};
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::envelope::{Member, ObjectName};
use crate::scope::Levels;
use crate::times::spelling::{Form, Times};
use crate::trigger::{Row, Testable};

impl Trigger {
    /// Deployments to environments.
    pub const DEPLOYMENT: Self = Self::of(&DEPLOYMENT.row);
}

pub(super) static DEPLOYMENT: Kind = Kind {
    row: Row {
        code: 11,
        name: "deployment_hooks",
        meaning: "A deployment started, succeeded, failed or was canceled.",
        attribute: Some("deployment_events"),
        header: "Deployment Hook",
        object_kinds: &["deployment"],
        levels: Levels::PG,
        test: Testable::NOT_AVAILABLE,
        objects: &["commit"],
        times: Times {
            usual: Form::Utc,
            special: |name, _| (name == "status_changed_at").then_some(Form::Offset),
        },
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["id", "deployment_id"],
    object_name: ObjectName::Member(Member::DeploymentId),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 12] = [
    ("object_kind", || json!("deployment")),
    ("status", || json!("running")),
    null("status_changed_at"),
    null("deployment_id"),
    null("deployable_id"),
    null("deployable_url"),
    null("environment"),
    null("environment_tier"),
    null("environment_slug"),
    null("environment_external_url"),
    null("project"),
    null("short_sha"),
];

/// Number of digits of a short commit id.
const SHORT: usize = 8;

/// The tier of an environment by parts of its name, as GitLab guesses it. The first match counts, so that `pre-prod` is
/// not production.
const TIERS: [(&str, &[&str]); 4] = [
    ("development", &["dev", "review", "trunk"]),
    (
        "testing",
        &["test", "tst", "int", "accept", "acpt", "qa", "qc", "control", "quality"],
    ),
    ("staging", &["stag", "stg", "model", "modl", "pre", "demo", "non"]),
    ("production", &["prod", "prd", "live"]),
];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let (trigger, project) = (happened.trigger, happened.scene);
    let mut given = Given::read(trigger, happened.object)?;
    if let Some(id) = given.take("id") {
        given.or("deployment_id", id);
    }

    given.need("deployment_id")?;
    given.or(
        "status_changed_at",
        Form::Offset.spell(&happened.at.to_iso()).into_owned(),
    );

    if given.value("environment").is_object() {
        let mut environment = Given::of(trigger, given.take("environment"));
        for name in ["tier", "slug", "external_url"] {
            if let Some(value) = environment.take(name) {
                given.or_named(&format!("environment_{name}"), value);
            }
        }

        given.or("environment", environment.take("name").unwrap_or_default());
    }

    let environment = given.need("environment")?.as_str().unwrap_or_default().to_owned();
    given.or("environment_tier", tier_of(&environment));

    if is_slug(&environment) {
        given.or("environment_slug", environment);
    }

    // A deployment that was made through the API has no job.
    if given.has("deployable_id") {
        let url = happened.address(&format!("-/jobs/{}", given.value("deployable_id")));
        given.or("deployable_url", url);
    }

    let mut commit = Given::of(trigger, given.take("commit"));
    let sha = given.take("sha").or_else(|| commit.take("id"));
    if let Some(sha) = sha.as_ref().and_then(Value::as_str) {
        given.or("short_sha", sha.get(..SHORT).unwrap_or(sha));
        given.or("commit_url", happened.address(&format!("-/commit/{sha}")));
    }

    let title = commit.take("title").or_else(|| {
        let message = commit.take("message")?;
        message
            .as_str()
            .and_then(|message| message.lines().next())
            .map(Into::into)
    });
    given.or("commit_title", title.unwrap_or_default());

    let (url, title) = (
        given.take("commit_url").unwrap_or_default(),
        given.take("commit_title").unwrap_or_default(),
    );

    let git_ref = given.take("ref").unwrap_or_default();
    given.or(
        "project",
        json!(Addresses::of(project, happened.instance.base_url).project(project)),
    );

    let mut body = given.filled(&ATTRIBUTES);
    let rest = [
        ("user", user(happened.user)),
        ("user_url", user_url(happened.user, &happened.instance)),
        ("commit_url", url),
        ("commit_title", title),
        ("ref", git_ref),
    ];
    body.extend(rest.map(|(name, value)| (name.to_owned(), value)));

    Ok(body)
}

/// The environment that a job deploys to, reported as an object or as a name; null for a job that deploys nothing.
pub(super) fn environment(trigger: Trigger, given: Option<Value>) -> Value {
    let Some(given) = given else { return Value::Null };
    let mut environment = match given {
        Value::String(name) => Given::of(trigger, Some(json!({ "name": name }))),
        given => Given::of(trigger, Some(given)),
    };
    let tier = environment.text("name").map(tier_of);
    environment.or("deployment_tier", tier.map_or(Value::Null, Into::into));

    Value::Object(environment.filled(&[null("name"), ("action", || json!("start")), null("deployment_tier")]))
}

fn tier_of(environment: &str) -> &'static str {
    let name = environment.to_ascii_lowercase();
    let fits = |(_, words): &&(&str, &[&str])| words.iter().any(|word| name.contains(word));
    TIERS.iter().find(fits).map_or("other", |(tier, _)| tier)
}

/// Whether a name is its own slug. The slug of any other name contains a digest, which only the forge knows.
fn is_slug(name: &str) -> bool {
    let is_legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    name.len() <= 24
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(is_legal)
}
