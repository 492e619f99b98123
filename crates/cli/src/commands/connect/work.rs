//! The work on one place: compares its webhooks with the wanted one, and creates, repairs, removes and tests.

use std::collections::HashSet;
use std::time::Duration;

use quickdraw_domain::Trigger;
use quickdraw_egress::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::hook::{Difference, Found, Level, Wanted};
use super::places::Place;
use super::report::{Row, State, Test};
use super::source::{Quickdraw, Source};
use crate::commands::gitlab::{Answer, GitLab};

/// Maximum number of pages of webhooks that are read of one place.
const PAGES: usize = 100;
/// Attempts to create a webhook.
const TRIES: u64 = 4;
/// Time in which a test must arrive.
const ARRIVAL: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The task of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    /// Create and repair webhooks, and test all of them.
    Connect,

    /// Create and repair webhooks, and test those that were changed.
    Repair,

    /// Compare only.
    Check,

    /// Delete the webhooks of the source.
    Remove,
}

/// The state of a run that all places share.
pub(super) struct Work<'a> {
    pub(super) gitlab: &'a GitLab,
    pub(super) quickdraw: &'a Quickdraw,
    pub(super) source: Option<&'a Source>,
    pub(super) wanted: &'a Wanted,
    pub(super) task: Task,

    /// Print the plan only.
    pub(super) is_dry: bool,

    /// Send tests.
    pub(super) has_tests: bool,
}

/// A result of GitLab, or the reason for its refusal in words.
type Allowed<T> = anyhow::Result<Result<T, String>>;

