//! Feature flags. Source: GitLab's `lib/gitlab/data_builder/feature_flag.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::compose::fields::{Field, Given, no, null, user, user_url};
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::scope::Levels;
use crate::trigger::{Row, Testable};

pub(super) static FEATURE_FLAG: Kind = Kind {
    row: Row {
        code: 12,
        name: "feature_flag_hooks",
        meaning: "A feature flag was switched on or off.",
        attribute: Some("feature_flag_events"),
        header: "Feature Flag Hook",
        object_kinds: &["feature_flag"],
        levels: Levels::PG,
        test: Testable::NOT_AVAILABLE,
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["id"],
    report: Some(include_str!(
        "../../../../fixtures/gitlab/feature_flag_hooks/report.json"
    )),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 4] = [null("id"), null("name"), null("description"), no("active")];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let given = Given::read(happened.trigger, happened.object)?;
    given.need("name")?;

    let addresses = Addresses::of(happened.scene, happened.instance.base_url);
    Ok(Map::from_iter(
        [
            ("object_kind", json!("feature_flag")),
            ("project", json!(addresses.project(happened.scene))),
            ("user", user(happened.user)),
            ("user_url", user_url(happened.user, &happened.instance)),
            ("object_attributes", Value::Object(given.filled(&ATTRIBUTES))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}
