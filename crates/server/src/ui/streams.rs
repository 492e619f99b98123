//! Streams: programs that follow the events of a project, a group or the instance, and the commands that open one.

mod follow;

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use self::follow::Commands;
use super::Ui;
use super::client::{Api, Items, Refusal};
use super::error::PageError;
use super::form::{Form, Query, Sent};
use super::frame::{Frame, Notice, page, refused_page};
use super::history::{Choice, PlaceLink, Wanted, kind_words, kinds};
use super::live::live;
use super::navigation::Section;
use super::parts::{Badge, Time};
use super::place::{Place, Visit};
use super::question::Question;

/// The pages of streams.
pub(super) fn routes() -> Router<Arc<Ui>> {
    Router::new()
        .route("/{level}/{path}/streams", get(list))
        .route("/{level}/{path}/streams/live", get(updates))
        .route("/{level}/{path}/streams/{stream_id}/end", get(ask).post(end))
}

/// An open stream, as the API shows it.
#[derive(Deserialize)]
struct Stream {
    id: i64,
    user: String,
    project_id: Option<i64>,
    group_id: Option<i64>,
    triggers: Vec<String>,
    has_filter: bool,
    position: String,
    behind: i64,
    sent: u64,
    sent_at: Option<String>,
    opened_at: String,
}

impl Stream {
    fn badge(&self) -> Badge {
        match self.behind {
            0 => Badge::good("Up to date"),
            _ => Badge::waiting("Behind").because("The stream has not sent all events yet."),
        }
    }

    /// The lag in words.
    fn lag(&self) -> String {
        match self.behind {
            0 => String::new(),
            1 => "by 1 batch of events".to_owned(),
            count => format!("by {count} batches of events"),
        }
    }

    /// The followed events in words.
    fn followed(&self) -> Vec<String> {
        let mut words: Vec<String> = self.triggers.iter().map(|trigger| kind_words(trigger)).collect();
        if words.is_empty() {
            words.push("All kinds".to_owned());
        }

        if self.has_filter {
            words.push("Filtered".to_owned());
        }

        words
    }

    fn opened(&self) -> Time {
        Time::new(&self.opened_at)
    }

    fn last_sent(&self) -> Option<Time> {
        self.sent_at.as_deref().map(Time::new)
    }
}

/// A row of the list.
struct Row {
    stream: Stream,

    /// The project or group whose events are followed. Empty for the instance.
    of: PlaceLink,
}

/// The rows of the list, which the page shows and the stream of the page sends.
#[derive(Template)]
#[template(path = "ui/streams/rows.html")]
struct Rows {
    rows: Vec<Row>,
    base: String,
    form_token: String,
}

impl HtmlSafe for Rows {}

#[derive(Template)]
#[template(path = "ui/streams/list.html")]
struct ListPage {
    frame: Frame,
    rows: Rows,
    base: String,
    form: Form,
    kinds: Vec<Choice>,

    /// The commands that follow the events; none if the form has a wrong value.
    commands: Option<Commands>,
    word: &'static str,
}

/// The list that a page asked for.
#[derive(Clone)]
struct Asked {
    api: Api,
    address: String,
    base: String,
    form_token: String,
}

impl Asked {
    fn new(at: &Visit) -> Self {
        Self {
            api: at.person.api.clone(),
            address: address(&at.place),
            base: at.place.page("streams"),
            form_token: at.person.form_token.clone(),
        }
    }

    async fn read(&self) -> Result<Rows, Refusal> {
        let found: Items<Stream> = self.api.get(&self.address).await?;
        let mut wanted = Wanted::default();
        for stream in &found.items {
            wanted.place(stream.project_id, stream.group_id);
        }

        let names = wanted.find(&self.api).await?;
        let mut rows = Vec::new();
        for stream in found.items {
            let of = names.place(stream.project_id, stream.group_id);
            rows.push(Row { stream, of });
        }

        Ok(Rows {
            rows,
            base: self.base.clone(),
            form_token: self.form_token.clone(),
        })
    }
}

fn address(place: &Place) -> String {
    match place.filter() {
        filter if filter.is_empty() => "/api/v1/streams".to_owned(),
        filter => format!("/api/v1/streams?{filter}"),
    }
}

/// Shows the open streams of a place, and the commands that open another one.
async fn list(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let asked = Asked::new(&at);
    let (rows, kinds) = futures_util::join!(asked.read(), kinds(&at.person.api));
    let rows = rows?;

    let mut form = Form::default();
    form.keep(&query.0, &[]);
    let commands = follow::commands(&at, &ui, &query.0, &mut form).await?;

    let notice = match query.0.text("done") {
        "ended" => Some(Notice::good("The stream is ended. Its client can connect again.")),
        _ => None,
    };
    let is_refused = form.is_refused();
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Streams, "Streams").json(asked.address);
    let list = ListPage {
        frame: frame.notice(notice),
        rows,
        base: asked.base,
        form,
        kinds: kinds?,
        commands,
        word: at.place.level.word(),
    };
    Ok(if is_refused { refused_page(&list) } else { page(&list) })
}

/// Sends the rows whenever they have changed.
async fn updates(at: Visit, State(ui): State<Arc<Ui>>, cookies: HeaderMap) -> Result<Response, PageError> {
    let asked = Asked::new(&at);
    live(ui, &at, cookies, move || {
        let asked = asked.clone();
        async move { Ok(asked.read().await?.to_string()) }
    })
}

/// The stream that a page is about. A stream of another place is missing.
async fn find(at: &Visit) -> Result<Stream, PageError> {
    let id = at.number("stream_id")?;
    let found: Items<Stream> = at.person.api.get(&address(&at.place)).await?;
    found
        .items
        .into_iter()
        .find(|stream| stream.id == id)
        .ok_or(PageError::Missing)
}

/// Asks before a stream is ended, for browsers without a script.
async fn ask(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let stream = find(&at).await?;
    Ok(ending(&ui, &at, &stream).ask())
}

/// Ends a stream after a confirmation.
async fn end(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let stream = find(&at).await?;
    if !sent.fields.has("confirmed") {
        return Ok(ending(&ui, &at, &stream).ask());
    }

    let address = format!("/api/v1/streams/{}", stream.id);
    at.person.api.send_only(Method::DELETE, &address, &json!({})).await?;
    Ok(Redirect::to(&at.place.page("streams?done=ended")).into_response())
}

fn ending(ui: &Ui, at: &Visit, stream: &Stream) -> Question {
    let base = at.place.page("streams");
    Question {
        frame: Frame::at(ui, &at.person, &at.place, Section::Streams, "End stream").crumb("Streams", &base),
        text: format!(
            "The connection of {} is closed. The client can connect again and continue at its position. To prevent \
             that, revoke its access token.",
            stream.user
        ),
        action: format!("{base}/{}/end", stream.id),
        button: "End",
        field: "end",
        back: base,
    }
}
