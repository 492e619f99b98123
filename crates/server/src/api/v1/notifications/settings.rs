//! The settings of notification rules as requests contain them.

use axum::http::StatusCode;
use quickdraw_domain::guard::judge_url;
use quickdraw_domain::hook::HookUrl;
use quickdraw_domain::notification::schedule::DailyTime;
use quickdraw_domain::notification::{
    Chat, Digest, Kind, Kinds, MAX_BACKLOG, MAX_SILENT_HOURS, MailAddress, Rule, RuleError, Target, ZoneError,
};
use quickdraw_domain::scope::Scope;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::{ApiError, FieldError, Kind as ProblemKind, Problem};
use crate::params::Line;
use crate::state::App;

const SILENT_HOURS: u32 = 24;
const BACKLOG_ABOVE: u32 = 1000;
const HOUR: i64 = 8;
const ZONE: &str = "UTC";

/// A kind of news.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum KindWord {
    /// A webhook fails and is temporarily disabled.
    HookFailing,

    /// A webhook is disabled until somebody re-enables it.
    HookDisabled,

    /// A webhook is called again.
    HookEnabled,

    /// More than `backlog_above` deliveries wait for a webhook, or at most half as many again.
    HookBacklog,

    /// A source that usually gets requests accepted none for `silent_hours`, or accepts them again. For rules of the
    /// instance only.
    SourceSilent,

    /// Silent mode was turned on or off.
    SilentMode,
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::HookFailing => Self::HookFailing,
            KindWord::HookDisabled => Self::HookDisabled,
            KindWord::HookEnabled => Self::HookEnabled,
            KindWord::HookBacklog => Self::HookBacklog,
            KindWord::SourceSilent => Self::SourceSilent,
            KindWord::SilentMode => Self::SilentMode,
        }
    }
}

/// The channel of messages.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ChannelWord {
    /// Mail, by the mail server of the settings.
    Mail,

    /// An incoming webhook of Slack.
    Slack,

    /// An incoming webhook of Mattermost.
    Mattermost,

    /// An incoming webhook of Microsoft Teams (Workflows).
    Teams,
}

impl ChannelWord {
    const fn chat(self) -> Option<Chat> {
        match self {
            Self::Mail => None,
            Self::Slack => Some(Chat::Slack),
            Self::Mattermost => Some(Chat::Mattermost),
            Self::Teams => Some(Chat::Teams),
        }
    }
}

/// When news is sent.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum DigestWord {
    /// As soon as it is known.
    AtOnce,

    /// At the next full hour.
    Hourly,

    /// Once a day, at `hour` in `zone`.
    Daily,
}

/// A new notification rule.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewRule {
    /// Display name.
    #[schema(value_type = String, max_length = 255)]
    name: Line<255>,

    /// Project whose news is sent: id or full path. Users who are no administrators must give a project or a group.
    project: Option<Line<255>>,

    /// Group whose news is sent, with that of its subgroups and projects: id or full path.
    group: Option<Line<255>>,

    /// Kinds of news that are sent.
    #[schema(inline)]
    kinds: Vec<KindWord>,

    /// Channel of the messages.
    channel: ChannelWord,

    /// Mail addresses, at most 10; for the channel `mail`.
    to: Option<Vec<String>>,

    /// URL of the incoming webhook; for the other channels. It is never shown.
    #[schema(value_type = Option<String>, max_length = 2048)]
    url: Option<Line<2048>>,

    /// When news is sent. Default: `at_once`.
    #[schema(inline)]
    digest: Option<DigestWord>,

    /// Hour of the day at which a daily digest is sent.
    #[schema(default = 8, minimum = 0, maximum = 23)]
    hour: Option<i64>,

    /// Time zone of the hour.
    #[schema(value_type = Option<String>, default = "UTC", max_length = 64)]
    zone: Option<Line<64>>,

    /// Hours without a request after which a source is silent.
    #[schema(default = 24, minimum = 1, maximum = 720)]
    silent_hours: Option<i64>,

    /// Number of waiting deliveries of a webhook above which its backlog is news.
    #[schema(default = 1000, minimum = 1, maximum = 100_000)]
    backlog_above: Option<i64>,

    /// False to send nothing for now.
    #[schema(default = true)]
    active: Option<bool>,
}

/// Changes of a notification rule. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
pub(super) struct ChangedRule {
    /// Display name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Line<255>>,

    /// Kinds of news that are sent.
    #[schema(inline)]
    kinds: Option<Vec<KindWord>>,

