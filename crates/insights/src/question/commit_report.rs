//! The report about the commits of a window: its reads, and its calculation. Sums by hour serve most time zones, so the
//! report needs few single commits.

use std::collections::HashMap;

use quickdraw_domain::Timestamp;

use super::{Answer, Days, Found, Group, Question, Reads};
use crate::commits::{Author, Identity};
use crate::people::People;
use crate::report::{self, Cell, CommitReport, Row, burst_share, has_whole_hours, work_balance, working_days};
use crate::roster::Who;

/// The properties of a report about commits that other answers do not need.
#[derive(Clone, Debug)]
pub struct CommitOutput {
    /// The days of the window.
    pub days: Days,

    /// Only this author: a name or an e-mail address, as in the commits.
    pub author: Option<String>,

    /// Members that count with 0 commits in the balance of work.
    pub team: Option<Vec<i64>>,
}

/// The reads of a report about commits. Each is limited to [`Question::projects`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitReads {
    /// Start.
    pub from: Timestamp,

    /// End, exclusive.
    pub to: Timestamp,

    /// The identities to read: those with this name or e-mail address, or all. With an author, the other reads are
    /// limited to these identities.
    pub author: Option<String>,

    /// The sums to read.
    pub cells: Cells,

    /// True if the answer needs the number of commits that pushes did not list.
    pub unlisted: bool,
}

/// The source of the sums of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cells {
    /// Sums by hour. They add up to days only in time zones that are whole hours from UTC.
    Hours,

    /// One cell for each commit and metric.
    Commits,
}

/// The results of the reads of a report about commits.
#[derive(Clone, Default, Debug)]
pub struct FoundCommits {
    /// The identities, in ascending order.
    pub identities: Vec<Identity>,

    /// The sums.
    pub cells: Vec<Cell>,

    /// The commits without merges.
    pub rows: Vec<Row>,

    /// Number of commits that pushes did not list. None if it is not needed.
    pub unlisted: Option<i64>,
}

/// A report about commits.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct CommitAnswer {
    /// The numbers of all authors together. Its identities are numbers of this answer only.
    pub report: CommitReport,

    /// The authors with commits.
    pub authors: Vec<AuthorCommits>,

    /// Number of commits that pushes did not list. None if only some people count, because these commits have no known
    /// author.
    pub unlisted: Option<i64>,

    /// See [`work_balance`]. It includes the members of the team without commits.
    pub work_balance: Option<f64>,

    /// See [`burst_share`].
    pub burst_share: Option<f64>,
}

/// The commits of one author.
#[derive(Clone, PartialEq, Debug)]
pub struct AuthorCommits {
    /// The author.
    pub author: CommitAuthor,

    /// Commits without merges.
    pub commits: i64,

    /// Days with a commit.
    pub active_days: u64,

    /// Days with a commit as a share of the days from Monday to Friday. None if the window has no such day.
    pub coding_days_share: Option<f64>,
}

/// The author of commits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommitAuthor {
    /// A member, by the roster's number.
    Member(i64),

    /// Somebody else, as the commits of the lowest identity spell them.
    Other(Author),
}

impl Question {
    /// Decides what to read for a report about commits.
    pub(super) fn reads_of_report(&self, output: &CommitOutput) -> Reads {
        let (from, to) = (self.window.from, self.window.to);
        let cells = if has_whole_hours(&output.days.zone, from, to) {
            Cells::Hours
        } else {
            Cells::Commits
        };

        // Unlisted commits have no known author, so they count only if no people are selected.
        let unlisted = output.author.is_none() && !self.people.is_limited() && !self.people.is_of_bots();
        let commits = CommitReads {
            from,
            to,
            author: output.author.clone(),
            cells,
            unlisted,
        };

        Reads {
            items: None,
            context: Vec::new(),
            first_received: true,
            commits: Some(commits),
        }
    }

