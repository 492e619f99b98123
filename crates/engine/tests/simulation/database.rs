//! The database of a world: a folder on SQLite, and a schema on PostgreSQL.

use quickdraw_store::{Ring, SharedStore};

/// The kind of database.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite,
    /// PostgreSQL, with the URL of a server.
    Postgres(String),
}

/// The place of one store, which can be deleted.
pub(crate) struct Home {
    pub(crate) url: String,
    schema: Option<(String, String)>,
    _folder: tempfile::TempDir,
}

impl Home {
    pub(crate) async fn new(seed: u64, database: &Database) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        match database {
            Database::Sqlite => Self {
                url: format!("sqlite:{}", folder.path().join("store.db").display()),
                schema: None,
                _folder: folder,
            },
            Database::Postgres(server) => {
                let schema = format!("sim_{}_{seed}", std::process::id());
                execute(server, &format!("CREATE SCHEMA {schema}")).await;

                let glue = if server.contains('?') { '&' } else { '?' };
                let url = format!("{server}{glue}options=-csearch_path%3D{schema}");

                Self {
                    url,
                    schema: Some((server.clone(), schema)),
                    _folder: folder,
                }
            }
        }
    }

    pub(crate) async fn end(&self) {
        if let Some((server, schema)) = &self.schema {
            execute(server, &format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }
}

async fn execute(server: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls)
        .await
        .expect("the server answers");
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("the statement runs");
    drop(client);

    let _ = connection.await;
}

pub(crate) async fn open(url: &str) -> SharedStore {
    let ring = Ring::new(vec![[1; 32]]).expect("a key");
    quickdraw_store::open(url, ring).await.expect("the store opens")
}
