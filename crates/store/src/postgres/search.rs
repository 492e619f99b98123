//! Texts that are looked for in names and paths.

use deadpool_postgres::{Object, Transaction};

use crate::error::Result;
use crate::lists::is_part;

/// A transaction for statements that look for a text. Whether to find its rows by the index, or to go through the table
/// until the page is full, depends on how rare it is: here the planner sees the text.
pub(super) async fn begin(client: &mut Object) -> Result<Transaction<'_>> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    transaction
        .batch_execute("SET LOCAL plan_cache_mode = force_custom_plan")
        .await?;
    Ok(transaction)
}

/// The pattern with which `LIKE` finds a text.
pub(super) fn pattern(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    if is_part(text) { format!("%{escaped}%") } else { escaped }
}
