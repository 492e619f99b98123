//! The health of the server: version, database, queues, workers, nodes, disk, guard and keys.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::frame;
use super::workers::{Worker, task};
use crate::ui::Ui;
use crate::ui::client::{Api, Items};
use crate::ui::error::PageError;
use crate::ui::frame::{Frame, page};
use crate::ui::live::live;
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time, sentence};
use crate::ui::place::Visit;

const STATUS: &str = "/api/v1/status";
/// Difference between the clocks of a node and of the database, in milliseconds, from which leases become unreliable.
const WRONG_CLOCK: i64 = 5_000;
/// Free space in bytes below which the page warns.
const LITTLE_SPACE: u64 = 1 << 30;

/// The state of the server, as the API shows it.
#[derive(Deserialize)]
struct Status {
    version: String,
    started_at: String,
    database: Database,
    queues: Vec<Queue>,
    leased_deliveries: i64,
    open_attempts: u64,
    nodes: Vec<Node>,
    disk: Disk,
    guard_refusals: Vec<Refusals>,
    keys: Vec<Key>,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Database {
    engine: String,
    schema_version: i64,
    bytes: u64,
    is_healthy: bool,
    last_error: Option<String>,
}

#[derive(Deserialize)]
struct Queue {
    worker: String,
    depth: Option<i64>,
    oldest_at: Option<String>,
}

impl Queue {
    fn task(&self) -> &str {
        task(&self.worker)
    }

    fn depth(&self) -> String {
        match self.depth {
            Some(count @ 100_000..) => format!("{count} or more"),
            Some(count) => count.to_string(),
            None => "not known".to_owned(),
        }
    }

    fn oldest(&self) -> Option<Time> {
        self.oldest_at.as_deref().map(Time::new)
    }
}

#[derive(Deserialize)]
struct Node {
    id: String,
    is_this_node: bool,
    started_at: String,
    seen_at: String,
    clock_ahead_ms: Option<i64>,
}

impl Node {
    fn started(&self) -> Time {
        Time::new(&self.started_at)
    }

    fn seen(&self) -> Time {
        Time::new(&self.seen_at)
    }

    /// The difference of its clock, in words. SQLite has one node, whose clock is the only one.
    fn clock(&self) -> Badge {
        let Some(ahead) = self.clock_ahead_ms else {
            return Badge::plain("The only clock");
        };

        let words = match ahead {
            0.. => format!("{ahead} ms ahead"),
            _ => format!("{} ms behind", -ahead),
        };
        if ahead.abs() < WRONG_CLOCK {
            Badge::good(words)
        } else {
            Badge::bad(words).because("Synchronise the clock of this machine with that of the database.")
        }
    }
}

#[derive(Deserialize)]
struct Disk {
    free_bytes: Option<u64>,
    growth_bytes_per_hour: Option<i64>,
    full_at: Option<String>,
}

impl Disk {
    /// The state of the free space. The forecast ends after a year. None on PostgreSQL, whose disk only its server
    /// knows.
    fn badge(&self) -> Option<Badge> {
        Some(match (&self.full_at, self.free_bytes?) {
            (_, ..LITTLE_SPACE) => Badge::bad("Little space"),
            (Some(_), _) => Badge::warning("Fills up"),
            (None, _) => Badge::good("Enough"),
        })
    }

    fn free(&self) -> Option<String> {
        self.free_bytes.map(bytes)
    }

    fn growth(&self) -> Option<String> {
        self.growth_bytes_per_hour.map(growth)
    }

