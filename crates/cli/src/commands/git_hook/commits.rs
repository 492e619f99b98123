//! Reads commits of a repository: message, author, time and changed paths.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use gix::bstr::{BStr, ByteSlice};
use gix::object::tree::diff::ChangeDetached;
use gix::{ObjectId, Repository};
use serde_json::{Value, json};

use super::updates::{Change, Update};

/// Maximum number of commits that a report lists: the newest ones, in the order of time. The total counts all.
const LISTED: usize = 20;

/// Time limit of one push for the detection of renames with changes. After it, a renamed file with changes is reported
/// as removed and added, so that the push ends soon.
const LOOK: Duration = Duration::from_secs(2);

/// Settings for reading repositories. The detection of renames compares every removed file with every added one, so a
/// commit that moves hundreds of files would take minutes without a limit.
const READING: [&str; 3] = ["diff.renames=true", "diff.renameLimit=32", "core.bigFileThreshold=256k"];

pub(in crate::commands) fn open(path: &Path) -> anyhow::Result<Repository> {
    let opened = gix::open_opts(path, gix::open::Options::default().config_overrides(READING));
    opened.with_context(|| format!("{} is not a git repository", path.display()))
}

pub(super) struct Pushed {
    pub(super) listed: Value,
    pub(super) total: usize,
}

/// The commits of a branch update: those that are reachable from the new tip and not from the old one. For a new
/// branch, as in GitLab: those that are not on the default branch.
pub(super) fn pushed(repository: &Repository, update: &Update) -> anyhow::Result<Pushed> {
    if update.change == Change::Removed {
        return Ok(Pushed {
            listed: json!([]),
            total: 0,
        });
    }

    let tip = id(&update.new)?;
    let hidden = match update.change {
        Change::Created => default_branch(repository, &update.name),
        Change::Updated | Change::Removed => Some(id(&update.old)?),
    };
    let mut newest = walk(repository, vec![tip], hidden)?;
    let total = newest.len();

    newest.truncate(LISTED);
    newest.reverse();

    let begun = Instant::now();
    let describe = |id| describe(repository, id, begun.elapsed() < LOOK);
    let listed = newest
        .into_iter()
        .map(describe)
        .collect::<anyhow::Result<Vec<Value>>>()?;
    Ok(Pushed {
        listed: Value::Array(listed),
        total,
    })
}

/// The commits that are reachable from `tips` and not from `hidden`, newest first.
pub(in crate::commands) fn walk(
    repository: &Repository,
    tips: Vec<ObjectId>,
    hidden: Option<ObjectId>,
) -> anyhow::Result<Vec<ObjectId>> {
    let order = gix::revision::walk::Sorting::ByCommitTime(gix::traverse::commit::simple::CommitTimeOrder::NewestFirst);
    let walk = repository
        .rev_walk(tips)
        .with_hidden(hidden)
        .sorting(order)
        .all()
        .context("failed to walk the history")?;
    walk.map(|commit| Ok(commit.context("failed to walk the history")?.id))
        .collect()
}

/// The commit that a tag points at, if it points at one, and the message of an annotated tag. `None` for a removed tag.
pub(super) fn tag(
    repository: &Repository,
    update: &Update,
) -> anyhow::Result<Option<(Option<String>, Option<String>)>> {
    if update.change == Change::Removed {
        return Ok(None);
    }

    let object = repository
        .find_object(id(&update.new)?)
        .context("failed to read the tag")?;
    let message = match object.clone().try_into_tag() {
        Ok(tag) => Some(text(
            tag.decode().context("failed to read the tag")?.message.trim().as_bstr(),
        )),
        Err(_) => None,
    };

    let end = object.peel_tags_to_end().context("failed to follow the tag")?;
    let commit = (end.kind == gix::object::Kind::Commit).then(|| end.id.to_string());
    Ok(Some((commit, message)))
}

