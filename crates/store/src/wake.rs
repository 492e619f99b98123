//! Signals between steps. A wake carries no data, and losing every wake costs only latency, because each worker ticks.

use tokio::sync::Notify;

/// One signal per worker.
#[derive(Default, Debug)]
pub struct Wakes {
    /// Events were appended that hooks may want.
    pub fan_out: Notify,

    /// Deliveries became due.
    pub deliver: Notify,

    /// Hooks, projects or groups changed.
    pub directory: Notify,
}

impl Wakes {
    /// Wakes every worker, when the right one is not known.
    pub fn all(&self) {
        for signal in [&self.fan_out, &self.deliver, &self.directory] {
            signal.notify_one();
        }
    }
}
