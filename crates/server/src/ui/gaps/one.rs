//! The gaps of one project: its sequences, the missing events with the sign of their loss, and the way to repair them.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::{Sequence, Sequences};
use crate::ui::Ui;
use crate::ui::client::{Api, Items, Refusal};
use crate::ui::error::PageError;
use crate::ui::form::{Form, Query};
use crate::ui::frame::{Frame, page, refused_page};
use crate::ui::history::{Choice, Filters, found_or_refused};
use crate::ui::live::live;
use crate::ui::navigation::Section;
use crate::ui::parts::{Time, quoted};
use crate::ui::place::{Level, Visit};

/// The filters of the list of gaps.
const FILTERS: [&str; 3] = ["kind", "since", "until"];
/// The sequences that can have gaps.
const KINDS: [(&str, &str); 4] = [
    ("push", "Pushes"),
    ("merge_request", "Merge requests"),
    ("issue", "Issues"),
    ("pipeline", "Pipelines"),
];
/// Number of gaps in a page.
const ROWS: &str = "50";
/// Number of letters of a commit that are shown.
const SHORT: usize = 8;

/// A gap, as the API shows it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Gap {
    Pushes {
        #[serde(rename = "ref")]
        git_ref: String,
        before: Option<String>,
        after: String,
        received_at: String,
    },
    Objects {
        kind: String,
        first_iid: i64,
        last_iid: i64,
    },
}

/// A row of the list.
struct Row {
    /// The missing events.
    missing: String,

    /// The sign of their loss.
    reason: String,

    /// Time at which the next push of the branch was received.
    noticed: Option<Time>,
}

impl From<&Gap> for Row {
    fn from(gap: &Gap) -> Self {
        match gap {
            Gap::Pushes {
                git_ref,
                before,
                after,
                received_at,
            } => {
                let branch = git_ref.strip_prefix("refs/heads/").unwrap_or(git_ref);
                let ended = before.as_deref().map_or("an unknown commit", short);
                Self {
                    missing: format!("One or more pushes to {branch}"),
                    reason: format!(
                        "The last known push ended at {ended}, and the next one begins at {}.",
                        short(after)
                    ),
                    noticed: Some(Time::new(received_at)),
                }
            }

            Gap::Objects {
                kind,
                first_iid,
                last_iid,
            } => {
                let (word, sign) = match kind.as_str() {
                    "merge_request" => ("Merge request", "!"),
                    "issue" => ("Issue", "#"),
                    _ => ("Pipeline", ""),
                };
                if first_iid == last_iid {
                    return Self {
                        missing: format!("{word} {sign}{first_iid}"),
                        reason: "No event named this number, although higher ones arrived.".to_owned(),
                        noticed: None,
                    };
                }

                Self {
                    missing: format!("{word}s {sign}{first_iid} to {sign}{last_iid}"),
                    reason: "No event named these numbers, although higher ones arrived.".to_owned(),
                    noticed: None,
                }
            }
        }
    }
}

/// The beginning of a commit's id.
fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

/// The sequences of the project, which the page shows and the stream sends. A repair changes them.
#[derive(Template)]
#[template(path = "ui/gaps/sequences.html")]
struct Table {
    rows: Vec<Sequence>,
}

impl HtmlSafe for Table {}

#[derive(Template)]
#[template(path = "ui/gaps/one.html")]
struct OnePage {
    frame: Frame,
    form: Form,
    kinds: Vec<Choice>,
    sequences: Table,

    /// The part that updates by itself; none for a project without sequences.
    live: String,
    rows: Vec<Row>,
    next: Option<String>,

    /// The address of this page without filters.
    here: String,

    /// Other numbers under which GitLab knew the project.
    others: Vec<Other>,
    path: String,
    compare: String,
    repair: String,
    is_filtered: bool,
}

/// A former project with the same path.
struct Other {
    number: i64,
    href: String,
}

/// The project whose gaps a page shows.
#[derive(Clone)]
struct Asked {
    api: Api,

    /// The parameter that names the place, such as `&project=3`.
    place: String,
    number: i64,
}

impl Asked {
    fn new(at: &Visit, number: i64) -> Self {
        let place = match at.place.filter() {
            filter if filter.is_empty() => filter,
            filter => format!("&{filter}"),
        };
        Self {
            api: at.person.api.clone(),
            place,
            number,
        }
    }

    async fn sequences(&self) -> Result<Vec<Sequence>, Refusal> {
        let Self { place, number, .. } = self;
        let address = format!("/api/v1/insights/completeness?source_project_id={number}{place}");
        let found: Sequences = self.api.get(&address).await?;
        Ok(found.items)
    }

    /// The address of a page of gaps.
    fn address(&self, filters: &Filters, after: Option<&str>) -> String {
        let number = self.number.to_string();
        let mut more = vec![("source_project_id", number.as_str()), ("limit", ROWS)];
        more.extend(after.map(|after| ("after", after)));
        format!("/api/v1/insights/gaps?{}", filters.of_api(&more))
    }
}

