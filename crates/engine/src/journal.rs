//! The journal: how events come in, get their deliveries, are replayed, and are deleted when their time is over.

pub(crate) mod fan_out;
pub(crate) mod filters;
pub(crate) mod ingest;
pub(crate) mod judge;
pub(crate) mod relay;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod retention;
