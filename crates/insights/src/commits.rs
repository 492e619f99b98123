//! The family of commits. Definitions: `docs/guide/insights.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Fact;
use super::entity::{Entity, number};
use quickdraw_domain::Timestamp;
use quickdraw_domain::times;

/// The project id of events that name no project. They count, but under no project.
pub const NO_PROJECT: i64 = 0;

/// Maximum number of paths that are kept of one commit. A body of 25 MiB could list a million.
const MAX_PATHS: usize = 10_000;

/// The author as written in a commit. It is the key of an identity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Author {
    /// E-mail address, trimmed and in lower case, because identities ignore case.
    pub email: String,

    /// Name as written.
    pub name: String,
}

/// An author with the number that a store gives them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The store's number.
    pub id: i64,

    /// The author.
    pub author: Author,
}

/// A commit as a push lists it. Two listings of the same commit are joined.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Commit {
    /// The project's id in events; [`NO_PROJECT`] if the body names none.
    pub project: i64,

    /// SHA of the commit.
    pub sha: String,

    /// Properties of the commit that never change.
    #[serde(alias = "told")]
    pub details: CommitDetails,

    /// First receipt of a push that listed the commit.
    pub first_received_at: Timestamp,

    /// True if a push to the default branch listed the commit.
    pub landed: bool,

    /// True if a merge request names it as its merge commit.
    pub is_merge_commit: bool,
}

/// Properties of the commit in one listing. They are ordered, so that every replica keeps the same one of two different
/// listings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct CommitDetails {
    /// True if the listing has no readable committer time. A dated listing wins over an undated one.
    pub undated: bool,

    /// Committer time. It has no meaning if `undated` is true.
    pub committed_at: Timestamp,

    /// Committer's offset from UTC in minutes; positive is east.
    pub offset_minutes: i16,

    /// Author of the commit.
    pub author: Author,

    /// True if the message is one that git writes for merges.
    pub merge_message: bool,

    /// Digest of author, message and paths. A change keeps it under another SHA.
    pub change: [u8; 16],

    /// Digests of the paths.
    pub paths: Paths,
}

/// The paths of a commit as sorted 64-bit digests. That is enough to count distinct paths.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Paths {
    /// Added paths. GitLab lists the new path of a rename only here.
    pub added: Vec<u64>,

    /// Modified paths.
    pub modified: Vec<u64>,

    /// Removed paths.
    pub removed: Vec<u64>,
}

/// A number that is summed in rollups.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Metric {
    /// Commits without merges.
    Commits,

    /// Merge commits.
    MergeCommits,

    /// Commits without merges that a push to the default branch listed.
    Landed,

    /// Number of added paths.
    FilesAdded,

    /// Number of modified paths.
    FilesModified,

    /// Number of removed paths.
    FilesRemoved,
}

impl Metric {
    /// Every metric with the number that the databases store.
    pub const ALL: [(Self, i16); 6] = [
        (Self::Commits, 1),
        (Self::MergeCommits, 2),
        (Self::Landed, 3),
        (Self::FilesAdded, 4),
        (Self::FilesModified, 5),
        (Self::FilesRemoved, 6),
    ];

    /// The number that the databases store.
    #[must_use]
    pub fn code(self) -> i16 {
        Self::ALL
            .iter()
            .find(|(metric, _)| *metric == self)
            .map_or(0, |(_, code)| *code)
    }

    /// Finds a metric by its stored number.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == code)
            .map(|(metric, _)| *metric)
    }
}

impl Commit {
    /// The time that the commit counts for: its committer time or, without one, its receipt.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        if self.details.undated {
            self.first_received_at
        } else {
            self.details.committed_at
        }
    }

    /// True if the commit does not count as a commit, but as a merge.
    #[must_use]
    pub const fn is_merge(&self) -> bool {
        self.is_merge_commit || self.details.merge_message
    }

    /// The amounts that the commit adds to the rollups of the UTC hour of [`Commit::at`].
    #[must_use]
    pub fn contribution(&self) -> Vec<(Metric, i64)> {
        if self.is_merge() {
            return vec![(Metric::MergeCommits, 1)];
        }

        let len = |paths: &Vec<u64>| i64::try_from(paths.len()).unwrap_or(i64::MAX);
        let mut values = vec![
            (Metric::Commits, 1),
            (Metric::Landed, i64::from(self.landed)),
            (Metric::FilesAdded, len(&self.details.paths.added)),
            (Metric::FilesModified, len(&self.details.paths.modified)),
            (Metric::FilesRemoved, len(&self.details.paths.removed)),
        ];
        values.retain(|(_, value)| *value != 0);

        values
    }
}

