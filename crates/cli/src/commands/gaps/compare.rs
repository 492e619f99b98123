//! Compares the gaps of a project with GitLab, and fills them on request.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::Context;
use quickdraw_domain::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Completeness, Gap, OurServer};
use crate::client;
use crate::commands::gitlab::bodies::{self, Found, Lookup};
use crate::commands::gitlab::{GitLab, Home};

/// Time in which the server counts the events that GitLab resent.
const COUNTED: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

/// A comparison of a Quickdraw server with a GitLab.
pub(super) struct Compare<'a> {
    ours: &'a OurServer<'a>,
    gitlab: &'a GitLab,
    repair: bool,
    hook: Option<i64>,

    /// Groups whose hooks were already read. Several projects may be in one group.
    groups: RefCell<HashSet<String>>,
}

/// The number of gaps by result.
pub(super) struct Tally {
    /// Number of lookups that `--limit` still allows.
    room: usize,
    sent_again: usize,
    fetched: usize,
    gone: usize,
    older: usize,
    left: usize,

    /// Failed requests that a comparison found.
    failed: usize,

    /// Resent requests that Quickdraw did not accept.
    not_accepted: usize,

    /// Projects that cannot be compared with this GitLab.
    pub(super) not_compared: usize,
}

impl Tally {
    pub(super) const fn new(room: usize) -> Self {
        Self {
            room,
            sent_again: 0,
            fetched: 0,
            gone: 0,
            older: 0,
            left: 0,
            failed: 0,
            not_accepted: 0,
            not_compared: 0,
        }
    }

    /// The number of gaps that the user can do something about. Events that GitLab does not have stay missing, so they
    /// are not among them.
    pub(super) const fn open(&self, repair: bool) -> usize {
        let closed_by_repair = if repair { 0 } else { self.failed + self.fetched };
        closed_by_repair + self.not_accepted + self.left + self.not_compared
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "resent": self.sent_again,
            "not_accepted": self.not_accepted,
            "failed_requests": self.failed,
            "found": self.fetched,
            "not_found": self.gone,
            "too_old": self.older,
            "skipped_by_limit": self.left,
            "projects_not_compared": self.not_compared,
        })
    }

    /// Uses up one lookup. Returns false if none is left.
    const fn take(&mut self) -> bool {
        let is_left = self.room > 0;
        self.room = self.room.saturating_sub(1);
        is_left
    }

    pub(super) fn words(&self, repair: bool) -> String {
        let Self {
            sent_again,
            fetched,
            gone,
            older,
            left,
            ..
        } = self;

        let done = if repair {
            "fetched and reported"
        } else {
            "found in GitLab (--repair fetches them)"
        };
        format!("{sent_again} resent, {fetched} {done}, {gone} not found, {older} too old, {left} skipped by --limit")
    }
}

#[derive(Serialize)]
struct Report<'a> {
    trigger: &'a str,
    payload: &'a RawValue,
}

impl<'a> Compare<'a> {
    pub(super) fn new(ours: &'a OurServer<'a>, gitlab: &'a GitLab, repair: bool, hook: Option<i64>) -> Self {
        Self {
            ours,
            gitlab,
            repair,
            hook,
            groups: RefCell::default(),
        }
    }

    /// Compares the gaps of one project.
    pub(super) async fn project(
        &self,
        id: i64,
        path: &str,
        kinds: &[Completeness],
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let home = match self.gitlab.project(id, path).await? {
            Ok(home) => home,
            Err(why) => {
                self.ours.findings.note(&format!("not compared: {why}"));
                tally.not_compared += 1;
                return Ok(());
            }
        };
        if self.send_again(id, &home.project.path_with_namespace, tally).await? {
            tokio::time::sleep(COUNTED).await;
        }

        let gaps = self.ours.gaps(id).await?;
        self.pushes(&home, &gaps, tally).await?;

        for kind in ["merge_request", "issue", "pipeline"] {
            let since = kinds
                .iter()
                .find(|one| one.kind == kind)
                .and_then(Completeness::coverage_starts);

            let spans = gaps.iter().filter_map(|gap| match gap {
                Gap::Objects {
                    kind: of,
                    first_iid,
                    last_iid,
                } if of == kind => Some((*first_iid, *last_iid)),
                _ => None,
            });

            self.objects(
                &home,
                kind,
                &spans.collect::<Vec<_>>(),
                since.unwrap_or_default(),
                tally,
            )
            .await?;
        }

        Ok(())
    }

    async fn pushes(&self, home: &Home, gaps: &[Gap], tally: &mut Tally) -> anyhow::Result<()> {
        for gap in gaps {
            let Gap::Pushes { git_ref, before, after } = gap else {
                continue;
            };
            if !tally.take() {
                tally.left += 1;
                continue;
            }

            let there = match before {
                Some(before) => bodies::pushes(self.gitlab, home, git_ref, before, after).await?,
                None => Lookup::Unclear("the commit before the push is unknown"),
            };
            self.settle(home, &gap.to_string(), there, tally).await?;
        }

        Ok(())
    }

