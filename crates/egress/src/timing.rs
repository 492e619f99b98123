//! The duration of each phase of an attempt.

use std::time::{Duration, Instant};

use crate::error::Stage;

/// The duration of each phase of an attempt. A phase has no duration if it was not reached, or if a kept connection
/// made it unnecessary.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timing {
    /// Resolving the host name.
    pub resolve: Option<Duration>,

    /// Opening the connection. This includes the tunnel of a proxy, and addresses that did not answer.
    pub connect: Option<Duration>,

    /// Negotiating TLS.
    pub tls: Option<Duration>,

    /// Sending the request, and waiting for the head of the answer.
    pub wait: Option<Duration>,

    /// Reading the body of the answer.
    pub read: Option<Duration>,

    /// The negotiated version of TLS, such as `TLSv1_3`.
    pub tls_version: Option<&'static str>,
}

/// Measures an attempt phase by phase. The measurements remain if the deadline ends the attempt.
pub(crate) struct Trace {
    stage: Stage,
    since: Instant,
    timing: Timing,
}

impl Trace {
    pub(crate) fn begin() -> Self {
        Self {
            stage: Stage::Resolving,
            since: Instant::now(),
            timing: Timing::default(),
        }
    }

    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    /// Ends the current phase and begins the next.
    pub(crate) fn enter(&mut self, stage: Stage) {
        self.note();
        self.stage = stage;
    }

    pub(crate) const fn tls_version(&mut self, version: Option<&'static str>) {
        self.timing.tls_version = version;
    }

    /// Ends the attempt in its current phase.
    pub(crate) fn end(mut self) -> Timing {
        self.note();
        self.timing
    }

    fn note(&mut self) {
        let now = Instant::now();
        let took = now.duration_since(self.since);
        self.since = now;

        let phase = match self.stage {
            Stage::Resolving => &mut self.timing.resolve,
            Stage::Proxying | Stage::Connecting => &mut self.timing.connect,
            Stage::Handshaking => &mut self.timing.tls,
            Stage::Waiting => &mut self.timing.wait,
            Stage::Reading => &mut self.timing.read,
        };
        // A second connection, after a kept one was closed, adds to the first.
        *phase = Some(phase.unwrap_or_default() + took);
    }
}