    fn full(&self) -> Option<Time> {
        self.full_at.as_deref().map(Time::new)
    }
}

#[derive(Deserialize)]
struct Refusals {
    rule: String,
    count: u64,
}

#[derive(Deserialize)]
struct Key {
    id: String,
    is_known: bool,
    seals: bool,
    values: i64,
}

impl Key {
    fn badge(&self) -> Badge {
        match (self.is_known, self.seals) {
            (true, true) => Badge::good("Encrypts new values"),
            (true, false) => Badge::plain("Decrypts old values"),
            (false, _) => Badge::bad("Missing").because("Values of this key cannot be read. Add it to server.key."),
        }
    }
}

/// The part of the page that updates by itself.
#[derive(Template)]
#[template(path = "ui/admin/health_parts.html")]
struct Parts {
    status: Status,
    workers: Vec<Worker>,
}

impl HtmlSafe for Parts {}

impl Parts {
    async fn read(api: &Api) -> Result<Self, PageError> {
        let status: Status = api.get(STATUS).await?;
        let workers: Items<Worker> = api.get("/api/v1/workers").await?;
        Ok(Self {
            status,
            workers: workers.items,
        })
    }

    fn started(&self) -> Time {
        Time::new(&self.status.started_at)
    }

    fn size(&self) -> String {
        bytes(self.status.database.bytes)
    }

    /// The problems that need somebody, in one sentence each.
    fn problems(&self) -> Vec<String> {
        let status = &self.status;
        let mut problems: Vec<String> = status.warnings.iter().map(|text| sentence(text)).collect();
        if !status.database.is_healthy {
            problems.push("The database does not take writes.".to_owned());
        }

        let failing = self.workers.iter().filter(|worker| worker.is_failing);
        problems.extend(failing.map(|worker| format!("The worker “{}” fails.", worker.name)));

        if status.keys.iter().any(|key| !key.is_known) {
            problems.push("Some secrets in the database cannot be read, because their key is missing.".to_owned());
        }

        if status.disk.free_bytes.is_some_and(|free| free < LITTLE_SPACE) {
            problems.push("The disk has little free space.".to_owned());
        }

        if let Some(time) = &status.disk.full_at {
            let minute: String = time.chars().take(16).collect();
            let minute = minute.replace('T', " ");
            problems.push(format!(
                "The disk is full at {minute} UTC, if it goes on to fill as now."
            ));
        }

        problems
    }
}

#[derive(Template)]
#[template(path = "ui/admin/health.html")]
struct HealthPage {
    frame: Frame,
    parts: Parts,
    live: String,
    guard: String,
}

/// Shows the health of the server.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    Ok(page(&HealthPage {
        frame: frame(&ui, &at, Section::Health, "Health").json(STATUS),
        parts: Parts::read(&at.person.api).await?,
        live: at.place.page("health/live"),
        guard: at.place.page("guard"),
    }))
}

/// Sends the health again whenever it has changed.
pub(super) async fn follow(at: Visit, State(ui): State<Arc<Ui>>, cookies: HeaderMap) -> Result<Response, PageError> {
    let api = at.person.api.clone();
    live(ui, &at, cookies, move || {
        let api = api.clone();
        async move { Ok(Parts::read(&api).await?.to_string()) }
    })
}

/// A number of bytes, as people read it.
fn bytes(count: u64) -> String {
    bytesize::ByteSize(count).display().iec().to_string()
}

/// The growth of the database, as people read it.
fn growth(bytes_per_hour: i64) -> String {
    let size = bytes(bytes_per_hour.unsigned_abs());
    match bytes_per_hour {
        0 => "None".to_owned(),
        1.. => format!("{size} in an hour"),
        _ => format!("Shrinks by {size} in an hour"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_has_a_direction() {
        assert_eq!(growth(0), "None");
        assert_eq!(growth(2 << 20), "2.0 MiB in an hour");
        assert_eq!(growth(-(2 << 20)), "Shrinks by 2.0 MiB in an hour");
    }

    #[test]
    fn a_clock_that_is_seconds_off_is_bad() {
        let node = |ahead| Node {
            id: String::new(),
            is_this_node: true,
            started_at: String::new(),
            seen_at: String::new(),
            clock_ahead_ms: Some(ahead),
        };
        assert!(node(-3).clock().to_string().contains("3 ms behind"));
        assert!(node(-6_000).clock().to_string().contains("badge bad"));
    }
}