/// Shows the gaps of a project of a group or the instance, by its id in received bodies.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let asked = Asked::new(&at, at.number("source_project_id")?);
    let sequences = asked.sequences().await?;
    let first = sequences.first().ok_or(PageError::Missing)?;
    let path = first.project();
    shown(&at, &ui, &query, asked, path, sequences, Vec::new()).await
}

/// Shows the gaps of the project whose page it is. Of several projects that had the path one after the other, it is
/// the newest.
pub(super) async fn of_project(at: &Visit, ui: &Ui, query: &Query) -> Result<Response, PageError> {
    let address = format!("/api/v1/insights/completeness?{}", at.place.filter());
    let found = match at.person.api.get::<Sequences>(&address).await {
        Ok(found) => found.items,
        // Insights do not know the project before its first event.
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => Vec::new(),
        Err(refusal) => return Err(refusal.into()),
    };

    let newest = found.iter().map(|one| one.source_project_id).max().unwrap_or_default();
    let mut others = Vec::new();
    let mut sequences = Vec::new();
    for sequence in found {
        let number = sequence.source_project_id;
        if number == newest {
            sequences.push(sequence);
        } else if others.iter().all(|other: &Other| other.number != number) {
            let href = at.place.page(&format!("gaps/{number}"));
            others.push(Other { number, href });
        }
    }

    let path = at.place.full_path.clone();
    shown(at, ui, query, Asked::new(at, newest), path, sequences, others).await
}

async fn shown(
    at: &Visit,
    ui: &Ui,
    query: &Query,
    asked: Asked,
    path: String,
    sequences: Vec<Sequence>,
    others: Vec<Other>,
) -> Result<Response, PageError> {
    let filters = Filters::read(&at.place, &FILTERS, &query.0);
    let after = query.0.filled("after");
    let address = asked.address(&filters, after);
    let mut form = filters.form();

    let (gaps, next) = if sequences.is_empty() {
        (Vec::new(), None)
    } else {
        let found = asked.api.get::<Items<Gap>>(&address).await;
        found_or_refused(found.map(|found| (found.items, found.next)), &mut form, Vec::new)?
    };

    let base = at.place.page("gaps");
    let own = at.place.page(&format!("gaps/{}", asked.number));
    let is_own = at.place.level == Level::Project;
    let here = if is_own { base.clone() } else { own.clone() };
    let title = if is_own {
        "Gaps".to_owned()
    } else {
        format!("Gaps of {path}")
    };

    let mut frame = Frame::at(ui, &at.person, &at.place, Section::Gaps, title).json(address);
    if !is_own {
        frame = frame.crumb("Gaps", &base);
    }

    let compare = command(&path);
    let is_refused = form.is_refused();
    let shown = OnePage {
        frame,
        kinds: KINDS.iter().map(|(value, words)| Choice::new(*value, *words)).collect(),
        form,
        live: format!("{own}/live"),
        sequences: Table { rows: sequences },
        rows: gaps.iter().map(Row::from).collect(),
        next: next.map(|next| format!("{own}?{}", filters.of_page(&[("after", &next)]))),
        here,
        others,
        path,
        repair: format!("{compare} --repair"),
        compare,
        is_filtered: !filters.is_empty(),
    };
    Ok(if is_refused { refused_page(&shown) } else { page(&shown) })
}

/// The command that compares the gaps of a project with GitLab.
fn command(path: &str) -> String {
    let path = quoted(path);
    format!("quickdraw gaps --project {path} --gitlab https://gitlab.example.com --gitlab-token-file gitlab-token")
}

/// Sends the sequences whenever they have changed, so that the page shows the progress of a repair.
pub(super) async fn follow(at: Visit, State(ui): State<Arc<Ui>>, cookies: HeaderMap) -> Result<Response, PageError> {
    let asked = Asked::new(&at, at.number("source_project_id")?);
    live(ui, &at, cookies, move || {
        let asked = asked.clone();
        async move {
            let table = Table {
                rows: asked.sequences().await?,
            };
            Ok(table.to_string())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_row(gap: &str, missing: &str, reason: &str) {
        let gap: Gap = serde_json::from_str(gap).expect("a gap");
        let row = Row::from(&gap);
        assert_eq!((row.missing.as_str(), row.reason.as_str()), (missing, reason));
    }

    #[test]
    fn a_gap_is_explained_in_a_sentence() {
        check_row(
            r#"{"kind": "push", "ref": "refs/heads/main", "before": "0123456789", "after": "abcdefghij", "received_at": ""}"#,
            "One or more pushes to main",
            "The last known push ended at 01234567, and the next one begins at abcdefgh.",
        );
        check_row(
            r#"{"kind": "merge_request", "first_iid": 12, "last_iid": 12}"#,
            "Merge request !12",
            "No event named this number, although higher ones arrived.",
        );
        check_row(
            r#"{"kind": "pipeline", "first_iid": 3, "last_iid": 5}"#,
            "Pipelines 3 to 5",
            "No event named these numbers, although higher ones arrived.",
        );
    }
}
