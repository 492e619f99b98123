//! `quickdraw git-hook`: reports the pushes to a bare repository.

pub(super) mod commits;
mod install;
mod spool;
mod updates;

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use quickdraw_domain::Trigger;
use serde_json::{Value, json};

use super::say;
use crate::client;
use spool::{Sent, Spool};
use updates::{Kind, Update};

/// Longest time that a push waits for the server.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that `quickdraw git-hook send` runs.
const UNHURRIED: Duration = Duration::from_secs(600);

#[derive(Subcommand)]
pub(crate) enum GitHook {
    /// Install a post-receive hook in a bare repository, which reports every push.
    Install {
        /// Path of the bare repository.
        repository: PathBuf,
        /// Full path of the project that the repository belongs to.
        #[arg(long)]
        project: String,
        /// Base URL of the Quickdraw server.
        #[arg(long, env = "QUICKDRAW_URL")]
        url: String,
        /// Access token of an administrator. It is stored in the repository.
        #[arg(long, env = "QUICKDRAW_TOKEN", hide_env_values = true)]
        token: String,
    },

    /// Report a push, as called by the installed hook.
    ///
    /// The command reads the updates of branches and tags from standard input, in the format of git's post-receive
    /// hook.
    PostReceive,

    /// Send the waiting reports of a repository. Reports wait if the server was unreachable during a push.
    ///
    /// The next push to the repository sends them too.
    Send {
        /// Path of the bare repository.
        repository: PathBuf,
    },
}

pub(crate) async fn run(command: GitHook) -> anyhow::Result<()> {
    match command {
        GitHook::Install {
            repository,
            project,
            url,
            token,
        } => {
            let target = install::Target { project, url, token };
            let file = install::install(&repository, &target)?;
            say(format!("installed {}", file.display()));

            // A problem is shown now and not at the first push.
            if let Err(error) = client::check(&target.url, &target.token, &target.project).await {
                complain(&format!(
                    "reports of pushes wait in the repository until this problem is solved: {error:#}"
                ));
            }

            Ok(())
        }

        GitHook::PostReceive => {
            // Git has accepted the push, so a failure here must not look like a failed push.
            if let Err(error) = post_receive().await {
                complain(&format!("this push was not reported: {error:#}"));
            }

            Ok(())
        }

        GitHook::Send { repository } => {
            let repository = commits::open(&repository)?;
            let target = install::read(repository.git_dir())?;
            let Sent { sent, left } = Spool::open(&repository)?.send(&target, UNHURRIED).await?;

            say(format!("sent: {sent}, left: {left}"));
            anyhow::ensure!(left == 0, "the server did not accept all reports; the rest is kept");
            Ok(())
        }
    }
}

/// Prints a warning, which git shows to the person who pushed.
fn complain(text: &str) {
    use std::io::Write;

    let _ = writeln!(std::io::stderr().lock(), "quickdraw: {text}");
}

