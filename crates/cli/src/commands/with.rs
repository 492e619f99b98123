//! The options that most commands on the API have.

use clap::Args;

use crate::client::Server;
use crate::output::Output;

/// The form of the output, and the server.
#[derive(Args)]
pub(crate) struct With {
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: Server,
}
