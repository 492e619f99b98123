//! Rules for the custom headers of a hook.

use super::Hook;
use super::edit::EditError;
use super::values::ValueError;
use crate::Secret;
use crate::secret::HeaderError;

/// The names of the headers that Quickdraw sets itself, in lower case. `Authorization` is not included: it is only set
/// if the URL has user info.
pub(crate) const OWN_HEADERS: [&str; 12] = [
    "content-type",
    "user-agent",
    "x-gitlab-event",
    "x-gitlab-instance",
    "x-gitlab-webhook-uuid",
    "x-gitlab-event-uuid",
    "x-gitlab-token",
    "x-hub-signature-256",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// Whether Quickdraw sets a header of this name itself, so that no custom header can replace it.
pub(crate) fn is_own_header(name: &str) -> bool {
    OWN_HEADERS.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Refuses custom headers that would not be sent, or not as typed.
pub(super) fn check_headers(sent: &[(String, Option<Secret>)]) -> Result<(), EditError> {
    for (name, value) in sent {
        if is_reserved(name) {
            return Err(EditError::ReservedHeader(name.clone()));
        }

        if is_own_header(name) {
            return Err(EditError::OwnHeader(name.clone()));
        }

        // Control characters are refused together with invalid names.
        if value
            .as_ref()
            .is_some_and(|value| value.check_header() == Err(HeaderError::Blank))
        {
            return Err(EditError::CustomHeaders(ValueError::Blank));
        }
    }

    Ok(())
}

/// Refuses headers of which only one could be sent.
pub(super) fn check_together(hook: &Hook) -> Result<(), EditError> {
    let names: Vec<&str> = hook.custom_headers.iter().map(|(name, _)| name).collect();
    for (at, name) in names.iter().enumerate() {
        if let Some(same) = names[..at].iter().find(|before| before.eq_ignore_ascii_case(name)) {
            return Err(EditError::SameHeader((*same).to_owned(), (*name).to_owned()));
        }
    }

    let has_authorization = names.iter().any(|name| name.eq_ignore_ascii_case("authorization"));
    if has_authorization && hook.url.basic_authorization().is_some() {
        return Err(EditError::Authorization);
    }

    Ok(())
}

/// Headers of the connection and of the message's framing (RFC 9110 section 7.6.1, RFC 9112). The HTTP client sets
/// them.
fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 11] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-authorization",
        "proxy-connection",
    ];

    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}
