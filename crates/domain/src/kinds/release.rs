//! Releases. Their attributes are members of the body, and not of an object. Source: GitLab's
//! `lib/gitlab/hook_data/release_builder.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::{Kind, pipeline};
use crate::Trigger;
use crate::compose::fields::{Field, Given, null, utc};
use crate::compose::{Addresses, ComposeError, Composer, InProject, in_path, segment};
use crate::envelope::{Member, ObjectName};
use crate::scope::Levels;
use crate::trigger::Row;

impl Trigger {
    /// Releases.
    pub const RELEASE: Self = Self::of(&RELEASE.row);
}

pub(super) static RELEASE: Kind = Kind {
    row: Row {
        code: 13,
        name: "release_hooks",
        meaning: "A release was created, changed or deleted.",
        attribute: Some("releases_events"),
        header: "Release Hook",
        object_kinds: &["release"],
        levels: Levels::PG,
        objects: &["commit", "assets"],
        actions: &["create", "update", "delete"],
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["tag"],
    object_name: ObjectName::Member(Member::Tag),
    report: Some(include_str!("../../../../fixtures/gitlab/release_hooks/report.json")),
};

const ATTRIBUTES: [Field; 12] = [
    null("id"),
    null("created_at"),
    null("description"),
    null("name"),
    null("released_at"),
    null("tag"),
    ("object_kind", || json!("release")),
    null("project"),
    null("url"),
    ("action", || json!("create")),
    null("assets"),
    null("commit"),
];

const LINK: [Field; 5] = [
    null("id"),
    ("external", || json!(true)),
    ("link_type", || json!("other")),
    null("name"),
    null("url"),
];

/// The archives of the source code that every release has.
const SOURCES: [&str; 4] = ["zip", "tar.gz", "tar.bz2", "tar"];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let project = happened.scene;
    let mut given = Given::read(happened.trigger, happened.object)?;
    given.follows_from_action(happened, "create");

    if given.is_new("create") {
        given.or("released_at", utc(happened.at));
    }

    let tag = given.need("tag")?.as_str().unwrap_or_default().to_owned();
    given.or("name", tag.clone());
    given.or("url", happened.address(&format!("-/releases/{}", segment(&tag))));

    given.or(
        "project",
        json!(Addresses::of(project, happened.instance.base_url).project(project)),
    );

    let mut assets = Given::of(happened.trigger, given.take("assets"));
    let link = |link: Value| Value::Object(Given::of(happened.trigger, Some(link)).filled(&LINK));
    let links: Vec<Value> = assets.take_list("links").into_iter().map(link).collect();
    let last = project.path_with_namespace.rsplit('/').next().unwrap_or_default();

    // The name of a file has no slash, and a tag may have one.
    let (path, file) = (in_path(&tag), in_path(&format!("{last}-{}", tag.replace('/', "-"))));
    let source = |format: &&str| json!({ "format": format, "url": happened.address(&format!("-/archive/{path}/{file}.{format}")) });
    let sources = match assets.take_list("sources") {
        given if given.is_empty() => SOURCES.iter().map(source).collect(),
        given => given,
    };
    given.or(
        "assets",
        json!({ "count": links.len() + sources.len(), "links": links, "sources": sources }),
    );

    if let Some(commit) = given.take("commit") {
        given.or("commit", pipeline::commit(happened, commit));
    }

    given.absolute_images("description", project, &happened.instance);
    Ok(given.filled(&ATTRIBUTES))
}
