//! A client for GitLab's API. It repeats calls after a rate limit or a failure of the server.

pub(super) mod bodies;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::time::Duration;

use anyhow::Context;
use quickdraw_domain::scope::Project;
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use quickdraw_egress::{Method, Trust};
use serde_json::Value;

use super::say;
use crate::client::{self, NoToken, Unreachable, Unverified};
use crate::output::complain;
use bodies::is_older;

const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts for each call, without counting rate limits.
const TRIES: u32 = 5;
/// Pause after a rate limit without `Retry-After`. GitLab's limits are per minute.
const WAIT: Duration = Duration::from_secs(61);
/// Longest single pause.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// Maximum number of rate limits for one call.
const MAX_RATE_LIMITS: u32 = 20;
/// Maximum number of pages of a list that are read.
const PAGES: usize = 1_000;

/// A GitLab server, and the token for it.
pub(super) struct GitLab {
    url: String,
    token: String,
    caller: client::Caller,

    /// Prints a note about a pause.
    note: Box<dyn Fn(String) + Send + Sync>,
}

/// A project of GitLab.
pub(super) struct Home {
    /// The project, with its number and path in GitLab.
    pub(super) project: Project,

    /// GitLab's base URL, as it appears in events.
    pub(super) base_url: String,
}

/// Failed requests of GitLab's hooks.
#[derive(Default)]
pub(super) struct Again {
    /// Number of hooks that post to Quickdraw.
    pub(super) hooks: usize,
    pub(super) events: Vec<FailedEvent>,

    /// Warnings about the hooks, for the user.
    pub(super) notes: Vec<String>,
}

/// A failed request of a hook to Quickdraw.
pub(super) struct FailedEvent {
    pub(super) hook: i64,
    pub(super) trigger: String,
    pub(super) status: String,
    id: i64,
}

/// An answer of GitLab.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) json: Value,

    /// The answer says that it is the last page of a list.
    pub(super) is_last: bool,
}

/// Repetition of calls that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// After rate limits, failures of the server and failures of the network.
    Always,

    /// After rate limits only, because GitLab has not processed these calls. Any other failure is an error.
    IfUnprocessed,
}

/// The result of a resend.
pub(super) enum Outcome {
    /// GitLab sent the request, and Quickdraw answered with this status.
    Answered(i64),

    /// GitLab did not send the request.
    Refused(String),
}

impl Outcome {
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self, Self::Answered(200..=299))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "answered {status}"),
            Self::Refused(why) => write!(f, "not resent by GitLab: {why}"),
        }
    }
}

impl GitLab {
    /// A GitLab whose notes about pauses are printed, on standard error if the output is JSON.
    pub(super) fn noting(url: &str, token: &str, is_json: bool) -> anyhow::Result<Self> {
        let note = move |note: String| {
            if is_json {
                complain(note);
            } else {
                say(format!("    {note}"));
            }
        };
        Self::trusting(url, token, Trust::default(), note)
    }

