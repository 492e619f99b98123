//! The bounds of one call to a receiver.

use std::time::Duration;

/// The time, header fields and bytes that one call to a receiver may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The deadline for the whole call: look-up, connecting, TLS, sending, head and body.
    pub deadline: Duration,

    /// The part of the deadline that connecting to one address may use.
    pub connect: Duration,

    /// Maximum number of header fields in an answer.
    pub head_fields: usize,

    /// Maximum size of the head of an answer, in bytes.
    pub head_bytes: usize,

    /// Maximum number of bytes that are read from the body. The connection is closed after that.
    pub body_read: usize,

    /// Maximum number of bytes of the body that are kept.
    pub body_kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            connect: Duration::from_secs(3),
            head_fields: 100,
            head_bytes: 64 << 10,
            body_read: 64 << 10,
            body_kept: 8 << 10,
        }
    }
}
