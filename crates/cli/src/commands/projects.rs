//! `quickdraw projects`: manages projects.

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
    column("PATH", &["/path_with_namespace"]),
    column("VISIBILITY", &["/visibility"]),
    column("LAST ACTIVITY", &["/last_activity_at"]),
];

#[derive(Subcommand)]
pub(crate) enum Projects {
    /// List projects.
    List {
        /// Only projects with this text in their name or path.
        #[arg(long)]
        search: Option<String>,

        /// Only projects of this group (full path or number).
        #[arg(long)]
        group: Option<String>,
        #[command(flatten)]
        rows: Rows,
        #[command(flatten)]
        with: With,
    },

    /// Show a project.
    Show {
        /// Full path or number of the project.
        project: String,
        #[command(flatten)]
        with: With,
    },

    /// Create a project.
    Create {
        /// Full path or number of the group.
        #[arg(long)]
        group: String,

        /// Path below the group, such as rope.
        #[arg(long)]
        path: String,

        /// Display name. Defaults to the path.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        others: Attributes,
        #[command(flatten)]
        with: With,
    },

    /// Change attributes of a project.
    Edit {
        /// Full path or number of the project.
        project: String,

        /// New path below the group.
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

    /// Delete a project with its webhooks.
    Delete {
        /// Full path or number of the project.
        project: String,
        #[command(flatten)]
        with: With,
    },

    /// Move a project into another group.
    Transfer {
        /// Full path or number of the project.
        project: String,

        /// Full path or number of the new group.
        #[arg(long)]
        to: String,
        #[command(flatten)]
        with: With,
    },
}

pub(crate) async fn run(command: Projects) -> anyhow::Result<()> {
    match command {
        Projects::List {
            search,
            group,
            rows,
            with,
        } => {
            let path = match &group {
                Some(group) => format!("v4/groups/{}/projects", encoded(group)),
                None => "v4/projects".to_owned(),
            };

            let query = parameters([("search", search)]);
            let list = Api::new(&with.server)?.list(&path, &query, rows.limit(), "").await?;
            with.output.list(&list, &COLUMNS, "there is no such project");
        }

        Projects::Show { project, with } => {
            let found = Api::new(&with.server)?.get(&path_of(&project), &Query::new()).await?;
            with.output.object(&found);
        }

        Projects::Create {
            group,
            path,
            name,
            others,
            with,
        } => {
            let api = Api::new(&with.server)?;
            let group = number_of_group(&api, &group).await?;
            let name = name.unwrap_or_else(|| path.clone());

            let mut body = attributes([
                ("namespace_id", Some(group)),
                ("path", Some(json!(path))),
                ("name", Some(json!(name))),
            ]);
            others.add_to(&mut body)?;

            let made = api.send(Method::POST, "v4/projects", body.into()).await?;
            let path = made["path_with_namespace"].as_str().unwrap_or_default();
            with.output
                .done(&made, format!("created project {path} with number {}", made["id"]));
        }

        Projects::Edit {
            project,
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
                .send(Method::PUT, &path_of(&project), body)
                .await?;
            with.output.done(&changed, format!("changed project {project}"));
        }

        Projects::Delete { project, with } => {
            let api = Api::new(&with.server)?;
            let answer = api.send(Method::DELETE, &path_of(&project), json!({})).await?;
            with.output.done(&answer, format!("deleted project {project}"));
        }

        Projects::Transfer { project, to, with } => {
            let path = format!("{}/transfer", path_of(&project));
            let body = json!({ "namespace": to });

            let moved = Api::new(&with.server)?.send(Method::PUT, &path, body).await?;
            let path = moved["path_with_namespace"].as_str().unwrap_or_default();
            with.output.done(&moved, format!("moved project {project} to {path}"));
        }
    }

    Ok(())
}

fn path_of(project: &str) -> String {
    format!("v4/projects/{}", encoded(project))
}
