//! Signals between steps. A wake carries no data, and losing every wake costs only latency, because each worker ticks.

use tokio::sync::Notify;

/// One signal per worker.
#[derive(Default, Debug)]
pub struct Wakes {
    /// Events were appended that somebody may hear.
    pub fan_out: Notify,
    /// Deliveries became due.
    pub deliver: Notify,
    /// Hooks, projects or groups changed.
    pub directory: Notify,
}

impl Wakes {
    /// Wakes everybody, for when it is not known who is meant.
    pub fn all(&self) {
        for signal in [&self.fan_out, &self.deliver, &self.directory] {
            signal.notify_one();
        }
    }
}
