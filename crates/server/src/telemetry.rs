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
pub const CHANGES_ALONE: &str = "quickdraw_changes_alone";
/// Gauge: open streams.
pub const STREAMS: &str = "quickdraw_streams";
/// Counter: events that were sent on streams.
pub const STREAM_EVENTS: &str = "quickdraw_stream_events_total";
/// Counter: requests that sources refused. Label: `reason` (`rate`, `address`, `headers`, `credential`, `body`,
/// `json`, `instance`, `unknown`).
pub const SOURCE_REFUSED: &str = "quickdraw_source_refused_total";
