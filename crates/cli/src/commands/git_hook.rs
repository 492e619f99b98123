//! `quickdraw git-hook`: a bare repository reports its pushes.

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

/// Longest that a push waits for a report. A server that is away must not hold up people's work.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same of somebody who waits for that.
const UNHURRIED: Duration = Duration::from_secs(600);

#[derive(Subcommand)]
pub(crate) enum GitHook {
    /// Install a post-receive hook into a bare repository.
    Install {
        /// The bare repository.
        repository: PathBuf,
        /// Full path of the project that it belongs to.
        #[arg(long)]
        project: String,
        /// Base URL of the server.
        #[arg(long, env = "QUICKDRAW_URL")]
        url: String,
        /// Token to report with.
        #[arg(long, env = "QUICKDRAW_TOKEN", hide_env_values = true)]
        token: String,
    },
    /// What the installed hook calls; reads ref updates from standard input.
    PostReceive,
    /// Send the reports of a repository that wait because the server was away. The next push does so too.
    Send {
        /// The bare repository.
        repository: PathBuf,
    },
}

pub(crate) async fn run(command: GitHook) -> anyhow::Result<()> {
    match command {
        GitHook::Install { repository, project, url, token } => {
            let target = install::Target { project, url, token };
            let file = install::install(&repository, &target)?;
            say(format!("installed {}", file.display()));
            // Whoever pushes first should not be the one who learns of it.
            if let Err(error) = client::check(&target.url, &target.token, &target.project).await {
                complain(&format!("pushes will wait beside the repository until this is mended: {error:#}"));
            }
            Ok(())
        }
        GitHook::PostReceive => {
            // The push is done; whatever fails here must not look like a failed push.
            if let Err(error) = post_receive().await {
                complain(&format!("this push was not reported: {error:#}"));
            }
            Ok(())
        }
        GitHook::Send { repository } => {
            let repository = commits::open(&repository)?;
            let target = install::read(repository.git_dir())?;
            let Sent { sent, left } = Spool::open(&repository)?.send(&target, UNHURRIED).await?;
            say(format!("{sent} sent, {left} left"));
            anyhow::ensure!(left == 0, "the server does not take them now; they are kept");
            Ok(())
        }
    }
}

/// Git shows this to whoever pushed.
fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "quickdraw: {text}");
}

async fn post_receive() -> anyhow::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).context("failed to read the ref updates")?;
    // Names of refs are bytes as well.
    let input = String::from_utf8_lossy(&input);
    let repository = commits::open(&std::env::var_os("GIT_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from))?;
    let updates = updates::parse(&input)?;
    for (kind, change) in updates::over_the_limit(&updates) {
        complain(&format!(
            "more than {} {kind}s {change} in one push: none of them is reported, as in GitLab",
            updates::LIMIT
        ));
    }
    // Written down first, whatever becomes of the server meanwhile.
    let mut spool = Spool::open(&repository)?;
    for update in updates::within_the_limit(&updates) {
        // One ref that cannot be reported does not keep the others from it.
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
        let folder = repository.git_dir().canonicalize().unwrap_or_else(|_| repository.git_dir().to_owned());
        let folder = folder.display();
        complain(&format!("{left} reports wait; they go with the next push, or with quickdraw git-hook send {folder}"));
    }
    Ok(())
}

/// What system hooks hear of a push as a whole, however many refs it moves.
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

/// The user who pushed, as far as a plain git server knows: the login of the session, else the system's user.
fn user() -> Value {
    let login = ["REMOTE_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| text_of(name).filter(|text| !text.is_empty()))
        .or_else(system_user)
        .unwrap_or_else(|| "unknown".to_owned());
    json!({ "name": login, "username": login })
}

/// The name of the user that this process runs as, from the system's own list of users, which may be a directory on the
/// network. A user without a name, as in a container, is told by its number.
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

/// Options that can be given several times: each value, and how often it was given.
const SEVERAL: [&str; 6] = [
    "ci.variable",
    "ci.input",
    "merge_request.label",
    "merge_request.unlabel",
    "merge_request.assign",
    "merge_request.unassign",
];

/// `git push -o ci.skip -o a.b=c` gives `{"ci": {"skip": true}, "a": {"b": "c"}}`. Source: GitLab's `lib/gitlab/push_options.rb`.
fn push_options() -> Value {
    let count = std::env::var("GIT_PUSH_OPTION_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(0_u32);
    let mut options = json!({});
    for n in 0..count.min(100) {
        let Some(option) = text_of(&format!("GIT_PUSH_OPTION_{n}")) else { continue };
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
