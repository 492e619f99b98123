//! The rules of this repository: layers, lengths of files, module documentation, unfinished code.

mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Longest file, including tests.
const MAX_LINES: usize = 500;

/// The crates of this workspace that each crate may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("insights", &["domain"]),
    ("store", &["domain", "insights"]),
    ("egress", &[]),
    ("engine", &["domain", "insights", "store", "egress"]),
    ("server", &["domain", "insights", "store", "engine"]),
    ("cli", &["domain", "insights", "store", "egress", "engine", "server"]),
];

/// Words that a crate must not contain in `src` outside of comments, with the rule that forbids them.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "domain",
        IMPURE,
        "domain is pure: no async, I/O, clock, randomness or logging",
    ),
    (
        "insights",
        IMPURE,
        "insights are pure: no async, I/O, clock, randomness or logging",
    ),
    (
        "egress",
        &["quickdraw_domain", "quickdraw_store", "quickdraw_engine"],
        "egress depends on none of our crates",
    ),
    ("egress", &["tokio::spawn"], SPAWNING),
    ("store", &["tokio::spawn("], SPAWNING),
    ("server", &["tokio::spawn"], SPAWNING),
    ("cli", &["tokio::spawn"], SPAWNING),
    (
        "engine",
        &["axum", "rusqlite", "tokio_postgres", "SELECT "],
        "engine has no axum and no SQL",
    ),
    (
        "server",
        &[
            "quickdraw_egress",
            "rusqlite",
            "tokio_postgres",
            "SELECT ",
            "std::env::var",
        ],
        "server has no SQL, makes no outbound calls and reads no environment",
    ),
    (
        "store",
        &["std::env::var", "axum", "hyper"],
        "only cli reads the environment",
    ),
];

const IMPURE: &[&str] = &[
    "tokio",
    "async fn",
    "std::fs",
    "std::net::Tcp",
    "SystemTime",
    "Instant::now",
    "tracing::",
    "getrandom",
];
const SPAWNING: &str = "tasks are spawned by engine's Lifecycle, or into a JoinSet that is waited for";

/// Crates for SQL, sockets and git, with the one crate that may depend on each.
const OWNED: &[(&str, &str)] = &[
    ("rusqlite", "store"),
    ("tokio-postgres", "store"),
    ("hickory-resolver", "egress"),
    ("lettre", "egress"),
    ("gix", "cli"),
];

/// The folder that alone may name triggers by literals. All other code uses constants such as `Trigger::PUSH`.
const KINDS: &str = "crates/domain/src/kinds";

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    for (name, allowed) in LAYERS {
        let folder = root.join("crates").join(name);
        check_layer(name, allowed, &folder, &mut problems)?;

        for file in rust_files(&folder)? {
            check_file(name, root, &file, &mut problems)?;
        }
    }

    for name in ["xtask", "bench"] {
        for file in rust_files(&root.join(name))? {
            check_file(name, root, &file, &mut problems)?;
        }
    }

    for page in pages(root)? {
        text::check_page(root, &page, &mut problems)?;
    }

    for problem in &problems {
        show(problem);
    }

    anyhow::ensure!(problems.is_empty(), "tidy found {} problems", problems.len());
    show("tidy: no problems");
    Ok(())
}

pub(crate) fn show(text: &str) {
    use std::io::Write;

    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Checks the dependencies between crates in the manifests. Dependencies of tests are not restricted.
fn check_layer(name: &str, allowed: &[&str], folder: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let path = folder.join("Cargo.toml");
    let manifest = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let shipped = manifest.split("[dev-dependencies]").next().unwrap_or_default();

    for line in shipped.lines() {
        let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
        if let Some(ours) = dependency.strip_prefix("quickdraw-")
            && ours != name
            && !allowed.contains(&ours)
        {
            problems.push(format!("{}: {name} must not depend on {ours}", path.display()));
        }

        for (owned, owner) in OWNED {
            if dependency == *owned && name != *owner {
                problems.push(format!("{}: only {owner} may depend on {owned}", path.display()));
            }
        }
    }

    Ok(())
}

fn check_file(name: &str, root: &Path, file: &Path, problems: &mut Vec<String>) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let shown = file.strip_prefix(root).unwrap_or(file).display();
    let lines = text.lines().count();
    let filled = text.lines().filter(|line| !line.trim().is_empty()).count();
    if filled > MAX_LINES {
        problems.push(format!(
            "{shown}: {filled} lines that are not blank; the limit is {MAX_LINES}"
        ));
    }

    if !text.starts_with("//!") {
        problems.push(format!(
            "{shown}: no module documentation; begin the file with //! and its content"
        ));
    }

    let in_src = file.components().any(|part| part.as_os_str() == "src");
    let may_name_triggers = !in_src || name == "xtask" || file.starts_with(root.join(KINDS)) || is_test(file);
    let tests_begin = unit_tests(&text).unwrap_or(lines);

    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if let Some(rule) = text::broken_rule_of_comment(line) {
            problems.push(format!("{shown}:{}: {rule}", number + 1));
        }

        if let Some(trigger) = trigger_literal(code)
            && !may_name_triggers
            && number < tests_begin
        {
            let rule = "use a constant of Trigger; only the files of kinds name them";
            problems.push(format!("{shown}:{}: names the trigger {trigger:?}: {rule}", number + 1));
        }

        if ["todo!(", "unimplemented!(", "#[ignore", "#[allow("]
            .iter()
            .any(|mark| code.contains(mark))
            && name != "xtask"
        {
            problems.push(format!(
                "{shown}:{}: unfinished code, or a lint without a reason: {}",
                number + 1,
                line.trim()
            ));
        }

        for (of, words, rule) in FORBIDDEN.iter().filter(|(of, ..)| *of == name && in_src) {
            if let Some(word) = words.iter().find(|word| code.contains(**word)) {
                problems.push(format!("{shown}:{}: {of} names {word:?}: {rule}", number + 1));
            }
        }
    }

    Ok(())
}

