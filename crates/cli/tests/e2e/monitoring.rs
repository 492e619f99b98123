//! What `monitoring/` asks for must be there.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

/// Names of metrics in a text.
fn names(text: &str) -> HashSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("quickdraw_") || word.starts_with("gitlab_webhook_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

pub(crate) fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let declared = [read("crates/engine/src/telemetry.rs"), read("crates/server/src/telemetry.rs")].concat();
    let declared = names(&declared);
    let (alerts, dashboard) =
        (read("monitoring/prometheus/alerts/webhooks.yml"), read("monitoring/grafana/quickdraw.json"));
    for (file, asked) in [("the alert rules", names(&alerts)), ("the dashboard", names(&dashboard))] {
        assert!(asked.len() >= 8, "{file}: {asked:?}");
        let missing: Vec<_> = asked.difference(&declared).collect();
        assert!(missing.is_empty(), "{file} ask for {missing:?}");
    }
    assert_eq!(alerts.matches("- alert: ").count(), alerts.matches("expr: ").count());
    // What Grafana needs to load it.
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    assert!(
        dashboard["title"].is_string()
            && dashboard["uid"].is_string()
            && dashboard["schemaVersion"].as_u64() > Some(36)
    );
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: HashSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24 && place("h") > 0, "{panel}");
        assert!(panel["type"].is_string() && panel["title"].is_string(), "{panel}");
        for target in panel["targets"].as_array().expect("targets") {
            assert!(target["expr"].as_str().is_some_and(|expr| !names(expr).is_empty()), "{target}");
            assert_eq!(target["datasource"]["uid"], "${datasource}");
        }
    }
}
