//! Checks one rule for all input from users and other servers: work stays within its budget, and memory within 64 MiB
//! beyond the size of the input, for any repetition and length. The allocations of the process are counted, so this is
//! a program of its own, and only one test measures at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::hook::body_template::{self, MAX_BODY};
use quickdraw_domain::hook::filter::LARGEST_BODY;
use quickdraw_domain::hook::{BranchFilter, EventFilter, Expression};
use quickdraw_domain::scope::Place;
use quickdraw_domain::work::Work;
use quickdraw_domain::{ProjectId, Timestamp, Trigger, tree};
use quickdraw_insights::facts;
use serde_json::{Value, json};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;
/// Maximum memory in addition to the size of the input.
const MAX_EXTRA: usize = 64 * MIB;
/// Maximum steps for one hook and event.
const MAX_WORK: u64 = 4_000_000;

/// Held while a test measures. No other test makes its input then.
static ALONE: Mutex<()> = Mutex::new(());
/// The longest duration of a step so far, in microseconds.
static LONGEST: AtomicU64 = AtomicU64::new(0);

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks a rule with inputs of growing size.
fn holds<S: Strategy>(inputs: S, rule: impl Fn(S::Value) -> TestCaseResult) {
    let _alone = alone();
    let settings = ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if let Err(error) = TestRunner::new(settings).run(&inputs, rule) {
        panic!("{error}");
    }
}

/// Runs a step on an input of `length` bytes and checks its memory. Prints the step if it is the slowest so far.
#[expect(
    clippy::print_stdout,
    reason = "the time depends on the machine, so it is printed and not checked"
)]
fn measured<T>(what: &str, length: usize, work: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();

    let began = Instant::now();
    let done = work();
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let beyond = MEMORY.peak_usage().saturating_sub(before);

    assert!(
        beyond <= length + MAX_EXTRA,
        "{what} of {length} bytes takes {} MiB",
        beyond / MIB
    );

    if LONGEST.fetch_max(took, Ordering::Relaxed) < took {
        println!("{what} of {length} bytes: {} ms, {} KiB", took / 1000, beyond >> 10);
    }

    done
}

/// The parts that bodies are filled with.
const PARTS: [&str; 12] = [
    "1",
    "1e15",
    "[]",
    "{}",
    r#""""#,
    r#"{"a":1}"#,
    r#"{"title":"a"}"#,
    r#""\u00e9""#,
    r#"{"id":"c","message":"m","timestamp":"2026-11-02T14:27:31Z","author":{"name":"a","email":"a@b"},"added":["x"]}"#,
    r#"{"id":1,"name":"a","stage":"b","status":"success","created_at":"2026-11-02T14:27:31Z","user":{"id":1,"username":"a"}}"#,
    r#""a/b.txt""#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
];

