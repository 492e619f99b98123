//! Checks that the schemas of both databases agree.

use std::collections::BTreeSet;

use crate::fixture::Fixture;

/// Columns that only one database has, each with the reason.
const ONLY_SQLITE: &[&str] = &[
    // SQLite keeps leases in memory and one row per claim on disk. PostgreSQL has a lease per delivery.
    "leases.attempts",
    "leases.claim",
    "leases.deliveries",
    "leases.lease_until",
    // SQLite moves old keys from memory to a sorted index. PostgreSQL has one index.
    "idempotency_archive.event_id",
    "idempotency_archive.key_hash",
    "idempotency_archive.received_at",
];
const ONLY_POSTGRES: &[&str] = &[
    "deliveries.fence",
    "deliveries.leased_until",
    // Batches are numbered by transaction, and a dump may be restored in a cluster with smaller transaction ids.
    "appends_origin.origin",
    // SQLite has one node, which needs no lease to watch for news.
    "notification_watch.one",
    "notification_watch.node",
    "notification_watch.lease_until",
];

pub(crate) async fn schemas_have_the_same_tables_columns_and_checks(server: String) {
    let (sqlite, postgres) = (Fixture::open(None).await, Fixture::open(Some(server)).await);
    let columns = "SELECT m.name || '.' || c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '%_search%'";
    let mut ours: BTreeSet<String> = BTreeSet::new();

    for file in ["store.db", "store.db-insights"] {
        let connection = rusqlite::Connection::open(sqlite.folder().join(file)).expect("the file opens");
        let mut statement = connection.prepare(columns).expect("prepared");
        let rows = statement.query_map([], |row| row.get(0)).expect("read");
        ours.extend(rows.collect::<Result<Vec<String>, _>>().expect("read"));
    }

    let (client, driver) = tokio_postgres::connect(&postgres.url, tokio_postgres::NoTls)
        .await
        .expect("connected");
    tokio::spawn(driver);

    let columns = "SELECT c.table_name || '.' || c.column_name FROM information_schema.columns c
        JOIN pg_class t ON t.relname = c.table_name AND t.relnamespace = current_schema()::regnamespace
        WHERE c.table_schema = current_schema() AND NOT t.relispartition AND t.relkind IN ('r', 'p')";
    let mut theirs: BTreeSet<String> = client
        .query(columns, &[])
        .await
        .expect("read")
        .iter()
        .map(|row| row.get(0))
        .collect();

    for only in ONLY_SQLITE {
        assert!(ours.remove(*only), "{only} is no longer an exception");
    }

    for only in ONLY_POSTGRES {
        assert!(theirs.remove(*only), "{only} is no longer an exception");
    }

    assert_eq!(ours, theirs);

    let checks = |sql: &str| {
        // A flag is a boolean on PostgreSQL and has a check on SQLite.
        let lines = sql
            .lines()
            .filter(|line| line.contains("CHECK") && !line.contains("IN (0, 1)"));
        lines
            .filter_map(|line| line.split_once("CHECK"))
            .map(|(_, check)| check.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let ours = checks(include_str!("../../src/migrations/sqlite/0001_belt.sql"));
    assert_eq!(
        ours,
        checks(include_str!("../../src/migrations/postgres/0001_belt.sql"))
    );

    assert!(ours.len() >= 5);
    sqlite.close().await;
    postgres.close().await;
}
