//! The binary: configuration, wiring and lifecycle. It depends on all other crates. Only this crate reads the
//! environment and configuration files.

mod api;
mod client;
mod commands;
mod core_dumps;
#[cfg(test)]
mod documented;
mod exit;
mod first_start;
mod output;
mod private_file;
mod settings;
mod system;
mod wiring;

use std::process::ExitCode;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::Exit;

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

    /// Use of colours: on a terminal, always or never.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: output::Color,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The help of a call without a command.
const FIRST_STEPS: &str = "\
Send, receive and relay webhooks in GitLab's format, and measure a team's work.

Start:
  quickdraw demo                          a server with some weeks of events
  quickdraw serve                         a server of your own
  quickdraw login --server URL            save the address and a token for the commands below

Daily work:
  quickdraw hooks create --project gear/rope --url https://ci.example.com/hook --trigger push_events
  quickdraw hooks test 1 --project gear/rope
  quickdraw events list --since 2h --follow
  quickdraw deliveries list --state given_up
  quickdraw deliveries show ID --why
  quickdraw insights query time_to_merge --group-by project

quickdraw help lists all commands; quickdraw COMMAND --help explains one.";

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

    /// Manage webhooks: create, test, pause, and read their logs.
    #[command(subcommand)]
    Hooks(commands::hooks::Hooks),

    /// Manage projects.
    #[command(subcommand)]
    Projects(commands::projects::Projects),

    /// Manage groups.
    #[command(subcommand)]
    Groups(commands::groups::Groups),

    /// Manage users.
    #[command(subcommand)]
    Users(commands::users::Users),

    /// Manage the members of projects and groups.
    #[command(subcommand)]
    Members(commands::members::Members),

    /// Manage access tokens.
    #[command(subcommand)]
    Tokens(commands::tokens::Tokens),

    /// Read the events that arrived, and report events.
    #[command(subcommand)]
    Events(commands::events::Events),

    /// Read deliveries: which webhook got which event, and why not.
    #[command(subcommand)]
    Deliveries(commands::deliveries::Deliveries),

    /// Read single requests to receivers.
    #[command(subcommand)]
    Attempts(commands::attempts::Attempts),

    /// Switch silent mode, in which nothing is delivered.
    #[command(subcommand)]
    Silent(commands::silent::Silent),

    /// Manage the sources of a server: the endpoints to which a GitLab posts.
    #[command(subcommand, visible_alias = "source")]
    Sources(commands::sources::Sources),

    /// Create, check and remove the webhooks at another system that post to a server.
    #[command(subcommand)]
    Connect(commands::connect::Connect),

    /// List events that never arrived, and have GitLab resend them or fetch them from its API.
    Gaps(commands::gaps::Gaps),

    /// Add past events to the insights of a server. Hooks do not get them.
    Backfill(commands::backfill::Command),

    /// Start a demo server with generated events of a small team.
    Demo(commands::demo::Demo),

    /// Ask for metrics, and check or rebuild the stored insights.
    Insights(commands::insights::Command),

    /// Send many past deliveries again, as a job on the server.
    Replay(commands::replay::Replay),

    /// Run a receiver for development, which verifies and prints requests.
    Listen(commands::listen::Listen),

    /// Check URLs against the address guard.
    #[command(subcommand)]
    Guard(commands::guard::Guard),

    /// Print a link with which an administrator chooses a name and a password in a browser.
    SetupLink(commands::setup_link::SetupLink),

    /// Create or update the database schema.
    Migrate,

    /// Show or check the configuration.
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),

    /// Check the settings, files, key and database of this server, or a running server.
    Doctor(commands::doctor::Doctor),

    /// Save the address of a server and a token for it, for all later commands.
    ///
    /// The token is read from the terminal without being shown, from standard input, or from --token-file. The file
    /// quickdraw/profile.json in $XDG_CONFIG_HOME or ~/.config can be read by you only.
    Login(commands::login::Login),

    /// Remove the saved address and token.
    Logout,

    /// Print a script that completes commands in a shell.
    ///
    /// For bash: quickdraw completions bash > ~/.local/share/bash-completion/completions/quickdraw
    Completions(commands::pages::Completions),

    /// Print the man page, or write the man pages of all commands into a folder.
    Man(commands::pages::Man),
}

fn main() -> ExitCode {
    if let Err(error) = core_dumps::forbid() {
        complain(format_args!(
            "failed to switch off core dumps, which would contain secrets: {error}"
        ));
    }

    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            if let Some(why) = refusal_of_secret(&error) {
                complain(format_args!("Error: {why}"));
                return Exit::Usage.into();
            }

            if unknown_option(&error) == Some("--url") {
                complain(format_args!("--url: the address of the server is --server URL"));
            }

            error.exit()
        }
    };

    arguments.color.apply();

    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes are printed on one line and without a backtrace, because users read them, not developers.
            complain(format_args!("Error: {error:#}"));
            Exit::of(&error).into()
        }
    }
}

