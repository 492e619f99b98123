//! Metrics of this crate, declared in one place.

/// Histogram: seconds that one commit took, flush included. Label `engine`.
pub const COMMIT_SECONDS: &str = "quickdraw_store_commit_seconds";
/// Histogram: jobs that shared one commit (SQLite).
pub const COMMIT_JOBS: &str = "quickdraw_store_commit_jobs";
