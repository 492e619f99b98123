//! `quickdraw deliveries`: reads deliveries, explains them, and sends them again.

mod list;
mod resend;
mod show;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Deliveries {
    /// List deliveries, newest first.
    List(Box<list::List>),

    /// Show a delivery with its attempts.
    Show(show::Show),

    /// Send a delivery again, with its original bytes.
    ///
    /// The exit code is 1 if the receiver does not accept it.
    Resend(resend::Resend),
}

pub(crate) async fn run(command: Deliveries) -> anyhow::Result<()> {
    match command {
        Deliveries::List(command) => list::run(*command).await,
        Deliveries::Show(command) => show::run(command).await,
        Deliveries::Resend(command) => resend::run(command).await,
    }
}
