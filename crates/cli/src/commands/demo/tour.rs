//! The tour that a demo prints: ten commands that work as they are printed.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The name of the program in the commands.
const PROGRAM: &str = "quickdraw";

/// Ids of objects that commands name.
pub(super) struct Places {
    /// The source that refused requests.
    pub(super) source: String,

    /// The webhook whose receiver fails.
    pub(super) failing_hook: String,
}

/// The text of the tour.
pub(super) fn text(base: &str, folder: &Path, places: &Places) -> String {
    let mut lines = vec![
        String::new(),
        "A tour of ten commands. Paste these lines into a second terminal in this folder first:".to_owned(),
        String::new(),
        format!("  export QUICKDRAW_URL={base}"),
        format!(
            "  export QUICKDRAW_TOKEN=$(cat {})",
            quoted(&token_file(folder).display().to_string())
        ),
    ];

    if let Some(line) = path_line() {
        lines.push(line);
    }

    for (number, (question, command)) in stops(places).into_iter().enumerate() {
        lines.push(String::new());
        lines.push(format!("{}. {question}", number + 1));
        lines.push(format!("  {command}"));
    }

    lines.push(String::new());
    lines.push("Ctrl-C ends the demo. The next quickdraw demo in this folder continues with the same data.".to_owned());
    lines.join("\n")
}

/// The tour for programs.
pub(super) fn json(base: &str, folder: &Path, places: &Places) -> Value {
    let mut tour = Vec::new();
    for (question, command) in stops(places) {
        tour.push(json!({ "question": question, "command": command }));
    }

    json!({ "url": base, "token_file": token_file(folder).display().to_string(), "tour": tour })
}

/// The file with the token of the administrator.
fn token_file(folder: &Path) -> PathBuf {
    folder.join("root-token")
}

/// Questions with the commands that answer them.
fn stops(places: &Places) -> [(&'static str, String); 10] {
    let Places { source, failing_hook } = places;
    let dora = "deployment_frequency lead_time_for_changes change_failure_rate time_to_restore";
    // No command reads this list. The token is in no argument, because all users of the machine can read arguments.
    let reviews = r#"printf 'PRIVATE-TOKEN: %s' "$QUICKDRAW_TOKEN" |
    curl -sSfg -H @- "$QUICKDRAW_URL/api/v1/insights/reviews?format=csv" | cut -d, -f1,3,5-7"#;

    [
        (
            "How much does each team merge, and how long does it take (in seconds)?",
            "quickdraw insights query mr_merged time_to_merge --group-by team".to_owned(),
        ),
        (
            "How is the work divided between people?",
            "quickdraw insights query commits mr_merged mr_reviewed_by --group-by member".to_owned(),
        ),
        (
            "How often is it deployed, how fast, how often does that fail, and how long until it works again?",
            format!("quickdraw insights query {dora} --group-by project"),
        ),
        (
            "Who reviews whom (author, reviewer, merge requests, comments, approvals)?",
            reviews.to_owned(),
        ),
        (
            "Do the webhooks of a project work? One is paused (temporarily_disabled), one is disabled.",
            "quickdraw hooks list --project gear/rope".to_owned(),
        ),
        (
            "Which deliveries wait for the receivers that fail?",
            "quickdraw deliveries list --state retrying --limit 3".to_owned(),
        ),
        (
            "Which request did the build server get, and what did it answer?",
            format!("quickdraw hooks events {failing_hook} --project gear/rope --limit 1 --json"),
        ),
        (
            "Why did a source refuse requests?",
            format!("quickdraw sources requests {source}"),
        ),
        (
            "Is the server well?",
            "quickdraw doctor --url \"$QUICKDRAW_URL\"".to_owned(),
        ),
        (
            "Are the numbers right? The command counts all events again.",
            "quickdraw insights verify".to_owned(),
        ),
    ]
}

/// The line that makes the shell find this program, if it does not find it yet.
fn path_line() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file()) {
        return None;
    }

    let program = std::env::current_exe().ok()?;
    let folder = quoted(&program.parent()?.display().to_string());
    Some(format!("  export PATH=$PATH:{folder}"))
}

/// Text as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }

    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_blanks_and_quotes_is_quoted() {
        assert_eq!(quoted("quickdraw-demo/root-token"), "quickdraw-demo/root-token");
        assert_eq!(quoted("my demo's"), r"'my demo'\''s'");
    }

    #[test]
    fn the_tour_has_ten_numbered_commands() {
        let places = Places {
            source: "default".to_owned(),
            failing_hook: "2".to_owned(),
        };
        let text = text("http://127.0.0.1:8000", Path::new("quickdraw-demo"), &places);
        let numbered = text
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(numbered.count(), 10);
    }
}
