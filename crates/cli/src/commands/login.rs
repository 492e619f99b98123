//! `quickdraw login` and `quickdraw logout`: the profile with the address of a server and a token for it.

use std::io::IsTerminal;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::{plain, say};
use crate::api::{Api, Query};
use crate::client::{self, Profile, Refused, Server};

#[derive(Args)]
pub(crate) struct Login {
    #[command(flatten)]
    server: Server,
}

/// Checks a token with the server, and saves it.
pub(crate) async fn login(command: Login) -> anyhow::Result<()> {
    let url = command.server.url()?;
    let token = match command.server.given_token()? {
        Some(token) => token,
        None => ask(&url)?,
    };

    let name = name_of(&url, &token).await?;
    let profile = Profile { server: url, token };
    let path = profile.write()?;
    say(format!(
        "logged in to {} as {}; the token is in {}",
        profile.server,
        plain(&name),
        path.display()
    ));

    Ok(())
}

/// Removes the profile. The token stays valid.
pub(crate) fn logout() -> anyhow::Result<()> {
    let path = Profile::path()?;
    match std::fs::remove_file(&path) {
        Ok(()) => say(format!(
            "removed {}; the token is still valid: quickdraw tokens revoke revokes it",
            path.display()
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => say("there is no profile"),
        Err(error) => return Err(error).with_context(|| format!("failed to remove {}", path.display())),
    }

    Ok(())
}

/// Reads the token without showing it on the terminal, or from standard input.
fn ask(url: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        return client::secret_in("-".as_ref());
    }

    let terminal = console::Term::stderr();
    terminal.write_str(&format!("Access token for {url}: "))?;

    let token = terminal.read_secure_line();
    client::usable(
        &token.context("failed to read the token from the terminal")?,
        "the terminal",
    )
}

/// The user whom the token belongs to. A token whose scopes do not allow this question is valid nevertheless.
async fn name_of(url: &str, token: &str) -> anyhow::Result<String> {
    let api = Api::with(url.to_owned(), token.to_owned());
    match api.get("v4/user", &Query::new()).await {
        Ok(user) => Ok(text(&user, "username")),
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.status() == 403 => Ok("the user of a token with few scopes".to_owned()),
            _ => Err(error),
        },
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
