//! Checks of the house that cargo cannot make: `cargo run -p xtask -- tidy`, and the schemas of bodies: `… -- schemas` writes them, and
//! `… -- schemas --check` sees to it that nothing is taken away of what `… -- schemas --release` promised.

mod schemas;
mod tidy;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("tidy"), root) => tidy::run(root.as_deref().unwrap_or(".").as_ref()),
        (Some("schemas"), None) => schemas::run(".".as_ref(), false),
        (Some("schemas"), Some(option)) if option == "--check" => {
            schemas::run(arguments.next().as_deref().unwrap_or(".").as_ref(), true)
        }
        (Some("schemas"), Some(option)) if option == "--release" => schemas::release(".".as_ref()),
        _ => anyhow::bail!("usage: cargo run -p xtask -- tidy [root], or schemas [--release | --check [root]]"),
    }
}
