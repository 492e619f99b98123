//! `quickdraw tokens`: manages access tokens of users, projects and groups. A new token is printed to a terminal only,
//! or written into a file.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use quickdraw_egress::Method;
use serde_json::{Value, json};

use super::members::Role;
use super::{encoded, number_of_user, say};
use crate::api::{Api, attributes, parameters};
use crate::client::{Misused, Server};
use crate::output::{self, Column, Output, Rows, column};
use crate::private_file;

const COLUMNS: [Column; 6] = [
    column("ID", &["/id"]),
    column("NAME", &["/name"]),
    column("SCOPES", &["/scopes"]),
    column("ACTIVE", &["/active"]),
    column("EXPIRES", &["/expires_at"]),
    column("LAST USED", &["/last_used_at"]),
];

#[derive(Subcommand)]
pub(crate) enum Tokens {
    /// List tokens: those of a project, of a group or of a user, or those that you may see.
    List {
        /// Username or number of the user whose tokens are listed.
        #[arg(long, conflicts_with_all = ["project", "group"])]
        user: Option<String>,
        #[command(flatten)]
        rows: Rows,
        #[command(flatten)]
        with: With,
    },

    /// Create a token of a project, of a group, of another user, or of yourself.
    Create {
        /// Purpose of the token.
        name: String,

        /// Scope of the token, such as api or read_api; may be repeated.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,

        /// Username or number of the user who gets the token. Defaults to you.
        #[arg(long, conflicts_with_all = ["project", "group"])]
        user: Option<String>,

        /// Role of a project's or group's token. Defaults to maintainer.
        #[arg(long)]
        role: Option<Role>,

        /// Last day of the token, such as 2027-06-30. Defaults to one year from now.
        #[arg(long)]
        expires: Option<String>,
        #[command(flatten)]
        secret: SecretOutput,
        #[command(flatten)]
        with: With,
    },

    /// Replace a token: the old token is revoked, and the new one is printed.
    Rotate {
        /// Number of the token, or self.
        id: String,

        /// Last day of the new token. Defaults to one week from now.
        #[arg(long)]
        expires: Option<String>,
        #[command(flatten)]
        secret: SecretOutput,
        #[command(flatten)]
        with: With,
    },

    /// Revoke a token.
    Revoke {
        /// Number of the token, or self.
        id: String,
        #[command(flatten)]
        with: With,
    },
}

/// The place of a new token.
#[derive(Args)]
pub(crate) struct SecretOutput {
    /// File for the token, which only you can read. Defaults to the terminal.
    #[arg(long = "output", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// The options that all commands have.
#[derive(Args)]
pub(crate) struct With {
    /// Full path or number of the project that the token belongs to.
    #[arg(long, conflicts_with = "group")]
    project: Option<String>,

    /// Full path or number of the group that the token belongs to.
    #[arg(long)]
    group: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl With {
    /// The path of the tokens of a project or group, if one is given.
    fn home(&self) -> Option<String> {
        match (&self.project, &self.group) {
            (Some(project), _) => Some(format!("v4/projects/{}/access_tokens", encoded(project))),
            (None, Some(group)) => Some(format!("v4/groups/{}/access_tokens", encoded(group))),
            (None, None) => None,
        }
    }

    fn token(&self, id: &str) -> String {
        let home = self.home().unwrap_or_else(|| "v4/personal_access_tokens".to_owned());
        format!("{home}/{}", encoded(id))
    }
}

pub(crate) async fn run(command: Tokens) -> anyhow::Result<()> {
    match command {
        Tokens::List { user, rows, with } => {
            let api = Api::new(&with.server)?;
            let user = match &user {
                Some(user) => Some(number_of_user(&api, user).await?.to_string()),
                None => None,
            };

            let path = with.home().unwrap_or_else(|| "v4/personal_access_tokens".to_owned());
            let list = api
                .list(&path, &parameters([("user_id", user)]), rows.limit(), "")
                .await?;
            with.output.list(&list, &COLUMNS, "there is no token");
        }

        Tokens::Create {
            name,
            scopes,
            user,
            role,
            expires,
            secret,
            with,
        } => {
            secret.check()?;
            let api = Api::new(&with.server)?;

            let path = match (with.home(), &user) {
                (Some(home), _) => home,
                (None, Some(user)) => format!("v4/users/{}/personal_access_tokens", number_of_user(&api, user).await?),
                (None, None) => "v4/user/personal_access_tokens".to_owned(),
            };

            let body = attributes([
                ("name", Some(json!(name))),
                ("scopes", Some(json!(scopes))),
                ("access_level", role.map(|role| json!(role.level()))),
                ("expires_at", expires.map(|day| json!(day))),
            ]);

            let made = api.send(Method::POST, &path, body.into()).await?;
            secret.show(with.output, made)?;
        }

        Tokens::Rotate {
            id,
            expires,
            secret,
            with,
        } => {
            secret.check()?;
            let path = format!("{}/rotate", with.token(&id));
            let body = attributes([("expires_at", expires.map(|day| json!(day)))]);

            let made = Api::new(&with.server)?.send(Method::POST, &path, body.into()).await?;
            secret.show(with.output, made)?;
        }

        Tokens::Revoke { id, with } => {
            let api = Api::new(&with.server)?;
            let answer = api.send(Method::DELETE, &with.token(&id), json!({})).await?;
            with.output.done(&answer, format!("revoked token {id}"));
        }
    }

    Ok(())
}

impl SecretOutput {
    /// Refuses to create a token that would be printed into a log. Nothing is created before this check.
    fn check(&self) -> anyhow::Result<()> {
        if self.file.is_none() && !std::io::stdout().is_terminal() {
            let why = "a token is printed to a terminal only: give a file with --output";
            return Err(Misused(why.to_owned()).into());
        }

        Ok(())
    }

    fn show(&self, output: Output, mut made: Value) -> anyhow::Result<()> {
        let token = made["token"].as_str().unwrap_or_default().to_owned();
        let place = match &self.file {
            Some(file) => {
                private_file::write(file, &token)?;
                // The file has the token, so the JSON can be kept in a log.
                made["token"] = Value::Null;
                format!("{} contains it", file.display())
            }
            None => format!("shown only once: {token}"),
        };

        if output.json {
            output::json(&made);
        } else {
            say(format!("created token {}; {place}", made["id"]));
        }

        Ok(())
    }
}
