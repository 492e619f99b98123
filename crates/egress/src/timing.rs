//! How long each phase of an attempt took.

use std::time::{Duration, Instant};

use crate::error::Stage;

/// Where the time of an attempt went. A phase that was not come to, or that a kept connection made needless, took none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timing {
    /// Looking the name up.
    pub resolve: Option<Duration>,
    /// Opening the connection, a proxy's tunnel and addresses that did not answer included.
    pub connect: Option<Duration>,
    /// Agreeing on TLS.
    pub tls: Option<Duration>,
    /// Sending, and waiting for the head of the answer.
    pub wait: Option<Duration>,
    /// Reading the body of the answer.
    pub read: Option<Duration>,
    /// The version of TLS, as `TLSv1_3`.
    pub tls_version: Option<&'static str>,
}

/// Follows an attempt from phase to phase. What it knows survives an attempt that is cut off by its deadline.
pub(crate) struct Trace {
    stage: Stage,
    since: Instant,
    timing: Timing,
}

impl Trace {
    pub(crate) fn begin() -> Self {
        Self { stage: Stage::Resolving, since: Instant::now(), timing: Timing::default() }
    }

    pub(crate) const fn stage(&self) -> Stage {
        self.stage
    }

    /// The next phase begins.
    pub(crate) fn enter(&mut self, stage: Stage) {
        self.note();
        self.stage = stage;
    }

    pub(crate) const fn tls_version(&mut self, version: Option<&'static str>) {
        self.timing.tls_version = version;
    }

    /// The attempt has ended, in whatever phase it is.
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
        // A second connection after a kept one was closed adds to the first.
        *phase = Some(phase.unwrap_or_default() + took);
    }
}
