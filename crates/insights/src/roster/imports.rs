//! Import and export of the roster: `.mailmap` and CSV.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::Date;

use super::{Enrolment, Handle, Roster, RosterError};

/// Maximum size of an import, in bytes.
const LARGEST: usize = 1 << 20;
/// Maximum number of errors in an answer.
const MAX_ERRORS: usize = 100;
const COLUMNS: [&str; 6] = ["member", "team", "email", "username", "from", "to"];

/// An error in a line of an import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineError {
    /// Number of the line, from 1. 0 stands for the whole text.
    pub line: u64,

    /// The error, and the correct form.
    pub message: String,
}

/// The result of an import.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Imported {
    /// Number of lines with content.
    pub lines: usize,

    /// Number of added members.
    pub members: usize,

    /// Number of added teams.
    pub teams: usize,
}

fn at(line: u64, message: impl ToString) -> LineError {
    LineError {
        line,
        message: message.to_string(),
    }
}

impl Roster {
    /// Replaces the `.mailmap`.
    ///
    /// # Errors
    /// The lines with errors. Nothing is imported then.
    pub fn import_mailmap(&mut self, text: &str) -> Result<Imported, Vec<LineError>> {
        if text.len() > LARGEST {
            return Err(vec![at(0, format!("the text is longer than {LARGEST} bytes"))]);
        }

        let (mut errors, mut lines) = (Vec::new(), 0);
        for (number, line) in (1..).zip(text.lines()) {
            for parsed in gix_mailmap::parse(line.as_bytes()) {
                lines += 1;
                if parsed.is_err() {
                    let form = "write `Name <address>`, `<address> <address in commits>`, or `Name <address> Name in commits <address in commits>`";
                    errors.push(at(number, format!("the line cannot be read; {form}")));
                }
            }
        }

        errors.truncate(MAX_ERRORS);

        if errors.is_empty() {
            text.clone_into(&mut self.mailmap);
            Ok(Imported {
                lines,
                ..Imported::default()
            })
        } else {
            Err(errors)
        }
    }

    /// Adds members and teams from lines of `member,team,email,username,from,to`. All fields but the first may be
    /// empty. An existing member or team with the same name is used.
    ///
    /// # Errors
    /// The lines with errors. Nothing is imported then.
    pub fn import_csv(&mut self, text: &str) -> Result<Imported, Vec<LineError>> {
        if text.len() > LARGEST {
            return Err(vec![at(0, format!("the text is longer than {LARGEST} bytes"))]);
        }

        let mut import = Import::of(self);
        let mut errors = Vec::new();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        match reader.headers() {
            Ok(headers) if headers.iter().eq(COLUMNS) => {}
            _ => return Err(vec![at(1, format!("the first line must be {}", COLUMNS.join(",")))]),
        }

        for record in reader.records() {
            let read = record.map_err(|error| (error.position().map_or(0, csv::Position::line), error.to_string()));
            let taken = read.and_then(|record| {
                let line = record.position().map_or(0, csv::Position::line);
                import.take(&record).map_err(|message| (line, message))
            });
            if let Err((line, message)) = taken {
                errors.push(at(line, message));
            }

            if errors.len() == MAX_ERRORS {
                break;
            }
        }

        if errors.is_empty() {
            *self = import.roster;
            Ok(import.imported)
        } else {
            Err(errors)
        }
    }

    /// Exports members and teams in the form of [`Roster::import_csv`].
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory does not fail.
        let mut write = |fields: [&str; 6]| drop(writer.write_record(fields));
        write(COLUMNS);

        let mut names: HashMap<&str, usize> = HashMap::new();
        for member in self.members.values() {
            *names.entry(&member.name).or_default() += 1;
        }

        for (id, member) in &self.members {
            // If several members have the same name, the id identifies them.
            let name = match names.get(member.name.as_str()) {
                Some(1) => quote_formula(&member.name),
                _ => format!("#{id}"),
            };
            let name = name.as_str();
            write([name, "", "", "", "", ""]);

            for handle in &member.handles {
                let text = String::from(handle.clone());
                match handle {
                    Handle::Email(_) => write([name, "", &text, "", "", ""]),
                    Handle::Username(_) | Handle::UserId(_) => {
                        write([name, "", "", text.trim_start_matches('@'), "", ""]);
                    }
                }
            }

            for team in self.teams.values() {
                for enrolment in team.people.iter().filter(|enrolment| enrolment.member == *id) {
                    let [from, to] =
                        [enrolment.from, enrolment.to].map(|day| day.map(|day| day.to_string()).unwrap_or_default());
                    write([name, &quote_formula(&team.name), "", "", &from, &to]);
                }
            }
        }

        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

/// An import in progress, with indexes for finding members, handles and teams.
struct Import {
    roster: Roster,
    imported: Imported,

