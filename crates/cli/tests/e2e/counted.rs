//! A server that counts received events, and checks of its metrics.

use serde_json::{Value, json};

use crate::answers::items;
use crate::http::{Reply, eventually};
use crate::server::{Engine, Server};

/// A received event: its header and its body.
pub(crate) type Event = (&'static str, Value);

/// A server without other settings, and the window of its questions, as parameters of a query.
pub(crate) struct Counted {
    pub(crate) server: Server,
    window: &'static str,
}

impl Counted {
    pub(crate) fn start(engine: &Engine, window: &'static str) -> Self {
        let server = Server::start(engine, &[]);
        Self { server, window }
    }

    /// Sends the events, each with its own key, which begins with the given text.
    pub(crate) fn receive(&self, key: &str, events: &[Event]) {
        for (number, (event, body)) in events.iter().enumerate() {
            self.server.receive(event, &format!("{key}{number}"), body);
        }
    }

    /// Sends the events, the last one first.
    pub(crate) fn receive_reversed(&self, key: &str, events: &[Event]) {
        for (number, (event, body)) in events.iter().enumerate().rev() {
            self.server.receive(event, &format!("{key}{number}"), body);
        }
    }

    /// Waits until a metric has the value.
    pub(crate) fn wait_for(&self, metric: &str, value: f64) {
        eventually("all events are counted", || self.metric(metric)["value"] == value);
    }

    /// Asks insights about the window. The path may have further parameters.
    pub(crate) fn get(&self, path: &str) -> Value {
        let glue = if path.contains('?') { '&' } else { '?' };
        let window = self.window;
        self.server.get(&format!("/api/v1/insights/{path}{glue}{window}"))
    }

    pub(crate) fn metric(&self, path: &str) -> Value {
        self.get(&format!("metrics/{path}"))
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.server.call(method, &format!("/api/v1/insights/{path}"), body)
    }

    /// Checks the values of metrics, each given with its further parameters.
    pub(crate) fn check_values(&self, expected: &[(&str, f64)]) {
        for (path, value) in expected {
            assert_eq!(self.metric(path)["value"], *value, "{path}");
        }
    }

    /// Checks the names and values of all groups of a metric.
    pub(crate) fn check_groups(&self, metric: &str, by: &str, expected: &[(&str, f64)]) {
        let found = self.get(&format!("query?metric={metric}&interval=none&group_by={by}"));
        let row = |row: &Value| json!([row["group"], row["value"]]);
        let rows: Vec<Value> = items(&found["rows"]).iter().map(row).collect();

        assert_eq!(json!(rows), json!(expected), "{metric} by {by}");
    }

    /// Checks the status of requests without a body.
    pub(crate) fn check_statuses(&self, expected: &[(&str, u16)]) {
        for (path, status) in expected {
            assert_eq!(self.call("GET", path, "").status, *status, "{path}");
        }
    }
}
