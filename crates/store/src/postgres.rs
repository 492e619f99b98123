//! The PostgreSQL engine: many nodes on one database.
//!
//! Batches go as arrays (`UNNEST`), one statement where one will do, because each round trip is a wait. Claims use
//! `FOR UPDATE SKIP LOCKED` and a fence per delivery. Signals to other nodes are `NOTIFY`, which takes a lock on the
//! whole database at commit: they are merged, and not sent at all by a node that is alone.

mod access;
mod activity;
mod appends;
mod attempts;
mod audit;
mod claims;
mod deliveries;
mod details;
mod events;
mod examine;
mod facts;
mod history;
mod hooks;
mod ingest;
mod insights;
mod inspectors;
mod known;
mod nodes;
mod notifications;
mod operations;
mod ordering;
mod overview;
mod partitions;
mod replays;
mod scopes;
mod search;
mod sessions;
mod settle;
mod shadow;
mod sources;
mod ssh_keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Config, NoTls, Row};

use crate::error::{Error, READ_ONLY, Result};
use crate::seal::{KEY_CHECK, Ring};
use crate::telemetry;
pub(crate) use examine::examine;

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "belt", include_str!("migrations/postgres/0001_belt.sql")),
    (
        2,
        "hook_values",
        include_str!("migrations/postgres/0002_hook_values.sql"),
    ),
    (3, "access", include_str!("migrations/postgres/0003_access.sql")),
    (4, "audit", include_str!("migrations/postgres/0004_audit.sql")),
    (5, "bots", include_str!("migrations/postgres/0005_bots.sql")),
    (6, "rotation", include_str!("migrations/postgres/0006_rotation.sql")),
    (7, "retry", include_str!("migrations/postgres/0007_retry.sql")),
    (8, "search", include_str!("migrations/postgres/0008_search.sql")),
    (
        9,
        "confidential_notes",
        include_str!("migrations/postgres/0009_confidential_notes.sql"),
    ),
    (10, "chains", include_str!("migrations/postgres/0010_chains.sql")),
    (11, "as_sent", include_str!("migrations/postgres/0011_as_sent.sql")),
    (12, "replays", include_str!("migrations/postgres/0012_replays.sql")),
    (
        13,
        "claimed_attempts",
        include_str!("migrations/postgres/0013_claimed_attempts.sql"),
    ),
    (14, "lines", include_str!("migrations/postgres/0014_lines.sql")),
    (15, "receivers", include_str!("migrations/postgres/0015_receivers.sql")),
    (
        16,
        "event_filters",
        include_str!("migrations/postgres/0016_event_filters.sql"),
    ),
    (17, "appends", include_str!("migrations/postgres/0017_appends.sql")),
    (
        18,
        "insights_seen",
        include_str!("migrations/postgres/0018_insights_seen.sql"),
    ),
    (
        19,
        "insights_items",
        include_str!("migrations/postgres/0019_insights_items.sql"),
    ),
    (20, "roster", include_str!("migrations/postgres/0020_roster.sql")),
    (
        21,
        "project_paths",
        include_str!("migrations/postgres/0021_project_paths.sql"),
    ),
    (22, "documents", include_str!("migrations/postgres/0022_documents.sql")),
    (
        23,
        "operations",
        include_str!("migrations/postgres/0023_operations.sql"),
    ),
    (24, "clients", include_str!("migrations/postgres/0024_clients.sql")),
    (
        25,
        "told_pushes",
        include_str!("migrations/postgres/0025_told_pushes.sql"),
    ),
    (26, "identity", include_str!("migrations/postgres/0026_identity.sql")),
    (
        27,
        "receiver_instances",
        include_str!("migrations/postgres/0027_receiver_instances.sql"),
    ),
    (28, "names", include_str!("migrations/postgres/0028_names.sql")),
    (
        29,
        "plain_names",
        include_str!("migrations/postgres/0029_plain_names.sql"),
    ),
    (
        30,
        "all_events",
        include_str!("migrations/postgres/0030_all_events.sql"),
    ),
    (31, "roles", include_str!("migrations/postgres/0031_roles.sql")),
    (
        32,
        "sender_limits",
        include_str!("migrations/postgres/0032_sender_limits.sql"),
    ),
    (33, "ssh_keys", include_str!("migrations/postgres/0033_ssh_keys.sql")),
    (34, "sessions", include_str!("migrations/postgres/0034_sessions.sql")),
    (35, "sign_in", include_str!("migrations/postgres/0035_sign_in.sql")),
    (
        36,
        "notifications",
        include_str!("migrations/postgres/0036_notifications.sql"),
    ),
    (
        37,
        "inspectors",
        include_str!("migrations/postgres/0037_inspectors.sql"),
    ),
];

/// Connections of the pipeline. Accepting has two of its own, so that slow queries cannot hold it up.
const POOL: usize = 8;
const ACCEPT_POOL: usize = 2;
/// No statement of ours takes longer on a healthy server; beyond it, the server is as good as gone.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Every statement of the pipeline goes by key, and tables that fill within seconds have no statistics yet: without
/// this the planner reads them whole, or compiles what takes less time to run. And an answer means that it is flushed.
const PLANNER: &str = "-c synchronous_commit=on -c jit=off -c plan_cache_mode=force_generic_plan \
    -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c client_min_messages=warning";

/// Key of the advisory lock under which migrations run.
const MIGRATION_LOCK: i64 = 0x7175_6963_6b64_7261;

pub(crate) struct Postgres {
    pool: Pool,
    accept_pool: Pool,
    config: Config,
    ring: Arc<Ring>,

    /// Whether no other node had a heartbeat lately.
    alone: AtomicBool,

    /// Where the walks over hooks go on, for first attempts and for retries.
    next_hook: [AtomicI64; 2],