impl Entity for Commit {
    /// A commit has no number, so the key is a digest of its SHA.
    fn key(&self) -> (i64, i64) {
        (self.project, number(&[&self.sha]))
    }

    fn join(self, other: Self) -> Self {
        Self {
            project: self.project,
            sha: self.sha,
            first_received_at: self.first_received_at.min(other.first_received_at),
            landed: self.landed || other.landed,
            is_merge_commit: self.is_merge_commit || other.is_merge_commit,
            details: if self.details.rank() <= other.details.rank() {
                self.details
            } else {
                other.details
            },
        }
    }

    fn opened_at(&self) -> Option<Timestamp> {
        Some(self.at())
    }

    fn settled_at(&self) -> Option<Timestamp> {
        Some(self.at())
    }
}

impl CommitDetails {
    /// The least rank wins: dated listings before undated ones, then listings with paths before those without. Lists
    /// from GitLab's API have no paths.
    fn rank(&self) -> (bool, bool, &Self) {
        (self.undated, self.paths == Paths::default(), self)
    }
}

impl Paths {
    /// Encodes three lengths and the digests as one blob.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let lists = [&self.added, &self.modified, &self.removed];
        let lengths = lists
            .iter()
            .map(|list| u32::try_from(list.len()).expect("at most MAX_PATHS"));

        lengths
            .flat_map(u32::to_be_bytes)
            .chain(
                lists
                    .iter()
                    .flat_map(|list| list.iter().flat_map(|digest| digest.to_be_bytes())),
            )
            .collect()
    }

    /// Decodes [`Paths::to_bytes`]. A damaged blob has no paths.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let read = || {
            let (head, mut rest) = bytes.split_at_checked(12)?;
            let mut lists = [const { Vec::new() }; 3];

            for (list, length) in lists.iter_mut().zip(head.chunks_exact(4)) {
                let length = usize::try_from(u32::from_be_bytes(length.try_into().ok()?)).ok()?;
                let (digests, after) = rest.split_at_checked(length.checked_mul(8)?)?;

                *list = digests
                    .chunks_exact(8)
                    .map(|d| u64::from_be_bytes(d.try_into().unwrap_or_default()))
                    .collect();

                rest = after;
            }

            let [added, modified, removed] = lists;
            Some(Self {
                added,
                modified,
                removed,
            })
        };
        read().unwrap_or_default()
    }
}

/// Reads the commits that a push lists.
pub(super) fn of_push(received_at: Timestamp, body: &Value) -> Vec<Commit> {
    let project = project_of(body);
    let landed = is_default(&text(&body["ref"]), body);
    let commits = body["commits"].as_array().into_iter().flatten();
    commits
        .filter_map(|commit| commit_of(project, received_at, landed, commit))
        .collect()
}

/// Reads the commits of a push that have several parents. Webhooks do not contain parents. Backfills from a repository
/// can, in the field `parent_ids` of GitLab's API.
pub(super) fn merges_of_push(body: &Value) -> impl Iterator<Item = Fact> {
    let project = project_of(body);
    let merges = body["commits"].as_array().into_iter().flatten();

    merges
        .filter(|commit| commit["parent_ids"].as_array().is_some_and(|parents| parents.len() > 1))
        .filter_map(move |commit| {
            let sha = text(&commit["id"]);
            (!sha.is_empty()).then_some(Fact::MergeCommit { project, sha })
        })
}

/// True if `git_ref` is the default branch of the event's project.
pub(super) fn is_default(git_ref: &str, body: &Value) -> bool {
    let branch = git_ref.strip_prefix("refs/heads/");
    branch.is_some() && branch == body["project"]["default_branch"].as_str()
}

/// Reads the merge commit of a merge request event.
pub(super) fn of_merge_request(body: &Value) -> Vec<Fact> {
    let merge_request = &body["object_attributes"];
    let sha = text(&merge_request["merge_commit_sha"]);
    let merged = merge_request["action"] == "merge" || merge_request["state"] == "merged";
    if sha.is_empty() || !merged {
        return Vec::new();
    }

    let project = merge_request["target_project_id"]
        .as_i64()
        .unwrap_or_else(|| project_of(body));
    vec![Fact::MergeCommit { project, sha }]
}