/// The ways to give a token to a command.
const WAYS_FOR_TOKENS: &str = "give --token-file FILE (for the token of a GitLab: --gitlab-token-file FILE), set \
                               QUICKDRAW_TOKEN or GITLAB_TOKEN, or run quickdraw login";

/// Options with a secret that other tools have, and the ways that this program has instead.
const REFUSED_OPTIONS: [(&str, &str); 6] = [
    ("--token", WAYS_FOR_TOKENS),
    ("--gitlab-token", WAYS_FOR_TOKENS),
    ("--server-token", WAYS_FOR_TOKENS),
    (
        "--secret",
        "give --secret-file FILE, or set QUICKDRAW_LISTEN_SECRET for quickdraw listen",
    ),
    ("--signing-token", "give --signing-token-file FILE"),
    ("--password", "write --set password=@FILE"),
];

/// The option that the command does not have, if that is the error.
fn unknown_option(error: &clap::Error) -> Option<&str> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }

    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) => Some(option),
        _ => None,
    }
}

/// The reason for which an option with a secret is refused, and the ways to give the secret. `None` for other errors.
fn refusal_of_secret(error: &clap::Error) -> Option<String> {
    let option = unknown_option(error)?;
    let (_, ways) = REFUSED_OPTIONS.iter().find(|(name, _)| *name == option)?;

    Some(format!(
        "{option} is not accepted, because every user of this machine can read command lines: {ways}"
    ))
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

    let Some(command) = arguments.command else {
        commands::say(FIRST_STEPS);
        return Ok(());
    };

    let config = arguments.config.as_deref();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match command {
                Command::Serve => commands::serve::run(settings::load(config)?, commands::say).await,
                Command::Secret { signing } => commands::secret::run(signing),
                #[cfg(feature = "git")]
                Command::GitHook(command) => commands::git_hook::run(command).await,
                Command::Emit(command) => commands::emit::run(command).await,
                Command::Hooks(command) => commands::hooks::run(command).await,
                Command::Projects(command) => commands::projects::run(command).await,
                Command::Groups(command) => commands::groups::run(command).await,
                Command::Users(command) => commands::users::run(command).await,
                Command::Members(command) => commands::members::run(command).await,
                Command::Tokens(command) => commands::tokens::run(command).await,
                Command::Events(command) => commands::events::run(command).await,
                Command::Deliveries(command) => commands::deliveries::run(command).await,
                Command::Attempts(command) => commands::attempts::run(command).await,
                Command::Silent(command) => commands::silent::run(command).await,
                Command::Sources(command) => commands::sources::run(command).await,
                Command::Connect(command) => commands::connect::run(command).await,
                Command::Gaps(command) => commands::gaps::run(command).await,
                Command::Backfill(command) => commands::backfill::run(command).await,
                Command::Demo(command) => commands::demo::run(command, config).await,
                Command::Insights(command) => commands::insights::run(command).await,
                Command::Replay(command) => commands::replay::run(command).await,
                Command::Listen(command) => commands::listen::run(command).await,
                Command::Guard(command) => commands::guard::run(command, settings::load_unchecked(config)?).await,
                Command::SetupLink(command) => commands::setup_link::run(command).await,
                Command::Migrate => commands::migrate::run(settings::load_unchecked(config)?).await,
                Command::Config(command) => commands::config::run(&command, config),
                Command::Doctor(command) => commands::doctor::run(command, config).await,
                Command::Login(command) => commands::login::login(command).await,
                Command::Logout => commands::login::logout(),
                Command::Completions(command) => {
                    commands::pages::completions(&command, Arguments::command());
                    Ok(())
                }
                Command::Man(command) => commands::pages::man(&command, Arguments::command()),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns true if an option takes a secret itself, and not the file that contains it.
    fn takes_a_secret(option: &clap::Arg) -> bool {
        let name = option.get_long().unwrap_or_else(|| option.get_id().as_str());
        let is_secret = ["token", "secret", "password", "key"]
            .iter()
            .any(|word| name.contains(word));

        is_secret && option.get_action().takes_values() && !name.ends_with("-file")
    }

    fn check_options(command: &clap::Command) {
        for option in command.get_arguments() {
            assert!(!takes_a_secret(option), "{} {}", command.get_name(), option.get_id());
        }

        for inner in command.get_subcommands() {
            check_options(inner);
        }
    }

    #[test]
    fn no_option_takes_a_secret() {
        let mut program = Arguments::command();
        program.build();
        check_options(&program);
    }

    #[test]
    fn a_refused_secret_is_not_repeated() {
        let error = Arguments::try_parse_from(["quickdraw", "listen", "0", "--secret", "s3cret"]).err();
        let why = refusal_of_secret(&error.expect("an error")).expect("a reason");
        assert!(why.contains("--secret-file") && !why.contains("s3cret"), "{why}");
    }
}