    /// Ids of members by name. Several members can have the same name.
    names: HashMap<String, Vec<i64>>,
    owners: HashMap<Handle, i64>,
    teams: HashMap<String, i64>,
}

impl Import {
    fn of(roster: &Roster) -> Self {
        let (mut names, mut owners): (HashMap<String, Vec<i64>>, HashMap<Handle, i64>) = Default::default();
        for (id, member) in &roster.members {
            names.entry(member.name.clone()).or_default().push(*id);
            owners.extend(member.handles.iter().map(|handle| (handle.clone(), *id)));
        }

        let teams = roster.teams.iter().map(|(id, team)| (team.name.clone(), *id)).collect();
        Self {
            roster: roster.clone(),
            imported: Imported::default(),
            names,
            owners,
            teams,
        }
    }

    fn take(&mut self, record: &csv::StringRecord) -> Result<(), String> {
        let text = |error: RosterError| error.to_string();
        let field = |index: usize| record.get(index).filter(|text| !text.is_empty());
        let Some(name) = field(0) else {
            return Err("the first field is empty; it must have the member's name".to_owned());
        };
        let id = self.member(name)?;

        let username = field(3).map(|name| {
            if name.starts_with(['@', '#']) {
                name.to_owned()
            } else {
                format!("@{name}")
            }
        });
        for handle in field(2).map(str::to_owned).into_iter().chain(username) {
            self.give(id, Handle::try_from(handle).map_err(text)?)?;
        }

        let day = |index: usize| -> Result<Option<Date>, String> {
            let read = |text: &str| {
                text.parse()
                    .map_err(|_| format!("{text} is not a date such as 2026-03-01"))
            };
            field(index).map(read).transpose()
        };
        let (from, to) = (day(4)?, day(5)?);

        match field(1) {
            Some(name) => {
                let name = unquote_formula(name);
                let team = match self.teams.get(name) {
                    Some(id) => *id,
                    None => {
                        let id = self.roster.add_team(name).map_err(text)?;
                        self.teams.insert(name.to_owned(), id);
                        self.imported.teams += 1;

                        id
                    }
                };
                self.roster
                    .enrol(team, Enrolment { member: id, from, to })
                    .map_err(text)?;
            }
            None if from.is_some() || to.is_some() => {
                return Err("the line has dates but no team; name the team".to_owned());
            }
            None => {}
        }

        self.imported.lines += 1;
        Ok(())
    }

    /// Finds a member by id or name. An unknown name adds a member.
    fn member(&mut self, name: &str) -> Result<i64, String> {
        if let Some(number) = name.strip_prefix('#') {
            let known = number.parse().ok().filter(|id| self.roster.members.contains_key(id));
            return known.ok_or_else(|| format!("there is no member {name}"));
        }

        let name = unquote_formula(name);
        match self.names.get(name).map(Vec::as_slice) {
            Some([id]) => Ok(*id),
            Some([_, _, ..]) => Err(format!(
                "several members are named {name}; write # and the id of one of them"
            )),
            _ => {
                let id = self
                    .roster
                    .add_member(name, BTreeSet::new())
                    .map_err(|error| error.to_string())?;
                self.names.insert(name.to_owned(), vec![id]);
                self.imported.members += 1;

                Ok(id)
            }
        }
    }

    fn give(&mut self, id: i64, handle: Handle) -> Result<(), String> {
        match self.owners.get(&handle) {
            Some(owner) if *owner == id => Ok(()),
            // The same message as outside of imports.
            Some(_) => {
                let error = self.roster.check_handles(id, &BTreeSet::from([handle]));
                Err(error.map_or_else(
                    |error| error.to_string(),
                    |()| "the handle belongs to another member".to_owned(),
                ))
            }

            None => {
                let member = self.roster.members.get_mut(&id).ok_or("there is no such member")?;
                if member.handles.len() >= super::MAX_PER_ENTRY {
                    return Err(format!("a member has at most {} handles", super::MAX_PER_ENTRY));
                }

                member.handles.insert(handle.clone());
                self.owners.insert(handle, id);
                Ok(())
            }
        }
    }
}

/// Spreadsheets read fields that begin with these characters as formulas.
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Quotes a name that a spreadsheet would read as a formula.
fn quote_formula(name: &str) -> String {
    if name.starts_with(FORMULAS) {
        format!("'{name}")
    } else {
        name.to_owned()
    }
}

fn unquote_formula(name: &str) -> &str {
    name.strip_prefix('\'')
        .filter(|rest| rest.starts_with(FORMULAS))
        .unwrap_or(name)
}
