//! Reports a push. The installed hook runs this after git has accepted the push.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use quickdraw_domain::Trigger;
use serde_json::{Value, json};

use super::spool::{PATIENCE, Sent, Spool};
use super::updates::{Kind, Update};
use super::{commits, complain, install, spool, updates};

pub(super) async fn run() {
    // Git has accepted the push, so a failure here must not look like a failed push.
    if let Err(error) = post_receive().await {
        complain(&format!("this push was not reported: {error:#}"));
    }
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
