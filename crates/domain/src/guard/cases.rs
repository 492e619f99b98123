//! Runs every case of `fixtures/guard/cases.jsonl` against the pure rules. The tests of the binary run the same file
//! through the command line, and the engine's tests run it through the real client.

use serde::Deserialize;

use super::{METADATA, Question, Rule, Settings, Verdict, judge_operators_server, verdict};

#[derive(Deserialize)]
struct Case {
    id: String,
    expect: String,
    #[serde(default)]
    or: Vec<String>,
    why: String,
    #[serde(flatten)]
    question: Question,
}

#[test]
fn every_case_of_the_table_is_decided_as_expected() {
    let (mut ran, mut wrong) = (0, Vec::new());
    for line in include_str!("../../../../fixtures/guard/cases.jsonl").lines() {
        let Case {
            id,
            expect,
            or,
            why,
            question,
        } = serde_json::from_str(line).expect("a case");

        // Cases with redirects are skipped, because the client follows none. So are cases whose allowlist does not
        // parse.
        let settings = question.settings(&Settings::default()).ok();
        let Some(settings) = settings.filter(|_| question.redirect.is_none()) else {
            continue;
        };
        ran += 1;

        let value_of = |name: &str| question.url_variables.get(name).map(String::as_str);
        let word = match verdict(&question.url, value_of, question.answer(), &settings) {
            Verdict::Allowed => "allowed",
            Verdict::Blocked(_) => "blocked",
            Verdict::Invalid(_) => "invalid",
        };
        if expect != word && !or.iter().any(|other| other == word) {
            wrong.push(format!("{id} {}: {word}, expected {expect}: {why}", question.url));
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 290, "only {ran} cases ran");
}

#[test]
fn a_server_of_the_operator_may_have_any_address_except_those_of_metadata() {
    let judged = |addresses: &[&str]| {
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        judge_operators_server(&addresses, &Settings::default())
    };
    assert_eq!(judged(&["127.0.0.1", "10.0.0.25", "2001:4860::1"]), Ok(()));
    assert_eq!(judged(&["10.0.0.25", "169.254.169.254"]), Err(Rule::Metadata));
    assert_eq!(judged(&["::ffff:169.254.169.254"]), Err(Rule::Metadata));
    assert_eq!(judged(&[]), Err(Rule::Unresolvable));

    for address in METADATA {
        assert_eq!(
            judge_operators_server(&[address], &Settings::default()),
            Err(Rule::Metadata)
        );
    }
}
