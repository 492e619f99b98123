//! Output of the commands of daily work: tables for people, and the JSON of the API for programs.

use std::io::Write;

use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use console::Style;
use serde_json::Value;

use crate::api::Listed;

/// Largest number of characters in a cell of a table.
const LONGEST_CELL: usize = 100;

/// Prints a line for the user. A closed pipe, as with `| head`, is not an error.
pub(crate) fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a line beside the output, on standard error.
pub(crate) fn complain(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Replaces control characters, so that text from another system cannot control the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() && letter != '\n' {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

/// The option for the form of the output.
#[derive(Args, Clone, Copy)]
pub(crate) struct Output {
    /// Print the JSON of the API, as one document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The option for the number of rows.
#[derive(Args, Clone, Copy)]
pub(crate) struct Rows {
    /// Maximum number of rows.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
}

impl Rows {
    pub(crate) fn limit(self) -> usize {
        self.limit.try_into().unwrap_or(usize::MAX)
    }
}

/// The use of colours.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Color {
    /// Colours on a terminal, unless NO_COLOR is set.
    #[default]
    Auto,

    /// Colours also in files and pipes.
    Always,

    /// No colours.
    Never,
}

impl Color {
    /// Applies the choice to all later output.
    pub(crate) fn apply(self) {
        match self {
            // The crate reads NO_COLOR and looks for a terminal.
            Self::Auto => {}
            Self::Always => console::set_colors_enabled(true),
            Self::Never => console::set_colors_enabled(false),
        }
    }
}

/// A column of a table.
pub(crate) struct Column {
    title: &'static str,

    /// The attributes that the column shows, as JSON pointers. The first one that is not null is shown.
    attributes: &'static [&'static str],
}

/// A column for the attribute at a JSON pointer.
pub(crate) const fn column(title: &'static str, attributes: &'static [&'static str]) -> Column {
    Column { title, attributes }
}

impl Output {
    /// Prints a list as a table or as JSON. `nothing` is the text for an empty list.
    pub(crate) fn list(self, list: &Listed, columns: &[Column], nothing: &str) {
        if self.json {
            return json(&list.document);
        }

        if list.rows().is_empty() {
            complain(nothing);
            return;
        }

        table(columns, list.rows());
        if list.is_cut {
            complain("more rows follow; --limit shows more");
        }
    }

    /// Prints one object: all attributes with a value, one per line.
    pub(crate) fn object(self, object: &Value) {
        if self.json {
            return json(object);
        }

        let mut lines = blank_table();
        for (name, value) in object.as_object().into_iter().flatten() {
            let name = name.replace('_', " ");
            match value.as_object() {
                Some(parts) => {
                    for (part, value) in parts {
                        add_attribute(&mut lines, &format!("{name}: {}", part.replace('_', " ")), value);
                    }
                }
                None => add_attribute(&mut lines, &name, value),
            }
        }

        print(&lines);
    }

    /// Prints a sentence for people, or the JSON of the answer.
    pub(crate) fn done(self, answer: &Value, sentence: impl std::fmt::Display) {
        if self.json {
            json(answer);
        } else {
            say(plain(&sentence.to_string()));
        }
    }
}

/// Prints a JSON document.
pub(crate) fn json(document: &Value) {
    say(format!("{document:#}"));
}

/// Prints rows as a table with a header.
pub(crate) fn table(columns: &[Column], rows: &[Value]) {
    let mut table = blank_table();
    let bold = Style::new().bold();
    table.set_header(columns.iter().map(|column| bold.apply_to(column.title).to_string()));

    for row in rows {
        table.add_row(cells(columns, row));
    }

    let numbers = |column: &Column| {
        let mut values = rows.iter().filter_map(|row| value(column, row)).peekable();
        values.peek().is_some() && values.all(Value::is_number)
    };
    for (at, column) in columns.iter().enumerate() {
        if numbers(column)
            && let Some(column) = table.column_mut(at)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    print(&table);
}

/// Prints the titles of the columns, for lists that are followed.
pub(crate) fn heading(columns: &[Column]) {
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    say(Style::new().bold().apply_to(titles.join("  ")));
}

/// Prints a line for one row, for lists that are followed.
pub(crate) fn line(columns: &[Column], row: &Value) {
    say(cells(columns, row).join("  "));
}

/// Adds a line for an attribute that has a value.
fn add_attribute(lines: &mut Table, name: &str, value: &Value) {
    let text = long_words(value);
    if !text.is_empty() {
        lines.add_row([name, &text]);
    }
}

fn blank_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn print(table: &Table) {
    for line in table.lines() {
        // The preset has a blank at both ends of a line.
        say(line.strip_prefix(' ').unwrap_or(&line).trim_end());
    }
}

fn cells(columns: &[Column], row: &Value) -> Vec<String> {
    let cell = |column: &Column| colored(&value(column, row).map(words).unwrap_or_default());
    columns.iter().map(cell).collect()
}

fn value<'a>(column: &Column, row: &'a Value) -> Option<&'a Value> {
    let values = column.attributes.iter().filter_map(|pointer| row.pointer(pointer));
    values.into_iter().find(|value| !value.is_null())
}

/// The text of a cell: one line that cannot control the terminal.
fn words(value: &Value) -> String {
    let text = long_words(value).replace('\n', " ");
    match text.char_indices().nth(LONGEST_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn long_words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => plain(&short_time(text)),
        // Digits beyond thousandths say nothing to people.
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or_default();
            ((number * 1000.0).round() / 1000.0).to_string()
        }
        Value::Array(list) if list.iter().all(|item| item.is_string() || item.is_number()) => {
            list.iter().map(long_words).collect::<Vec<_>>().join(", ")
        }
        other => plain(&other.to_string()),
    }
}

/// A time without its fraction of a second. Any other text stays as it is.
fn short_time(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_time = bytes.len() > 20 && bytes.get(10) == Some(&b'T') && text.ends_with('Z');

    match text.split_once('.') {
        Some((seconds, fraction)) if is_time && fraction.len() <= 10 => format!("{seconds}Z"),
        _ => text.to_owned(),
    }
}

/// Colours words that stand for a state.
fn colored(text: &str) -> String {
    let style = match text {
        "delivered" | "executable" | "active" | "finished" => Style::new().green(),
        "given_up" | "failed" | "rejected" | "disabled" | "cancelled" | "unknown" => Style::new().red(),
        "retrying" | "blocked" | "paused" | "temporarily_disabled" => Style::new().yellow(),
        _ => return text.to_owned(),
    };

    style.apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_one_short_line() {
        let check = |value: Value, expected: &str| assert_eq!(words(&value), expected);

        check(json!(null), "");
        check(json!(true), "yes");
        check(json!(["a", "b"]), "a, b");
        check(json!(60_326.230_769_230_766), "60326.231");
        check(json!("a\nb\u{1b}[2J"), "a b\u{fffd}[2J");
        check(json!("2026-12-01T01:02:03.456Z"), "2026-12-01T01:02:03Z");
        assert_eq!(words(&json!("x".repeat(200))).chars().count(), LONGEST_CELL + 1);
    }

    #[test]
    fn a_column_shows_its_first_attribute_with_a_value() {
        let column = column("PLACE", &["/project_id", "/group_id"]);
        let row = json!({ "project_id": null, "group_id": 7 });
        assert_eq!(value(&column, &row), Some(&json!(7)));
    }
}
