//! `quickdraw members`: manages the members of a project or group.

use clap::{Args, Subcommand, ValueEnum};
use quickdraw_egress::Method;
use serde_json::{Value, json};

use super::number_of_user;
use super::place::Home;
use crate::api::{Api, Query, attributes};
use crate::client::Server;
use crate::output::{Column, Output, Rows, column};

const COLUMNS: [Column; 5] = [
    column("ID", &["/id"]),
    column("USERNAME", &["/username"]),
    column("NAME", &["/name"]),
    column("ROLE", &["/role"]),
    column("EXPIRES", &["/expires_at"]),
];

/// A role of GitLab.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    Guest,
    Reporter,
    Developer,
    Maintainer,
    Owner,
}

impl Role {
    const ALL: [Self; 5] = [
        Self::Guest,
        Self::Reporter,
        Self::Developer,
        Self::Maintainer,
        Self::Owner,
    ];

    /// The number of the role in the API.
    pub(super) const fn level(self) -> i64 {
        match self {
            Self::Guest => 10,
            Self::Reporter => 20,
            Self::Developer => 30,
            Self::Maintainer => 40,
            Self::Owner => 50,
        }
    }

    fn word(level: &Value) -> Value {
        let role = Self::ALL.into_iter().find(|role| *level == json!(role.level()));
        match role.and_then(|role| role.to_possible_value()) {
            Some(word) => json!(word.get_name()),
            None => level.clone(),
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Members {
    /// List members.
    List {
        /// Also list the members of parent groups.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        rows: Rows,
        #[command(flatten)]
        with: With,
    },

    /// Add a member.
    Add {
        /// Username or number of the user.
        user: String,

        /// Role of the member.
        #[arg(long)]
        role: Role,

        /// Day on which the membership ends, such as 2027-06-30.
        #[arg(long)]
        expires: Option<String>,
        #[command(flatten)]
        with: With,
    },

    /// Change the role of a member.
    Edit {
        /// Username or number of the user.
        user: String,

        /// New role of the member.
        #[arg(long)]
        role: Role,

        /// Day on which the membership ends, such as 2027-06-30.
        #[arg(long)]
        expires: Option<String>,
        #[command(flatten)]
        with: With,
    },

    /// Remove a member.
    Remove {
        /// Username or number of the user.
        user: String,
        #[command(flatten)]
        with: With,
    },
}

/// The options that all commands have.
#[derive(Args)]
pub(crate) struct With {
    #[command(flatten)]
    home: Home,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(command: Members) -> anyhow::Result<()> {
    match command {
        Members::List { all, rows, with } => {
            let below = if all { "/all" } else { "" };
            let path = format!("{}/members{below}", with.home.path());
            let api = Api::new(&with.server)?;
            let mut list = api.list(&path, &Query::new(), rows.limit(), "").await?;

            // Numbers of roles are for programs.
            if !with.output.json {
                for member in list.document.as_array_mut().into_iter().flatten() {
                    member["role"] = Role::word(&member["access_level"]);
                }
            }

            with.output.list(&list, &COLUMNS, "there is no member");
        }

        Members::Add {
            user,
            role,
            expires,
            with,
        } => {
            let api = Api::new(&with.server)?;
            let path = format!("{}/members", with.home.path());
            let body = attributes([
                ("user_id", Some(json!(number_of_user(&api, &user).await?))),
                ("access_level", Some(json!(role.level()))),
                ("expires_at", expires.map(|day| json!(day))),
            ]);

            let added = api.send(Method::POST, &path, body.into()).await?;
            with.output.done(&added, format!("added {user}"));
        }

        Members::Edit {
            user,
            role,
            expires,
            with,
        } => {
            let api = Api::new(&with.server)?;
            let body = attributes([
                ("access_level", Some(json!(role.level()))),
                ("expires_at", expires.map(|day| json!(day))),
            ]);

            let path = path_of(&api, &with.home, &user).await?;
            let changed = api.send(Method::PUT, &path, body.into()).await?;
            with.output.done(&changed, format!("changed the role of {user}"));
        }

        Members::Remove { user, with } => {
            let api = Api::new(&with.server)?;
            let path = path_of(&api, &with.home, &user).await?;
            let answer = api.send(Method::DELETE, &path, json!({})).await?;
            with.output.done(&answer, format!("removed {user}"));
        }
    }

    Ok(())
}

async fn path_of(api: &Api, home: &Home, user: &str) -> anyhow::Result<String> {
    Ok(format!("{}/members/{}", home.path(), number_of_user(api, user).await?))
}
