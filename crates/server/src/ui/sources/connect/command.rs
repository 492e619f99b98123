//! The commands that connect a GitLab, for a POSIX shell. A link can choose the values of the form, so no value may end
//! its argument or become another option.

use crate::ui::parts::quoted;

/// The places of a GitLab whose webhooks the command creates.
#[derive(Debug)]
pub(super) enum Places {
    All,

    /// The full path of a group, or its number.
    Group(String),

    /// The full path of a project, or its number.
    Project(String),
    System,
}

impl Places {
    fn option(&self) -> String {
        match self {
            Self::All => "--all".to_owned(),
            Self::Group(path) => option("group", path),
            Self::Project(path) => option("project", path),
            Self::System => "--system".to_owned(),
        }
    }
}

/// The commands in the order in which they run.
pub(super) struct Commands {
    pub(super) login: String,

    /// Writes the token of GitLab into a file that only its owner can read.
    pub(super) token: &'static str,
    pub(super) dry_run: String,
    pub(super) connect: String,
    pub(super) check: String,
    pub(super) remove: String,
}

impl Commands {
    pub(super) fn new(server: &str, gitlab: &str, places: &Places) -> Self {
        let (url, places) = (option("url", gitlab), places.option());
        let connect = format!("quickdraw connect gitlab {url} --gitlab-token-file=gitlab-token {places}");
        Self {
            login: format!("quickdraw login {}", option("server", server.trim_end_matches('/'))),
            token: "(umask 077; rm -f gitlab-token; cat > gitlab-token)",
            dry_run: format!("{connect} --dry-run"),
            check: format!("{connect} --check"),
            remove: format!("{connect} --remove"),
            connect,
        }
    }
}

/// An option with its value in one argument, so that a value that begins with a dash is no option.
fn option(name: &str, value: &str) -> String {
    format!("--{name}={}", quoted(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_those_of_the_guide() {
        let commands = Commands::new(
            "https://quickdraw.example.com/",
            "https://gitlab.example.com",
            &Places::Group("gear".to_owned()),
        );
        assert_eq!(commands.login, "quickdraw login --server=https://quickdraw.example.com");
        assert_eq!(
            commands.check,
            "quickdraw connect gitlab --url=https://gitlab.example.com --gitlab-token-file=gitlab-token --group=gear \
             --check"
        );

        for (places, end) in [(Places::All, " --all"), (Places::System, " --system")] {
            let commands = Commands::new("https://q.example", "https://gitlab.example.com", &places);
            assert!(commands.connect.ends_with(end), "{places:?}");
        }
    }

    /// Runs a command in a shell in which quickdraw is a function that prints its arguments.
    #[cfg(unix)]
    fn arguments(command: &str) -> Vec<String> {
        let script = format!("quickdraw() {{ printf '%s\\0' \"$@\"; }}\n{command}\n");
        let run = std::process::Command::new("sh").arg("-c").arg(script).output();
        let run = run.expect("a shell");
        assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");

        let text = String::from_utf8(run.stdout).expect("text");
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[cfg(unix)]
    #[test]
    fn a_hostile_value_stays_one_argument() {
        for hostile in [
            "",
            "it's",
            "a'; echo stolen; '",
            "$(echo stolen)",
            "`echo stolen`",
            "${HOME}",
            "one\ntwo; echo stolen",
            "--all",
            "-x",
            "a b\t*?[a]~",
            "\"\\\"",
            "a\\",
            "!!",
            "#",
            "a & echo stolen | cat > /dev/null",
        ] {
            let places = Places::Project(hostile.to_owned());
            let commands = Commands::new(&format!("s{hostile}"), &format!("u{hostile}"), &places);
            let expected = [
                "connect".to_owned(),
                "gitlab".to_owned(),
                format!("--url=u{hostile}"),
                "--gitlab-token-file=gitlab-token".to_owned(),
                format!("--project={hostile}"),
                "--dry-run".to_owned(),
            ];
            assert_eq!(arguments(&commands.dry_run), expected, "{hostile}");
            assert_eq!(
                arguments(&commands.login),
                ["login".to_owned(), format!("--server=s{hostile}")],
                "{hostile}"
            );
        }
    }
}