    /// Calculates a report about commits.
    pub(super) fn answer_of_report(&self, output: &CommitOutput, found: Found) -> Answer {
        let FoundCommits {
            identities,
            mut cells,
            mut rows,
            unlisted,
        } = found.commits;

        let persons = Persons::new(&identities, &self.people);
        cells.retain_mut(|cell| persons.replace(&mut cell.identity, cell.at));
        rows.retain_mut(|row| persons.replace(&mut row.identity, row.at));

        let days = &output.days;
        let report = report::report(&cells, &rows, &days.zone);
        let since = found.first_received.into_iter().chain(rows.iter().map(|row| row.at));

        let mut counts: Vec<i64> = report.by_identity.values().copied().collect();
        for member in output.team.iter().flatten() {
            if !report.by_identity.contains_key(&number_of_member(*member)) {
                counts.push(0);
            }
        }

        let commits = CommitAnswer {
            authors: authors(&report, &persons, days),
            unlisted,
            work_balance: work_balance(&counts),
            burst_share: burst_share(&report.by_day, days.first, days.days),
            report,
        };

        let group = Group {
            coverage: self.coverage(since.min()),
            commits: Some(commits),
            ..Group::default()
        };
        Answer { groups: vec![group] }
    }
}

/// The number of a member in a report. It differs from the numbers of identities, which are positive.
const fn number_of_member(member: i64) -> i64 {
    -member
}

/// Lists the authors, members first.
fn authors(report: &CommitReport, persons: &Persons<'_>, days: &Days) -> Vec<AuthorCommits> {
    let working_days = working_days(days.first, days.days) as u64;
    let mut authors = Vec::with_capacity(report.by_identity.len());

    for (person, commits) in &report.by_identity {
        let active_days = report.active_days.get(person).copied().unwrap_or(0);
        let coding_days_share = (working_days > 0).then(|| precise(active_days) / precise(working_days));

        authors.push(AuthorCommits {
            author: persons.author(*person),
            commits: *commits,
            active_days,
            coding_days_share,
        });
    }

    authors
}

#[expect(clippy::cast_precision_loss, reason = "counts of days are far below 2^52")]
fn precise(days: u64) -> f64 {
    days as f64
}

/// Decides which commits count, and to which person they belong.
struct Persons<'a> {
    people: &'a People,
    identities: HashMap<i64, Known<'a>>,
}

/// An identity, and the person that it belongs to.
struct Known<'a> {
    author: &'a Author,
    who: Who,

    /// Lowest identity of the same person. It stands for the person.
    first: i64,
}

impl<'a> Persons<'a> {
    fn new(identities: &'a [Identity], people: &'a People) -> Self {
        // In ascending order, so that the lowest identity of a person is always the same one.
        let mut first: HashMap<i64, i64> = HashMap::new();
        let mut known = HashMap::with_capacity(identities.len());

        for Identity { id, author } in identities {
            let first = *first.entry(people.contributor(author)).or_insert(*id);
            let who = people.author(author);
            known.insert(*id, Known { author, who, first });
        }

        Self {
            people,
            identities: known,
        }
    }

    /// Replaces an identity by the number of its person. Returns false if their work at this time does not count.
    fn replace(&self, identity: &mut i64, at: Timestamp) -> bool {
        let Some(known) = self.identities.get(identity) else {
            return false;
        };
        if !self.people.counts(known.who, at) {
            return false;
        }

        *identity = match known.who {
            Who::Member(member) => number_of_member(member),
            _ => known.first,
        };

        true
    }

