//! The sources in memory, each with its verifier and rate limits. They are updated from the directory when it changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use quickdraw_domain::source::Source;
use quickdraw_engine::Index;
use tokio::sync::Semaphore;

use super::limits::Limits;
use super::verify::Verifier;
use crate::body;

/// A source that is ready for requests.
pub(crate) struct Gate {
    pub(crate) source: Arc<Source>,
    pub(crate) verifier: Verifier,
    pub(super) limits: Limits,

    /// Limit of this source on the memory for long bodies.
    pub(crate) share: Arc<Semaphore>,
}

impl Gate {
    fn new(source: Arc<Source>) -> Arc<Self> {
        Arc::new(Self {
            verifier: Verifier::new(&source),
            limits: Limits::new(&source),
            share: body::share(),
            source,
        })
    }
}

/// A source that was changed or removed gets no further requests, so its last refusals are logged here.
impl Drop for Gate {
    fn drop(&mut self) {
        self.limits.log_rest(&self.source);
    }
}

pub(crate) struct Gates {
    default: Arc<Gate>,
    others: RwLock<(i64, HashMap<String, Arc<Gate>>)>,
}

impl Gates {
    pub(crate) fn new(default: Source) -> Self {
        Self {
            default: Gate::new(Arc::new(default)),
            others: RwLock::new((i64::MIN, HashMap::new())),
        }
    }

    pub(crate) const fn default(&self) -> &Arc<Gate> {
        &self.default
    }

    /// Finds the source with this key.
    pub(crate) fn find(&self, index: &Index, key: &str) -> Option<Arc<Gate>> {
        {
            let others = self.others.read();
            if others.0 == index.version() {
                return others.1.get(key).cloned();
            }
        }

        let mut others = self.others.write();
        if others.0 != index.version() {
            let mut known = std::mem::take(&mut others.1);
            let fresh = index.sources().iter().map(|source| {
                // A source that did not change keeps its rate limiters.
                let same = known
                    .remove(&source.key)
                    .filter(|gate| gate.source.updated_at == source.updated_at);
                (
                    source.key.clone(),
                    same.unwrap_or_else(|| Gate::new(Arc::clone(source))),
                )
            });
            let fresh = fresh.collect();
            *others = (index.version(), fresh);
        }

        others.1.get(key).cloned()
    }

    /// Logs refusals over a rate limit whose log line is due.
    pub(super) fn log_due_refusals(&self, now: Instant) {
        for gate in self.all() {
            gate.limits.log_due(&gate.source, now);
        }
    }

    /// Logs all refusals over a rate limit that are not logged yet.
    pub(super) fn log_all_refusals(&self) {
        for gate in self.all() {
            gate.limits.log_rest(&gate.source);
        }
    }

    fn all(&self) -> Vec<Arc<Gate>> {
        let others = self.others.read();
        let others = others.1.values().cloned();
        std::iter::once(Arc::clone(&self.default)).chain(others).collect()
    }
}
