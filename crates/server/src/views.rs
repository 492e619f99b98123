//! The JSON of answers. Names are GitLab's wherever GitLab has one. Only this folder knows the dialect.

mod history;
mod hook;
mod hook_backlog;
mod hook_status;
mod inspector;
mod notification;
mod people;
mod replay;
mod scopes;
mod shown;
mod skip;
mod source;

use std::borrow::Cow;

use quickdraw_domain::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

pub(crate) use history::response_headers;
pub use history::{Attempt, AuditEntry, Delivery, DeliveryWithHistory, Event, EventWithDeliveries, Page, Skipped};
pub use hook::{Hook, HookEvent, HookTriggers, ShownRestriction};
pub use hook_backlog::HookBacklog;
pub use hook_status::{BacklogView, HookStatus, HourView, LastAttemptView};
pub use inspector::{CredentialCheck, InspectedRequest, InspectedRequestWithBody, Inspector};
pub use notification::{NotificationMessage, NotificationRule};
pub use people::{CreatedToken, Member, Metadata, SshKey, Token, User};
pub use replay::{Replay, ReplayFilter, ReplayResults};
pub use scopes::{Group, Namespace, Project, Visibility};
pub use shown::Shown;
pub use skip::Skip;
pub use source::{Source, SourceRequest, Traffic};

/// A time in ISO 8601: UTC, with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Iso(pub Timestamp);

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_iso())
    }
}

impl PartialSchema for Iso {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .into()
    }
}

impl ToSchema for Iso {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

/// A short text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Message {
    /// The text.
    pub message: String,
}

impl Message {
    /// Creates a message.
    #[must_use]
    pub fn new(words: &str) -> Self {
        Self {
            message: words.to_owned(),
        }
    }
}
