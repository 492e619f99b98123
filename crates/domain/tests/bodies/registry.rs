//! Every kind of the registry, held to the same promises.

use std::fs;

use quickdraw_domain::Trigger;
use quickdraw_domain::compose::{ComposeError, Scene, actions, kind_of};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::report::sample;
use quickdraw_domain::trigger::Testable;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::reports::{INSTANCE, NOW, Report, composed, find, fixtures, project, reports};

/// The kinds whose bodies Quickdraw composes from reports.
fn composed_kinds() -> Vec<Trigger> {
    let can_be_composed = |trigger: &Trigger| {
        let nothing = composed(*trigger, &json!({ "object": {} }));
        !matches!(nothing, Err(ComposeError::NoComposer(_)))
    };
    Trigger::all().filter(can_be_composed).collect()
}

/// Calls a check with every kind that can be composed and each of its reports.
fn for_each_report(check: impl Fn(Trigger, &Report)) {
    let all = reports();
    for trigger in composed_kinds() {
        let name = trigger.row().name;
        let own: Vec<&Report> = all.iter().filter(|report| report.trigger == name).collect();

        assert!(
            own.iter().any(|report| report.variant.is_empty()),
            "fixtures/gitlab/{name}/report.json is missing"
        );

        for report in own {
            check(trigger, report);
        }
    }
}

#[test]
fn every_kind_but_ours_can_be_composed() {
    let composed = composed_kinds();
    let others: Vec<Trigger> = Trigger::all().filter(|trigger| !composed.contains(trigger)).collect();
    assert_eq!(others, [Trigger::HOOK_STATE, Trigger::INSIGHT_ALERT, Trigger::UNKNOWN]);
}

/// A body that we send to another Quickdraw is there what it was here.
#[test]
fn a_source_recognises_what_was_composed() {
    for_each_report(|trigger, Report { variant, text, .. }| {
        let envelope = Envelope::read(text.as_bytes()).expect("a composed body can be read");
        assert!(trigger.row().describes(&envelope), "{trigger} {variant}");

        assert_eq!(
            Trigger::recognise(Some(trigger.row().header), &envelope),
            trigger,
            "{trigger} {variant}"
        );

        assert_eq!(trigger.for_body(&envelope), trigger, "{trigger} {variant}");
    });
}

#[test]
fn a_report_is_of_its_own_kind() {
    for_each_report(|trigger, Report { variant, .. }| {
        let name = if variant.is_empty() {
            "report.json".to_owned()
        } else {
            format!("report-{variant}.json")
        };
        let file = fixtures().join(trigger.row().name).join(name);
        let report: Value = serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON");
        let object = RawValue::from_string(report["object"].to_string()).expect("JSON");

        assert_eq!(kind_of(trigger, &object), trigger, "{trigger} {variant}");
    });
}

/// The `action` of a body, wherever the kind has it.
fn action(body: &Value) -> Option<&str> {
    let own = body["object_attributes"]["action"].as_str();
    own.or_else(|| body["action"].as_str())
}

#[test]
fn the_action_of_a_body_is_a_word_of_its_kind() {
    for_each_report(|trigger, report| {
        let body = report.body();
        match action(&body) {
            Some(action) => assert!(
                actions(trigger).contains(&action),
                "{trigger} {}: {action}",
                report.variant
            ),
            None => assert!(
                actions(trigger).is_empty(),
                "{trigger} {} has no action",
                report.variant
            ),
        }
    });
}

#[test]
fn a_word_that_no_kind_has_is_refused_by_those_that_have_words() {
    let all = reports();
    for trigger in composed_kinds()
        .into_iter()
        .filter(|trigger| !actions(*trigger).is_empty())
    {
        let name = trigger.row().name;
        let file = fixtures()
            .join(find(&all, name, "").trigger.as_str())
            .join("report.json");
        let mut report: Value = serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON");

        report["object"]["action"] = json!("explode");
        assert!(
            matches!(composed(trigger, &report), Err(ComposeError::Action(..))),
            "{name}"
        );
    }
}

/// A kind that the test endpoint offers has a sample, and the sample is the body of its report.
#[test]
fn the_sample_of_a_test_is_the_body_of_the_report() {
    let (all, project) = (reports(), project());
    for trigger in Trigger::all() {
        let name = trigger.row().name;
        let body = sample(trigger, Scene::Project(&project), INSTANCE, NOW).expect("it can be composed");

        match body {
            Some(body) => {
                let body: Value = serde_json::from_slice(&body).expect("JSON");
                assert_eq!(body, find(&all, name, "").body(), "{name}");
            }
            None => assert_ne!(trigger.row().test, Testable::Yes, "{name} is offered and has no sample"),
        }
    }
}

#[test]
fn every_composed_body_fits_its_schema() {
    let schemas = include_str!("../../../../docs/reference/schemas.json");
    let schemas: Value = serde_json::from_str(schemas).expect("JSON");

    for_each_report(|trigger, report| {
        let schema = &schemas[trigger.row().name];
        assert!(
            schema.is_object(),
            "{trigger} has no schema; run cargo run -p xtask -- schemas"
        );

        check_schema(&report.body(), schema, &format!("{trigger} {}", report.variant));
    });
}

/// Checks the keywords of JSON Schema that our schemas use.
fn check_schema(value: &Value, schema: &Value, path: &str) {
    let types: Vec<&Value> = match &schema["type"] {
        Value::Array(types) => types.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };

    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |of: &&Value| **of == found || (found == "integer" && **of == "number");
    assert!(
        types.is_empty() || types.iter().any(fits),
        "{path} is {found} and not {types:?}"
    );

    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{path} is {value} and none of {words:?}");
    }

    if value.is_object() {
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            assert!(value.get(name).is_some(), "{path} has no {name}");
        }
    }

    for (name, value) in value.as_object().into_iter().flatten() {
        if let Some(schema) = schema["properties"].get(name) {
            check_schema(value, schema, &format!("{path}.{name}"));
        }
    }

    for value in value.as_array().into_iter().flatten() {
        check_schema(value, &schema["items"], &format!("{path}[]"));
    }
}
