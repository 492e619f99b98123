//! The belt in a world of its own: a manual clock, scripted receivers, a seeded choice of what runs next, and crashes
//! between any two steps. What must hold always is checked during the faults; what must hold in the end, after them.
//!
//! Each seed is printed when it fails. `QUICKDRAW_SIM_SEED=n` runs one seed, `QUICKDRAW_SIM_SEEDS=n` that many from 1.

mod world;

use world::World;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match number("QUICKDRAW_SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("QUICKDRAW_SIM_SEEDS").unwrap_or(12)).collect(),
    }
}

#[tokio::test]
async fn the_invariants_hold_whatever_happens_in_whatever_order() {
    let mut figures = world::Figures::default();
    for seed in seeds() {
        println!("seed {seed}");
        let mut world = World::new(seed).await;
        for _ in 0..world.rounds() {
            world.act().await;
        }
        world.calm_down().await;
        world.check().await;
        figures.add(world.figures());
    }
    println!("{figures:?}");
    // A simulation in which nothing goes wrong would prove nothing.
    assert!(figures.crashes > 0 && figures.failures > 0 && figures.unknown > 0, "{figures:?}");
}
