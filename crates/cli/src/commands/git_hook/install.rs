//! Installs the hook in a repository, and reads its settings later.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::complain;
use super::token::{self, Origin};
use crate::commands::{plain, say};
use crate::{client, output};

/// Name of the file with the settings of the hook, in the git directory. It contains a token, so only the owner can
/// read it, or also the group if the repository is shared.
const FILE: &str = "quickdraw.json";
const MARK: &str = "# installed by quickdraw git-hook install";
/// The hook, around the path of this program.
const BEGINNING: &str = "#!/bin/sh\n# installed by quickdraw git-hook install\nexec '";
const END: &str = "' git-hook post-receive\n";

/// The server and project that a repository reports to.
#[derive(Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) project: String,
    pub(super) url: String,
    pub(super) token: String,

    /// Number of the token, if it was created for this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) token_id: Option<i64>,
}

#[derive(Args)]
pub(crate) struct Install {
    /// Path of the bare repository.
    repository: PathBuf,

    /// Full path of the project that the repository belongs to.
    #[arg(long)]
    project: String,

    /// Print one JSON document: the hook, its server and project, and its token without the secret.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(command: Install) -> anyhow::Result<()> {
    let mut target = Target {
        project: command.project,
        url: command.server.url()?,
        token: command.server.token()?,
        token_id: None,
    };
    quickdraw_domain::hook::HookUrl::parse(&target.url).map_err(|error| anyhow::anyhow!("the URL {error}"))?;

    // Checked first, so that no token is created for a repository that cannot have the hook.
    let opened = super::commits::open(&command.repository)?;
    let hook = place_for_hook(&opened, &command.repository)?;

    let earlier = read(opened.git_dir()).ok();
    let found = token::find(&target, earlier.as_ref(), &name_of(&command.repository)).await?;
    target.token = found.token;

    target.token_id = match found.origin {
        Origin::Made => found.shown["id"].as_i64(),
        Origin::Kept => earlier.as_ref().and_then(|earlier| earlier.token_id),
        Origin::Given => None,
    };

    write(&opened, &hook, &target)?;

    if found.origin != Origin::Kept
        && let Some(earlier) = &earlier
    {
        token::revoke_made(earlier).await;
    }

    // A problem is shown now and not at the first push.
    let problem = client::check(&target.url, &target.token, &target.project).await.err();
    let problem = problem.map(|error| format!("{error:#}"));

    if command.json {
        output::json(&json!({
            "hook": hook.display().to_string(),
            "server": target.url,
            "project": target.project,
            "token_origin": found.origin.word(),
            "token": found.shown,
            "problem": problem,
        }));
    } else {
        say(format!("installed {}", hook.display()));
        say(plain(&words(found.origin, &found.shown)));
    }

    if let Some(problem) = problem {
        complain(&format!(
            "reports of pushes wait in the repository until this problem is solved: {problem}"
        ));
    }

    Ok(())
}

/// The sentence about the token of the hook.
fn words(origin: Origin, shown: &Value) -> String {
    let expiry = match shown["expires_at"].as_str() {
        Some(day) => format!("expires on {day}; run this again in the 30 days before"),
        None => "does not expire".to_owned(),
    };

    format!("its token ({}) can only report events, and {expiry}", origin.word())
}

/// The name of a repository in the name of its token.
fn name_of(repository: &Path) -> String {
    let whole = repository.canonicalize().unwrap_or_else(|_| repository.to_owned());
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

/// The file of the hook. A repository in which the hook would not run, or that has another hook, is refused.
fn place_for_hook(opened: &gix::Repository, repository: &Path) -> anyhow::Result<PathBuf> {
    let folder = opened.git_dir();
    let settings = opened.config_snapshot();

    if let Some(elsewhere) = settings.string("core.hooksPath") {
        anyhow::bail!(
            "the hooks of {} are in {elsewhere} (core.hooksPath), which may be shared with other repositories; add the \
             line `quickdraw git-hook post-receive` to its post-receive hook yourself",
            repository.display()
        );
    }

    let form = settings.string("extensions.refStorage");
    anyhow::ensure!(
        form.as_ref().is_none_or(|form| form.as_slice() == b"files"),
        "{} stores its refs as {}, which quickdraw cannot read yet; run `git refs migrate --ref-format=files`",
        repository.display(),
        form.unwrap_or_default()
    );

    let hook = folder.join("hooks").join("post-receive");
    if let Ok(present) = std::fs::read_to_string(&hook) {
        anyhow::ensure!(
            present.contains(MARK),
            "{} was not installed by quickdraw; add the line `quickdraw git-hook post-receive` to it yourself",
            hook.display()
        );
    }

    Ok(hook)
}

/// Writes the settings of the hook, and then the hook.
fn write(opened: &gix::Repository, hook: &Path, target: &Target) -> anyhow::Result<()> {
    let folder = opened.git_dir();
    let mode = file_mode(opened);
    let mut options = std::fs::OpenOptions::new();

    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(folder.join(FILE))?;
    // An existing file keeps its mode when it is opened.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(&serde_json::to_vec_pretty(target)?)?;

    let program = std::env::current_exe()?;
    let program = program
        .to_str()
        .context("the path of this program is not UTF-8")?
        .replace('\'', "'\\''");

    std::fs::create_dir_all(folder.join("hooks"))?;
    std::fs::write(hook, format!("{BEGINNING}{program}{END}"))?;

    std::fs::set_permissions(hook, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The mode of files in the git directory: for the owner, and for the group if git shares the repository
/// (`core.sharedRepository`).
pub(super) fn file_mode(repository: &gix::Repository) -> u32 {
    let shared = repository
        .config_snapshot()
        .string("core.sharedRepository")
        .unwrap_or_default();
    match std::str::from_utf8(&shared).unwrap_or_default() {
        "" | "umask" | "false" | "0" | "no" | "off" => 0o600,
        _ => 0o660,
    }
}

/// Returns true if the text is the hook as it was installed, without any change.
pub(super) fn is_own(text: &str) -> bool {
    let inner = text.strip_prefix(BEGINNING).and_then(|rest| rest.strip_suffix(END));
    inner.is_some_and(|program| !program.contains('\n'))
}

/// Deletes the settings of the hook, which contain a token.
pub(super) fn remove_settings(git_dir: &Path) -> anyhow::Result<()> {
    let path = git_dir.join(FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

pub(super) fn read(git_dir: &Path) -> anyhow::Result<Target> {
    let path = git_dir.join(FILE);
    let text = std::fs::read(&path)
        .with_context(|| format!("failed to read {}; run quickdraw git-hook install", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}
