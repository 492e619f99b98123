//! `/insights/query`, which returns flat rows for Grafana and spreadsheets.

use serde_json::{Value, json};

use crate::answers::items;
use crate::counted::Counted;
use crate::identities::{Members, make_member};
use crate::server::Engine;

/// Two weeks and a day of March, with three merge requests.
const WINDOW: &str = "from=2026-03-01&to=2026-03-15";

fn make(engine: &Engine) -> Counted {
    let counted = Members::make_with_merge_requests(engine).counted;
    make_member(&counted, "Dee", &["#31", "#32"]);

    counted
}

fn rows(counted: &Counted, parameters: &str) -> Vec<Value> {
    let path = format!("/api/v1/insights/query?{parameters}");
    items(&counted.server.get(&path)["rows"]).to_vec()
}

pub(crate) fn a_query_returns_a_row_for_each_interval(engine: Engine) {
    let counted = make(&engine);
    let weeks = rows(&counted, &format!("metric=mr_opened&interval=week&{WINDOW}"));
    let values: Vec<&Value> = weeks.iter().map(|row| &row["value"]).collect();

    assert_eq!(values, [0.0, 3.0, 0.0]);

    // A window that ends at midnight excludes the next day.
    let midnights = "metric=mr_opened&interval=day&from=2026-03-01T00:00:00Z&to=2026-03-15T00:00:00Z";
    assert_eq!(rows(&counted, midnights).len(), 14);

    // Grafana's times are in milliseconds.
    let millis = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    let (from, to) = (millis("2026-03-01T00:00:00Z"), millis("2026-03-14T10:00:00Z"));
    let grafana = format!("metric=mr_opened&interval=week&from={from}&to={to}");
    assert_eq!(rows(&counted, &grafana).len(), 3);
}

pub(crate) fn rows_can_be_grouped_by_project_member_and_team(engine: Engine) {
    let counted = make(&engine);
    let check = |by: &str, expected: &[(&str, f64)]| {
        let parameters = format!("metric=mr_opened&interval=none&group_by={by}&{WINDOW}");
        let row = |row: &Value| json!([row["group"], row["value"]]);
        let rows: Vec<Value> = rows(&counted, &parameters).iter().map(row).collect();

        assert_eq!(json!(rows), json!(expected), "{by}");
    };

    check("project", &[("gear/rope", 3.0)]);
    check("member", &[("Ann Lee", 1.0), ("Bob", 0.0), ("Dee", 0.0)]);
    check("team", &[("Ropes", 1.0)]);

    // Two metrics of the two members of the team.
    let of_team = "metric=mr_opened,mr_reviews&interval=none&group_by=member&team=Ropes";
    assert_eq!(rows(&counted, &format!("{of_team}&{WINDOW}")).len(), 4);
}

pub(crate) fn a_query_shows_the_units_of_its_metrics(engine: Engine) {
    let path = format!("/api/v1/insights/query?metric=mr_opened,mr_reviewers&interval=none&{WINDOW}");
    let whole = make(&engine).server.get(&path);
    assert_eq!(whole["definitions"][1]["unit"], "count");
    assert_eq!(whole["rows"][1]["value"], 2.0);
}

pub(crate) fn rows_and_explanations_can_be_read_as_csv(engine: Engine) {
    let counted = make(&engine);
    let path = format!("query?metric=mr_opened&interval=none&group_by=member&format=csv&{WINDOW}");
    let csv = counted.call("GET", &path, "");
    assert_eq!(csv.content_type(), "text/csv; charset=utf-8");

    let lines: Vec<&str> = csv.body.lines().collect();
    let head = "time,metric,group,value,samples,p50,p75,p90,p95,unit,as_of,definition_version,definition,partial";
    assert_eq!(lines[0], head);

    let begin = "2026-03-01T00:00:00.000Z,mr_opened,Ann Lee,1,1,,,,,count,";
    assert!(lines[1].starts_with(begin), "{}", lines[1]);

    let path = "metrics/mr_merged/explain?from=2026-03-01&to=2026-04-01&format=csv";
    let why = counted.call("GET", path, "").body;
    let line = "7,gear/rope,1,!1,false,,,it is not merged,7/1";
    assert_eq!(why.lines().nth(1), Some(line));
}

pub(crate) fn an_invalid_query_is_refused(engine: Engine) {
    let counted = make(&engine);
    for bad in [
        "",
        "&metric=nonsense",
        "&metric=mr_open&group_by=moon",
        "&metric=mr_open&format=xml",
        "&metric=mr_open&interval=year",
        "&metric=mr_open&group_by=team&member=1",
    ] {
        counted.check_statuses(&[(&format!("query?{WINDOW}{bad}"), 400)]);
    }
}
