//! The binary: configuration, wiring and lifecycle. It depends on all other crates. Only this crate reads the
//! environment and configuration files.

mod client;
mod commands;
mod core_dumps;
mod first_start;
mod private_file;
mod settings;
mod system;
mod wiring;

use std::process::ExitCode;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// jemalloc returns freed memory to the system after some seconds. The allocator of the system may keep its peak.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Send, receive and relay webhooks in GitLab's format, and turn events into metrics of a team's work.
#[derive(Parser)]
#[command(name = "quickdraw", version)]
struct Arguments {
    /// Configuration file. Defaults to quickdraw.toml in the current directory, if that exists.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server: API, sources, delivery and insights in one process.
    Serve,

    /// Generate and print a secret token, or a signing token.
    Secret {
        /// Generate a signing token (whsec_…).
        #[arg(long)]
        signing: bool,
    },

    #[cfg(feature = "git")]
    /// Install and run the hook that reports pushes to a bare git repository.
    #[command(subcommand)]
    GitHook(commands::git_hook::GitHook),

    /// Report an event from the shell.
    Emit(commands::emit::Emit),

    /// Manage the sources of a server: the endpoints to which a GitLab posts.
    #[command(subcommand)]
    Source(commands::source::Source),

    /// Create, check and remove the webhooks at another system that post to a server.
    #[command(subcommand)]
    Connect(commands::connect::Connect),

    /// List events that never arrived, and have GitLab resend them or fetch them from its API.
    Gaps(commands::gaps::Gaps),

    /// Add past events to the insights of a server. Hooks do not get them.
    Backfill(commands::backfill::Command),

    /// Start a demo server with generated events of a small team.
    Demo(commands::demo::Demo),

    /// Check or rebuild the stored insights, or print the definitions of metrics.
    Insights(commands::insights::Command),

    /// Send many past deliveries again, as a job on the server.
    Replay(commands::replay::Replay),

    /// Run a receiver for development, which verifies and prints requests.
    Listen(commands::listen::Listen),

    /// Check URLs against the address guard.
    #[command(subcommand)]
    Guard(commands::guard::Guard),

    /// Create or update the database schema.
    Migrate,

    /// Show or check the configuration.
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),

    /// Check the settings, files, key and database of this server, or a running server.
    Doctor(commands::doctor::Doctor),
}

fn main() -> ExitCode {
    if let Err(error) = core_dumps::forbid() {
        complain(format_args!(
            "failed to switch off core dumps, which would contain secrets: {error}"
        ));
    }

    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes are printed on one line and without a backtrace, because users read them, not developers.
            complain(format_args!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "errors of the program go to standard error")]
fn complain(text: std::fmt::Arguments<'_>) {
    eprintln!("{text}");
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    // `.env` is read before any other use of the environment. It may be missing, but must not be damaged.
    match dotenvy::dotenv() {
        Ok(_) => {}
        Err(error) if error.not_found() => {}
        Err(error) => anyhow::bail!("failed to read .env: {error}"),
    }

    let config = arguments.config.as_deref();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match arguments.command {
                Command::Serve => commands::serve::run(settings::load(config)?).await,
                Command::Secret { signing } => commands::secret::run(signing),
                #[cfg(feature = "git")]
                Command::GitHook(command) => commands::git_hook::run(command).await,
                Command::Emit(command) => commands::emit::run(command).await,
                Command::Source(command) => commands::source::run(command).await,
                Command::Connect(command) => commands::connect::run(command).await,
                Command::Gaps(command) => commands::gaps::run(command).await,
                Command::Backfill(command) => commands::backfill::run(command).await,
                Command::Demo(command) => commands::demo::run(command, config).await,
                Command::Insights(command) => commands::insights::run(command).await,
                Command::Replay(command) => commands::replay::run(command).await,
                Command::Listen(command) => commands::listen::run(command).await,
                Command::Guard(command) => commands::guard::run(command, settings::load_unchecked(config)?).await,
                Command::Migrate => commands::migrate::run(settings::load_unchecked(config)?).await,
                Command::Config(command) => commands::config::run(&command, config),
                Command::Doctor(command) => commands::doctor::run(command, config).await,
            }
        })
}
