//! A simulation of the delivery pipeline: a manual clock, scripted receivers, a seeded choice of the next step, and
//! crashes between any two steps. Some invariants are checked during the faults, and the others at the end.
//!
//! The seed is printed when a world fails. `QUICKDRAW_SIM_SEED=n` runs one seed, and `QUICKDRAW_SIM_SEEDS=n` runs the
//! seeds from 1 to n. The worlds run on PostgreSQL if `QUICKDRAW_TEST_POSTGRES` names a server. Otherwise that part is
//! reported as ignored.

#![expect(clippy::print_stdout, reason = "the seed of a failure must be printed")]

mod chance;
mod counted;
mod database;
mod health;
mod large;
mod parts;
mod reports;
mod ssrf;
mod wire;
mod world;

use std::future::Future;
use std::pin::Pin;

use database::Database;
use libtest_mimic::{Arguments, Failed, Trial};
use world::World;

fn seeds(usual: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("QUICKDRAW_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("QUICKDRAW_SIM_SEEDS").unwrap_or(usual)).collect(),
    }
}

fn main() -> std::process::ExitCode {
    let server = std::env::var("QUICKDRAW_TEST_POSTGRES").ok();
    let missing = server.is_none();
    let on_sqlite = || hold(Database::Sqlite, seeds(14));
    let url = server.clone();
    let on_postgres = move || hold(Database::Postgres(url.unwrap_or_default()), seeds(3));

    let mut trials = vec![
        Trial::test(
            "sqlite::the_invariants_hold_in_any_order_of_steps_and_faults",
            on_sqlite,
        ),
        Trial::test(
            "postgres::the_invariants_hold_in_any_order_of_steps_and_faults",
            on_postgres,
        )
        .with_ignored_flag(missing),
    ];

    type Scenario = fn(Database) -> Pin<Box<dyn Future<Output = ()>>>;
    trials.push(Trial::test(
        "the_client_follows_every_guard_case_and_calls_no_forbidden_address",
        || play(ssrf::the_client_follows_every_guard_case_and_calls_no_forbidden_address()),
    ));

    trials.push(Trial::test("every_line_of_a_request_matches_byte_for_byte", || {
        play(wire::every_line_of_a_request_matches_byte_for_byte())
    }));

    let scenarios: &[(&str, Scenario)] = &[
        ("pauses_follow_the_tables_of_both_presets", |database| {
            Box::pin(health::pauses_follow_the_tables_of_both_presets(database))
        }),
        ("a_receiver_that_is_down_for_a_day_gets_everything", |database| {
            Box::pin(health::a_receiver_that_is_down_for_a_day_gets_everything(database))
        }),
        ("a_large_event_that_ended_the_process_twice_is_set_aside", |database| {
            Box::pin(large::a_large_event_that_ended_the_process_twice_is_set_aside(database))
        }),
        ("a_large_event_in_small_parts_is_set_aside_and_delivered", |database| {
            Box::pin(large::a_large_event_in_small_parts_is_set_aside_and_delivered(database))
        }),
        ("a_filter_that_is_too_costly_skips_its_hook_with_a_reason", |database| {
            Box::pin(large::a_filter_that_is_too_costly_skips_its_hook_with_a_reason(
                database,
            ))
        }),
        ("filters_apply_to_events_that_are_fanned_out_later", |database| {
            Box::pin(large::filters_apply_to_events_that_are_fanned_out_later(database))
        }),
        (
            "a_push_with_unlisted_commits_passes_a_path_filter_with_a_note",
            |database| {
                Box::pin(large::a_push_with_unlisted_commits_passes_a_path_filter_with_a_note(
                    database,
                ))
            },
        ),
        (
            "costly_filters_of_a_project_do_not_affect_hooks_of_its_group",
            |database| {
                Box::pin(large::costly_filters_of_a_project_do_not_affect_hooks_of_its_group(
                    database,
                ))
            },
        ),
        ("a_large_event_is_read_by_one_node_at_a_time", |database| {
            Box::pin(large::a_large_event_is_read_by_one_node_at_a_time(database))
        }),
        ("the_time_until_which_events_are_counted_never_goes_back", |database| {
            Box::pin(counted::the_time_until_which_events_are_counted_never_goes_back(
                database,
            ))
        }),
        (
            "the_number_of_requests_that_wait_for_the_count_is_limited",
            |database| {
                Box::pin(counted::the_number_of_requests_that_wait_for_the_count_is_limited(
                    database,
                ))
            },
        ),
        ("several_saves_are_one_event", |database| {
            Box::pin(reports::several_saves_are_one_event(database))
        }),
        ("later_edits_do_not_change_a_body", |database| {
            Box::pin(reports::later_edits_do_not_change_a_body(database))
        }),
        ("the_store_calls_of_a_report_do_not_depend_on_its_size", |database| {
            Box::pin(reports::the_store_calls_of_a_report_do_not_depend_on_its_size(database))
        }),
    ];

    for (name, scenario) in scenarios.iter().copied() {
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            play(scenario(Database::Sqlite))
        }));

        let server = server.clone();
        let on_postgres = move || play(scenario(Database::Postgres(server.unwrap_or_default())));
        trials.push(Trial::test(format!("postgres::{name}"), on_postgres).with_ignored_flag(missing));
    }

    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn play(scenario: impl Future<Output = ()>) -> Result<(), Failed> {
    tokio::runtime::Runtime::new()
        .map_err(|error| error.to_string())?
        .block_on(scenario);
    Ok(())
}

fn hold(database: Database, seeds: Vec<u64>) -> Result<(), Failed> {
    play(run(database, seeds))
}

async fn run(database: Database, seeds: Vec<u64>) {
    let mut figures = world::Figures::default();
    for seed in seeds {
        println!("seed {seed}");

        let mut world = World::new(seed, &database).await;
        for _ in 0..world.rounds() {
            world.act().await;
        }

        world.calm_down().await;
        world.check().await;
        figures.add(world.figures());
        world.end().await;
    }

    println!("{figures:?}");

    // A simulation without faults would prove nothing.
    assert!(
        figures.crashes > 0 && figures.failures > 0 && figures.unknown > 0,
        "{figures:?}"
    );
}
