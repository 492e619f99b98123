//! Reasons for refusing a change of a hook.

use crate::hook::body_template;
use crate::hook::template_check::NeverJson;
use crate::hook::url::UrlError;
use crate::hook::values::ValueError;
use crate::secret::HeaderError;

/// The reason for refusing a change, in the order of GitLab's checks.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EditError {
    /// The URL as typed, or with the values of its variables.
    #[error("Invalid url given: it {0}")]
    Url(#[from] UrlError),

    /// The branch filter.
    #[error("Invalid branch filter given: it {0}")]
    BranchFilter(String),

    /// Custom headers.
    #[error("Custom headers validation failed: {0}")]
    CustomHeaders(ValueError),

    /// URL variables.
    #[error("url_variables: {0}")]
    UrlVariables(ValueError),

    /// A header that controls the connection or the framing of the request.
    #[error("Custom headers validation failed: {0} cannot be set")]
    ReservedHeader(String),

    /// A header that Quickdraw sets itself.
    #[error("Custom headers validation failed: {0} is set by Quickdraw itself, and a custom header cannot replace it")]
    OwnHeader(String),

    /// Two custom headers whose names differ only in case.
    #[error("Custom headers validation failed: {0} and {1} are the same header: case does not matter in names")]
    SameHeader(String, String),

    /// `Authorization` in addition to user info in the URL.
    #[error(
        "Custom headers validation failed: Authorization is already set by the user info in the URL; remove one of them"
    )]
    Authorization,

    /// The token.
    #[error("token {0}")]
    Token(HeaderError),

    /// A trigger that is disabled while the hook is subscribed to all events.
    #[error("{0}=false contradicts all_events=true; set all_events=false to choose single triggers")]
    AllEvents(&'static str),

    /// The template's length.
    #[error(
        "custom_webhook_template is too long (maximum is {} characters)",
        body_template::MAX_LEN
    )]
    BodyTemplate,

    /// The template's form.
    #[error("custom_webhook_template {0}")]
    Template(#[from] NeverJson),
}
