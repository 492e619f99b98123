//! `quickdraw groups`: manages groups.

use clap::Subcommand;
use quickdraw_egress::Method;
use serde_json::json;

use super::attributes::{Attributes, some};
use super::{encoded, number_of_group};
use crate::api::{Api, Query, attributes, parameters};
use crate::commands::with::With;
use crate::output::{Column, Rows, column};

const COLUMNS: [Column; 4] = [
    column("ID", &["/id"]),
    column("PATH", &["/full_path"]),
    column("NAME", &["/full_name"]),
    column("VISIBILITY", &["/visibility"]),
];

#[derive(Subcommand)]
pub(crate) enum Groups {
    /// List groups.
    List {
        /// Only groups with this text in their name or path.
        #[arg(long)]
        search: Option<String>,

        /// Only subgroups of this group, at any depth (full path or number).
        #[arg(long)]
        below: Option<String>,
        #[command(flatten)]
        rows: Rows,
        #[command(flatten)]
        with: With,
    },

    /// Show a group.
    Show {
        /// Full path or number of the group.
        group: String,
        #[command(flatten)]
        with: With,
    },

    /// Create a group.
    Create {
        /// Path of the group below its parent group, such as gear.
        #[arg(long)]
        path: String,

        /// Display name. Defaults to the path.
        #[arg(long)]
        name: Option<String>,

        /// Full path or number of the parent group. Defaults to none: a top-level group.
        #[arg(long)]
        parent: Option<String>,
        #[command(flatten)]
        others: Attributes,
        #[command(flatten)]
        with: With,
    },

    /// Change attributes of a group.
    Edit {
        /// Full path or number of the group.
        group: String,

        /// New path below the parent group.
        #[arg(long)]
        path: Option<String>,

        /// New display name.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        others: Attributes,
        #[command(flatten)]
        with: With,
    },

    /// Delete a group with its subgroups, projects and webhooks.
    Delete {
        /// Full path or number of the group.
        group: String,
        #[command(flatten)]
        with: With,
    },

    /// Move a group into another group, or make it a top-level group.
    Transfer {
        /// Full path or number of the group.
        group: String,

        /// Full path or number of the new parent group. Defaults to none: the group becomes a top-level group.
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        with: With,
    },
}

pub(crate) async fn run(command: Groups) -> anyhow::Result<()> {
    match command {
        Groups::List {
            search,
            below,
            rows,
            with,
        } => {
            let path = match &below {
                Some(group) => format!("{}/descendant_groups", path_of(group)),
                None => "v4/groups".to_owned(),
            };

            let query = parameters([("search", search)]);
            let list = Api::new(&with.server)?.list(&path, &query, rows.limit(), "").await?;
            with.output.list(&list, &COLUMNS, "there is no such group");
        }

        Groups::Show { group, with } => {
            let found = Api::new(&with.server)?.get(&path_of(&group), &Query::new()).await?;
            with.output.object(&found);
        }

        Groups::Create {
            path,
            name,
            parent,
            others,
            with,
        } => {
            let api = Api::new(&with.server)?;
            let parent = match parent {
                Some(parent) => Some(number_of_group(&api, &parent).await?),
                None => None,
            };
            let name = name.unwrap_or_else(|| path.clone());

            let mut body = attributes([
                ("parent_id", parent),
                ("path", Some(json!(path))),
                ("name", Some(json!(name))),
            ]);
            others.add_to(&mut body)?;

            let made = api.send(Method::POST, "v4/groups", body.into()).await?;
            let path = made["full_path"].as_str().unwrap_or_default();
            with.output
                .done(&made, format!("created group {path} with number {}", made["id"]));
        }

        Groups::Edit {
            group,
            path,
            name,
            others,
            with,
        } => {
            let mut body = attributes([
                ("path", path.map(|path| json!(path))),
                ("name", name.map(|name| json!(name))),
            ]);
            others.add_to(&mut body)?;
            let body = some(body)?;

            let changed = Api::new(&with.server)?
                .send(Method::PUT, &path_of(&group), body)
                .await?;
            with.output.done(&changed, format!("changed group {group}"));
        }

        Groups::Delete { group, with } => {
            let api = Api::new(&with.server)?;
            let answer = api.send(Method::DELETE, &path_of(&group), json!({})).await?;
            with.output.done(&answer, format!("deleted group {group}"));
        }

        Groups::Transfer { group, to, with } => {
            let api = Api::new(&with.server)?;
            let body = match &to {
                Some(parent) => json!({ "group_id": number_of_group(&api, parent).await? }),
                None => json!({}),
            };

            let path = format!("{}/transfer", path_of(&group));
            let moved = api.send(Method::POST, &path, body).await?;
            let path = moved["full_path"].as_str().unwrap_or_default();
            with.output.done(&moved, format!("moved group {group} to {path}"));
        }
    }

    Ok(())
}

fn path_of(group: &str) -> String {
    format!("v4/groups/{}", encoded(group))
}
