//! `quickdraw users`: manages users.

use clap::{Args, Subcommand};
use quickdraw_egress::Method;
use serde_json::{Value, json};

use super::attributes::{Attributes, some};
use super::number_of_user;
use crate::api::{Api, Query, attributes, parameters};
use crate::commands::with::With;
use crate::output::{Column, Rows, column};

const COLUMNS: [Column; 5] = [
    column("ID", &["/id"]),
    column("USERNAME", &["/username"]),
    column("NAME", &["/name"]),
    column("STATE", &["/state"]),
    column("ADMIN", &["/is_admin"]),
];

#[derive(Subcommand)]
pub(crate) enum Users {
    /// List users.
    List {
        /// Only users with this text in their name, username or e-mail address.
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        rows: Rows,
        #[command(flatten)]
        with: With,
    },

    /// Show a user.
    Show(One),

    /// Create a user.
    Create {
        /// Username.
        username: String,

        /// Display name. Defaults to the username.
        #[arg(long)]
        name: Option<String>,

        /// E-mail address.
        #[arg(long)]
        email: Option<String>,

        /// Make the user an administrator.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        with: With,
    },

    /// Change attributes of a user.
    Edit {
        /// Username or number of the user.
        user: String,

        /// New display name.
        #[arg(long)]
        name: Option<String>,

        /// New e-mail address.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        others: Attributes,
        #[command(flatten)]
        with: With,
    },

    /// Block a user: all of the user's tokens are refused.
    Block(One),

    /// Unblock a user.
    Unblock(One),

    /// Delete a user with all memberships and tokens.
    Delete(One),
}

/// One user.
#[derive(Args)]
pub(crate) struct One {
    /// Username or number of the user.
    user: String,
    #[command(flatten)]
    with: With,
}

pub(crate) async fn run(command: Users) -> anyhow::Result<()> {
    match command {
        Users::List { search, rows, with } => {
            let query = parameters([("search", search)]);
            let api = Api::new(&with.server)?;
            let list = api.list("v4/users", &query, rows.limit(), "").await?;
            with.output.list(&list, &COLUMNS, "there is no such user");
        }

        Users::Show(One { user, with }) => {
            let api = Api::new(&with.server)?;
            let path = path_of(&api, &user).await?;
            with.output.object(&api.get(&path, &Query::new()).await?);
        }

        Users::Create {
            username,
            name,
            email,
            admin,
            with,
        } => {
            let name = name.unwrap_or_else(|| username.clone());
            let body = attributes([
                ("username", Some(json!(username))),
                ("name", Some(json!(name))),
                ("email", email.map(|email| json!(email))),
                ("admin", admin.then_some(json!(true))),
            ]);

            let api = Api::new(&with.server)?;
            let made = api.send(Method::POST, "v4/users", body.into()).await?;
            with.output
                .done(&made, format!("created user {username} with number {}", made["id"]));
        }

        Users::Edit {
            user,
            name,
            email,
            others,
            with,
        } => {
            let mut body = attributes([
                ("name", name.map(|name| json!(name))),
                ("email", email.map(|email| json!(email))),
            ]);
            others.add_to(&mut body)?;

            let changed = act(&user, &with, Method::PUT, "", some(body)?).await?;
            with.output.done(&changed, format!("changed user {user}"));
        }

        Users::Block(One { user, with }) => {
            let answer = act(&user, &with, Method::POST, "/block", json!({})).await?;
            with.output.done(&answer, format!("blocked user {user}"));
        }

        Users::Unblock(One { user, with }) => {
            let answer = act(&user, &with, Method::POST, "/unblock", json!({})).await?;
            with.output.done(&answer, format!("unblocked user {user}"));
        }

        Users::Delete(One { user, with }) => {
            let answer = act(&user, &with, Method::DELETE, "", json!({})).await?;
            with.output.done(&answer, format!("deleted user {user}"));
        }
    }

    Ok(())
}

async fn act(user: &str, with: &With, method: Method, action: &str, body: Value) -> anyhow::Result<Value> {
    let api = Api::new(&with.server)?;
    let path = path_of(&api, user).await?;
    api.send(method, &format!("{path}{action}"), body).await
}

async fn path_of(api: &Api, user: &str) -> anyhow::Result<String> {
    Ok(format!("v4/users/{}", number_of_user(api, user).await?))
}
