//! What things are and what may happen to them.
//!
//! Everything here is a pure rule: no async, no I/O, no clock, no randomness, no logging, no SQL, no HTTP. Time and
//! chance arrive as arguments, so every decision Quickdraw makes can be read, and tested, as a table.
//!
//! Four questions have one function each; the other crates only carry the answers:
//!
//! | question | function |
//! | --- | --- |
//! | Who gets it? | [`audience::select`] |
//! | What do we send? | [`request::build`] |
//! | What did the answer mean? | [`outcome::classify`] |
//! | What happens next? | [`settle::settle`] |

pub mod access;
pub mod audience;
pub mod compose;
pub mod delivery;
pub mod edit;
pub mod event;
pub mod guard;
pub mod health;
pub mod hook;
pub mod identity;
pub mod ids;
pub mod members;
pub mod outcome;
pub mod phases;
pub mod recursion;
pub mod redact;
pub mod replay;
pub mod request;
pub mod retry;
pub mod scope;
pub mod secret;
pub mod settle;
pub mod signature;
pub mod source;
pub mod time;
pub mod times;
pub mod tree;
pub mod trigger;
pub mod work;

pub use edit::Edit;
pub use ids::{AttemptId, DeliveryId, EventId, GroupId, HookId, NodeId, ObjectKey, ProjectId, SourceId};
pub use secret::Secret;
pub use time::Timestamp;
pub use trigger::{Trigger, TriggerSet};
