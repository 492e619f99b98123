//! Exit codes of all commands. `docs/guide/command-line.md` has the same table.

use std::process::ExitCode;

use crate::client::{Misused, NoToken, Refused, Unreachable, Unverified};

/// The reason for which a command failed. The number is the exit code; 0 means success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The answer is no, as for a test that the receiver refused, or the command failed for another reason.
    Failed = 1,

    /// The command line is not valid.
    Usage = 2,

    /// The token is missing, invalid, or not allowed to do this (401, 403).
    NotAllowed = 3,

    /// The object does not exist, or is not visible with this token (404).
    NotFound = 4,

    /// The server cannot be reached, or asks to try again later (429, 5xx).
    Unreachable = 5,

    /// The server refused the request: it is not valid, or conflicts with another object (other 4xx).
    Refused = 6,
}

impl Exit {
    const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::NotAllowed,
            404 => Self::NotFound,
            429 | 500.. => Self::Unreachable,
            _ => Self::Refused,
        }
    }

    /// The exit code for an error of a command.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if cause.is::<Misused>() {
                return Self::Usage;
            }

            if cause.is::<NoToken>() {
                return Self::NotAllowed;
            }

            if cause.is::<Unreachable>() || cause.is::<Unverified>() {
                return Self::Unreachable;
            }

            if let Some(refused) = cause.downcast_ref::<Refused>() {
                return Self::of_status(refused.status());
            }
        }

        Self::Failed
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn each_status_has_an_exit_code() {
        let check = |status, expected| assert_eq!(Exit::of_status(status), expected, "{status}");

        check(401, Exit::NotAllowed);
        check(403, Exit::NotAllowed);
        check(404, Exit::NotFound);
        check(409, Exit::Refused);
        check(422, Exit::Refused);
        check(429, Exit::Unreachable);
        check(503, Exit::Unreachable);
    }

    #[test]
    fn the_exit_code_is_found_below_a_context() {
        let check = |error: anyhow::Error, expected| assert_eq!(Exit::of(&error), expected, "{error:#}");

        check(anyhow::anyhow!("no"), Exit::Failed);
        check(Misused("give one".to_owned()).into(), Exit::Usage);
        check(Unreachable("refused".to_owned()).into(), Exit::Unreachable);
        check(Unverified("expired".to_owned()).into(), Exit::Unreachable);

        let refused: anyhow::Result<()> = Err(Refused::new(404, "").into());
        check(refused.context("failed").expect_err("an error"), Exit::NotFound);
    }
}
