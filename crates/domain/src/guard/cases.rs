//! Every case of `fixtures/guard/cases.jsonl` against the pure rules. The same file runs through the command line in the
//! tests of the binary.

use std::net::IpAddr;

use serde_json::Value;

use super::{Allowlist, Settings, Verdict, verdict};

fn strings(value: &Value) -> Vec<String> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn addresses(value: &Value) -> Option<Vec<IpAddr>> {
    value.as_array()?;
    Some(strings(value).iter().map(|text| text.parse().expect("an address")).collect())
}

/// `None` where the operator's allowlist is refused at start, which is the answer to such a case.
fn settings(config: &Value) -> Option<Settings> {
    let entries = strings(&config["allowlist"]);
    Some(Settings {
        allow_local_networks: config["allow_local_networks"] == true,
        allowlist: Allowlist::parse(entries.iter().map(String::as_str)).ok()?,
        deny_all_except_allowlist: config["deny_all_except_allowlist"] == true,
        allowed_ports: config["allowed_ports"]
            .as_array()
            .map(|ports| ports.iter().filter_map(|port| u16::try_from(port.as_u64()?).ok()).collect()),
        https_only: config["https_only"] == true,
        decode_nat64: config["nat64"] == "decode",
        own: Vec::new(),
    })
}

#[test]
fn every_case_of_the_table_gets_its_verdict() {
    let (mut ran, mut wrong) = (0, Vec::new());
    for line in include_str!("../../../../fixtures/guard/cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        // Redirects are a matter of the client, which follows none: its tests and the command line answer these.
        let Some(settings) = settings(&case["config"]).filter(|_| case["redirect"].is_null()) else { continue };
        ran += 1;
        // The answer that this attempt gets: a later look-up for a later attempt, the first one within an attempt.
        let later = case["stage"] != "connect" && case["resolves_then"].is_array();
        let answer = addresses(if later { &case["resolves_then"] } else { &case["resolves_to"] });
        let value_of = |name: &str| case["url_variables"][name].as_str();
        let url = case["url"].as_str().expect("a case has a URL");
        let word = match verdict(url, value_of, answer.as_deref(), &settings) {
            Verdict::Allowed => "allowed",
            Verdict::Blocked(_) => "blocked",
            Verdict::Invalid(_) => "invalid",
        };
        if case["expect"] != word && !strings(&case["or"]).iter().any(|other| other == word) {
            wrong.push(format!("{} {url}: {word}, expected {}: {}", case["id"], case["expect"], case["why"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ran > 290, "only {ran} cases ran");
}