/// Whether a file contains nothing but tests.
fn is_test(file: &Path) -> bool {
    file.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// The number of lines before the unit tests at the end of a file.
fn unit_tests(text: &str) -> Option<usize> {
    let mut after_mark = false;
    for (number, line) in text.lines().enumerate() {
        if after_mark && line.ends_with('{') {
            return Some(number);
        }

        after_mark = line.trim() == "#[cfg(test)]";
    }

    None
}

/// The name of a trigger that a line of code has as a literal.
fn trigger_literal(code: &str) -> Option<&str> {
    let pieces: Vec<&str> = code.split('"').collect();
    let quoted = pieces.get(1..pieces.len() - 1)?;
    let is_trigger = |word: &str| {
        word.ends_with("_hooks") && word.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_')
    };
    // The quote may be escaped, inside of another literal.
    quoted
        .iter()
        .map(|word| word.trim_end_matches('\\'))
        .find(|word| is_trigger(word))
}

/// The Markdown pages of the repository.
fn pages(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let docs = root.join("docs");
    let mut pages = if docs.exists() { files(&docs, "md")? } else { Vec::new() };
    for name in ["README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        pages.push(root.join(name));
    }

    pages.retain(|page| page.exists());
    Ok(pages)
}

/// The Rust files of a folder and the folders in it.
pub(crate) fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files(folder, "rs")
}

fn files(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];

    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("failed to list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                files.push(path);
            }
        }
    }

    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(domain: &str, manifest: &str) -> anyhow::Result<()> {
        let root = std::env::temp_dir().join(format!("tidy-{}-{:p}", std::process::id(), domain));
        for (name, _) in LAYERS {
            let folder = root.join("crates").join(name).join("src");
            fs::create_dir_all(&folder)?;

            fs::write(
                folder.join("lib.rs"),
                if *name == "domain" { domain } else { "//! Doc.\n" },
            )?;

            fs::write(
                root.join("crates").join(name).join("Cargo.toml"),
                if *name == "store" { manifest } else { "" },
            )?;
        }

        for name in ["xtask", "bench"] {
            fs::create_dir_all(root.join(name))?;
        }

        let result = run(&root);
        fs::remove_dir_all(&root)?;
        result
    }

    #[test]
    fn a_repository_that_follows_the_rules_passes() {
        assert!(
            tree(
                "//! Doc.\nfn a() {} // tokio is only named here\n",
                "quickdraw-domain.workspace = true\n"
            )
            .is_ok()
        );
    }

    #[test]
    fn a_broken_layer_a_long_file_and_a_missing_doc_fail() {
        let good = "quickdraw-domain.workspace = true\n";
        assert!(
            tree("//! Doc.\n", "quickdraw-engine.workspace = true\n").is_err(),
            "a layer"
        );

        assert!(
            tree("//! Doc.\n", "[dev-dependencies]\nquickdraw-engine.workspace = true\n").is_ok(),
            "a test"
        );

        assert!(
            tree(&format!("//! Doc.\n{}", "// More.\n".repeat(500)), good).is_err(),
            "a long file"
        );

        assert!(tree("fn a() {}\n", good).is_err(), "a missing doc");
        assert!(tree("//! Doc.\nasync fn a() {}\n", good).is_err(), "an impure domain");
    }

    #[test]
    fn a_trigger_is_named_by_its_constant() {
        let good = "quickdraw-domain.workspace = true\n";
        let named = |code: &str| tree(&format!("//! Doc.\n{code}\n"), good).is_err();
        assert!(named(r#"const A: &str = "push_hooks";"#));

        assert!(
            named(r#"const A: &str = "{\"trigger\":\"push_hooks\"}";"#),
            "inside of a text"
        );

        assert!(!named(r#"/// Such as "push_hooks"."#), "a comment");
        assert!(!named(r#"const A: &str = "limits.project_hooks";"#), "a setting");

        assert!(
            !named("#[cfg(test)]\nmod tests {\n    const A: &str = \"push_hooks\";\n}"),
            "a test"
        );

        assert!(
            named("#[cfg(test)]\nmod tests;\nconst A: &str = \"push_hooks\";"),
            "tests in another file"
        );
    }
}
