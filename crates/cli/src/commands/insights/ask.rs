//! Asks a server for metrics: their list, one metric, or rows of several metrics.

use clap::Args;
use serde_json::Value;

use crate::api::{Api, Query, items, parameters};
use crate::client::{Misused, Server};
use crate::commands::{encoded, moment, say};
use crate::output::{self, Column, Output, column};

const METRICS: [Column; 4] = [
    column("NAME", &["/name"]),
    column("UNIT", &["/unit"]),
    column("KIND", &["/kind"]),
    column("MEANING", &["/help"]),
];

const ROWS: [Column; 6] = [
    column("TIME", &["/time"]),
    column("METRIC", &["/metric"]),
    column("GROUP", &["/group"]),
    column("VALUE", &["/value", "/p50"]),
    column("SAMPLES", &["/samples"]),
    column("PARTIAL", &["/partial"]),
];

#[derive(Args)]
pub(crate) struct Metrics {
    /// Only metrics with this text in their name or meaning.
    search: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
pub(crate) struct Metric {
    /// Name of the metric, as listed by `quickdraw insights metrics`.
    name: String,

    /// Show the items from which the number is computed.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
pub(crate) struct Rows {
    /// Names of metrics, as listed by `quickdraw insights metrics`.
    #[arg(required = true)]
    metrics: Vec<String>,

    /// Split the numbers by project, member, team, branch, label, job, status, environment or source.
    #[arg(long, value_name = "PROPERTY")]
    group_by: Option<String>,

    /// Length of the intervals: hour, day, week or month, or none for one number per metric.
    #[arg(long, default_value = "none")]
    interval: String,

    /// Print CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

/// The window, the projects and the people of a question.
#[derive(Args)]
struct Scope {
    /// First day of the window, or a duration such as 30d back from now. Defaults to 30 days before --to.
    #[arg(long, visible_alias = "since")]
    from: Option<String>,

    /// Day after the last day of the window. Defaults to tomorrow.
    #[arg(long, visible_alias = "until")]
    to: Option<String>,

    /// Time zone of the days, such as Europe/Bratislava. Defaults to UTC.
    #[arg(long)]
    zone: Option<String>,

    /// Only this project: its full path, or its number in received bodies.
    #[arg(long)]
    project: Option<String>,

    /// Only projects of this group and its subgroups (full path).
    #[arg(long)]
    group: Option<String>,

    /// Only work of the members of this team (name or number).
    #[arg(long)]
    team: Option<String>,

    /// Only work of this member (name, username, e-mail address or number).
    #[arg(long)]
    member: Option<String>,

    /// Any other parameter of the API, such as branch=main; may be repeated.
    #[arg(long = "filter", value_name = "NAME=VALUE")]
    filters: Vec<String>,
}

impl Scope {
    fn query(self) -> anyhow::Result<Query> {
        let from = self.from.as_deref().map(day).transpose()?;
        let to = self.to.as_deref().map(day).transpose()?;

        let mut query = parameters([
            ("from", from),
            ("to", to),
            ("zone", self.zone),
            ("project", self.project),
            ("group", self.group),
            ("team", self.team),
            ("member", self.member),
        ]);

        for filter in &self.filters {
            match filter.split_once('=') {
                // The command reads JSON itself.
                Some(("format", _)) => {
                    return Err(Misused("--filter cannot set format; use --csv or --json".to_owned()).into());
                }
                Some((name, value)) => query.push((name.to_owned(), value.to_owned())),
                None => return Err(Misused(format!("--filter {filter} has no value: write NAME=VALUE")).into()),
            }
        }

        Ok(query)
    }
}

/// The day of a duration back from now, or the day as it is given.
fn day(text: &str) -> anyhow::Result<String> {
    let at = moment(text)?;
    Ok(match at == text {
        true => at,
        false => at.split('T').next().unwrap_or_default().to_owned(),
    })
}

pub(super) async fn metrics(command: Metrics) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let all = api.get("v1/insights/metrics", &Query::new()).await?;

    if command.output.json && command.search.is_none() {
        output::json(&all);
        return Ok(());
    }

    let wanted = command.search.unwrap_or_default().to_lowercase();
    let is_wanted = |metric: &&Value| {
        let text = |name: &str| metric[name].as_str().unwrap_or_default().to_lowercase();
        text("name").contains(&wanted) || text("help").contains(&wanted)
    };
    let found: Vec<Value> = items(&all).iter().filter(is_wanted).cloned().collect();

    if command.output.json {
        output::json(&found.into());
    } else {
        output::table(&METRICS, &found);
    }

    Ok(())
}

pub(super) async fn metric(command: Metric) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let below = if command.explain { "/explain" } else { "" };
    let path = format!("v1/insights/metrics/{}{below}", encoded(&command.name));
    let mut answer = api.get(&path, &command.scope.query()?).await?;

    // The series of a metric is long; `quickdraw insights query --interval` shows it as a table.
    if !command.output.json
        && let Some(fields) = answer.as_object_mut()
    {
        fields.shift_remove("series");
    }
    command.output.object(&answer);

    Ok(())
}

pub(super) async fn query(command: Rows) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let mut query = command.scope.query()?;
    query.extend(parameters([
        ("metric", Some(command.metrics.join(","))),
        ("group_by", command.group_by),
        ("interval", Some(command.interval)),
        ("format", command.csv.then(|| "csv".to_owned())),
    ]));

    if command.csv {
        let text = api.get_text("v1/insights/query", &query).await?;
        say(text.trim_end());
        return Ok(());
    }

    let answer = api.get("v1/insights/query", &query).await?;
    if command.output.json {
        output::json(&answer);
    } else {
        output::table(&ROWS, items(&answer["rows"]));
    }

    Ok(())
}
