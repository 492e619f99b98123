//! Checks that cargo does not make. `cargo run -p xtask -- tidy` checks the rules of this repository. `… -- schemas`
//! writes the schemas of bodies, and `… -- schemas --check` checks that they keep everything that `… -- schemas
//! --release` released.

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
