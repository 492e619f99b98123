//! One file a command.

pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod emit;
pub(crate) mod gaps;
pub(crate) mod git_hook;
pub(crate) mod guard;
pub(crate) mod insights;
pub(crate) mod listen;
pub(crate) mod migrate;
pub(crate) mod receiver;
pub(crate) mod replay;
pub(crate) mod secret;
pub(crate) mod serve;

/// Writes a line for the user. A reader that has gone, as in `| head`, is no error of ours.
pub(crate) fn say(text: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A text from elsewhere as a terminal may have it: without what would steer it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// A time as the server reads it; a duration is so long ago.
pub(crate) fn moment(text: &str) -> anyhow::Result<String> {
    match text.parse::<jiff::SignedDuration>() {
        Ok(ago) => Ok((jiff::Timestamp::now() - ago.abs()).to_string()),
        Err(_) => Ok(text.to_owned()),
    }
}
