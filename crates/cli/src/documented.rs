//! Checks the commands that the documents and the help show: each is one that the program has.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use quickdraw_insights::metrics::Metric;

use super::Arguments;

/// The pages with commands.
fn pages() -> Vec<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = std::fs::read_dir(repository.join("docs/guide")).expect("a folder");
    let mut pages: Vec<PathBuf> = guide.map(|entry| entry.expect("a file").path()).collect();
    pages.push(repository.join("README.md"));
    pages
}

/// The lines of the shell blocks of a page. Continued lines are one line.
fn shell_lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in page.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        lines.extend(block.replace("\\\n", " ").lines().map(str::to_owned));
    }
    lines
}

/// The calls of the program in a line, each as its arguments. Substitutions of the shell become one word.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, inner)) = rest.split_once("$(") {
        plain.push_str(before);
        plain.push('1');
        rest = inner.split_once(')').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);

    // Most variables stand for numbers.
    let words = shlex::split(&plain).unwrap_or_default();
    let words: Vec<String> = words
        .into_iter()
        .map(|word| if word.starts_with('$') { "1".to_owned() } else { word })
        .collect();
    let mut calls = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_first = at == 0 || words[..at].iter().all(|word| word.contains('=')) || words[at - 1] == "|";
        if word == "quickdraw" && is_first {
            let ends = |word: &&String| !["|", "&", "&&", ">", "<", "2>", ";"].contains(&word.as_str());
            let ends_here = |word: &&String| ends(word) && !word.starts_with('>');
            calls.push(words[at..].iter().take_while(ends_here).cloned().collect());
        }
    }
    calls
}

/// The metrics that a call names.
fn metrics(call: &[String]) -> impl Iterator<Item = &String> {
    let asks = matches!(call.get(1..3), Some([insights, what]) if insights == "insights" && (what == "query" || what == "metric"));
    let names = if asks { &call[3..] } else { &[] };
    names.iter().take_while(|word| !word.starts_with('-'))
}

/// Adds the faults of a call that a place shows.
fn check(call: &[String], place: &str, faults: &mut Vec<String>) {
    // A call without a command, with `--help` or with a part that the reader fills in shows text.
    let shows = |error: &clap::Error| {
        matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        )
    };
    if let Err(error) = Arguments::try_parse_from(call)
        && !shows(&error)
    {
        faults.push(format!("{place}: {error}"));
    }

    for name in metrics(call).filter(|name| Metric::by_name(name).is_none()) {
        faults.push(format!("{place}: there is no metric {name}"));
    }
}

#[test]
fn every_command_in_the_documents_is_one_of_the_program() {
    let (mut checked, mut faults) = (0, Vec::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for line in shell_lines(&text) {
            for call in calls(&line) {
                check(&call, &format!("{}: {line}", page.display()), &mut faults);
                checked += 1;
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 80, "only {checked} commands were found");
}

fn check_help(command: &clap::Command, checked: &mut usize, faults: &mut Vec<String>) {
    let texts = [command.get_about(), command.get_long_about(), command.get_after_help()];
    for text in texts.into_iter().flatten().map(ToString::to_string) {
        for line in text.lines() {
            // An example is the rest of its line.
            let example = line
                .find("quickdraw ")
                .filter(|_| line.contains("For example:") || line.starts_with("  "));
            for call in example.map(|at| calls(&line[at..])).unwrap_or_default() {
                check(&call, command.get_name(), faults);
                *checked += 1;
            }
        }
    }

    for inner in command.get_subcommands() {
        check_help(inner, checked, faults);
    }
}

#[test]
fn every_example_of_the_help_is_a_command_of_the_program() {
    let (mut checked, mut faults) = (0, Vec::new());
    check_help(&Arguments::command(), &mut checked, &mut faults);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 1, "only {checked} examples were found");
}