    /// Looks up missing objects, newest first. Objects from before the start of coverage are not gaps, so the first one
    /// of these ends the search.
    async fn objects(
        &self,
        home: &Home,
        kind: &str,
        spans: &[(i64, i64)],
        since: Timestamp,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let (Some((lowest, _)), Some((_, highest))) = (spans.first(), spans.last()) else {
            return Ok(());
        };
        let pipelines = match kind {
            "pipeline" if tally.room > 0 => {
                self.gitlab
                    .pipelines(home.project.id.0, (*lowest, *highest), since)
                    .await?
            }
            _ => BTreeMap::new(),
        };

        let mut older = 0;
        for (first, last) in spans.iter().rev() {
            for iid in (*first..=*last).rev() {
                let not_yet = usize::try_from(iid - first + 1).unwrap_or(usize::MAX);
                if older > 0 {
                    older += not_yet;
                    break;
                }

                if !tally.take() {
                    tally.left = tally.left.saturating_add(not_yet);
                    break;
                }

                let there = match kind {
                    "merge_request" => bodies::merge_request(self.gitlab, home, iid, since).await?,
                    "issue" => bodies::issue(self.gitlab, home, iid, since).await?,
                    _ => match pipelines.get(&iid) {
                        Some(number) => bodies::pipeline(self.gitlab, home, *number, since).await?,
                        None => Lookup::Gone,
                    },
                };
                if matches!(there, Lookup::Older) {
                    older = not_yet;
                    break;
                }

                self.settle(home, &format!("{kind} {iid}"), there, tally).await?;
            }
        }

        if older > 0 {
            let text = format!("{kind}: older than the first event, so not missing: {older}");
            self.ours.findings.note(&text);
            tally.older += older;
        }

        Ok(())
    }

    /// Asks GitLab to resend the failed requests of the project's hooks and of the hooks of its groups. Returns true if
    /// there was one.
    async fn send_again(&self, id: i64, path: &str, tally: &mut Tally) -> anyhow::Result<bool> {
        let mut places = vec![format!("projects/{id}")];
        let groups = path
            .match_indices('/')
            .map(|(end, _)| format!("groups/{}", super::encoded(&path[..end])));
        places.extend(groups.filter(|group| self.groups.borrow_mut().insert(group.clone())));

        let (mut sent, mut hooks) = (false, 0);
        for place in &places {
            let again = self.gitlab.failed_events(place, self.hook).await?;
            hooks += again.hooks;

            for note in &again.notes {
                self.ours.findings.note(note);
            }

            for event in &again.events {
                let what = format!("{} of hook {} of {place}", event.trigger, event.hook);
                if !self.repair {
                    let text = format!("failed ({}): {what}; --repair resends it", event.status);
                    self.ours.findings.finding("failed_request", &what, &text);
                    tally.failed += 1;
                } else if !tally.take() {
                    tally.left += 1;
                } else {
                    let outcome = self.gitlab.send_again(place, event).await?;
                    let text = format!("resent: {what}: {outcome}");
                    self.ours.findings.finding("resent", &what, &text);
                    sent = true;

                    if outcome.is_accepted() {
                        tally.sent_again += 1;
                    } else {
                        tally.not_accepted += 1;
                    }
                }
            }
        }

        if hooks == 0 {
            let text = "failed requests are not compared: the token can see no webhook that posts to Quickdraw";
            self.ours.findings.note(text);
        }

        Ok(sent)
    }

    /// Prints the result of a lookup, and reports the event with `--repair`.
    async fn settle(&self, home: &Home, name: &str, there: Lookup, tally: &mut Tally) -> anyhow::Result<()> {
        let found = match there {
            Lookup::Found(found) => found,
            Lookup::Gone | Lookup::Older => {
                let text = format!("{name}: not found in GitLab, or the token cannot read it");
                self.ours.findings.finding("not_found", name, &text);
                tally.gone += 1;
                return Ok(());
            }
            Lookup::Unclear(why) => {
                self.ours.findings.finding("unclear", name, &format!("{name}: {why}"));
                tally.gone += 1;
                return Ok(());
            }
        };

        tally.fetched += 1;

        let shown = found.name.clone();
        if !self.repair {
            let text = format!("{name}: in GitLab: {shown}");
            self.ours.findings.finding("found", name, &text);
            return Ok(());
        }

        let id = self.report(home, name, found).await?;
        let text = format!("{name}: reported as {id}: {shown}");
        self.ours.findings.finding("reported", name, &text);
        Ok(())
    }

    async fn report(&self, home: &Home, name: &str, found: Found) -> anyhow::Result<String> {
        // The key depends on the gap, so that a repeated run does not report an event twice.
        let project = &home.project;
        let parts = [self.gitlab.url(), &project.id.to_string(), name].join("\n");
        let key = format!("gap-{}", hex::encode(Sha256::digest(parts)));
        let payload = RawValue::from_string(String::from_utf8(found.body)?)?;

        let report = Report {
            trigger: found.trigger.row().name,
            payload: &payload,
        };

        let OurServer { url, token, .. } = self.ours;
        let reported = client::report(url, token, &project.path_with_namespace, &report, &key, PATIENCE).await;
        reported.with_context(|| format!("failed to report {name} to the project {}", project.path_with_namespace))
    }
}
