//! The headers of deliveries that no custom header of a hook can replace.

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
