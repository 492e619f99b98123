//! Checks of examinations, which change nothing.

use quickdraw_domain::NodeId;
use quickdraw_store::examine::{Depth, Examination, KeyFit};
use quickdraw_store::seal::SealError;
use quickdraw_store::{Error, Result, Ring, examine};
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, ring};

async fn look(url: &str, ring: Option<Ring>) -> Result<Examination> {
    examine(url, ring.as_ref(), Depth::Whole, NOON).await
}

pub(crate) async fn an_examination_shows_whether_the_key_fits(fixture: Fixture) {
    if fixture.is_sqlite() {
        assert!(
            matches!(look(&fixture.url, None).await, Err(Error::InUse(_))),
            "a file in use is not examined"
        );
    }

    fixture.store.close().await;

    let found = look(&fixture.url, Some(ring(1))).await.expect("examined");
    assert_eq!(
        (found.schema_version, found.key),
        (Some(found.newest_schema), KeyFit::Fits)
    );

    assert!(!found.insights_missing);
    assert_eq!(look(&fixture.url, None).await.expect("examined").key, KeyFit::NotTried);

    let other = look(&fixture.url, Some(ring(2))).await.expect("examined").key;
    assert_eq!(
        other,
        KeyFit::DoesNotFit(SealError::UnknownKey(ring(1).sealing_key_id()))
    );
}

/// A database role is made read-only and then writable again, as a server during a failover and after it.
pub(crate) async fn a_store_writes_again_as_soon_as_its_server_is_writable(server: String) {
    let fixture = Fixture::open(Some(server)).await;
    let role = format!("check_role_{}", std::process::id());
    let (admin, driver) = tokio_postgres::connect(&fixture.url, tokio_postgres::NoTls)
        .await
        .expect("connected");

    tokio::spawn(driver);

    let run = async |sql: String| admin.batch_execute(&sql).await.expect("the statement runs");
    run(format!("CREATE ROLE {role} LOGIN SUPERUSER")).await;

    let url = format!("{}&user={role}", fixture.url);
    let store = quickdraw_store::open(&url, ring(1)).await.expect("the store opens");
    let node = NodeId(Uuid::from_u128(7));
    store.heartbeat(node, NOON).await.expect("the store writes");

    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    run(format!(
        "ALTER ROLE {role} SET default_transaction_read_only = on; {cut}"
    ))
    .await;

    for _ in 0..10 {
        let refused = store.heartbeat(node, NOON).await;
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }

    run(format!("ALTER ROLE {role} RESET default_transaction_read_only")).await;
    store
        .heartbeat(node, NOON)
        .await
        .expect("read-only connections are not reused");

    store.close().await;
    run(format!("DROP ROLE {role}")).await;
    fixture.close().await;
}

pub(crate) async fn an_examination_creates_no_database(fixture: Fixture) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = if fixture.is_sqlite() {
        format!("sqlite:{}", folder.path().join("none.db").display())
    } else {
        // A schema that does not exist.
        let (server, _) = fixture
            .url
            .split_once("options=")
            .expect("the fixture names its schema");

        format!("{server}options=-csearch_path%3Dno_such_schema")
    };
    for _ in 0..2 {
        let found = look(&url, Some(ring(1))).await.expect("examined");
        assert_eq!((found.schema_version, found.key), (None, KeyFit::NothingSealed));
    }

    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
}
