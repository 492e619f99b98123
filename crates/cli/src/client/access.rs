//! The server that a command calls, and the token for it. Tokens come from files and the environment, because every
//! user of a machine can read the command lines of others.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::profile::Profile;
use super::refused::{Misused, NoToken};

const DEFAULT_URL: &str = "http://127.0.0.1:8000";
/// The file with the first token of a server, below the directory in which it was started.
const ROOT_TOKEN: &str = "quickdraw-data/root-token";
const HOW_TO_GIVE_A_TOKEN: &str = "no token: run quickdraw login, set QUICKDRAW_TOKEN, give --token-file FILE, or run \
                                   this in the directory that contains quickdraw-data/root-token";

/// Environment variables with the token for a GitLab, the first one first.
const GITLAB_VARIABLES: [&str; 2] = ["QUICKDRAW_GITLAB_TOKEN", "GITLAB_TOKEN"];

/// The options for the server and the token.
#[derive(Args)]
pub(crate) struct Server {
    /// Base URL of the Quickdraw server. Defaults to the server of `quickdraw login`, and then to
    /// `http://127.0.0.1:8000`.
    // The name of the field must differ from `--url`, which some commands have.
    #[arg(long, value_name = "URL", env = "QUICKDRAW_URL", hide_env_values = true)]
    server: Option<String>,

    #[command(flatten)]
    token: TokenFile,
}

/// The option for the token.
#[derive(Args)]
pub(crate) struct TokenFile {
    /// File with an access token; - reads standard input. Defaults to the variable QUICKDRAW_TOKEN, then to the token
    /// of `quickdraw login`, and then to ./quickdraw-data/root-token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Server {
    /// The base URL of the server, without a slash at its end.
    pub(crate) fn url(&self) -> anyhow::Result<String> {
        let url = match &self.server {
            Some(url) => url.clone(),
            None => Profile::read()?.map_or_else(|| DEFAULT_URL.to_owned(), |profile| profile.server),
        };

        Ok(url.trim_end_matches('/').to_owned())
    }

    /// The token for the server.
    pub(crate) fn token(&self) -> anyhow::Result<String> {
        self.token.token(&self.url()?)
    }

    /// The token in the file that the options name, if they name one.
    pub(crate) fn given_token(&self) -> anyhow::Result<Option<String>> {
        self.token.given()
    }
}

impl TokenFile {
    /// The token for the server with this URL.
    pub(crate) fn token(&self, url: &str) -> anyhow::Result<String> {
        match self.given()? {
            Some(token) => Ok(token),
            None => token(url),
        }
    }

    /// The token in the file that the option names, if it is given.
    pub(crate) fn given(&self) -> anyhow::Result<Option<String>> {
        self.token_file.as_deref().map(secret_in).transpose()
    }
}

/// The token that the environment, the profile or the data directory of a server has for the server with this URL.
pub(crate) fn token(url: &str) -> anyhow::Result<String> {
    if let Some(token) = secret_of("QUICKDRAW_TOKEN")? {
        return Ok(token);
    }

    if let Some(profile) = Profile::read()?.filter(|profile| profile.is_for(url)) {
        return Ok(profile.token);
    }

    let root = std::fs::read_to_string(ROOT_TOKEN).map_err(|_| NoToken(HOW_TO_GIVE_A_TOKEN))?;
    usable(&root, ROOT_TOKEN)
}

/// The token for a GitLab, from the file, the environment or the terminal.
pub(crate) fn gitlab_token(file: Option<&Path>) -> anyhow::Result<String> {
    if let Some(file) = file {
        return secret_in(file);
    }

    for name in GITLAB_VARIABLES {
        if let Some(token) = secret_of(name)? {
            return Ok(token);
        }
    }

    if std::io::stdin().is_terminal() {
        return ask_for("Access token for GitLab");
    }

    let why = "no token for GitLab: give a file with --gitlab-token-file (- reads standard input), or set GITLAB_TOKEN";
    Err(Misused(why.to_owned()).into())
}

/// The secret in an environment variable; `None` if the variable is empty or not set.
pub(crate) fn secret_of(variable: &str) -> anyhow::Result<Option<String>> {
    let text = std::env::var(variable).unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(None);
    }

    usable(&text, variable).map(Some)
}

/// Reads a secret from the terminal, without showing it.
pub(crate) fn ask_for(name: &str) -> anyhow::Result<String> {
    let terminal = console::Term::stderr();
    terminal.write_str(&format!("{name}: "))?;

    let secret = terminal.read_secure_line();
    let secret = secret.with_context(|| format!("failed to read from the terminal: {name}"))?;
    usable(&secret, "the terminal")
}

/// Reads a secret from a file, or from standard input for `-`.
pub(crate) fn secret_in(file: &Path) -> anyhow::Result<String> {
    let place = match file.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    };
    usable(&text_in(file)?, &place)
}

/// Reads a text from a file, or from standard input for `-`.
pub(crate) fn text_in(file: &Path) -> anyhow::Result<String> {
    if file != Path::new("-") {
        return std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()));
    }

    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.context("failed to read standard input")?;
    Ok(text)
}

/// The secret without blanks at its ends. A secret that no header can carry is refused.
pub(crate) fn usable(text: &str, place: &str) -> anyhow::Result<String> {
    let secret = text.trim();
    if secret.is_empty() {
        return Err(Misused(format!("{place} contains no secret")).into());
    }

    anyhow::ensure!(
        !secret.chars().any(char::is_control),
        "{place} contains more than a secret: line breaks or control characters"
    );

    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(usable(text, "x").ok().as_deref(), expected, "{text:?}");
        };

        check("qdpat-1\n", Some("qdpat-1"));
        check("  qdpat-1  ", Some("qdpat-1"));
        check("", None);
        check("qdpat-1\nqdpat-2", None);
    }
}
