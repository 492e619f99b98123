//! The belt in a world of its own: a manual clock, scripted receivers, a seeded choice of what runs next, and crashes
//! between any two steps. What must hold always is checked during the faults; what must hold in the end, after them.
//!
//! Each seed is printed when it fails. `QUICKDRAW_SIM_SEED=n` runs one seed, `QUICKDRAW_SIM_SEEDS=n` that many from 1.

#![expect(clippy::print_stdout, reason = "the seed of a failure has to be seen")]

mod chance;
mod database;
mod world;

use database::Database;
use world::World;

fn seeds(usual: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("QUICKDRAW_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("QUICKDRAW_SIM_SEEDS").unwrap_or(usual)).collect(),
    }
}

#[tokio::test]
async fn the_invariants_hold_whatever_happens_in_whatever_order() {
    run(Database::Sqlite, seeds(12)).await;
}

/// Runs when `QUICKDRAW_TEST_POSTGRES` names a server, as the conformance checks do.
#[tokio::test]
async fn they_hold_on_postgres_too() {
    match std::env::var("QUICKDRAW_TEST_POSTGRES") {
        Ok(server) => run(Database::Postgres(server), seeds(3)).await,
        Err(_) => println!("not run: QUICKDRAW_TEST_POSTGRES is not set"),
    }
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