    /// The author with this number.
    fn author(&self, person: i64) -> CommitAuthor {
        match self.identities.get(&person) {
            Some(known) => CommitAuthor::Other(known.author.clone()),
            None => CommitAuthor::Member(-person),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::commits;
    use crate::metrics::Metric;
    use crate::people::{Times, Whose};
    use crate::roster::{Handle, Resolver, Roster};

    /// A question about the five days from Friday, 2026-05-01.
    fn question(zone: &str, author: Option<&str>, people: People, team: Option<Vec<i64>>) -> Question {
        let date = |text: &str| text.parse().expect("a date");
        let zone_of_days = TimeZone::get(zone).expect("a zone");
        let days = Days::new(date("2026-05-01"), date("2026-05-06"), zone_of_days, zone.to_owned()).expect("days");

        let metric = Metric::by_name("commits").expect("a metric");
        let mut question = Question::new(metric, days.window(), days.to);
        question.people = people;
        question.output.number = false;

        question.output.commit_report = Some(CommitOutput {
            days,
            author: author.map(ToOwned::to_owned),
            team,
        });

        question
    }

    fn identity(id: i64, email: &str, name: &str) -> Identity {
        let author = Author {
            email: email.to_owned(),
            name: name.to_owned(),
        };
        Identity { id, author }
    }

    /// A number of commits in the morning of a day of May.
    fn cell(identity: i64, day: i64, value: i64) -> Cell {
        Cell {
            at: Timestamp::from_seconds(1_777_593_600 + (day - 1) * 86_400 + 8 * 3_600),
            metric: commits::Metric::Commits,
            identity,
            value,
        }
    }

    fn people(roster: &Roster, whose: Whose, only: Option<Times>) -> People {
        People::new(Resolver::new(roster, &[]), &[], whose, only)
    }

    #[test]
    fn a_report_reads_hours_where_they_add_up_to_days() {
        let check = |zone: &str, cells: Cells| {
            let question = question(zone, None, People::default(), None);
            let reads = question.reads();

            let commits = CommitReads {
                from: question.window.from,
                to: question.window.to,
                author: None,
                cells,
                unlisted: true,
            };

            assert_eq!((reads.items, reads.context), (None, Vec::new()), "{zone}");
            assert_eq!((reads.first_received, reads.commits), (true, Some(commits)), "{zone}");
        };

        check("UTC", Cells::Hours);
        check("Europe/Bratislava", Cells::Hours);
        check("Asia/Kolkata", Cells::Commits);
    }

    #[test]
    fn unlisted_commits_are_read_only_if_everybody_counts() {
        let check = |author: Option<&str>, whose: Whose, only: Option<Times>, expected: bool| {
            let people = people(&Roster::default(), whose, only);
            let reads = question("UTC", author, people, None).reads().commits.expect("reads");
            assert_eq!((reads.author.as_deref(), reads.unlisted), (author, expected));
        };

        check(None, Whose::People, None, true);
        check(None, Whose::All, None, true);
        check(None, Whose::Bots, None, false);
        check(None, Whose::People, Some(Times::new()), false);
        check(Some("Ann"), Whose::People, None, false);
    }

    #[test]
    fn the_commits_of_several_identities_belong_to_one_person() {
        let mut roster = Roster::default();
        let handle = |email: &str| Handle::Email(email.to_owned());
        let addresses = BTreeSet::from([handle("ann@example.com"), handle("ann@home.example")]);
        let ann = roster.add_member("Ann", addresses).expect("a member");
        let ben = roster.add_member("Ben", BTreeSet::new()).expect("a member");

        let found = Found {
            first_received: Some(Timestamp::from_seconds(1_700_000_000)),
            commits: FoundCommits {
                identities: vec![
                    identity(1, "cy@example.com", "Cy"),
                    identity(2, "ann@example.com", "Ann"),
                    identity(3, "ann@home.example", "A."),
                    identity(4, "cy@example.com", "Cyril"),
                    identity(5, "robot-bot@example.com", "renovate[bot]"),
                ],
                cells: vec![
                    cell(4, 1, 1),
                    cell(2, 1, 2),
                    cell(3, 2, 3),
                    cell(1, 5, 1),
                    cell(5, 5, 100),
                    cell(9, 5, 100),
                ],
                rows: Vec::new(),
                unlisted: Some(4),
            },
            ..Found::default()
        };

        let team = Some(vec![ann, ben]);
        let question = question("UTC", None, people(&roster, Whose::People, None), team);
        let group = question.answer(found).expect("one group").whole();
        let answer = group.commits.expect("a report");

        let authors: Vec<_> = answer
            .authors
            .into_iter()
            .map(|one| (one.author, one.commits, one.active_days, one.coding_days_share))
            .collect();

        let cy = identity(1, "cy@example.com", "Cy").author;
        // Three of the five days are working days.
        let share = Some(2.0 / 3.0);

        assert_eq!(
            authors,
            [
                (CommitAuthor::Member(ann), 5, 2, share),
                (CommitAuthor::Other(cy), 2, 2, share),
            ]
        );

        assert_eq!((answer.report.commits, answer.unlisted), (7, Some(4)));
        assert_eq!(answer.burst_share, Some(1.0 / 7.0));
        assert_eq!(answer.work_balance, work_balance(&[5, 2, 0]), "Ben has no commits");
        assert_eq!(group.coverage.since, Some(Timestamp::from_seconds(1_700_000_000)));
    }
}
