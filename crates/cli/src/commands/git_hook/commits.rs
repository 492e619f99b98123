//! Reading real commits: who, when, what, and which paths.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use gix::bstr::{BStr, ByteSlice};
use gix::object::tree::diff::ChangeDetached;
use gix::{ObjectId, Repository};
use serde_json::{Value, json};

use super::updates::{Change, Update};

/// Most commits that are listed: the newest, oldest first. The total is counted over all.
const LISTED: usize = 20;

/// How long renames with changes may be looked for in one push. Nobody waits for more than a few seconds for a push to end; after
/// that a renamed file with changes is a removed and an added one.
const LOOK: Duration = Duration::from_secs(2);

/// How repositories are read. Looking for renames compares every removed file with every added one, and reads both: a commit that moves
/// hundreds of files with changes would take minutes.
const READING: [&str; 3] = ["diff.renames=true", "diff.renameLimit=32", "core.bigFileThreshold=256k"];

/// Opens a repository.
pub(in crate::commands) fn open(path: &Path) -> anyhow::Result<Repository> {
    let opened = gix::open_opts(path, gix::open::Options::default().config_overrides(READING));
    opened.with_context(|| format!("{} is no git repository", path.display()))
}

pub(super) struct Pushed {
    pub(super) listed: Value,
    pub(super) total: usize,
}

/// The commits that a branch update brought: what is reachable from the new tip and not from the old one. A new branch
/// lists what is not on the default branch, as GitLab does.
pub(super) fn pushed(repository: &Repository, update: &Update) -> anyhow::Result<Pushed> {
    if update.change == Change::Removed {
        return Ok(Pushed { listed: json!([]), total: 0 });
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
    let listed = newest.into_iter().map(describe).collect::<anyhow::Result<Vec<Value>>>()?;
    Ok(Pushed { listed: Value::Array(listed), total })
}

/// What can be reached from tips and not from what is hidden, the newest first.
pub(in crate::commands) fn walk(
    repository: &Repository,
    tips: Vec<ObjectId>,
    hidden: Option<ObjectId>,
) -> anyhow::Result<Vec<ObjectId>> {
    let order = gix::revision::walk::Sorting::ByCommitTime(gix::traverse::commit::simple::CommitTimeOrder::NewestFirst);
    let walk =
        repository.rev_walk(tips).with_hidden(hidden).sorting(order).all().context("failed to walk the history")?;
    walk.map(|commit| Ok(commit.context("failed to walk the history")?.id)).collect()
}

/// The commit that a tag points at, if it is one, and the text of an annotated tag. `None` for a removed tag.
pub(super) fn tag(
    repository: &Repository,
    update: &Update,
) -> anyhow::Result<Option<(Option<String>, Option<String>)>> {
    if update.change == Change::Removed {
        return Ok(None);
    }
    let object = repository.find_object(id(&update.new)?).context("failed to read the tag")?;
    let message = match object.clone().try_into_tag() {
        Ok(tag) => Some(text(tag.decode().context("failed to read the tag")?.message.trim().as_bstr())),
        Err(_) => None,
    };
    let end = object.peel_tags_to_end().context("failed to follow the tag")?;
    let commit = (end.kind == gix::object::Kind::Commit).then(|| end.id.to_string());
    Ok(Some((commit, message)))
}

fn id(hex: &str) -> anyhow::Result<ObjectId> {
    ObjectId::from_hex(hex.as_bytes()).with_context(|| format!("{hex:?} is no object id"))
}

/// The tip of the default branch, unless that is the very branch that was pushed or does not exist yet.
fn default_branch(repository: &Repository, pushed: &str) -> Option<ObjectId> {
    let head = repository.head().ok()?;
    if head.referent_name()?.as_bstr() == pushed.as_bytes().as_bstr() {
        return None;
    }
    Some(head.id()?.detach())
}

/// A commit as bodies have it. `look`: for renames with changes, beside those without.
pub(in crate::commands) fn describe(repository: &Repository, id: ObjectId, look: bool) -> anyhow::Result<Value> {
    let commit = repository.find_commit(id).context("failed to read a commit")?;
    let (author, committer) = (commit.author()?, commit.committer()?);
    // GitLab shows the committer's time with the committer's offset. One that no calendar has is shown as none.
    let written = committer.time().ok().and_then(|time| {
        let at = jiff::Timestamp::from_second(time.seconds).ok()?;
        let offset = jiff::tz::Offset::from_seconds(time.offset).unwrap_or(jiff::tz::Offset::UTC);
        Some(jiff::fmt::temporal::DateTimePrinter::new().timestamp_with_offset_to_string(&at, offset))
    });
    let (mut added, mut modified, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes(repository, &commit, look)? {
        match change {
            ChangeDetached::Addition { location, entry_mode, .. } if !entry_mode.is_tree() => {
                added.push(text(location.as_bstr()));
            }
            ChangeDetached::Deletion { location, entry_mode, .. } if !entry_mode.is_tree() => {
                removed.push(text(location.as_bstr()));
            }
            ChangeDetached::Modification { location, entry_mode, .. } if !entry_mode.is_tree() => {
                modified.push(text(location.as_bstr()));
            }
            // A rename is listed under its new name only.
            ChangeDetached::Rewrite { location, entry_mode, .. } if !entry_mode.is_tree() => {
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

/// Against the first parent, as GitLab does: a merge lists the whole of what it brought in.
fn changes(repository: &Repository, commit: &gix::Commit<'_>, look: bool) -> anyhow::Result<Vec<ChangeDetached>> {
    let parent = match commit.parent_ids().next() {
        // A shallow repository ends somewhere: there, everything counts as added.
        Some(parent) => repository.find_commit(parent).ok().map(|parent| parent.tree()).transpose()?,
        None => None,
    };
    let tree = commit.tree().context("failed to read a tree")?;
    let alike = gix::diff::Rewrites { percentage: None, ..gix::diff::Rewrites::default() };
    let options = (!look).then(|| gix::diff::Options::default().with_rewrites(Some(alike)));
    repository.diff_tree_to_tree(parent.as_ref(), Some(&tree), options).context("failed to compare trees")
}

/// What people wrote, in the encoding that their commit names, as `git log` shows it.
fn spelled(bytes: &BStr, encoding: Option<&BStr>) -> String {
    match encoding.and_then(|name| encoding_rs::Encoding::for_label(name)) {
        Some(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        None => text(bytes),
    }
}

/// Git's texts are bytes; what is not UTF-8 is shown as well as it can be.
fn text(bytes: &BStr) -> String {
    bytes.to_str_lossy().into_owned()
}
