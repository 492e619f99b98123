//! Metrics of the pipeline, declared in one place. Labels come from closed sets only.

/// Counter: events journaled. Label `trigger`.
pub const EVENTS: &str = "quickdraw_events_total";
/// Counter: attempts. Label `outcome`.
pub const ATTEMPTS: &str = "quickdraw_attempts_total";
/// Histogram: seconds an attempt took.
pub const ATTEMPT_SECONDS: &str = "quickdraw_attempt_duration_seconds";
/// Counter: destinations refused by the guard. Label `rule`.
pub const BLOCKED: &str = "quickdraw_guard_blocked_total";
/// Counter: deliveries of disabled hooks that were given up. Label `reason`.
pub const DROPPED: &str = "quickdraw_deliveries_dropped_total";
/// Counter: settles refused because the lease was lost.
pub const LOST_LEASES: &str = "quickdraw_leases_lost_total";
/// Gauge: attempts under way.
pub const IN_FLIGHT: &str = "quickdraw_attempts_in_flight";
/// Gauge: deliveries owed (counted up to 100,000).
pub const DELIVERIES_PENDING: &str = "quickdraw_deliveries_pending";
/// Gauge: seconds for which the delivery that is due longest has been due.
pub const OLDEST_DUE_SECONDS: &str = "quickdraw_deliveries_oldest_due_seconds";
/// Gauge: events that wait for their fan-out (counted up to 100,000).
pub const FAN_OUT_PENDING: &str = "quickdraw_fan_out_pending";
/// Gauge: events that wait for their projection (counted up to 100,000).
pub const PROJECTION_PENDING: &str = "quickdraw_projection_pending";
/// Counter: times that a step failed. Label `worker`.
pub const FAILURES: &str = "quickdraw_worker_failures_total";
/// Counter: received events that duplicate another: stored, and not delivered.
pub const DUPLICATES: &str = "quickdraw_duplicates_total";
/// Gauge: hooks that are paused or disabled.
pub const HOOKS_DISABLED: &str = "quickdraw_hooks_disabled";
/// Gauge: hooks that a person has paused.
pub const HOOKS_PAUSED: &str = "quickdraw_hooks_paused";
/// Gauge: 1 in silent mode, in which no hook is called, and 0 otherwise.
pub const SILENT_MODE: &str = "quickdraw_silent_mode";
/// Gauge: when the last received event of a project came, in seconds since 1970. Label `project`: its number; the
/// projects that sent an event last, at most 500. Shown to administrators only.
pub const LAST_EVENT: &str = "quickdraw_project_last_event_timestamp_seconds";

/// Counter: filters that gave up on an event because it took more work than is allowed.
pub const FILTERS_OVER_BUDGET: &str = "quickdraw_filters_over_budget_total";

/// Counter: attempts to send a notification. Labels `channel` and `result`.
pub const NOTIFICATIONS: &str = "quickdraw_notifications_total";

/// A count, a number or a time as gauges hold it.
#[expect(clippy::cast_precision_loss, reason = "none of what is shown comes near 2^53")]
pub(crate) const fn precise(value: i64) -> f64 {
    value as f64
}

/// Registers the help text of each metric with the recorder, which writes it as a HELP line.
pub fn describe() {
    metrics::describe_counter!(EVENTS, "Events that arrived, by trigger.");
    metrics::describe_counter!(ATTEMPTS, "Attempts to deliver, by outcome.");
    metrics::describe_histogram!(ATTEMPT_SECONDS, "Duration of an attempt.");
    metrics::describe_counter!(BLOCKED, "Destinations that the guard refused, by rule.");

    metrics::describe_counter!(
        DROPPED,
        "Deliveries of disabled webhooks that failed for good, by reason."
    );

    metrics::describe_counter!(
        LOST_LEASES,
        "Results that were not stored because the lease of the delivery was lost."
    );

    metrics::describe_gauge!(IN_FLIGHT, "Attempts that run now.");
    metrics::describe_gauge!(
        DELIVERIES_PENDING,
        "Deliveries that have not ended, counted up to 100,000."
    );

    metrics::describe_gauge!(
        OLDEST_DUE_SECONDS,
        "Time for which the delivery that is due longest has been due."
    );

    metrics::describe_gauge!(
        FAN_OUT_PENDING,
        "Events that wait for their fan-out, counted up to 100,000."
    );

    metrics::describe_gauge!(
        PROJECTION_PENDING,
        "Events that wait to be counted in insights, counted up to 100,000."
    );

    metrics::describe_counter!(FAILURES, "Failed runs of a worker, by worker.");
    metrics::describe_counter!(
        DUPLICATES,
        "Received events that duplicate another event. They are stored and not delivered."
    );

    metrics::describe_gauge!(
        HOOKS_DISABLED,
        "Webhooks that are paused or disabled because of failures."
    );
    metrics::describe_gauge!(HOOKS_PAUSED, "Webhooks that a person has paused.");
    metrics::describe_gauge!(
        SILENT_MODE,
        "1 in silent mode, in which no webhook is called, and 0 otherwise."
    );
    metrics::describe_gauge!(
        LAST_EVENT,
        "Time of the last received event, by project, for at most 500 projects."
    );

    metrics::describe_counter!(FILTERS_OVER_BUDGET, "Filters that stopped at the limit of their work.");
    metrics::describe_counter!(
        NOTIFICATIONS,
        "Attempts to send a notification to people, by channel and result."
    );
}
