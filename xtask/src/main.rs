//! Checks that cargo cannot make. `cargo run -p xtask -- tidy` checks the rules of the house, and `… -- house` measures
//! its structure. `… -- schemas` writes the schemas of bodies, and `… -- schemas --check` refuses to take away a field
//! that `… -- schemas --release` promised.

mod house;
mod schemas;
mod tidy;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("tidy"), root) => tidy::run(root.as_deref().unwrap_or(".").as_ref()),
        (Some("house"), None) => house::run(".".as_ref(), false, false),
        (Some("house"), Some(option)) if option == "--check" => house::run(".".as_ref(), true, false),
        (Some("house"), Some(option)) if option == "--record" => house::run(".".as_ref(), false, true),
        (Some("schemas"), None) => schemas::run(".".as_ref(), false),
        (Some("schemas"), Some(option)) if option == "--check" => {
            schemas::run(arguments.next().as_deref().unwrap_or(".").as_ref(), true)
        }
        (Some("schemas"), Some(option)) if option == "--release" => schemas::release(".".as_ref()),
        _ => anyhow::bail!(
            "usage: cargo run -p xtask -- tidy [root], house [--check | --record], or schemas [--release | --check [root]]"
        ),
    }
}