    /// A GitLab whose certificate may come from further authorities. `note` prints notes about pauses.
    pub(super) fn trusting(
        url: &str,
        token: &str,
        trust: Trust,
        note: impl Fn(String) + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            caller: client::Caller::new(PATIENCE, trust)?,
            note: Box::new(note),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Finds a project by its number and checks that its path is the one in the events. The inner error is a reason for
    /// the user.
    pub(super) async fn project(&self, id: i64, path: &str) -> anyhow::Result<Result<Home, String>> {
        let Some(found) = self.get(&format!("projects/{id}")).await? else {
            return Ok(Err("GitLab has no such project, or the token cannot read it".to_owned()));
        };
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        let there = text("path_with_namespace");

        if !there.eq_ignore_ascii_case(path) {
            return Ok(Err(format!(
                "project {id} of this GitLab is {there}: it was renamed, or the events came from another GitLab"
            )));
        }

        Ok(Ok(self.home(id, &found)))
    }

    /// Finds a project by its number or path.
    pub(super) async fn any_project(&self, name: &str) -> anyhow::Result<Option<Home>> {
        let found = self.get(&format!("projects/{}", super::encoded(name))).await?;
        Ok(found.and_then(|found| Some(self.home(found["id"].as_i64()?, &found))))
    }

    fn home(&self, id: i64, found: &Value) -> Home {
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        let visibility_level = match found["visibility"].as_str() {
            Some("public") => 20,
            Some("internal") => 10,
            _ => 0,
        };

        let web_url = text("web_url");
        let project = Project {
            id: ProjectId(id),
            group: GroupId(0),
            name: text("name"),
            namespace: found["namespace"]["name"].as_str().unwrap_or_default().to_owned(),
            description: found["description"].as_str().map(str::to_owned),
            default_branch: found["default_branch"].as_str().map(str::to_owned),
            visibility_level,
            created_at: Timestamp::default(),
            path_with_namespace: text("path_with_namespace"),
        };
        let base_url = web_url.strip_suffix(&project.path_with_namespace).unwrap_or(&self.url);
        Home {
            base_url: base_url.trim_end_matches('/').to_owned(),
            project,
        }
    }

    /// The failed requests of the hooks of a project or group that post to Quickdraw, oldest first. `hook` selects one
    /// hook.
    pub(super) async fn failed_events(&self, place: &str, hook: Option<i64>) -> anyhow::Result<Again> {
        let mut again = Again::default();
        let hooks = self
            .list(&format!("{place}/hooks?per_page=100"), |_| true)
            .await?
            .unwrap_or_default();

        let ours = |one: &&Value| match hook {
            Some(wanted) => one["id"] == wanted,
            None => one["url"].as_str().is_some_and(|url| url.contains("/webhooks/gitlab")),
        };

        for hook in hooks.iter().filter(ours) {
            let id = hook["id"].as_i64().context("GitLab lists a hook without an id")?;
            again.hooks += 1;

            if let Some(state) = hook["alert_status"].as_str().filter(|state| *state != "executable") {
                again.notes.push(format!(
                    "hook {id} is {state} in GitLab and sends no events until it is enabled again"
                ));
            }

            again.events.extend(self.failed_events_of(place, id).await?);
        }

        Ok(again)
    }

    /// The failed requests of one hook.
    async fn failed_events_of(&self, place: &str, hook: i64) -> anyhow::Result<Vec<FailedEvent>> {
        let path = format!("{place}/hooks/{hook}/events?per_page=20");
        let Some(failed) = self
            .list(&format!("{path}&status=client_failure,server_failure"), |_| true)
            .await?
        else {
            // Old versions of GitLab cannot filter by status.
            return Ok(failed_events(
                hook,
                &self.list(&path, |_| true).await?.unwrap_or_default(),
            ));
        };

        let Some(oldest) = failed.iter().filter_map(|event| event["id"].as_i64()).min() else {
            return Ok(Vec::new());
        };

        // A successful resend is newer than its failed request.
        let younger = |event: &Value| event["id"].as_i64().is_some_and(|id| id > oldest);
        let taken = self
            .list(&format!("{path}&status=successful"), younger)
            .await?
            .unwrap_or_default();
        Ok(failed_events(hook, &[taken, failed].concat()))
    }

    /// Asks GitLab to resend a request.
    pub(super) async fn send_again(&self, place: &str, event: &FailedEvent) -> anyhow::Result<Outcome> {
        let path = format!("{place}/hooks/{}/events/{}/resend", event.hook, event.id);
        let Answer { status, json, .. } = self.call(Method::POST, &path).await?;

        Ok(match json["response_status"].as_i64() {
            Some(status) => Outcome::Answered(status),
            None => Outcome::Refused(
                json["message"]
                    .as_str()
                    .map_or_else(|| format!("{status} {json}"), str::to_owned),
            ),
        })
    }

    /// The ids of pipelines in GitLab by their number in the project, for a range of numbers. Pipelines from before
    /// `since` are left out.
    pub(super) async fn pipelines(
        &self,
        project: i64,
        (first, last): (i64, i64),
        since: Timestamp,
    ) -> anyhow::Result<BTreeMap<i64, i64>> {
        let mut found = BTreeMap::new();

        // GitLab lists child pipelines only if the query asks for them.
        for only in ["", "&source=parent_pipeline"] {
            let path = format!("projects/{project}/pipelines?per_page=100&order_by=id&sort=desc{only}");
            let wanted = |row: &Value| row["iid"].as_i64().is_none_or(|iid| iid >= first) && !is_older(row, since);
            let rows = self.list(&path, wanted).await?;
            let numbers = rows
                .iter()
                .flatten()
                .filter_map(|row| Some((row["iid"].as_i64()?, row["id"].as_i64()?)));

            found.extend(numbers.filter(|(iid, _)| (first..=last).contains(iid)));
        }

        Ok(found)
    }

    /// Reads an object. `None` if GitLab has no such object, or if the token cannot read it.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let Answer { status, json, .. } = self.call(Method::GET, path).await?;
        Ok((status == 200).then_some(json))
    }

