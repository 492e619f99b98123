//! A notification rule as pages show it, and the form for it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ui::form::{Fields, Form};
use crate::ui::parts::{Badge, Time};
use crate::ui::place::{Level, Place};

/// The kinds of news, with their words.
const KINDS: [(&str, &str); 6] = [
    ("hook_failing", "A webhook fails and is temporarily disabled"),
    ("hook_disabled", "A webhook is disabled"),
    ("hook_enabled", "A webhook is called again"),
    ("hook_backlog", "Many deliveries wait for a webhook"),
    ("source_silent", "A source gets no requests"),
    ("silent_mode", "Silent mode is turned on or off"),
];

/// A rule.
#[derive(Deserialize)]
pub(super) struct Rule {
    pub(super) id: i64,
    pub(super) name: String,
    project_id: Option<i64>,
    group_id: Option<i64>,
    kinds: Vec<String>,
    channel: String,
    to: Vec<String>,
    pub(super) url_host: Option<String>,
    digest: String,
    hour: Option<i64>,
    zone: Option<String>,
    silent_hours: i64,
    backlog_above: i64,
    active: bool,
    pub(super) pending: i64,
    failures: i64,
    next_attempt_at: Option<String>,
    last_sent_at: Option<String>,
    pub(super) last_error: Option<String>,
}

impl Rule {
    /// Checks whether the rule belongs to a place.
    pub(super) fn is_of(&self, place: &Place) -> bool {
        let (project, group) = match place.level {
            Level::Project => (Some(place.id), None),
            Level::Group => (None, Some(place.id)),
            Level::Instance => (None, None),
        };
        (self.project_id, self.group_id) == (project, group)
    }

    /// The state of its messages in words.
    pub(super) fn state(&self) -> Badge {
        if !self.active {
            return Badge::plain("Off").because("Nothing is sent until the rule is turned on.");
        }

        if self.failures > 0 {
            return Badge::bad("Failing").because("The next message could not be sent. It is tried again.");
        }

        if self.last_error.is_some() {
            return Badge::warning("Partly sent").because("The last message did not reach all recipients.");
        }

        match (self.pending, &self.last_sent_at) {
            (0, Some(_)) => Badge::good("Sent"),
            (0, None) => Badge::plain("Nothing sent yet"),
            _ => Badge::waiting("Waiting").because("News waits for the next message."),
        }
    }

    /// The kinds of news in words.
    pub(super) fn news(&self) -> Vec<&str> {
        let words = |kind: &String| {
            let known = KINDS.iter().find(|(word, _)| word == kind);
            known.map(|(_, words)| *words)
        };
        self.kinds.iter().filter_map(words).collect()
    }

    /// The recipient in words.
    pub(super) fn target(&self) -> String {
        match &self.url_host {
            None => format!("Mail to {}", self.to.join(", ")),
            Some(host) => {
                let chat = match self.channel.as_str() {
                    "slack" => "Slack",
                    "mattermost" => "Mattermost",
                    _ => "Microsoft Teams",
                };
                format!("{chat} ({host})")
            }
        }
    }

    /// The time of messages in words.
    pub(super) fn schedule(&self) -> String {
        match (self.digest.as_str(), self.hour, &self.zone) {
            ("daily", Some(hour), Some(zone)) => format!("Daily at {hour}:00, {zone}"),
            ("hourly", ..) => "Hourly".to_owned(),
            _ => "At once".to_owned(),
        }
    }

    pub(super) fn last_sent(&self) -> Option<Time> {
        self.last_sent_at.as_deref().map(Time::new)
    }

    pub(super) fn next_attempt(&self) -> Option<Time> {
        self.next_attempt_at.as_deref().map(Time::new)
    }
}

/// A message in the history of a rule.
#[derive(Deserialize)]
pub(super) struct Message {
    at: String,
    news: i64,
    pub(super) subject: String,
    result: String,
    pub(super) error: Option<String>,
}

impl Message {
    pub(super) fn time(&self) -> Time {
        Time::new(&self.at)
    }