    /// When waiting events were last looked for from the beginning, in seconds.
    last_full_look: AtomicI64,

    /// How many sessions that cannot write were known when idle connections were last let go of.
    read_only: AtomicU64,
}

impl Postgres {
    pub(crate) async fn open(url: &str, ring: Ring) -> Result<Self> {
        let config = configure(url)?;
        // Appending joins nothing but what it was given, and that is best hashed.
        let mut accept = config.clone();
        accept.options(format!(
            "{} -c enable_hashjoin=on",
            config.get_options().unwrap_or_default()
        ));

        let store = Self {
            accept_pool: pool(&accept, ACCEPT_POOL)?,
            pool: pool(&config, POOL)?,
            config,
            ring: Arc::new(ring),
            alone: AtomicBool::new(false),
            next_hook: [AtomicI64::new(0), AtomicI64::new(0)],
            last_full_look: AtomicI64::new(0),
            read_only: AtomicU64::new(READ_ONLY.load(Ordering::Relaxed)),
        };
        store.migrate().await?;
        store.check_key().await?;

        Ok(store)
    }

    async fn client(&self) -> Result<Object> {
        telemetry::called("postgres");
        self.let_go_of_read_only();
        Ok(self.pool.get().await?)
    }

    /// Lets go of idle connections when a session said that it cannot write: others may be like it, and what comes next
    /// opens new ones.
    fn let_go_of_read_only(&self) {
        let known = READ_ONLY.load(Ordering::Relaxed);
        if self.read_only.swap(known, Ordering::Relaxed) != known {
            for pool in [&self.pool, &self.accept_pool] {
                drop(pool.retain(|_, _| false));
            }
        }
    }

    /// One of those that are there for what somebody waits for with an event.
    async fn accept_client(&self) -> Result<Object> {
        telemetry::called("postgres");
        self.let_go_of_read_only();
        Ok(self.accept_pool.get().await?)
    }

    async fn migrate(&self) -> Result<()> {
        let mut client = self.client().await?;
        client
            .execute("SELECT pg_advisory_lock($1)", &[&MIGRATION_LOCK])
            .await?;

        let migrated = async {
            client
                .batch_execute(
                    "CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY NOT NULL, name TEXT NOT NULL)",
                )
                .await?;

            let sql = "SELECT coalesce(max(version), 0) FROM migrations";
            let done: i64 = scalar(&client.query_one(sql, &[]).await?);

            if MIGRATIONS.last().is_some_and(|(newest, ..)| done > *newest) {
                let text = format!("the database has schema {done}, which is newer than this program");
                return Err(Error::unavailable(text));
            }

            for (version, name, sql) in MIGRATIONS.iter().filter(|(version, ..)| *version > done) {
                let transaction = client.transaction().await?;
                // An index over a long history takes as long as it takes.
                transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;

                let applied = transaction.batch_execute(sql).await;
                applied.map_err(|error| Error::Migration(name, Arc::new(error.into())))?;
                transaction
                    .execute("INSERT INTO migrations VALUES ($1, $2)", &[version, name])
                    .await?;
                transaction.commit().await?;
            }

            appends::settle_origin(&**client).await
        }
        .await;

        client
            .execute("SELECT pg_advisory_unlock($1)", &[&MIGRATION_LOCK])
            .await?;
        migrated
    }

    /// Opens a value that was sealed at the first start, so that nothing is written with a wrong key.
    async fn check_key(&self) -> Result<()> {
        let client = self.client().await?;
        let sealed = self.ring.seal(KEY_CHECK, "quickdraw")?;

        client
            .execute(
                "INSERT INTO settings VALUES ('key_check', $1) ON CONFLICT DO NOTHING",
                &[&sealed],
            )
            .await?;

        let row = client
            .query_one("SELECT value FROM settings WHERE name = 'key_check'", &[])
            .await?;
        self.ring.open(KEY_CHECK, scalar(&row))?;
        Ok(())
    }

    /// Notifies other nodes that there is work. A lost notification costs them one tick.
    async fn notify(&self, client: &Object, what: &str) {
        if self.alone.load(Ordering::Relaxed) {
            return;
        }

        let sent = match client.prepare_cached("SELECT pg_notify('quickdraw', $1)").await {
            Ok(statement) => client.execute(&statement, &[&what]).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "other nodes were not notified");
        }
    }
}

/// Reads the value of a row that has one column.
fn scalar<'a, T: FromSql<'a>>(row: &'a Row) -> T {
    row.get(0)
}

/// How every connection is opened that a URL names.
pub(crate) fn configure(url: &str) -> Result<Config> {
    let mut config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        // The parser's words name the setting, never its value.
        Error::unavailable(format!("the database URL is not usable: {error}"))
    })?;

    config.application_name("quickdraw");
    // A session that cannot write is of no use, and would say so for as long as it lives.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.connect_timeout(Duration::from_secs(5));
    config.keepalives_idle(Duration::from_secs(30));

    // A server that is gone without a word is noticed as soon as one that takes too long.
    config.tcp_user_timeout(STATEMENT_TIMEOUT);

    let milliseconds = STATEMENT_TIMEOUT.as_millis();
    let options = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{options} -c statement_timeout={milliseconds} {PLANNER}"));

    Ok(config)
}

fn pool(config: &Config, size: usize) -> Result<Pool> {
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let timeouts = Timeouts {
        wait: Some(Duration::from_secs(5)),
        create: Some(Duration::from_secs(5)),
        recycle: Some(Duration::from_secs(5)),
    };

    Pool::builder(Manager::from_config(config.clone(), NoTls, manager))
        .max_size(size)
        .timeouts(timeouts)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::unavailable(error.to_string()))
}
