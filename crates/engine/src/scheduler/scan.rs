//! Scans of ordering queues: which queues a worker advances next.

use quickdraw_store::deliveries::OrderingQueue;

/// The place from which a scan of all ordering queues goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ScanFrom {
    /// All of them.
    Beginning,

    /// Those after this one.
    After(OrderingQueue),
}

impl ScanFrom {
    /// The last queue that was read.
    pub(crate) const fn last(self) -> Option<OrderingQueue> {
        match self {
            Self::Beginning => None,
            Self::After(queue) => Some(queue),
        }
    }
}

/// The ordering queues to advance.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Scan {
    pub(crate) queues: Vec<OrderingQueue>,

    /// The requested scan of all queues.
    pub(crate) all: Option<ScanFrom>,
}