impl Work<'_> {
    /// Works on one place.
    ///
    /// # Errors
    /// When GitLab or Quickdraw cannot be reached, or does not accept its token.
    pub(super) async fn run(&self, place: &Place) -> anyhow::Result<Row> {
        let mut row = Row::new(place);
        if let Some(why) = place.skipped {
            row.state = State::Skipped;
            row.notes.push(why.to_owned());
            return Ok(row);
        }

        let hooks = match self.hooks(place).await? {
            Ok(hooks) => hooks,
            Err(why) => return Ok(row.refused(why)),
        };
        let found = self.wanted.compare(place.level, &hooks);
        row.hook = found.hook;

        match self.task {
            Task::Remove => self.remove(place, &found, row).await,
            Task::Check => Ok(check(&found, row)),
            Task::Connect | Task::Repair if self.is_dry => Ok(plan(&found, row)),
            Task::Connect | Task::Repair => self.mend(place, &found, row).await,
        }
    }

    /// All webhooks of a place.
    async fn hooks(&self, place: &Place) -> Allowed<Vec<Value>> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let path = format!("{}?per_page=100&page={page}", place.hooks());
            let said = self.gitlab.call(Method::GET, &path).await?;
            let (200, Value::Array(rows)) = (said.status, &said.json) else {
                return Ok(Err(refusal(place.level, &said)));
            };

            let is_end = said.is_last || rows.len() < 100;
            all.extend_from_slice(rows);

            if is_end {
                break;
            }
        }

        Ok(Ok(all))
    }

    async fn mend(&self, place: &Place, found: &Found, mut row: Row) -> anyhow::Result<Row> {
        let is_changed = !found.differences.is_empty();
        let written = match found.hook {
            None => self.create(place).await?,
            Some(id) if is_changed || found.is_secret_unknown => self.update(place, id).await?,
            Some(_) => Ok(Value::Null),
        };
        let written = match written {
            Ok(written) => written,
            Err(why) => return Ok(row.refused(why)),
        };

        if let Err(why) = self.delete(place, &found.others).await? {
            return Ok(row.refused(why));
        }

        if written.is_object() {
            row.hook = written["id"].as_i64().or(row.hook);
        }

        row.state = match found.hook {
            None => State::Created,
            Some(_) if is_changed => State::Repaired,
            Some(_) => State::Ok,
        };

        if row.state == State::Repaired {
            row.notes.extend(found.differences.iter().map(Difference::to_string));
        }

        // Only a test enables a disabled webhook again.
        let was_disabled = found
            .differences
            .iter()
            .any(|one| matches!(one, Difference::Disabled(_)));

        if let Some(id) = row.hook
            && self.has_tests
            && (self.task == Task::Connect || is_changed)
        {
            row.test = Some(self.test(place, id).await?);
        } else if was_disabled {
            return Ok(row.failed("a webhook that GitLab disabled is enabled by a test only: leave --no-test out"));
        }

        if written.is_object() {
            return Ok(self.applied(place, &written, row));
        }

        Ok(row)
    }

    /// Compares the answer of a change with the wanted webhook.
    fn applied(&self, place: &Place, written: &Value, row: Row) -> Row {
        let mut left = self
            .wanted
            .compare(place.level, std::slice::from_ref(written))
            .differences;
        left.retain(|difference| !matches!(difference, Difference::Disabled(_)));

        if left.is_empty() {
            return row;
        }

        let has_triggers = left.iter().any(|one| matches!(one, Difference::Triggers(_)));
        let remedy = if has_triggers {
            " (--except leaves a trigger out that this GitLab does not have)"
        } else {
            ""
        };
        let left: Vec<String> = left.iter().map(Difference::to_string).collect();

        row.failed(format!(
            "GitLab accepted the webhook, and did not apply all of it: {}{remedy}",
            left.join("; ")
        ))
    }

    /// Creates the webhook. After a failure, the webhooks are listed again, because GitLab may have created it.
    async fn create(&self, place: &Place) -> Allowed<Value> {
        let (path, body) = (place.hooks(), self.wanted.body_of_new(place.level));
        let mut attempt = 1;

        loop {
            let error = match self.gitlab.create(&path, &body).await {
                Ok(said) if said.status == 201 => return Ok(Ok(said.json)),
                Ok(said) => return Ok(Err(refusal(place.level, &said))),
                Err(error) => error,
            };

            let hooks = match self.hooks(place).await? {
                Ok(hooks) => hooks,
                Err(why) => return Ok(Err(why)),
            };

            if let Some(made) = hooks.into_iter().find(|hook| self.wanted.is_ours(hook)) {
                return Ok(Ok(made));
            }

            if attempt == TRIES {
                return Err(error);
            }

            sleep(Duration::from_secs(attempt)).await;
            attempt += 1;
        }
    }

    async fn update(&self, place: &Place, id: i64) -> Allowed<Value> {
        let path = format!("{}/{id}", place.hooks());
        let said = self.gitlab.put(&path, &self.wanted.body(place.level)).await?;

        Ok(match said.status {
            200 => Ok(said.json),
            _ => Err(refusal(place.level, &said)),
        })
    }

    async fn delete(&self, place: &Place, hooks: &[i64]) -> Allowed<()> {
        for id in hooks {
            let said = self
                .gitlab
                .call(Method::DELETE, &format!("{}/{id}", place.hooks()))
                .await?;
            // 404: another run deleted it.
            if !matches!(said.status, 200..=299 | 404) {
                return Ok(Err(refusal(place.level, &said)));
            }
        }

        Ok(Ok(()))
    }

    async fn remove(&self, place: &Place, found: &Found, mut row: Row) -> anyhow::Result<Row> {
        let hooks: Vec<i64> = found.hook.into_iter().chain(found.others.iter().copied()).collect();
        if hooks.is_empty() {
            row.state = State::Absent;
            return Ok(row);
        }

        if self.is_dry {
            row.state = State::WouldRemove;
            return Ok(row);
        }

        match self.delete(place, &hooks).await? {
            Ok(()) => row.state = State::Removed,
            Err(why) => return Ok(row.refused(why)),
        }

        Ok(row)
    }

    /// Asks GitLab for a test, and waits until Quickdraw has its event.
    async fn test(&self, place: &Place, hook: i64) -> anyhow::Result<Test> {
        let Some(source) = self.source else {
            return Ok(Test::NotSeen);
        };
        let earlier: HashSet<String> = self
            .quickdraw
            .arrived(source)
            .await?
            .into_iter()
            .map(|one| one.id)
            .collect();

        let path = match place.level {
            Level::Instance => format!("hooks/{hook}"),
            Level::Group | Level::Project => format!("{}/{hook}/test/push_events", place.hooks()),
        };
        let said = self.gitlab.call(Method::POST, &path).await?;

        match said.status {
            200..=299 => {}
            404 | 405 => {
                let why = "this version of GitLab has no tests in its API; use Test on the page of the webhook";
                return Ok(Test::Unavailable(why.to_owned()));
            }
            _ => {
                let why = words(&said.json).unwrap_or_else(|| format!("GitLab answered {}", said.status));
                // GitLab makes a test from existing objects, and a new project has none.
                let is_empty = why.starts_with("Ensure ");

                return Ok(if is_empty {
                    Test::Unavailable(why)
                } else {
                    Test::Failed(why)
                });
            }
        }

        let expected = self.event_of_test(place, hook).await?;
        self.arrival(place.level, source, &earlier, expected).await
    }

    /// The id of the event of a test, which Quickdraw answered to GitLab. `None` if GitLab does not show it.
    async fn event_of_test(&self, place: &Place, hook: i64) -> anyhow::Result<Option<String>> {
        if place.level == Level::Instance {
            return Ok(None);
        }

        let path = format!("{}/{hook}/events?per_page=1", place.hooks());
        let said = self.gitlab.call(Method::GET, &path).await?;
        let answer = said.json[0]["response_body"].as_str().unwrap_or_default();
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();

        Ok(answer["job_id"].as_str().map(str::to_owned))
    }

    async fn arrival(
        &self,
        level: Level,
        source: &Source,
        earlier: &HashSet<String>,
        expected: Option<String>,
    ) -> anyhow::Result<Test> {
        let header = match level {
            Level::Instance => "System Hook",
            Level::Group | Level::Project => Trigger::PUSH.row().header,
        };

        let until = Instant::now() + ARRIVAL;

        loop {
            for arrived in self.quickdraw.arrived(source).await? {
                let is_it = match &expected {
                    Some(expected) => arrived.id == *expected,
                    None => arrived.event == header && !earlier.contains(&arrived.id),
                };
                if is_it {
                    return Ok(Test::Arrived(arrived.id));
                }
            }

            if Instant::now() >= until {
                return Ok(Test::NotSeen);
            }

            sleep(LOOK_EVERY).await;
        }
    }
}