    /// Channel of the messages. Another channel needs its own `to` or `url`; one chat can replace another.
    #[schema(inline)]
    channel: Option<ChannelWord>,

    /// Mail addresses, at most 10; for the channel `mail`.
    to: Option<Vec<String>>,

    /// URL of the incoming webhook; for the other channels. It is never shown.
    #[schema(value_type = Option<String>, max_length = 2048)]
    url: Option<Line<2048>>,

    /// When news is sent.
    #[schema(inline)]
    digest: Option<DigestWord>,

    /// Hour of the day at which a daily digest is sent.
    #[schema(minimum = 0, maximum = 23)]
    hour: Option<i64>,

    /// Time zone of the hour.
    #[schema(value_type = Option<String>, max_length = 64)]
    zone: Option<Line<64>>,

    /// Hours without a request after which a source is silent.
    #[schema(minimum = 1, maximum = 720)]
    silent_hours: Option<i64>,

    /// Number of waiting deliveries of a webhook above which its backlog is news.
    #[schema(minimum = 1, maximum = 100_000)]
    backlog_above: Option<i64>,

    /// False to send nothing for now, and to forget the news that waits.
    active: Option<bool>,
}

impl NewRule {
    pub(super) fn project(&self) -> Option<&str> {
        self.project.as_ref().map(|name| &*name.0)
    }

    pub(super) fn group(&self) -> Option<&str> {
        self.group.as_ref().map(|name| &*name.0)
    }

    /// The rule that the request describes.
    pub(super) fn rule(self, app: &App, scope: Scope, created_by: String) -> Result<Rule, ApiError> {
        let now = app.now();
        let rule = Rule {
            id: 0,
            uuid: uuid::Uuid::new_v4(),
            scope,
            name: self.name.0,
            kinds: kinds(&self.kinds),
            target: target(app, None, Some(self.channel), self.to.as_deref(), self.url.as_ref())?,
            digest: digest(&Digest::AtOnce, self.digest, self.hour, self.zone.as_ref())?,
            silent_hours: silent_hours(self.silent_hours)?.unwrap_or(SILENT_HOURS),
            backlog_above: backlog_above(self.backlog_above)?.unwrap_or(BACKLOG_ABOVE),
            active: self.active.unwrap_or(true),
            created_by,
            created_at: now,
            updated_at: now,
        };

        rule.check().map_err(|error| of_rule(&error))?;
        Ok(rule)
    }
}

impl ChangedRule {
    /// The known rule with the changes of the request.
    pub(super) fn apply(self, app: &App, known: Rule) -> Result<Rule, ApiError> {
        let target = target(
            app,
            Some(&known.target),
            self.channel,
            self.to.as_deref(),
            self.url.as_ref(),
        )?;
        let digest = digest(&known.digest, self.digest, self.hour, self.zone.as_ref())?;

        let rule = Rule {
            name: self.name.map_or(known.name, |name| name.0),
            kinds: self.kinds.as_deref().map_or(known.kinds, kinds),
            target,
            digest,
            silent_hours: silent_hours(self.silent_hours)?.unwrap_or(known.silent_hours),
            backlog_above: backlog_above(self.backlog_above)?.unwrap_or(known.backlog_above),
            active: self.active.unwrap_or(known.active),
            updated_at: app.now(),
            ..known
        };

        rule.check().map_err(|error| of_rule(&error))?;
        Ok(rule)
    }
}

fn kinds(words: &[KindWord]) -> Kinds {
    words.iter().copied().map(Kind::from).collect()
}

/// A wrong field, with the status that says that the request was understood.
fn wrong(field: &str, detail: impl Into<String>) -> ApiError {
    let errors = vec![FieldError::new(field, detail)];
    let problem = Problem::of_fields(ProblemKind::InvalidParameter, errors);
    let text = problem.detail.clone();
    ApiError::Fields(StatusCode::UNPROCESSABLE_ENTITY, text, Box::new(problem))
}

fn of_rule(error: &RuleError) -> ApiError {
    wrong(error.field(), error.to_string())
}

/// A number within the limits of a field.
fn number(given: Option<i64>, most: u32, error: &RuleError) -> Result<Option<u32>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let number = u32::try_from(given).ok().filter(|number| (1..=most).contains(number));
    number.map(Some).ok_or_else(|| of_rule(error))
}

