//! Checks of the house that cargo cannot make: `cargo run -p xtask -- tidy`.

mod tidy;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("tidy"), root) => tidy::run(root.as_deref().unwrap_or(".").as_ref()),
        _ => anyhow::bail!("usage: cargo run -p xtask -- tidy [root]"),
    }
}
