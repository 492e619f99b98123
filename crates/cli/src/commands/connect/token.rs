//! The tokens of a run. Command lines are visible to all users of a machine, so tokens are never read from them.

use std::io::{IsTerminal, Read};
use std::path::Path;

use anyhow::Context;
use clap::error::ErrorKind;

/// Environment variables with the token for GitLab, the first one first.
const VARIABLES: [&str; 2] = ["QUICKDRAW_GITLAB_TOKEN", "GITLAB_TOKEN"];

/// Reads the token for GitLab from the file, the environment, or the terminal.
pub(super) fn for_gitlab(file: Option<&Path>) -> anyhow::Result<String> {
    if let Some(file) = file {
        return from_file(file);
    }

    for name in VARIABLES {
        if let Ok(token) = std::env::var(name)
            && !token.trim().is_empty()
        {
            return Ok(token.trim().to_owned());
        }
    }

    if !std::io::stdin().is_terminal() {
        refuse(&format!(
            "no token for GitLab: give a file with --token-file (- reads standard input), or set {}",
            VARIABLES[0]
        ));
    }

    let terminal = console::Term::stderr();
    terminal.write_str("Access token for GitLab, with the scope api: ")?;

    let token = terminal
        .read_secure_line()
        .context("failed to read the token from the terminal")?;
    usable(&token, "the terminal")
}

/// Reads the token for the Quickdraw at this URL from the file, or from the places where all commands look for it.
pub(super) fn for_quickdraw(file: Option<&Path>, server: &str) -> anyhow::Result<String> {
    match file {
        Some(file) => from_file(file),
        None => crate::client::token(server),
    }
}

fn from_file(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("failed to read the token from standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    }

    usable(&text, &file.display().to_string())
}

/// The token without blanks at its ends. A token that no header can carry is refused.
fn usable(text: &str, place: &str) -> anyhow::Result<String> {
    let token = text.trim();
    anyhow::ensure!(!token.is_empty(), "{place} contains no token");

    anyhow::ensure!(
        token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{place} contains more than a token: blanks, line breaks or control characters"
    );

    Ok(token.to_owned())
}

/// Ends the program with the exit code for wrong usage.
pub(super) fn refuse(why: &str) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{why}\n")).exit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(usable(text, "x").ok().as_deref(), expected, "{text:?}");
        };

        check("glpat-1\n", Some("glpat-1"));
        check("  glpat-1  ", Some("glpat-1"));
        check("", None);
        check("glpat-1\nglpat-2", None);
        check("glpat\t1", None);
    }
}
