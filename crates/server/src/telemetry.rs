//! Names of the server's metrics. The first two lack the prefix `quickdraw_` for compatibility.

/// Counter: requests to sources. Labels: `event` (the header of the catalog, or `unknown`) and `status` (`success`,
/// `duplicate`, `rejected`, `error`).
pub const WEBHOOK_REQUESTS: &str = "gitlab_webhook_requests_total";
/// Histogram: seconds from the head of a request to its answer.
pub const WEBHOOK_SECONDS: &str = "gitlab_webhook_duration_seconds";
/// Counter: connections that were closed because of a limit. Label: `limit` (`total`, `address`).
pub const CONNECTIONS_REFUSED: &str = "quickdraw_connections_refused_total";
/// Gauge: open connections.
pub const CONNECTIONS: &str = "quickdraw_connections";
/// Gauge: large answers that are being built or sent.
pub const LARGE_ANSWERS: &str = "quickdraw_large_answers";
/// Gauge: client certificates whose key is being opened, or waits for it.
pub const KEYS_WAITING: &str = "quickdraw_client_keys_waiting";
/// Gauge: changes that continue although their client has disconnected.
pub const DETACHED_REQUESTS: &str = "quickdraw_detached_requests";
/// Gauge: open streams.
pub const STREAMS: &str = "quickdraw_streams";
/// Counter: events that were sent on streams.
pub const STREAM_EVENTS: &str = "quickdraw_stream_events_total";
/// Counter: requests that sources refused. Label: `reason` (`rate`, `address`, `headers`, `credential`, `body`,
/// `json`, `instance`, `unknown`).
pub const SOURCE_REFUSED: &str = "quickdraw_source_refused_total";
/// Counter: requests that sources refused because of a rate limit. Labels: `source` (its name) and `kind` (`stranger`
/// without a valid credential, `sender` with one).
pub const SOURCE_LIMITED: &str = "quickdraw_source_limited_total";
/// Counter: requests to inspectors. Label: `result` (`kept`, `rate`, `unknown`, `busy`).
pub const INSPECTOR_REQUESTS: &str = "quickdraw_inspector_requests_total";
/// Gauge: requests to inspectors that are read or wait for their answer.
pub const INSPECTIONS: &str = "quickdraw_inspector_requests_open";

/// Registers the help text of each metric with the recorder, which writes it as a HELP line.
pub fn describe() {
    metrics::describe_counter!(WEBHOOK_REQUESTS, "Requests to sources, by event and status.");
    metrics::describe_histogram!(WEBHOOK_SECONDS, "Time from the head of a request to its answer.");

    metrics::describe_counter!(
        CONNECTIONS_REFUSED,
        "Connections that were closed because there were too many, by limit."
    );

    metrics::describe_gauge!(CONNECTIONS, "Open connections.");
    metrics::describe_gauge!(LARGE_ANSWERS, "Large answers that are being made or sent.");

    metrics::describe_gauge!(
        KEYS_WAITING,
        "Keys of client certificates that are being opened or wait for it."
    );

    metrics::describe_gauge!(
        DETACHED_REQUESTS,
        "Changes that continue although their client has disconnected."
    );

    metrics::describe_gauge!(STREAMS, "Open streams.");
    metrics::describe_counter!(STREAM_EVENTS, "Events that were sent on streams.");
    metrics::describe_counter!(SOURCE_REFUSED, "Requests that sources refused, by reason.");

    metrics::describe_counter!(INSPECTOR_REQUESTS, "Requests to inspectors, by result.");
    metrics::describe_gauge!(
        INSPECTIONS,
        "Requests to inspectors that are read or wait for their answer."
    );

    metrics::describe_counter!(
        SOURCE_LIMITED,
        "Requests that sources refused because of a rate limit, by source and kind of client."
    );
}
