//! Examining a PostgreSQL database without changing it.

use quickdraw_domain::Timestamp;
use tokio_postgres::config::TargetSessionAttrs;

use super::nodes::{self, SILENCE};
use super::{MIGRATIONS, configure, pool, scalar};
use crate::error::Result;
use crate::examine::{Depth, Examination, KeyFit};
use crate::seal::Ring;

pub(crate) async fn examine(url: &str, ring: Option<&Ring>, depth: Depth, now: Timestamp) -> Result<Examination> {
    let mut config = configure(url)?;
    // The server refuses a write, should a statement here attempt one by mistake.
    let options = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{options} -c default_transaction_read_only=on"));
    config.target_session_attrs(TargetSessionAttrs::Any);

    let pool = pool(&config, 1)?;
    let client = pool.get().await?;
    let version: String = scalar(&client.query_one("SHOW server_version", &[]).await?);

    let mut found = Examination {
        engine: format!("postgres {version}"),
        schema_version: None,
        newest_schema: MIGRATIONS.last().map_or(0, |(version, ..)| *version),
        key: KeyFit::NothingSealed,
        nodes: 0,
        insights_missing: false,
        problems: Vec::new(),
    };
    if depth == Depth::Whole {
        found.problems = nodes::problems(&client, now).await?;
    }

    let is_migrated: bool = scalar(
        &client
            .query_one("SELECT to_regclass('migrations') IS NOT NULL", &[])
            .await?,
    );

    if !is_migrated {
        return Ok(found);
    }

    found.schema_version = scalar(&client.query_one("SELECT max(version) FROM migrations", &[]).await?);
    if found.schema_version.is_none() {
        return Ok(found);
    }

    let sealed = client
        .query_opt("SELECT value FROM settings WHERE name = 'key_check'", &[])
        .await?;
    let sealed: Option<Vec<u8>> = sealed.as_ref().map(scalar);
    found.key = KeyFit::of(sealed.as_deref(), ring);

    let seen = now.minus(SILENCE).as_micros();
    found.nodes = scalar(
        &client
            .query_one("SELECT count(*) FROM nodes WHERE seen_at >= $1", &[&seen])
            .await?,
    );

    Ok(found)
}
