//! Metrics of this crate, declared in one place.

/// Histogram: seconds that one commit took, flush included. Label `engine`.
pub const COMMIT_SECONDS: &str = "quickdraw_store_commit_seconds";
/// Histogram: jobs that shared one commit (SQLite).
pub const COMMIT_JOBS: &str = "quickdraw_store_commit_jobs";
/// Counter: calls of the store, each one or a few statements in a transaction. Label `engine`.
pub const CALLS: &str = "quickdraw_store_calls_total";

/// Counts a call.
pub(crate) fn called(engine: &'static str) {
    metrics::counter!(CALLS, "engine" => engine).increment(1);
}

/// Registers the help text of each metric with the recorder, which writes it as a HELP line.
pub fn describe() {
    metrics::describe_histogram!(COMMIT_SECONDS, "Duration of a commit.");
    metrics::describe_histogram!(COMMIT_JOBS, "Jobs that share one commit.");
    metrics::describe_counter!(CALLS, "Calls of the store, by database engine.");
}
