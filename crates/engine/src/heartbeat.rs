//! The heartbeat: every few seconds this node writes that it is alive. The result of that write is the state of the
//! store for readiness and for requests that wait.

use std::time::Duration;

use quickdraw_store::Error;
use tokio::sync::watch;

use crate::context::Context;
use crate::outage;
use crate::workers::Status;

/// The pause between two heartbeats while the store answers.
const EVERY: Duration = Duration::from_secs(5);
/// The pause during an outage.
const DURING_OUTAGE: Duration = Duration::from_secs(1);
/// A store that takes longer for one small write does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends heartbeats until the end.
pub(crate) async fn run(context: &Context, status: &Status, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let beat = async {
            let run = status.begin(context.clock.now());
            let written = beat(context).await;
            status.end(run, context.clock.now(), written.err().map(|error| error.to_string()));

            let pause = if outage::is_going_on() { DURING_OUTAGE } else { EVERY };
            tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = beat => {}
            _ = stop.changed() => return,
        }
    }
}

/// Writes that this node is alive, and notes the result.
async fn beat(context: &Context) -> Result<(), Error> {
    let began = context.clock.now();
    let written = tokio::time::timeout(PATIENCE, context.store.heartbeat(context.node, began)).await;

    let late = |_| {
        Err(Error::unavailable(format!(
            "it did not take a write within {} s",
            PATIENCE.as_secs()
        )))
    };
    let written = written.unwrap_or_else(late);

    context.store_watch.note(began, written.as_ref().err());

    match &written {
        Ok(()) => outage::answered(),
        Err(error) => {
            if outage::stands_alone(error) {
                tracing::error!(%error, "failed to say that this node is alive");
            }
        }
    }

    written
}
