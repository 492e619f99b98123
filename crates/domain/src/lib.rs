//! The types of Quickdraw and the rules about them.
//!
//! Everything here is a pure rule: no async, I/O, clock, randomness, logging, SQL or HTTP. Time and chance are
//! arguments, so every decision can be read and tested as a table.
//!
//! Four questions have one function each. The other crates only carry out the answers:
//!
//! | question | function |
//! | --- | --- |
//! | Which hooks get an event? | [`audience::select`] |
//! | Which request is sent? | [`request::build`] |
//! | What does the answer mean? | [`outcome::classify`] |
//! | What happens next? | [`settle::settle`] |

pub mod access;
pub mod audience;
pub mod compose;
pub mod delivery;
pub mod directory;
pub mod edit;
pub mod envelope;
pub mod event;
pub mod guard;
pub mod health;
pub mod history;
pub mod hook;
pub mod identity;
pub mod ids;
pub mod inspector;
mod kinds;
mod members;
pub mod notices;
pub mod outcome;
pub mod password;
pub mod phases;
pub mod recursion;
pub mod redact;
pub mod replay;
pub mod report;
pub mod request;
pub mod retry;
pub mod scope;
pub mod secret;
pub mod settings;
pub mod settle;
pub mod signature;
pub mod source;
pub mod space;
pub mod ssh_key;
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
