//! Bodies of feature flag events. Source: GitLab's `lib/gitlab/data_builder/feature_flag.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::fields::{Field, Given, no, null, user, user_url};
use super::{Addresses, ComposeError, InProject};

const ATTRIBUTES: [Field; 4] = [null("id"), null("name"), null("description"), no("active")];

pub(super) fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let given = Given::read(happened.trigger, happened.object)?;
    given.need("name")?;
    let addresses = Addresses::of(happened.project, happened.instance.base_url);
    Ok(Map::from_iter(
        [
            ("object_kind", json!("feature_flag")),
            ("project", json!(addresses.project(happened.project))),
            ("user", user(happened.user)),
            ("user_url", user_url(happened.user, &happened.instance)),
            ("object_attributes", Value::Object(given.filled(&ATTRIBUTES))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}