    pub(super) fn badge(&self) -> Badge {
        match (self.result.as_str(), &self.error) {
            ("sent", None) => Badge::good("Sent"),
            ("sent", Some(_)) => Badge::warning("Partly sent"),
            ("failed", _) if self.news == 0 => Badge::bad("Failed"),
            ("failed", _) => Badge::warning("Failed, tried again"),
            _ => Badge::bad("Given up"),
        }
    }
}

/// A box of the form.
pub(super) struct Choice {
    pub(super) word: &'static str,
    pub(super) label: &'static str,
    pub(super) is_chosen: bool,
}

/// The kinds of news that rules of a place can have. The form has a value for each chosen kind.
pub(super) fn choices_of_kinds(place: &Place, form: &Form) -> Vec<Choice> {
    let chosen: Vec<&str> = form.value("chosen_kinds").split(' ').collect();
    let mut choices = Vec::new();
    for (word, label) in KINDS {
        if word == "source_silent" && place.level != Level::Instance {
            continue;
        }

        choices.push(Choice {
            word,
            label,
            is_chosen: chosen.contains(&word),
        });
    }

    choices
}

/// The form for a new rule.
pub(super) fn blank(place: &Place) -> Form {
    let mut form = Form::default();
    form.set("name", format!("Webhooks of {}", place.name));
    form.set("chosen_kinds", "hook_failing hook_disabled hook_enabled");
    form.set("channel", "mail");
    form.set("digest", "at_once");
    form.set("hour", "8");
    form.set("zone", "UTC");
    form.set("silent_hours", "24");
    form.set("backlog_above", "1000");
    form.set("active", "true");

    form
}

/// The form for a rule. The URL of a chat is never shown.
pub(super) fn filled(rule: &Rule) -> Form {
    let mut form = Form::default();
    form.set("name", &rule.name);
    form.set("chosen_kinds", rule.kinds.join(" "));
    form.set("channel", &rule.channel);
    form.set("to", rule.to.join(", "));
    form.set("digest", &rule.digest);
    form.set("hour", rule.hour.unwrap_or(8).to_string());
    form.set("zone", rule.zone.as_deref().unwrap_or("UTC"));
    form.set("silent_hours", rule.silent_hours.to_string());
    form.set("backlog_above", rule.backlog_above.to_string());
    form.set("active", rule.active.to_string());

    form
}

/// The attributes that name the owner of a new rule.
pub(super) fn owner(place: &Place) -> Option<(String, Value)> {
    let name = match place.level {
        Level::Project => "project",
        Level::Group => "group",
        Level::Instance => return None,
    };
    Some((name.to_owned(), json!(place.id.to_string())))
}

/// The settings that a form contains, as the API takes them. A text in place of a number is noted in
/// the form as an error.
pub(super) fn body(fields: &Fields, form: &mut Form) -> Map<String, Value> {
    let kinds = fields.all("kinds");
    form.set("chosen_kinds", kinds.join(" "));

    let channel = fields.text("channel");
    let digest = fields.text("digest");
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));

    set("name", json!(fields.text("name").trim()));
    set("kinds", json!(kinds));
    set("channel", json!(channel));
    set("digest", json!(digest));
    set("active", json!(fields.has("active")));

    if channel == "mail" {
        let separators = |c: char| c.is_whitespace() || c == ',' || c == ';';
        let to = fields
            .text("to")
            .split(separators)
            .filter(|address| !address.is_empty());
        set("to", json!(to.collect::<Vec<_>>()));
    } else if let Some(url) = fields.filled("url") {
        set("url", json!(url));
    }

    let mut numbers = vec!["silent_hours", "backlog_above"];
    if digest == "daily" {
        set("zone", json!(fields.text("zone").trim()));
        numbers.push("hour");
    }

    for name in numbers {
        let Some(text) = fields.filled(name) else { continue };
        match text.parse::<i64>() {
            Ok(number) => set(name, json!(number)),
            Err(_) => form.wrong(name, format!("{name} must be a whole number")),
        }
    }

    if !fields.has("active") {
        form.set("active", "false");
    }

    body
}