fn id(hex: &str) -> anyhow::Result<ObjectId> {
    ObjectId::from_hex(hex.as_bytes()).with_context(|| format!("{hex:?} is not an object id"))
}

/// The tip of the default branch. `None` if the pushed branch is the default branch, or if that has no commit.
fn default_branch(repository: &Repository, pushed: &str) -> Option<ObjectId> {
    let head = repository.head().ok()?;
    if head.referent_name()?.as_bstr() == pushed.as_bytes().as_bstr() {
        return None;
    }

    Some(head.id()?.detach())
}

/// A commit as bodies list it. `look` turns on the detection of renames with changes; exact renames are always
/// detected.
pub(in crate::commands) fn describe(repository: &Repository, id: ObjectId, look: bool) -> anyhow::Result<Value> {
    let commit = repository.find_commit(id).context("failed to read a commit")?;
    let (author, committer) = (commit.author()?, commit.committer()?);

    // GitLab shows the committer's time with the committer's offset. A time out of range becomes null.
    let written = committer.time().ok().and_then(|time| {
        let at = jiff::Timestamp::from_second(time.seconds).ok()?;
        let offset = jiff::tz::Offset::from_seconds(time.offset).unwrap_or(jiff::tz::Offset::UTC);
        Some(jiff::fmt::temporal::DateTimePrinter::new().timestamp_with_offset_to_string(&at, offset))
    });

    let (mut added, mut modified, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes(repository, &commit, look)? {
        match change {
            ChangeDetached::Addition {
                location, entry_mode, ..
            } if !entry_mode.is_tree() => {
                added.push(text(location.as_bstr()));
            }
            ChangeDetached::Deletion {
                location, entry_mode, ..
            } if !entry_mode.is_tree() => {
                removed.push(text(location.as_bstr()));
            }
            ChangeDetached::Modification {
                location, entry_mode, ..
            } if !entry_mode.is_tree() => {
                modified.push(text(location.as_bstr()));
            }
            // A rename is listed under its new name only.
            ChangeDetached::Rewrite {
                location, entry_mode, ..
            } if !entry_mode.is_tree() => {
                added.push(text(location.as_bstr()));
            }
            _ => {}
        }
    }

    let encoding = commit.decode().context("failed to read a commit")?.encoding;
    let said = |bytes: &BStr| spelled(bytes, encoding);

    Ok(json!({
        "id": id.to_string(),
        "message": said(commit.message_raw()?),
        "timestamp": written,
        "author": { "name": said(author.name), "email": said(author.email) },
        "added": added,
        "modified": modified,
        "removed": removed,
    }))
}

/// The changes against the first parent, as in GitLab: a merge lists all that it brought in.
fn changes(repository: &Repository, commit: &gix::Commit<'_>, look: bool) -> anyhow::Result<Vec<ChangeDetached>> {
    let parent = match commit.parent_ids().next() {
        // In a shallow repository the parent may be missing. Then all files count as added.
        Some(parent) => repository
            .find_commit(parent)
            .ok()
            .map(|parent| parent.tree())
            .transpose()?,
        None => None,
    };

    let tree = commit.tree().context("failed to read a tree")?;
    let alike = gix::diff::Rewrites {
        percentage: None,
        ..gix::diff::Rewrites::default()
    };
    let options = (!look).then(|| gix::diff::Options::default().with_rewrites(Some(alike)));
    repository
        .diff_tree_to_tree(parent.as_ref(), Some(&tree), options)
        .context("failed to compare trees")
}

/// Decodes text of a commit with the encoding that the commit names, as `git log` does.
fn spelled(bytes: &BStr, encoding: Option<&BStr>) -> String {
    match encoding.and_then(|name| encoding_rs::Encoding::for_label(name)) {
        Some(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        None => text(bytes),
    }
}

/// Decodes UTF-8; other bytes become U+FFFD.
fn text(bytes: &BStr) -> String {
    bytes.to_str_lossy().into_owned()
}
