//! The durations of the phases of an attempt, as history stores them.

use std::time::Duration;

/// The phases of an attempt. A phase is `None` if the attempt did not reach it, or if a reused connection made it
/// unnecessary.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Phases {
    /// Name look-up, connecting, TLS handshake, waiting for the head of the answer, reading its body.
    pub took: [Option<Duration>; 5],

    /// The minor version of TLS 1, if the connection was encrypted.
    pub tls_minor: Option<u8>,
}

/// The stored value for a phase without a duration.
const NONE: u32 = u32::MAX;
const LEN: usize = 5 * 4 + 1;

impl Phases {
    /// The bytes in the databases: the microseconds of each phase in four bytes, at most about an hour, and the version
    /// of TLS.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0xff; LEN];
        for (at, took) in self.took.iter().enumerate() {
            let micros = took.map_or(NONE, |took| {
                u32::try_from(took.as_micros()).unwrap_or(NONE - 1).min(NONE - 1)
            });
            bytes[at * 4..at * 4 + 4].copy_from_slice(&micros.to_le_bytes());
        }

        bytes[LEN - 1] = self.tls_minor.unwrap_or(u8::MAX);
        bytes
    }

    /// The phases with these bytes in the databases.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; LEN] = bytes.try_into().ok()?;
        let mut phases = Self {
            tls_minor: Some(bytes[LEN - 1]).filter(|minor| *minor != u8::MAX),
            ..Self::default()
        };

        for (took, four) in phases.took.iter_mut().zip(bytes.chunks_exact(4)) {
            let micros = u32::from_le_bytes(four.try_into().ok()?);
            *took = Some(micros)
                .filter(|micros| *micros != NONE)
                .map(|micros| Duration::from_micros(micros.into()));
        }

        Some(phases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_survive_storing() {
        let long = Duration::from_secs(86_400);
        let took = [
            Some(Duration::ZERO),
            None,
            Some(Duration::from_micros(1500)),
            None,
            Some(long),
        ];
        let phases = Phases {
            took,
            tls_minor: Some(3),
        };
        let back = Phases::from_bytes(&phases.to_bytes()).expect("as written");

        assert_eq!((back.took[..4].to_vec(), back.tls_minor), (took[..4].to_vec(), Some(3)));
        assert!(
            back.took[4].is_some_and(|took| took > Duration::from_secs(3600)),
            "cut to the maximum"
        );

        assert_eq!(
            Phases::from_bytes(&Phases::default().to_bytes()),
            Some(Phases::default())
        );

        assert_eq!(Phases::from_bytes(b"short"), None);
    }
}
