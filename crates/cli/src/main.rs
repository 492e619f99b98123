//! The binary: configuration, wiring, lifecycle. Sees all other crates and is seen by none; the only reader of the
//! environment and of files.

mod client;
mod commands;
mod config;
mod core_dumps;
mod first_start;
mod wiring;

use std::process::ExitCode;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The allocator gives memory back to the system some seconds after it was freed. The system's own keeps the most that ever was in use.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// GitLab-style webhooks, both ends, in one binary.
#[derive(Parser)]
#[command(name = "quickdraw", version)]
struct Arguments {
    /// Configuration file; without it, quickdraw.toml in this folder is read if it is there.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process: API, sources, workers.
    Serve,
    /// Print a new secret, or a signing token.
    Secret {
        /// A signing token (whsec_…) instead of a secret.
        #[arg(long)]
        signing: bool,
    },
    /// Report pushes to a bare git repository.
    #[command(subcommand)]
    GitHook(commands::git_hook::GitHook),
    /// Report an event from the shell.
    Emit(commands::emit::Emit),
    /// Manage the places on a server that a GitLab posts to.
    #[command(subcommand)]
    Source(commands::source::Source),
    /// Tell what never came, and have it sent again or fetched from GitLab.
    Gaps(commands::gaps::Gaps),
    /// Tell a server what happened before it received anything, for insights.
    Backfill(commands::backfill::Command),
    /// Start a server with some weeks of a small team in it, to look at.
    Demo(commands::demo::Demo),
    /// Prove what insights count, or count it anew.
    Insights(commands::insights::Command),
    /// Send many deliveries once more, as a job on the server.
    Replay(commands::replay::Replay),
    /// Run a private receiver that verifies and prints what arrives.
    Listen(commands::listen::Listen),
    /// Ask the address guard.
    #[command(subcommand)]
    Guard(commands::guard::Guard),
    /// Create or update the database schema.
    Migrate,
    /// Look at the configuration.
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    /// Check that everything this server needs is in order.
    Doctor,
}

fn main() -> ExitCode {
    if let Err(error) = core_dumps::forbid() {
        complain(format_args!("core dumps could not be switched off, and would hold secrets: {error}"));
    }
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line of causes, whatever RUST_BACKTRACE says: it is for whoever runs us, not for whoever mends us.
            complain(format_args!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "an error of the whole program goes where errors go")]
fn complain(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    // `.env` is read before anything looks at the environment; a missing one is fine, a broken one is not.
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        Err(error) => anyhow::bail!("failed to read .env: {error}"),
    }
    let config = arguments.config.as_deref();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        match arguments.command {
            Command::Serve => commands::serve::run(config::load(config)?).await,
            Command::Secret { signing } => commands::secret::run(signing),
            Command::GitHook(command) => commands::git_hook::run(command).await,
            Command::Emit(command) => commands::emit::run(command).await,
            Command::Source(command) => commands::source::run(command).await,
            Command::Gaps(command) => commands::gaps::run(command).await,
            Command::Backfill(command) => commands::backfill::run(command).await,
            Command::Demo(command) => commands::demo::run(command, config).await,
            Command::Insights(command) => commands::insights::run(command).await,
            Command::Replay(command) => commands::replay::run(command).await,
            Command::Listen(command) => commands::listen::run(command).await,
            Command::Guard(command) => commands::guard::run(command, config::load_unchecked(config)?).await,
            Command::Migrate => commands::migrate::run(config::load_unchecked(config)?).await,
            Command::Config(command) => commands::config::run(&command, config),
            Command::Doctor => commands::doctor::run(config).await,
        }
    })
}
