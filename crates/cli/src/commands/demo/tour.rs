//! The tour that a demo prints: ten commands that work as they are printed.

use std::path::Path;

/// The name of the program in the commands.
const PROGRAM: &str = "quickdraw";

/// The text of the tour. `source` is the id of the source that refused requests.
pub(super) fn text(base: &str, folder: &Path, source: &str) -> String {
    let mut lines = vec![
        String::new(),
        "A tour of ten commands. Paste these lines into a second terminal in this folder first:".to_owned(),
        String::new(),
        format!("  export QUICKDRAW_URL={base}"),
        format!(
            "  export QUICKDRAW_TOKEN=$(cat {})",
            quoted(&folder.join("root-token").display().to_string())
        ),
        r#"  api() { curl -sSfg -H "PRIVATE-TOKEN: $QUICKDRAW_TOKEN" "$QUICKDRAW_URL/api/$1"; echo; }"#.to_owned(),
    ];

    if let Some(line) = path_line() {
        lines.push(line);
    }

    for (number, (question, command)) in stops(source).into_iter().enumerate() {
        lines.push(String::new());
        lines.push(format!("{}. {question}", number + 1));
        lines.push(format!("  {command}"));
    }

    lines.push(String::new());
    lines.push("Ctrl-C ends the demo. The next quickdraw demo in this folder continues with the same data.".to_owned());
    lines.join("\n")
}

/// Questions with the commands that answer them.
fn stops(source: &str) -> [(&'static str, String); 10] {
    let query = |parameters: &str| format!("api 'v1/insights/query?interval=none&format=csv&{parameters}'");
    let dora = "deployment_frequency,lead_time_for_changes,change_failure_rate,time_to_restore";

    [
        (
            "How much does each team merge, and how long does it take (in seconds)?",
            query("metric=mr_merged,time_to_merge&group_by=team"),
        ),
        (
            "How is the work divided between people?",
            query("metric=commits,mr_merged,mr_reviewed_by&group_by=member"),
        ),
        (
            "How often is it deployed, how fast, and how often does that fail?",
            query(&format!("metric={dora}&group_by=project")),
        ),
        (
            "Which merge requests are behind a number?",
            "api 'v1/insights/metrics/time_to_merge/explain?team=ropes&limit=3'".to_owned(),
        ),
        (
            "Do the webhooks of a project work? One is paused (temporarily_disabled), one is disabled.",
            "api 'v4/projects/gear%2Frope/hooks'".to_owned(),
        ),
        (
            "Which deliveries wait for the receiver that fails?",
            "api 'v1/deliveries?state=retrying&limit=3'".to_owned(),
        ),
        (
            "Which webhooks got the newest event, and which did not?",
            "api 'v1/events?limit=1'".to_owned(),
        ),
        (
            "Why did a source refuse requests?",
            format!("quickdraw source requests {source}"),
        ),
        (
            "Would a delivery reach an internal address?",
            "quickdraw guard check http://169.254.169.254/ || true".to_owned(),
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
        let text = text("http://127.0.0.1:8000", Path::new("quickdraw-demo"), "default");
        let numbered = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(numbered.count(), 10);
    }
}
