//! `.mailmap` and CSV: in, and out again.

use std::collections::BTreeSet;

use jiff::civil::Date;

use super::{Enrolment, Handle, Roster};

/// Bytes of an import.
const LARGEST: usize = 1 << 20;
/// Errors that are told.
const MOST_ERRORS: usize = 100;
const COLUMNS: [&str; 6] = ["member", "team", "email", "username", "from", "to"];

/// What is wrong with a line of an import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineError {
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong, and how to mend it.
    pub message: String,
}

/// What an import brought.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Imported {
    /// Lines that say something.
    pub lines: usize,
    /// Members that were made.
    pub members: usize,
    /// Teams that were made.
    pub teams: usize,
}

fn at(line: u64, message: impl ToString) -> LineError {
    LineError { line, message: message.to_string() }
}

impl Roster {
    /// Takes a `.mailmap` in place of the one before.
    ///
    /// # Errors
    /// The lines that cannot be read; then nothing is taken.
    pub fn import_mailmap(&mut self, text: &str) -> Result<Imported, Vec<LineError>> {
        if text.len() > LARGEST {
            return Err(vec![at(0, format!("it is longer than {LARGEST} bytes"))]);
        }
        let (mut errors, mut lines) = (Vec::new(), 0);
        for (number, line) in (1..).zip(text.lines()) {
            for parsed in gix_mailmap::parse(line.as_bytes()) {
                lines += 1;
                if parsed.is_err() {
                    let form = "write `Name <address>`, `<address> <address in commits>`, or `Name <address> Name in commits <address in commits>`";
                    errors.push(at(number, format!("it cannot be read: {form}")));
                }
            }
        }
        errors.truncate(MOST_ERRORS);
        if errors.is_empty() {
            text.clone_into(&mut self.mailmap);
            Ok(Imported { lines, ..Imported::default() })
        } else {
            Err(errors)
        }
    }

    /// Takes members and teams from lines of `member,team,email,username,from,to`, of which all but the first may be empty. They
    /// are added to what is there; a member or a team that has the name is the same one.
    ///
    /// # Errors
    /// The lines that cannot be read or taken; then nothing is taken.
    pub fn import_csv(&mut self, text: &str) -> Result<Imported, Vec<LineError>> {
        if text.len() > LARGEST {
            return Err(vec![at(0, format!("it is longer than {LARGEST} bytes"))]);
        }
        let mut roster = self.clone();
        let (mut errors, mut imported) = (Vec::new(), Imported::default());
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        match reader.headers() {
            Ok(headers) if headers.iter().eq(COLUMNS) => {}
            _ => return Err(vec![at(1, format!("the first line must be {}", COLUMNS.join(",")))]),
        }
        for record in reader.records() {
            let read = record.map_err(|error| (error.position().map_or(0, csv::Position::line), error.to_string()));
            let taken = read.and_then(|record| {
                let line = record.position().map_or(0, csv::Position::line);
                roster.take(&record, &mut imported).map_err(|message| (line, message))
            });
            if let Err((line, message)) = taken {
                errors.push(at(line, message));
            }
            if errors.len() == MOST_ERRORS {
                break;
            }
        }
        if errors.is_empty() {
            *self = roster;
            Ok(imported)
        } else {
            Err(errors)
        }
    }

    fn take(&mut self, record: &csv::StringRecord, imported: &mut Imported) -> Result<(), String> {
        let field = |index: usize| record.get(index).filter(|text| !text.is_empty());
        let Some(name) = field(0) else { return Err("the first field, the member's name, is empty".to_owned()) };
        let id = match self.members.iter().find(|(_, member)| member.name == name) {
            Some((id, _)) => *id,
            None => {
                imported.members += 1;
                self.add_member(name, BTreeSet::new()).map_err(|error| error.to_string())?
            }
        };
        let mut handles = self.members.get(&id).map(|member| member.handles.clone()).unwrap_or_default();
        let username =
            field(3).map(|name| if name.starts_with(['@', '#']) { name.to_owned() } else { format!("@{name}") });
        for handle in field(2).map(str::to_owned).into_iter().chain(username) {
            handles.insert(Handle::try_from(handle).map_err(|error| error.to_string())?);
        }
        self.change_member(id, None, Some(handles)).map_err(|error| error.to_string())?;
        let day = |index: usize| -> Result<Option<Date>, String> {
            let read = |text: &str| text.parse().map_err(|_| format!("{text} is no date, such as 2026-03-01"));
            field(index).map(read).transpose()
        };
        let (from, to) = (day(4)?, day(5)?);
        match field(1) {
            Some(name) => {
                let team = match self.teams.iter().find(|(_, team)| team.name == name) {
                    Some((id, _)) => *id,
                    None => {
                        imported.teams += 1;
                        self.add_team(name).map_err(|error| error.to_string())?
                    }
                };
                self.enrol(team, Enrolment { member: id, from, to }).map_err(|error| error.to_string())?;
            }
            None if from.is_some() || to.is_some() => {
                return Err("dates say when somebody is in a team, and none is named".to_owned());
            }
            None => {}
        }
        imported.lines += 1;
        Ok(())
    }

    /// Members and teams in the form of [`Roster::import_csv`].
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail.
        let mut write = |fields: [&str; 6]| drop(writer.write_record(fields));
        write(COLUMNS);
        for (id, member) in &self.members {
            let name = member.name.as_str();
            write([name, "", "", "", "", ""]);
            for handle in &member.handles {
                let text = String::from(handle.clone());
                match handle {
                    Handle::Email(_) => write([name, "", &text, "", "", ""]),
                    Handle::Username(_) | Handle::UserId(_) => write([name, "", "", &text, "", ""]),
                }
            }
            for team in self.teams.values() {
                for enrolment in team.people.iter().filter(|enrolment| enrolment.member == *id) {
                    let [from, to] =
                        [enrolment.from, enrolment.to].map(|day| day.map(|day| day.to_string()).unwrap_or_default());
                    write([name, &team.name, "", "", &from, &to]);
                }
            }
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}
