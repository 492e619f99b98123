//! The engine in a world of its own: a manual clock, scripted receivers, a seeded choice of what runs next, and crashes
//! between any two steps. What must hold always is checked during the faults; what must hold in the end, after them.
//!
//! Each seed is printed when it fails. `QUICKDRAW_SIM_SEED=n` runs one seed, `QUICKDRAW_SIM_SEEDS=n` that many from 1.
//! On PostgreSQL it runs when `QUICKDRAW_TEST_POSTGRES` names a server; without it, that is shown as ignored.

#![expect(clippy::print_stdout, reason = "the seed of a failure has to be seen")]

mod chance;
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
        Trial::test("sqlite::the_invariants_hold_whatever_happens_in_whatever_order", on_sqlite),
        Trial::test("postgres::the_invariants_hold_whatever_happens_in_whatever_order", on_postgres)
            .with_ignored_flag(missing),
    ];
    type Scenario = fn(Database) -> Pin<Box<dyn Future<Output = ()>>>;
    trials.push(Trial::test("every_case_is_judged_by_the_client_and_nobody_forbidden_is_called", || {
        play(ssrf::every_case_is_judged_by_the_client_and_nobody_forbidden_is_called())
    }));
    trials.push(Trial::test("every_line_of_a_request_is_seen_in_raw_bytes", || {
        play(wire::every_line_of_a_request_is_seen_in_raw_bytes())
    }));
    let scenarios: &[(&str, Scenario)] = &[
        ("the_tables_of_both_presets_hold_for_real_attempts", |database| {
            Box::pin(health::the_tables_of_both_presets_hold_for_real_attempts(database))
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
        ("a_filter_that_takes_too_much_work_is_a_reason", |database| {
            Box::pin(large::a_filter_that_takes_too_much_work_is_a_reason(database))
        }),
        ("a_filter_holds_for_events_that_are_fanned_out_later", |database| {
            Box::pin(large::a_filter_holds_for_events_that_are_fanned_out_later(database))
        }),
        ("a_push_that_lists_few_commits_passes_with_a_note", |database| {
            Box::pin(large::a_push_that_lists_few_commits_passes_with_a_note(database))
        }),
        ("costly_filters_of_a_project_take_no_event_from_its_group", |database| {
            Box::pin(large::costly_filters_of_a_project_take_no_event_from_its_group(database))
        }),
        ("a_large_event_that_another_node_reads_is_left_to_it", |database| {
            Box::pin(large::a_large_event_that_another_node_reads_is_left_to_it(database))
        }),
        ("several_saves_are_one_event", |database| Box::pin(reports::several_saves_are_one_event(database))),
        ("a_body_is_that_of_the_moment", |database| Box::pin(reports::a_body_is_that_of_the_moment(database))),
        ("a_report_costs_as_many_calls_whatever_its_size", |database| {
            Box::pin(reports::a_report_costs_as_many_calls_whatever_its_size(database))
        }),
    ];
    for (name, scenario) in scenarios.iter().copied() {
        trials.push(Trial::test(format!("sqlite::{name}"), move || play(scenario(Database::Sqlite))));
        let server = server.clone();
        let on_postgres = move || play(scenario(Database::Postgres(server.unwrap_or_default())));
        trials.push(Trial::test(format!("postgres::{name}"), on_postgres).with_ignored_flag(missing));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn play(scenario: impl Future<Output = ()>) -> Result<(), Failed> {
    tokio::runtime::Runtime::new().map_err(|error| error.to_string())?.block_on(scenario);
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
    // A simulation in which nothing goes wrong would prove nothing.
    assert!(figures.crashes > 0 && figures.failures > 0 && figures.unknown > 0, "{figures:?}");
}