    /// Reads a list to its end, or to the page whose last row is not `wanted`. `None` if GitLab has no such list, or if
    /// the token cannot read it. `path` must have a query.
    pub(super) async fn list(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Option<Vec<Value>>> {
        let mut all: Vec<Value> = Vec::new();
        for page in 1..=PAGES {
            let Answer { status, json, is_last } = self.call(Method::GET, &format!("{path}&page={page}")).await?;
            let (200, Value::Array(rows)) = (status, json) else {
                // An error on a later page must not look like the end of the list.
                anyhow::ensure!(page == 1, "{path}: GitLab answered {status} to page {page}");
                return Ok(None);
            };

            // Some lists have no header that marks the last page.
            let is_end = is_last || rows.last().is_none_or(|last| !wanted(last));
            all.extend(rows);

            if is_end {
                break;
            }
        }

        Ok(Some(all))
    }

    /// Reads one page of a list. `None` if GitLab has no such list, or if the token cannot read it.
    pub(super) async fn rows(&self, path: &str) -> anyhow::Result<Option<Vec<Value>>> {
        let Answer { status, json, .. } = self.call(Method::GET, path).await?;
        match (status, json) {
            (200, Value::Array(rows)) => Ok(Some(rows)),
            (403 | 404, _) => Ok(None),
            (status, json) => anyhow::bail!("{path}: GitLab answered {status} {json}"),
        }
    }

    /// Calls GitLab without a body. "Not found" and "forbidden" are answers; an invalid token and lasting failures are
    /// errors.
    pub(super) async fn call(&self, method: Method, path: &str) -> anyhow::Result<Answer> {
        self.send(method, path, None, Repeat::Always).await
    }

    /// Changes an object. The call may be repeated without harm.
    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PUT, path, Some(body), Repeat::Always).await
    }

    /// Creates an object. The call is not repeated after a failure, because GitLab may have created the object.
    pub(super) async fn create(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, Some(body), Repeat::IfUnprocessed).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>, repeat: Repeat) -> anyhow::Result<Answer> {
        let url = format!("{}/api/v4/{path}", self.url);
        let mut headers = vec![("PRIVATE-TOKEN".into(), self.token.clone())];
        if body.is_some() {
            headers.push(("Content-Type".into(), "application/json".to_owned()));
        }

        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let (mut tries, mut waits) = (0, 0);

        loop {
            let answer = self.caller.call(method.clone(), &url, &headers, body.clone()).await;
            let (wait, why) = match answer {
                Ok(answer) => {
                    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
                    let said = header("retry-after").and_then(|seconds| seconds.parse().ok());
                    let is_last = header("x-next-page") == Some("");

                    match answer.status {
                        401 => return Err(NoToken("GitLab does not accept the token; it may have expired").into()),
                        429 => {
                            waits += 1;
                            (
                                said.map_or(WAIT, Duration::from_secs),
                                "GitLab limits the rate of requests".to_owned(),
                            )
                        }

                        500.. => {
                            tries += 1;
                            (
                                Duration::from_secs(1 << tries),
                                format!("GitLab answered {}", answer.status),
                            )
                        }
                        status => return Ok(Answer { status, json, is_last }),
                    }
                }

                // No repetition changes the certificate.
                Err(error) if error.is::<Unverified>() => return Err(error),
                Err(error) => {
                    tries += 1;
                    (Duration::from_secs(1 << tries), format!("{error:#}"))
                }
            };

            let is_final = tries > 0 && repeat == Repeat::IfUnprocessed;
            if is_final || tries >= TRIES || waits >= MAX_RATE_LIMITS {
                return Err(Unreachable(format!("{path}: {why}")).into());
            }

            let wait = wait.min(LONGEST_WAIT);
            (self.note)(format!("{why}; next attempt in {} s", wait.as_secs()));
            tokio::time::sleep(wait).await;
        }
    }
}

/// The requests of a hook that never succeeded, one for each key, oldest first. `events` has the newest first.
fn failed_events(hook: i64, events: &[Value]) -> Vec<FailedEvent> {
    let key = |event: &Value| event["request_headers"]["Idempotency-Key"].as_str().map(str::to_owned);
    let status = |event: &Value| match &event["response_status"] {
        Value::String(status) => status.clone(),
        other => other.to_string(),
    };

    let taken = |event: &Value| {
        status(event)
            .parse()
            .is_ok_and(|status: u16| (200..300).contains(&status))
    };
    let done: HashSet<String> = events.iter().filter(|event| taken(event)).filter_map(key).collect();
    let mut tried: HashSet<String> = HashSet::new();

    let mut left: Vec<FailedEvent> = events
        .iter()
        .filter(|event| !taken(event))
        .filter(|event| key(event).is_none_or(|key| !done.contains(&key) && tried.insert(key)))
        .filter_map(|event| {
            let trigger = event["trigger"].as_str().unwrap_or("event").to_owned();
            Some(FailedEvent {
                hook,
                trigger,
                status: status(event),
                id: event["id"].as_i64()?,
            })
        })
        .collect();

    left.reverse();
    left
}
