//! `quickdraw git-hook`: reports the pushes to a bare repository.

pub(super) mod commits;
mod install;
mod post_receive;
mod send;
mod spool;
mod token;
mod uninstall;
mod updates;

use std::io::Write;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum GitHook {
    /// Install a post-receive hook in a bare repository, which reports every push.
    ///
    /// The hook stores a token that can only report events. If your token can do more, such as the token of an
    /// administrator or maintainer, the command creates a token of the project, which expires after one year.
    Install(install::Install),

    /// Remove the installed hook and its settings from a repository, and revoke the token that was created for it.
    ///
    /// A hook that was not installed by this program, or that was changed, is not removed.
    Uninstall(uninstall::Uninstall),

    /// Report a push, as called by the installed hook.
    ///
    /// The command reads the updates of branches and tags from standard input, in the format of git's post-receive
    /// hook.
    PostReceive,

    /// Send the waiting reports of a repository. Reports wait if the server was unreachable during a push.
    ///
    /// The next push to the repository sends them too.
    Send(send::Send),
}

pub(crate) async fn run(command: GitHook) -> anyhow::Result<()> {
    match command {
        GitHook::Install(command) => install::run(command).await,
        GitHook::Uninstall(command) => uninstall::run(&command).await,
        GitHook::PostReceive => {
            post_receive::run().await;
            Ok(())
        }
        GitHook::Send(command) => send::run(command).await,
    }
}

/// Prints a warning, which git shows to the person who pushed.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "quickdraw: {text}");
}