fn check(found: &Found, mut row: Row) -> Row {
    row.notes.extend(found.differences.iter().map(Difference::to_string));
    if found.hook.is_some() && found.is_secret_unknown {
        row.notes.push("the secret cannot be compared".to_owned());
    }

    row.state = match found.hook {
        None => State::Missing,
        Some(_) if found.differences.is_empty() => State::Ok,
        Some(_) => State::Differs,
    };

    row
}

fn plan(found: &Found, row: Row) -> Row {
    let mut row = check(found, row);
    row.state = match row.state {
        State::Missing => State::WouldCreate,
        State::Differs => State::WouldRepair,
        other => other,
    };

    row
}

/// The reason for which GitLab refused a request.
fn refusal(level: Level, said: &Answer) -> String {
    let need = match level {
        Level::Instance => "the token must belong to an administrator, with the scope api",
        Level::Group => "the token must belong to an Owner of the group, with the scope api",
        Level::Project => "the token must belong to a Maintainer of the project, with the scope api",
    };

    let words = words(&said.json).unwrap_or_default();
    match said.status {
        403 if words.is_empty() || words == "403 Forbidden" => format!("403: {need}"),
        403 => format!("{words}: {need}"),
        404 => "404: GitLab has no such place, or the token cannot see its webhooks".to_owned(),
        422 if words.contains("Invalid url") => format!(
            "{words}: GitLab refuses the URL of the source; its administrator can allow requests to the local network \
             (Admin > Settings > Network > Outbound requests)"
        ),
        status if words.is_empty() => format!("GitLab answered {status}"),
        _ => words,
    }
}

/// The words of an error of GitLab.
fn words(json: &Value) -> Option<String> {
    let error = json
        .get("error_description")
        .or(json.get("error"))
        .or(json.get("message"))?;

    let text = match error {
        Value::String(text) => text.clone(),
        Value::Object(inner) => match inner.get("error").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => error.to_string(),
        },
        other => other.to_string(),
    };

    Some(text.chars().take(500).collect())
}