/// The project's id in an event, if there is one. Objects that are numbered per project need it.
pub(super) fn named_project(body: &Value) -> Option<i64> {
    Some(project_of(body)).filter(|project| *project != NO_PROJECT)
}

/// The project's id in an event, or [`NO_PROJECT`].
pub(super) fn project_of(body: &Value) -> i64 {
    body["project"]["id"]
        .as_i64()
        .or_else(|| body["project_id"].as_i64())
        .unwrap_or(NO_PROJECT)
}

fn commit_of(project: i64, received_at: Timestamp, landed: bool, commit: &Value) -> Option<Commit> {
    let sha = text(&commit["id"]);
    if sha.is_empty() {
        return None;
    }

    let written = commit["timestamp"].as_str().and_then(times::read);
    let message = commit["message"].as_str().unwrap_or_default();

    let author = Author {
        email: text(&commit["author"]["email"]).trim().to_lowercase(),
        name: text(&commit["author"]["name"]).trim().to_owned(),
    };

    let paths = Paths {
        added: digests(&commit["added"]),
        modified: digests(&commit["modified"]),
        removed: digests(&commit["removed"]),
    };

    let is_known = ["added", "modified", "removed"]
        .iter()
        .any(|list| commit[*list].is_array());
    let mut change = Sha256::new();
    if !is_known {
        // Without paths, the change cannot be compared, so its SHA makes the digest unique.
        change.update(&sha);
    }

    for part in [
        author.email.as_bytes(),
        without_trailers(message).as_bytes(),
        &paths.to_bytes(),
    ] {
        // Each part is preceded by its length, so that different parts cannot give the same bytes.
        change.update(u64::try_from(part.len()).expect("a length fits 64 bits").to_be_bytes());
        change.update(part);
    }

    Some(Commit {
        project,
        sha,
        details: CommitDetails {
            undated: written.is_none(),
            committed_at: written.map(|written| written.at).unwrap_or_default(),
            offset_minutes: written.map_or(0, |written| written.offset_minutes),
            author,
            merge_message: is_merge_message(message),
            change: first(change),
            paths,
        },
        first_received_at: received_at,
        landed,
        is_merge_commit: false,
    })
}

/// Trailers that tools append to a message when they repeat a change. `(cherry picked from commit …)` is checked
/// separately.
const TRAILERS: [&str; 9] = [
    "acked-by",
    "cc",
    "change-id",
    "co-authored-by",
    "reported-by",
    "reviewed-by",
    "reviewed-on",
    "signed-off-by",
    "tested-by",
];

/// Removes the trailers at the end of a message, and the blank lines before them.
fn without_trailers(message: &str) -> &str {
    let mut rest = message.trim_end();
    while !rest.is_empty() {
        let (before, last) = rest.rsplit_once('\n').unwrap_or(("", rest));
        if !is_trailer(last.trim()) {
            break;
        }

        rest = before.trim_end();
    }

    rest
}

fn is_trailer(line: &str) -> bool {
    let name = line.split_once(':').map(|(name, _)| name.to_ascii_lowercase());
    line.starts_with("(cherry picked from commit ") || name.is_some_and(|name| TRAILERS.contains(&name.as_str()))
}

/// True for messages that git writes for merges. Webhooks do not contain the parents of a commit.
fn is_merge_message(message: &str) -> bool {
    ["Merge branch '", "Merge remote-tracking branch '", "Merge tag '"]
        .iter()
        .any(|start| message.starts_with(start))
}

fn digests(paths: &Value) -> Vec<u64> {
    let paths = paths.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut digests: Vec<u64> = paths
        .iter()
        .take(MAX_PATHS)
        .filter_map(Value::as_str)
        .map(|path| u64::from_be_bytes(first(Sha256::new().chain_update(path))))
        .collect();

    digests.sort_unstable();
    digests
}

fn first<const N: usize>(digest: Sha256) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&digest.finalize()[..N]);
    bytes
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map(|text| clean(text, 512)).unwrap_or_default()
}

/// A text that exists and is not empty.
pub(super) fn word(value: &Value) -> Option<String> {
    Some(text(value)).filter(|text| !text.is_empty())
}

/// Cuts a text to the length of its column, and replaces NUL, which PostgreSQL cannot store.
pub(super) fn clean(text: &str, longest: usize) -> String {
    text.chars()
        .map(|c| if c == '\0' { '\u{fffd}' } else { c })
        .take(longest)
        .collect()
}
