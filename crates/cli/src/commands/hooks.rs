//! `quickdraw hooks`: manages webhooks of projects, groups and the instance.

mod change;
mod log;
mod pause;
mod read;
mod test;

use clap::Subcommand;

use super::place::Level;

#[derive(Subcommand)]
pub(crate) enum Hooks {
    /// List the webhooks of a project, a group or the instance.
    List(read::List),

    /// Show a webhook with all attributes.
    Show(read::Show),

    /// Create a webhook.
    ///
    /// For example: `quickdraw hooks create --project gear/rope --url https://ci.example.com/hook --trigger push_events`
    Create(change::Create),

    /// Change attributes of a webhook.
    ///
    /// A new URL removes the secrets of the previous one.
    Edit(change::Edit),

    /// Delete a webhook.
    Delete(change::Delete),

    /// Send a test to the receiver of a webhook.
    ///
    /// The exit code is 1 if the receiver does not accept the test.
    Test(test::Test),

    /// Stop calling the receiver of a webhook until the webhook is resumed.
    ///
    /// Events are kept, and delivered after the pause.
    Pause(pause::Pause),

    /// Resume a paused webhook.
    Resume(pause::Resume),

    /// List the requests to a webhook in the last seven days.
    Events(log::Events),

    /// Send a request of a webhook again, with its original bytes.
    ///
    /// The exit code is 1 if the receiver does not accept it.
    Resend(log::Resend),
}

pub(crate) async fn run(command: Hooks) -> anyhow::Result<()> {
    match command {
        Hooks::List(command) => read::list(command).await,
        Hooks::Show(command) => read::show(command).await,
        Hooks::Create(command) => change::create(command).await,
        Hooks::Edit(command) => change::edit(command).await,
        Hooks::Delete(command) => change::delete(command).await,
        Hooks::Test(command) => test::run(command).await,
        Hooks::Pause(command) => pause::pause(command).await,
        Hooks::Resume(command) => pause::resume(command).await,
        Hooks::Events(command) => log::events(command).await,
        Hooks::Resend(command) => log::resend(command).await,
    }
}

fn path_of(level: &Level, id: i64) -> String {
    format!("{}/{id}", level.hooks())
}
