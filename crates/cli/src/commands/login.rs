//! `quickdraw login` and `quickdraw logout`: the profile with the address of a server and a token for it.

use std::io::IsTerminal;

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::{plain, say};
use crate::api::{Api, Query};
use crate::client::{self, Profile, Refused, Server};
use crate::output;

#[derive(Args)]
pub(crate) struct Login {
    /// Print one JSON document: the server, the user, and the file of the profile.
    #[arg(long)]
    json: bool,
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
    let file = path.display().to_string();

    if command.json {
        output::json(&json!({ "server": profile.server, "username": name, "profile": file }));
        return Ok(());
    }

    let name = name.as_deref().unwrap_or("the user of a token with few scopes");
    let server = &profile.server;
    say(format!(
        "logged in to {server} as {}; the token is in {file}",
        plain(name)
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

    client::ask_for(&format!("Access token for {url}"))
}

/// The user whom the token belongs to. A token whose scopes do not allow this question is valid nevertheless.
async fn name_of(url: &str, token: &str) -> anyhow::Result<Option<String>> {
    let api = Api::with(url.to_owned(), token.to_owned());
    match api.get("v4/user", &Query::new()).await {
        Ok(user) => Ok(user["username"].as_str().map(str::to_owned)),
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.status() == 403 => Ok(None),
            _ => Err(error),
        },
    }
}
