//! Insights: events are projected into facts, and facts are shown, watched, rebuilt and deleted.

pub(crate) mod alerts;
pub(crate) mod definitions;
pub(crate) mod last_events;
pub(crate) mod privacy;
pub(crate) mod projection;
pub(crate) mod prometheus;
pub mod rebuild;