fn silent_hours(given: Option<i64>) -> Result<Option<u32>, ApiError> {
    number(given, MAX_SILENT_HOURS, &RuleError::SilentHours)
}

fn backlog_above(given: Option<i64>) -> Result<Option<u32>, ApiError> {
    number(given, MAX_BACKLOG, &RuleError::Backlog)
}

/// The digest after a request. An hour or zone alone belongs to a daily digest.
fn digest(
    known: &Digest,
    word: Option<DigestWord>,
    hour: Option<i64>,
    zone: Option<&Line<64>>,
) -> Result<Digest, ApiError> {
    let known_time = match known {
        Digest::Daily(time) => Some((i64::from(time.hour()), time.zone())),
        Digest::AtOnce | Digest::Hourly => None,
    };
    let is_daily = word.map_or(known_time.is_some(), |word| matches!(word, DigestWord::Daily));

    if !is_daily {
        for (field, is_given) in [("hour", hour.is_some()), ("zone", zone.is_some())] {
            if is_given {
                return Err(wrong(
                    field,
                    format!("{field} needs the digest daily; set digest to daily or remove it"),
                ));
            }
        }

        return Ok(match word {
            Some(DigestWord::Hourly) => Digest::Hourly,
            Some(_) => Digest::AtOnce,
            None => known.clone(),
        });
    }

    let (known_hour, known_zone) = known_time.unwrap_or((HOUR, ZONE));
    let time = DailyTime::new(hour.unwrap_or(known_hour), zone.map_or(known_zone, |zone| &zone.0));
    time.map(Digest::Daily).map_err(|error| {
        let field = match error {
            ZoneError::Hour => "hour",
            ZoneError::Zone(_) => "zone",
        };
        wrong(field, error.to_string())
    })
}

/// The target after a request.
fn target(
    app: &App,
    known: Option<&Target>,
    channel: Option<ChannelWord>,
    to: Option<&[String]>,
    url: Option<&Line<2048>>,
) -> Result<Target, ApiError> {
    let known_chat = match known {
        Some(Target::Chat(chat, _)) => Some(*chat),
        Some(Target::Mail(_)) | None => None,
    };

    match channel.map_or(known_chat, ChannelWord::chat) {
        None => {
            if url.is_some() {
                return Err(wrong("url", "url is for chats; remove it, or set channel to the chat"));
            }

            mail_target(app, known, to)
        }
        Some(chat) => {
            if to.is_some_and(|to| !to.is_empty()) {
                return Err(wrong(
                    "to",
                    "to is for the channel mail; remove it, or set channel to mail",
                ));
            }

            chat_target(app, known, chat, url)
        }
    }
}

fn mail_target(app: &App, known: Option<&Target>, to: Option<&[String]>) -> Result<Target, ApiError> {
    if !app.engine.notifier.sends_mail() {
        let text = "channel is mail, and no mail server is set; set mail.host and mail.from, or choose a chat";
        return Err(wrong("channel", text));
    }

    let Some(to) = to else {
        return match known {
            Some(Target::Mail(addresses)) => Ok(Target::Mail(addresses.clone())),
            _ => Err(of_rule(&RuleError::Addresses)),
        };
    };

    let domains = &app.engine.context.settings().recipient_domains;
    let mut addresses = Vec::new();

    for text in to {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(255).collect();
        let address =
            MailAddress::parse(text).map_err(|error| wrong("to", format!("to has {shown:?}, which {error}")))?;
        let domain = address.domain();

        if !domains.is_empty() && !domains.iter().any(|allowed| allowed == domain) {
            let allowed = domains.join(", ");
            let text = format!("to has {shown:?}, and mails go to these domains only: {allowed}");
            return Err(wrong("to", text));
        }

        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    Ok(Target::Mail(addresses))
}

fn chat_target(app: &App, known: Option<&Target>, chat: Chat, url: Option<&Line<2048>>) -> Result<Target, ApiError> {
    let Some(Line(text)) = url else {
        return match known {
            Some(Target::Chat(_, url)) => Ok(Target::Chat(chat, url.clone())),
            _ => Err(wrong(
                "url",
                "url is missing; give the URL of the incoming webhook of the chat",
            )),
        };
    };

    // The text of an error never repeats the URL, which is a secret.
    let url = HookUrl::parse(text).map_err(|error| wrong("url", format!("url {error}")))?;
    judge_url(&url, &app.engine.context.settings().guard).map_err(|rule| wrong("url", format!("url is {rule}")))?;

    Ok(Target::Chat(chat, url))
}
