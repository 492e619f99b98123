//! Wiki pages. Source: GitLab's `lib/gitlab/data_builder/wiki_page.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::Kind;
use crate::compose::fields::{Field, Given, null, user};
use crate::compose::{Addresses, ComposeError, Composer, InProject, in_path, segment};
use crate::scope::Levels;
use crate::trigger::Row;

pub(super) static WIKI_PAGE: Kind = Kind {
    row: Row {
        code: 10,
        name: "wiki_page_hooks",
        meaning: "A wiki page was created, changed or deleted.",
        attribute: Some("wiki_page_events"),
        header: "Wiki Page Hook",
        object_kinds: &["wiki_page"],
        levels: Levels::PG,
        actions: &["create", "update", "delete"],
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["slug"],
    report: Some(include_str!("../../../../fixtures/gitlab/wiki_page_hooks/report.json")),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 9] = [
    null("slug"),
    null("title"),
    ("format", || json!("markdown")),
    null("message"),
    null("version_id"),
    null("content"),
    null("url"),
    ("action", || json!("create")),
    null("diff_url"),
];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let project = happened.scene;
    let mut given = Given::read(happened.trigger, happened.object)?;
    let slug = given.need("slug")?.as_str().unwrap_or_default().to_owned();
    given.or("title", slug.clone());

    let path = in_path(&slug);
    given.or("url", happened.address(&format!("-/wikis/{path}")));

    if let Some(version) = given.text("version_id") {
        let diff = happened.address(&format!("-/wikis/{path}/diff?version_id={}", segment(version)));
        given.or("diff_url", diff);
    }

    given.absolute_images("content", project, &happened.instance);

    let addresses = Addresses::of(project, happened.instance.base_url);
    let wiki = json!({
        "web_url": happened.address("-/wikis/home"),
        "git_ssh_url": format!("{}.wiki.git", addresses.ssh.trim_end_matches(".git")),
        "git_http_url": format!("{}.wiki.git", addresses.web),
        "path_with_namespace": format!("{}.wiki", project.path_with_namespace),
        "default_branch": project.default_branch,
    });

    Ok(Map::from_iter(
        [
            ("object_kind", json!("wiki_page")),
            ("user", user(happened.user)),
            ("project", json!(addresses.project(project))),
            ("wiki", wiki),
            ("object_attributes", Value::Object(given.filled(&ATTRIBUTES))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    ))
}