async fn post_receive() -> anyhow::Result<()> {
    let mut input = Vec::new();
    std::io::stdin()
        .read_to_end(&mut input)
        .context("failed to read the ref updates")?;

    // Names of refs need not be UTF-8.
    let input = String::from_utf8_lossy(&input);
    let repository = commits::open(&std::env::var_os("GIT_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from))?;
    let updates = updates::parse(&input)?;

    for (kind, change) in updates::over_the_limit(&updates) {
        complain(&format!(
            "this push {change} more than {} {kind}: none of them is reported, as in GitLab",
            updates::LIMIT
        ));
    }

    // Reports are stored before the first request, so that none is lost if the server is unreachable.
    let mut spool = Spool::open(&repository)?;
    for update in updates::within_the_limit(&updates) {
        // A ref that cannot be reported does not affect the others.
        if let Err(error) = report(&repository, update).and_then(|report| spool.add(report)) {
            complain(&format!("{} was not reported: {error:#}", update.name));
        }
    }

    if !updates.is_empty() {
        spool.add(repository_update(&updates))?;
    }

    let target = install::read(repository.git_dir())?;
    let Sent { left, .. } = spool.send(&target, spool.patience(PATIENCE)).await?;

    if left > 0 {
        let folder = repository
            .git_dir()
            .canonicalize()
            .unwrap_or_else(|_| repository.git_dir().to_owned());
        let folder = folder.display();
        complain(&format!(
            "reports that wait: {left}; they are sent with the next push, or with quickdraw git-hook send {folder}"
        ));
    }

    Ok(())
}

/// The report for system hooks: the whole push, with all its refs.
fn repository_update(updates: &[Update]) -> Value {
    let change = |update: &Update| json!({ "before": update.old, "after": update.new, "ref": update.name });
    let changes: Vec<Value> = updates.iter().map(change).collect();
    json!({ "trigger": spool::ONLY_IF_SUBSCRIBED.row().name, "user": user(), "object": { "changes": changes } })
}

fn report(repository: &gix::Repository, update: &Update) -> anyhow::Result<Value> {
    let trigger = match update.kind {
        Kind::Branch => Trigger::PUSH,
        Kind::Tag => Trigger::TAG_PUSH,
    };
    Ok(json!({ "trigger": trigger.row().name, "user": user(), "object": object(repository, update)? }))
}

fn object(repository: &gix::Repository, update: &Update) -> anyhow::Result<Value> {
    let mut object = json!({
        "before": update.old,
        "after": update.new,
        "ref": update.name,
        "push_options": push_options(),
        "commits": [],
        "total_commits_count": 0,
    });

    match update.kind {
        Kind::Branch => {
            let pushed = commits::pushed(repository, update)?;
            object["commits"] = pushed.listed;
            object["total_commits_count"] = json!(pushed.total);
        }
        Kind::Tag => {
            if let Some((checkout, message)) = commits::tag(repository, update)? {
                object["checkout_sha"] = json!(checkout);
                object["message"] = json!(message);
            }
        }
    }

    Ok(object)
}

/// The user who pushed, as far as a git server knows: the login of the session, or else the user of the system.
fn user() -> Value {
    let login = ["REMOTE_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| text_of(name).filter(|text| !text.is_empty()))
        .or_else(system_user)
        .unwrap_or_else(|| "unknown".to_owned());
    json!({ "name": login, "username": login })
}

/// The name of the user that runs this process. The command `id` also asks a directory on the network. A user without a
/// name, as in a container, has its number as its name.
fn system_user() -> Option<String> {
    let id = |option: &str| {
        let output = Command::new("id").arg(option).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    id("-un").or_else(|| id("-u"))
}

fn text_of(variable: &str) -> Option<String> {
    Some(std::env::var_os(variable)?.to_string_lossy().into_owned())
}

/// Options that may be repeated. Their JSON maps each value to the number of its occurrences.
const SEVERAL: [&str; 6] = [
    "ci.variable",
    "ci.input",
    "merge_request.label",
    "merge_request.unlabel",
    "merge_request.assign",
    "merge_request.unassign",
];

/// Parses push options: `git push -o ci.skip -o a.b=c` gives `{"ci": {"skip": true}, "a": {"b": "c"}}`. Source:
/// GitLab's `lib/gitlab/push_options.rb`.
fn push_options() -> Value {
    let count = std::env::var("GIT_PUSH_OPTION_COUNT")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0_u32);

    let mut options = json!({});
    for n in 0..count.min(100) {
        let Some(option) = text_of(&format!("GIT_PUSH_OPTION_{n}")) else {
            continue;
        };
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, json!(value)),
            None => (option.as_str(), json!(true)),
        };

        let key = match key.strip_prefix("mr.") {
            Some(rest) => format!("merge_request.{rest}"),
            None => key.to_owned(),
        };

        let mut place = &mut options;
        for part in key.split('.') {
            if !place.is_object() {
                *place = json!({});
            }

            place = &mut place[part];
        }

        match value.as_str().filter(|_| SEVERAL.contains(&key.as_str())) {
            Some(text) => {
                if !place.is_object() {
                    *place = json!({});
                }

                place[text] = json!(place[text].as_i64().unwrap_or(0) + 1);
            }
            None => *place = value,
        }
    }

    options
}