/// The positions of the filling in a body, with the trigger of an event that reads them.
const PLACES: [(&str, &str); 9] = [
    (r#""x":[@]"#, "push_hooks"),
    (r#""commits":[@]"#, "push_hooks"),
    (
        r#""total_commits_count":1,"commits":[{"id":"c","message":"m","timestamp":"2026-11-02T14:27:31Z","added":[@]}]"#,
        "push_hooks",
    ),
    (r#""builds":[@]"#, "pipeline_hooks"),
    (
        r#""labels":[@],"object_attributes":{"id":1,"iid":1,"labels":[@]}"#,
        "issue_hooks",
    ),
    (
        r#""assignees":[@],"reviewers":[@],"object_attributes":{"id":1,"iid":1}"#,
        "merge_request_hooks",
    ),
    (
        r#""merge_request":{"id":1,"iid":1,"labels":[@]},"object_attributes":{"note":[@]}"#,
        "note_hooks",
    ),
    (r#""user":{"username":[@]},"user_username":[@]"#, "deployment_hooks"),
    (r#""x":{"y":[[[@]]]},"x":[@]"#, "push_hooks"),
];

fn filled(part: &str, length: usize) -> String {
    vec![part; length / (part.len() + 1) + 1].join(",")
}

fn body(part: &str, place: &str, length: usize) -> String {
    let times = place.matches('@').count();
    let place = place.replace('@', &filled(part, length / times));

    format!(
        r#"{{"object_kind":"push","ref":"refs/heads/main","before":"{}","after":"{}","project_id":7,{place},"project":{{"id":7}}}}"#,
        "a".repeat(40),
        "b".repeat(40)
    )
}

/// Runs everything that reads the body of an event.
fn read(body: &str, kind: &str) {
    let (length, bytes) = (body.len(), body.as_bytes());
    let envelope = measured("an envelope", length, || Envelope::read(bytes));
    let envelope = envelope.unwrap_or_else(|error| panic!("{error}: {body:.200}"));
    let key = measured("a place", length, || envelope.dedupe_key("one"));

    assert!(!key.is_empty());

    let trigger = Trigger::by_name(kind).expect("a trigger");
    drop(measured("facts", length, || {
        facts(trigger, Timestamp::from_seconds(1_800_000_000), bytes)
    }));

    if length <= 2 * MIB {
        drop(measured("a project", length, || envelope.project()));
        measured("an object's key", length, || {
            trigger.object_key(&envelope, Place::Project(ProjectId(1)))
        });
        drop(measured("a tree", length, || tree::read(bytes, tree::BUDGET)));
    }
}

#[test]
fn no_body_of_a_megabyte_takes_more_memory_than_it_may() {
    let _alone = alone();
    for (place, kind) in PLACES {
        for part in PARTS {
            read(&body(part, place, MIB - 1000), kind);
        }
    }
}

#[test]
fn no_body_of_25_megabytes_takes_more_memory_than_it_may() {
    let _alone = alone();
    for (part, place) in [(11, 0), (5, 4), (8, 1), (10, 2)] {
        let (part, (place, kind)) = (PARTS[part], PLACES[place]);
        read(&body(part, place, MAX_BODY - 1000), kind);
    }

    let text = format!(
        r#"{{"user_name":"{}","object_kind":"{}"}}"#,
        r"\u00e9".repeat(2 * MIB),
        "k".repeat(12 * MIB)
    );
    read(&text, "push_hooks");
}

/// Renders a template, and calculates the length of the result.
fn render(template: &str, body: &str) {
    let length = template.len() + body.len();
    let rendered = measured("a rendered body", length, || {
        body_template::render(template, body.as_bytes())
    });
    assert!(
        rendered.is_err() || rendered.is_ok_and(|rendered| rendered.len() <= MAX_BODY),
        "{template:.100}"
    );

    let _ = measured("a rendered length", length, || {
        body_template::rendered_len(template, body.as_bytes())
    });
}

#[test]
fn no_template_takes_more_memory_than_it_may() {
    let _alone = alone();
    let times = |part: &str| {
        format!(
            "[{}]",
            vec![part; body_template::MAX_LEN / (part.len() + 1) - 1].join(",")
        )
    };

    let places: Vec<String> = (0..300).map(|place| format!("{{{{x.{}}}}}", 400_000 - place)).collect();
    let deep = format!("[{{{{{}}}}}]", vec!["x"; 100].join("."));

    for (template, body) in [
        // Numbers become longer when they are written again.
        (
            "[{{x}}]".to_owned(),
            format!(r#"{{"x":[{}]}}"#, filled("1e15", 24 * MIB)),
        ),
        (times("{{x}}"), format!(r#"{{"x":[{}]}}"#, filled("1e15", 36_000))),
        (times("{{x}}"), format!(r#"{{"x":[{}]}}"#, filled("[]", 36_000))),
        (times("{{x}}"), format!(r#"{{"x":[{}]}}"#, filled("1", 100_000))),
        (
            format!("[{}]", places.join(",")),
            format!(r#"{{"x":[{}]}}"#, filled("1", MIB)),
        ),
        (deep, format!("{}1{}", r#"{"x":"#.repeat(120), "}".repeat(120))),
        (
            r#"["{{x}}"]"#.to_owned(),
            format!(r#"{{"x":"{}"}}"#, r"\u00e9".repeat(4 * MIB)),
        ),
    ] {
        render(&template, &body);
    }
}

/// Pieces of expressions. Each piece needs much work for its length.
fn expression() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("a".to_owned()),
        Just("[ab]*a".to_owned()),
        Just(".*".to_owned()),
        Just(r"\w".to_owned()),
        Just(r"\pL".to_owned()),
        Just(r"[\PL\d&&\w--a]".to_owned()),
        Just("(?i)".to_owned()),
        Just("[!-\u{10ffff}]".to_owned()),
        Just("(?=a*b)".to_owned()),
        Just("(?<!x(?!y))".to_owned()),
        Just(r"\b".to_owned()),
        (1..2_000_u32).prop_map(|times| format!("(?:a?){{{times}}}")),
        (1..50_u32).prop_map(|times| format!("(?:(?:a|b?){{{times}}}){{{times}}}")),
        (1..400_u32).prop_map(|times| format!("[ab]{{{times}}}")),
    ];

    // One piece many times, or several pieces.
    prop_oneof![
        (piece.clone(), 0..11_u32, any::<bool>()).prop_map(|(piece, size, any_case)| {
            format!("{}{}", if any_case { "(?i)" } else { "" }, piece.repeat(1 << size))
        }),
        prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat()),
    ]
}

/// Texts from a few bytes to a megabyte.
fn text() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "ab", "é", "a/b-", "x\n"]);
    (part, 0..20_u32).prop_map(|(part, size)| part.repeat(1 << size))
}

/// Filters with one or several conditions: long names, long lists, or many equal conditions.
fn filter() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(vec!["x", "x.*", "x.0", "x.*.a", "x.*.*.a", "*.*", "commits.*.added.*"]);
    let field = (field, 0..12_u32).prop_map(|(field, size)| match size {
        0..6 => field.to_owned(),
        _ => format!("{field}.{}", "n".repeat(1 << size)),
    });

    let test = prop_oneof![
        text().prop_map(|text| json!({ "is": text.chars().take(500).collect::<String>() })),
        (1..1_000_i64).prop_map(|last| json!({ "in": (0..last).collect::<Vec<_>>() })),
        text().prop_map(|text| json!({ "contains": text.chars().take(2_000).collect::<String>() })),
        text().prop_map(|text| json!({ "like": format!("*{}c", text.chars().take(2_000).collect::<String>()) })),
        expression().prop_map(|expression| json!({ "matches": expression })),
        Just(json!({ "over": 5 })),
        any::<bool>().prop_map(|exists| json!({ "exists": exists })),
    ];

    let one = prop_oneof![
        (field, test).prop_map(|(field, mut test)| {
            test["field"] = json!(field);
            test
        }),
        Just(json!({ "path": "*a*b*c" })),
        Just(json!({ "label": "bug" })),
        Just(json!({ "actor": "i*" })),
    ];

    one.prop_recursive(5, 40, 20, |inside| {
        prop_oneof![
            (inside.clone(), 1..90_usize).prop_map(|(one, times)| json!({ "any": vec![one; times] })),
            prop::collection::vec(inside.clone(), 1..10).prop_map(|all| json!({ "all": all })),
            inside.prop_map(|one| json!({ "not": one })),
        ]
    })
}

fn part() -> impl Strategy<Value = &'static str> {
    prop::sample::select(PARTS.to_vec())
}

fn place() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(PLACES.to_vec())
}

#[test]
fn no_body_takes_more_memory_than_it_may() {
    holds((part(), place(), 4..21_u32), |(part, (place, kind), size)| {
        read(&body(part, place, 1 << size), kind);
        Ok(())
    });
}

#[test]
fn no_template_makes_more_than_it_may() {
    let names = [
        "{{x}}",
        "{{x.0}}",
        "{{x.99999}}",
        "{{x.y}}",
        "{{x.y.0.0}}",
        "{{",
        "\"{{user_username}}\"",
    ];
    let names = (prop::sample::select(names.to_vec()), 0..12_u32);

    holds(
        (names, part(), place(), 4..20_u32),
        |((name, times), part, (place, _), size)| {
            let mut template = format!("[{}]", vec![name; 1 << times].join(","));
            template.truncate(body_template::MAX_LEN);
            render(&template, &body(part, place, 1 << size));

            Ok(())
        },
    );
}

#[test]
fn no_expression_takes_more_than_its_work() {
    holds((expression(), text(), 0..MAX_WORK), |(expression, text, budget)| {
        let length = expression.len();
        if let Ok(parsed) = measured("an expression", length, || Expression::parse(&expression)) {
            let mut work = Work::new(budget);
            let found = measured("a match", length + text.len(), || parsed.is_match(&text, &mut work));
            prop_assert!(work.taken() <= budget && (found.is_ok() || work.left() == 0));
        }

        for strategy in ["regex", "wildcard"] {
            let filter = measured("a branch filter", length, || {
                BranchFilter::parse(strategy, Some(&expression))
            });
            let Ok(filter) = filter else { continue };
            let mut work = Work::new(budget);
            measured("a branch", length + text.len(), || filter.judge(&text, &mut work));
            prop_assert!(work.taken() <= budget);
        }

        Ok(())
    });
}

#[test]
fn no_filter_takes_more_than_its_work() {
    let inputs = (filter(), part(), place(), 4..20_u32, 0..MAX_WORK);
    holds(inputs, |(filter, part, (place, _), size, budget)| {
        let written = filter.to_string();
        let parsed = measured("a filter", written.len(), || EventFilter::parse(&written));
        let body = body(part, place, 1 << size);
        let tree = tree::read(body.as_bytes(), tree::BUDGET);

        // Bodies over the limit are not evaluated.
        let (Ok(filter), Ok(tree), true) = (parsed, tree, body.len() <= LARGEST_BODY) else {
            return Ok(());
        };
        let mut work = Work::new(budget);
        let answer = measured("a judged body", body.len(), || filter.judge(&tree, &mut work));
        prop_assert!(work.taken() <= budget && (answer.is_ok() || work.left() == 0));

        Ok(())
    });
}
