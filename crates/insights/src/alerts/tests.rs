//! Tests which rules are valid, and when alerts are reported.

use super::*;

fn rule() -> Rule {
    Rule {
        id: 1,
        revision: 1,
        name: "Waiting".to_owned(),
        metric: "mr_waiting".to_owned(),
        statistic: Statistic::Value,
        window: 86_400,
        above: Some(0.0),
        below: None,
        times_previous: None,
        r#for: 0,
        cool_down: 0,
        project: None,
        each_project: false,
        branch: None,
        label: None,
        older_than: None,
    }
}

/// Evaluates a rule every minute; `x` marks the minutes in which it is violated. Returns the reports with their
/// minutes.
fn reported(rule: &Rule, minutes: &str) -> Vec<(i64, &'static str)> {
    let (mut known, mut reports) = (None, Vec::new());
    for (minute, bad) in (0_i64..).zip(minutes.chars()) {
        let found = Found {
            is_violated: bad == 'x',
            value: Some(1.0),
            threshold: Some(0.0),
        };
        known = step(rule, None, known, found, Timestamp::from_seconds(minute * 60));

        if let Some(one) = known.as_mut().filter(|one| one.is_unreported) {
            reports.push((minute, one.state.name()));
            one.is_unreported = false;
        }
    }

    reports
}

#[test]
fn an_alert_is_reported_once_when_it_begins_and_when_it_ends() {
    assert_eq!(
        reported(&rule(), "..xxx..x."),
        [(2, "firing"), (5, "resolved"), (7, "firing"), (8, "resolved")]
    );

    let lasting = Rule { r#for: 120, ..rule() };
    assert_eq!(
        reported(&lasting, ".xx.xxxx."),
        [(6, "firing"), (8, "resolved")],
        "violated for two minutes without a pause"
    );

    let rare = Rule {
        cool_down: 300,
        ..rule()
    };
    assert_eq!(
        reported(&rare, "x.x.xxxx."),
        [(0, "firing"), (1, "resolved"), (5, "firing"), (8, "resolved")]
    );

    let good = Found {
        is_violated: false,
        value: None,
        threshold: None,
    };
    assert_eq!(step(&rule(), None, None, good, Timestamp::default()), None);
}

#[test]
fn a_state_stays_until_it_is_reported() {
    let bad = Found {
        is_violated: true,
        value: Some(1.0),
        threshold: Some(0.0),
    };
    let good = Found {
        is_violated: false,
        ..bad
    };

    let at = Timestamp::from_seconds;
    let on = |known: Option<AlertStatus>, found| step(&rule(), None, known, found, at(60));
    let firing = on(None, bad).expect("a status");

    assert_eq!(
        on(Some(firing.clone()), bad),
        Some(firing.clone()),
        "the report is unchanged"
    );

    assert_eq!(
        on(Some(firing.clone()), good),
        Some(firing.clone()),
        "the alert is reported first"
    );

    let known = AlertStatus {
        is_unreported: false,
        ..firing
    };
    let resolved = on(Some(known.clone()), good).expect("a status");
    assert_eq!((resolved.state, resolved.is_unreported), (State::Resolved, true));

    assert_eq!(
        on(Some(resolved.clone()), bad),
        Some(resolved.clone()),
        "the end is reported first"
    );

    assert_eq!(
        on(Some(resolved.clone()), good),
        Some(resolved),
        "kept until it is reported"
    );

    // Deleting a rule resolves its alert.
    let gone = over(known, at(90)).expect("a status");
    assert_eq!(
        (gone.state, gone.is_unreported, gone.rule.name.as_str()),
        (State::Resolved, true, "Waiting")
    );

    assert_eq!(
        over(
            AlertStatus {
                is_unreported: false,
                ..gone
            },
            at(120)
        ),
        None
    );
}

#[test]
fn a_bound_is_violated_on_one_side() {
    let below = Rule {
        above: None,
        below: Some(0.8),
        ..rule()
    };
    assert_eq!(
        [Some(0.7), Some(0.8), None].map(|value| below.is_violated(value, None)),
        [true, false, false]
    );

    let rising = Rule {
        above: None,
        times_previous: Some(1.5),
        ..rule()
    };
    assert!(rising.is_violated(Some(16.0), Some(10.0)) && !rising.is_violated(Some(15.0), Some(10.0)));
    assert!(!rising.is_violated(Some(16.0), None), "without an earlier value");
}

#[test]
fn errors_in_rules_name_the_correct_form() {
    let refused = |rule: Rule| rule.check().err().expect("it is refused").to_string();
    assert!(rule().check().is_ok());

    assert!(
        refused(Rule {
            metric: "nonsense".to_owned(),
            ..rule()
        })
        .contains("silence")
    );

    assert!(refused(Rule { above: None, ..rule() }).contains("exactly one"));
    assert!(
        refused(Rule {
            below: Some(1.0),
            ..rule()
        })
        .contains("exactly one")
    );

    assert!(
        refused(Rule {
            above: Some(f64::NAN),
            ..rule()
        })
        .contains("finite")
    );

    assert!(
        refused(Rule {
            statistic: Statistic::P75,
            ..rule()
        })
        .contains("no percentiles")
    );

    assert!(refused(Rule { window: 1, ..rule() }).contains("1 minute"));
    assert!(
        refused(Rule {
            name: " ".to_owned(),
            ..rule()
        })
        .contains("name")
    );

    assert!(
        refused(Rule {
            each_project: true,
            project: Some("a/b".to_owned()),
            ..rule()
        })
        .contains("not both")
    );

    let silent = Rule {
        metric: "silence".to_owned(),
        above: None,
        times_previous: Some(2.0),
        ..rule()
    };
    assert!(refused(silent).contains("times_previous does not apply"));

    let distinct = Rule {
        metric: "mr_open".to_owned(),
        above: None,
        times_previous: Some(2.0),
        ..rule()
    };
    assert!(refused(distinct).contains("times_previous does not apply"));

    let of_branch = Rule {
        metric: "issues_open".to_owned(),
        branch: Some("main".to_owned()),
        ..rule()
    };
    assert!(refused(of_branch).contains("branch does not apply"));

    let labelled = Rule {
        metric: "pipelines".to_owned(),
        label: Some("bug".to_owned()),
        ..rule()
    };
    assert!(refused(labelled).contains("label does not apply"));
}

#[test]
fn statuses_with_earlier_names_of_fields_are_read() {
    let mut stored = serde_json::to_value(AlertStatus {
        state: State::Firing,
        since: Timestamp::default(),
        value: None,
        threshold: None,
        reported_at: Some(Timestamp::from_micros(60)),
        is_unreported: true,
        rule: Rule {
            times_previous: Some(1.5),
            ..rule()
        },
        project: None,
    })
    .expect("JSON");
    let current: AlertStatus = serde_json::from_value(stored.clone()).expect("a status");

    let fields = stored.as_object_mut().expect("an object");
    for (new, old) in [("reported_at", "told_at"), ("is_unreported", "news")] {
        let value = fields.remove(new).expect("the field");
        fields.insert(old.to_owned(), value);
    }

    let value = stored["rule"]["times_previous"].take();
    stored["rule"]
        .as_object_mut()
        .expect("an object")
        .remove("times_previous");
    stored["rule"]["times_before"] = value;

    let read: AlertStatus = serde_json::from_value(stored).expect("a status");
    assert_eq!(read, current);
}
