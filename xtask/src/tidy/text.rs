//! The rules of comments and of Markdown pages: the length of lines, the first word of a comment, links that lead
//! somewhere.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Longest line of a comment and of a page, in characters.
const MAX_COLUMNS: usize = 120;
/// Words with which no comment begins, because a relative clause is no subject.
const NO_SUBJECTS: [&str; 4] = ["What", "Whatever", "Whoever", "Who"];

/// The rule that a line of a Rust file breaks if it is a comment.
pub(super) fn broken_rule_of_comment(line: &str) -> Option<String> {
    let comment = line.trim_start().strip_prefix("//")?;
    let text = comment.trim_start_matches(['/', '!']).trim_start();
    let first = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let is_question = text.ends_with('?');

    if NO_SUBJECTS.contains(&first) && !is_question {
        return Some(format!("a comment begins with {first:?}: begin with its subject"));
    }

    if line.chars().count() > MAX_COLUMNS && !line.contains("http") {
        return Some(format!("a comment has more than {MAX_COLUMNS} columns"));
    }

    None
}

/// Checks a Markdown page: lines outside of code and tables, and links to files.
pub(super) fn check_page(root: &Path, page: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("failed to read {}", page.display()))?;
    let shown = page.strip_prefix(root).unwrap_or(page).display();
    let folder = page.parent().unwrap_or(root);
    let mut in_code = false;

    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }

        if in_code {
            continue;
        }

        let is_table = line.starts_with('|');
        if line.chars().count() > MAX_COLUMNS && !is_table && !line.contains("http") {
            problems.push(format!("{shown}:{}: more than {MAX_COLUMNS} columns", number + 1));
        }

        for target in targets(line) {
            if !folder.join(target).exists() {
                problems.push(format!("{shown}:{}: the link to {target} leads nowhere", number + 1));
            }
        }
    }

    Ok(())
}

/// The files that a line links to, without anchors.
fn targets(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for rest in line.split("](").skip(1) {
        let Some((target, _)) = rest.split_once(')') else {
            continue;
        };
        let file = target.split('#').next().unwrap_or_default();
        let is_file = file.contains('.') && !file.contains(':');
        if is_file {
            targets.push(file);
        }
    }

    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_names_its_subject_and_fits_in_the_columns() {
        for line in ["/// What is left.", "    // Who did it.", "//! Whoever asks."] {
            assert!(
                broken_rule_of_comment(line).is_some_and(|rule| rule.contains("begins with")),
                "{line}"
            );
        }

        for line in [
            "/// The rest.",
            "// What happens next?",
            "let what = 1; // What",
            "/// Whole numbers.",
        ] {
            assert_eq!(broken_rule_of_comment(line), None, "{line}");
        }

        let long = format!("/// {}", "word ".repeat(30));
        assert!(broken_rule_of_comment(&long).is_some_and(|rule| rule.contains("columns")));
    }

    #[test]
    fn links_to_files_are_found_and_addresses_are_not() {
        let line = "See [one](a/b.md#part), [two](https://example.com/x.md) and [three](#here).";
        assert_eq!(targets(line), ["a/b.md"]);
    }
}
