//! `quickdraw guard check` for the whole table of cases.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::server::BINARY;

pub(crate) fn guard_check_answers_every_case() {
    let cases = include_str!("../../../../fixtures/guard/cases.jsonl");
    let folder = tempfile::tempdir().expect("a folder");

    let mut child = Command::new(BINARY)
        .args(["guard", "check"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("piped");

    // Every case has an answer for its name, so the test resolves no names.
    let lines: Vec<Value> = cases
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();

    let writer = std::thread::spawn(move || {
        for case in &lines {
            writeln!(input, "{case}").expect("the command reads");
        }

        lines
    });

    let output = child.wait_with_output().expect("it ends");
    assert!(
        !output.status.success(),
        "the command fails, because some cases are blocked or invalid"
    );

    let lines = writer.join().expect("no panic");
    let answers: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();

    assert_eq!(answers.len(), lines.len());

    let mut wrong = Vec::new();
    for (case, answer) in lines.iter().zip(&answers) {
        let others = case["or"].as_array().map(Vec::as_slice).unwrap_or_default();
        if answer["verdict"] != case["expect"] && !others.contains(&answer["verdict"]) {
            wrong.push(format!("{}: {answer}, expected {}", case["id"], case["expect"]));
        }

        assert_eq!(
            answer["verdict"] == "allowed",
            answer["rule"] == "",
            "a refusal names its rule: {answer}"
        );
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
