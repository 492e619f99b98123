//! Notifications: messages to people about hooks and sources, by rules that people write.
//!
//! One node watches and sends, by a lease in the database. `watch` compares the state of hooks, backlogs, sources
//! and silent mode with the known one. A change and the news about it are recorded in one transaction, so that a change
//! is news exactly once. `send` sends the news that is due. A message that fails is tried again; a crash after a
//! message and before its record sends it twice.
//!
//! A failure of a notification is never news itself.

mod describe;
mod send;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quickdraw_domain::Timestamp;

use crate::context::Context;
use crate::delivery::transport::Transport;
use crate::journal::Journal;
use crate::workers::Stop;

/// The lease of the node that watches. It is longer than the messages that are sent side by side take.
const LEASE: Duration = Duration::from_secs(30);
/// Interval between two counts of backlogs and looks at sources.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// Watching for news, and sending it.
pub struct Notifier {
    context: Arc<Context>,
    journal: Arc<Journal>,
    transport: Arc<dyn Transport>,
    times: Mutex<Times>,
}

/// Times of this node.
#[derive(Default)]
struct Times {
    /// The beginning of our lease.
    leased_at: Option<Timestamp>,

    /// The last count of backlogs and look at sources.
    counted_at: Option<Timestamp>,
}

impl Notifier {
    pub(crate) fn new(context: Arc<Context>, journal: Arc<Journal>, transport: Arc<dyn Transport>) -> Self {
        Self {
            context,
            journal,
            transport,
            times: Mutex::default(),
        }
    }

    /// Whether a mail server is set.
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        self.transport.sends_mail()
    }

    /// Looks for news and sends what is due, if this is the node that watches.
    pub(crate) async fn run(&self, stop: &Stop) -> anyhow::Result<()> {
        if !self.holds_watch().await? {
            return Ok(());
        }

        self.watch_hooks().await?;

        let now = self.context.clock.now();
        if is_over(self.times.lock().counted_at, now, COUNT_EVERY) {
            self.watch_numbers().await?;
            self.times.lock().counted_at = Some(now);
        }

        self.send_due(stop).await
    }

    /// Takes or renews the lease of the node that watches. `false` if another node has it.
    async fn holds_watch(&self) -> anyhow::Result<bool> {
        let now = self.context.clock.now();
        if !is_over(self.times.lock().leased_at, now, LEASE / 3) {
            return Ok(true);
        }

        let (store, node) = (&self.context.store, self.context.node);
        let is_ours = store.claim_watch(node, now, now.plus(LEASE)).await?;
        self.times.lock().leased_at = is_ours.then_some(now);

        Ok(is_ours)
    }
}

/// Whether a span since a time has passed. A time in the future comes from a clock that was wrong.
fn is_over(since: Option<Timestamp>, now: Timestamp, span: Duration) -> bool {
    since.is_none_or(|since| since > now || now.since(since) >= span)
}
