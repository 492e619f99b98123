//! Measures that find places by name: structs on the way in, lists of kinds, reads of facts, and end-to-end tests. Each
//! counts what the syntax of a file shows, so a figure can miss a place, and cannot judge whether a place is needed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use syn::visit::Visit;

use super::{CRATES, Figure, Wish, figure, is_test_module, ratio};
use crate::tidy::{rust_files, show};

/// The files through which a received event passes, up to the journal.
const RECEIVE: [&str; 5] = [
    "crates/server/src/receive.rs",
    "crates/engine/src/journal/relay.rs",
    "crates/engine/src/journal/ingest.rs",
    "crates/domain/src/event.rs",
    "crates/store/src/events.rs",
];
/// The same for a reported event, whose body can be composed from an object.
const REPORT: [&str; 6] = [
    "crates/server/src/api/v1/events.rs",
    "crates/engine/src/journal/report.rs",
    "crates/domain/src/compose.rs",
    "crates/engine/src/journal/ingest.rs",
    "crates/domain/src/event.rs",
    "crates/store/src/events.rs",
];

/// Reads of the store whose window belongs to a question about metrics.
const READS: [&str; 12] = [
    "items",
    "moves",
    "commits",
    "commit_cells",
    "commit_cells_from_facts",
    "commit_rows",
    "commits_unlisted",
    "commit_counts",
    "newest_items",
    "branches_after",
    "bytes_by_project",
    "first_received",
];
/// The door: the only place that should read facts for a question.
const DOOR: &str = "crates/engine/src/insights/ask";

/// Number of kinds in one list or `match` that are counted as a list of kinds.
const MANY_KINDS: usize = 3;
/// Number of filled lines of a file that is counted as long.
const LONG_FILE: usize = 300;

/// Measures the places.
pub(super) fn measure(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let (mut asks, mut lists) = (Vec::new(), Vec::new());
    let mut long_files = 0;

    for name in CRATES {
        for file in rust_files(&root.join("crates").join(name).join("src"))? {
            let shown = file.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&file)?;
            long_files += usize::from(filled(&text) > LONG_FILE);

            if shown.contains("tests") || shown.contains("cases") {
                continue;
            }

            let mut places = Places::default();
            places.visit_file(&parse(&file, &text)?);

            let is_outside = matches!(name, "engine" | "server" | "cli") && !shown.starts_with(DOOR);
            if is_outside && places.reads > 0 {
                asks.push(shown.clone());
            }

            if places.kinds_lists > 0 && !shown.starts_with("crates/domain/src/kinds") {
                lists.push(shown);
            }
        }
    }

    show_places("reads of facts outside of the door", &asks);
    show_places("lists of kinds outside of kinds/", &lists);

    let (received, parses) = way_in(root, "received", &RECEIVE)?;
    let (reported, _) = way_in(root, "reported", &REPORT)?;

    Ok(vec![
        figure("structs with a received event and its body, on its way in", received),
        figure("structs with a reported event and its body, on its way in", reported),
        figure("places that parse a received body before the journal", parses),
        figure("files outside the door that read facts for a question", asks.len()),
        figure("files outside of kinds/ that list kinds", lists.len()),
        Figure {
            wish: Wish::AtMost(25.0),
            ..figure("median length of an end-to-end test, lines", median_test(root)?)
        },
        Figure {
            wish: Wish::None,
            ..figure("files with more than 300 filled lines", long_files)
        },
    ])
}

/// Measures the share of insights in the code around them, as a percentage of lines. Insights have files and folders of
/// their own where the path of a file says so; in the API, a file is about insights if it uses their crate.
pub(super) fn shares(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, folder) in [
        ("insights in domain, percent of lines", "crates/domain/src"),
        ("insights in engine, percent of lines", "crates/engine/src"),
        ("insights in api/v1, percent of lines", "crates/server/src/api/v1"),
    ] {
        let (mut of_insights, mut all) = (0, 0);
        for file in rust_files(&root.join(folder))? {
            let text = fs::read_to_string(&file)?;
            let lines = text.lines().count();
            all += lines;

            let shown = file.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            let is_in_folder = shown[folder.len()..].contains("insights");
            let is_api =
                folder.ends_with("v1") && (text.contains("quickdraw_insights::") || text.contains("\"/insights/"));
            if is_in_folder || is_api {
                of_insights += lines;
            }
        }

        figures.push(Figure {
            name,
            value: ratio(of_insights * 100, all),
            wish: Wish::None,
        });
    }

    Ok(figures)
}

/// Counts the structs and the calls that parse a body, in the files of one way.
fn way_in(root: &Path, way: &str, files: &[&str]) -> anyhow::Result<(usize, usize)> {
    let (mut carriers, mut parses) = (Vec::new(), 0);
    for file in files {
        let path = root.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {file}"))?;
        let mut places = Places::default();
        places.visit_file(&parse(&path, &text)?);

        carriers.extend(places.carriers);
        parses += places.parses;
    }

    show_places(&format!("structs with a {way} event and its body"), &carriers);
    Ok((carriers.len(), parses))
}

fn show_places(of: &str, places: &[String]) {
    if !places.is_empty() {
        show(&format!("{of}: {}", places.join(", ")));
    }
}

fn parse(path: &Path, text: &str) -> anyhow::Result<syn::File> {
    syn::parse_file(text).with_context(|| format!("failed to parse {}", path.display()))
}

/// Number of lines that are not blank.
fn filled(text: &str) -> usize {
    text.lines().filter(|line| !line.trim().is_empty()).count()
}

/// The median length of the end-to-end tests: functions that take an engine and return nothing.
fn median_test(root: &Path) -> anyhow::Result<usize> {
    let folder: PathBuf = root.join("crates/cli/tests/e2e");
    let mut lengths = Vec::new();

    for file in rust_files(&folder)? {
        let text = fs::read_to_string(&file)?;
        let lines: Vec<&str> = text.lines().collect();

        for item in parse(&file, &text)?.items {
            let syn::Item::Fn(function) = item else { continue };
            if !is_test(&function.sig) {
                continue;
            }

            // The files are formatted, so a function begins and ends at the left margin.
            let head = format!("fn {}(", function.sig.ident);
            let is_head = |line: &&str| !line.starts_with(' ') && line.contains(&head);
            let Some(start) = lines.iter().position(is_head) else {
                continue;
            };
            let length = lines[start..].iter().position(|line| *line == "}");

            lengths.extend(length.map(|length| length + 1));
        }
    }

    lengths.sort_unstable();
    Ok(lengths.get(lengths.len() / 2).copied().unwrap_or(0))
}

fn is_test(signature: &syn::Signature) -> bool {
    let takes_engine = match signature.inputs.first() {
        Some(syn::FnArg::Typed(argument)) => is_type(&argument.ty, &["Engine"]),
        _ => false,
    };

    takes_engine && signature.inputs.len() == 1 && matches!(signature.output, syn::ReturnType::Default)
}

/// Checks whether a type is one of these, by its last name.
fn is_type(of: &syn::Type, names: &[&str]) -> bool {
    let syn::Type::Path(path) = of else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|last| names.iter().any(|name| last.ident == name))
}

/// The places that one file contains, without its tests.
#[derive(Default)]
struct Places {
    /// Structs with an event, or the kind of one, and its body.
    carriers: Vec<String>,

    /// Calls of `Envelope::read` and `tree::read`.
    parses: usize,

    /// Calls of a store's reads of facts.
    reads: usize,

    /// Lists and `match` expressions with several kinds.
    kinds_lists: usize,
}

impl<'ast> Visit<'ast> for Places {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_module(item) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        // Schemas of a body are structs that nothing builds.
        let is_schema = item.attrs.iter().any(|attribute| attribute.path().is_ident("expect"));
        let has = |names: &[&str]| {
            let is_named = |field: &syn::Field| {
                field
                    .ident
                    .as_ref()
                    .is_some_and(|name| names.iter().any(|one| name == one))
            };
            item.fields.iter().any(is_named)
        };

        let has_event = has(&["trigger"]) || item.fields.iter().any(|field| is_type(&field.ty, &["Event"]));
        if !is_schema && has_event && has(&["body", "payload", "object"]) && item.ident != "Event" {
            self.carriers.push(item.ident.to_string());
        }
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func {
            let names: Vec<String> = path.path.segments.iter().map(|name| name.ident.to_string()).collect();
            let is_parse =
                matches!(names.as_slice(), [.., of, read] if read == "read" && (of == "Envelope" || of == "tree"));
            self.parses += usize::from(is_parse);
        }

        syn::visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let is_read = READS.iter().any(|name| call.method == name);
        self.reads += usize::from(is_read && is_store(&call.receiver));

        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        let mut kinds = Kinds::default();
        expression.arms.iter().for_each(|arm| kinds.visit_pat(&arm.pat));
        self.kinds_lists += usize::from(kinds.0.len() >= MANY_KINDS);

        syn::visit::visit_expr_match(self, expression);
    }

    fn visit_expr_array(&mut self, array: &'ast syn::ExprArray) {
        let mut kinds = Kinds::default();
        kinds.visit_expr_array(array);
        self.kinds_lists += usize::from(kinds.0.len() >= MANY_KINDS);
    }
}

/// Checks whether an expression is a store: `store`, `context.store`, `app.store()`.
fn is_store(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Path(path) => path.path.is_ident("store"),
        syn::Expr::Field(field) => matches!(&field.member, syn::Member::Named(name) if name == "store"),
        syn::Expr::MethodCall(call) => call.method == "store",
        _ => false,
    }
}

/// The kinds of event that are named by a constant, such as `Trigger::PUSH`.
#[derive(Default)]
struct Kinds(BTreeSet<String>);

impl<'ast> Visit<'ast> for Kinds {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|name| name.ident.to_string()).collect();
        if let [.., of, kind] = names.as_slice()
            && of == "Trigger"
            && kind.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        {
            self.0.insert(kind.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> anyhow::Result<Places> {
        let mut places = Places::default();
        places.visit_file(&syn::parse_file(text)?);
        Ok(places)
    }

    #[test]
    fn a_struct_with_an_event_and_its_body_is_counted() -> anyhow::Result<()> {
        let found = places(
            "struct Received<'a> { trigger: Trigger, body: &'a [u8] }
            struct NewEvent { event: Event, payload: Packed }
            struct Event { trigger: Trigger, object: Option<ObjectKey> }
            struct Seen { event: Option<String>, bytes: usize }
            #[expect(dead_code)] struct Schema { trigger: String, payload: () }
            #[cfg(test)] mod tests { struct Made { trigger: Trigger, body: Vec<u8> } }",
        )?;
        assert_eq!(found.carriers, ["Received", "NewEvent"]);
        Ok(())
    }

    #[test]
    fn a_read_of_facts_is_a_call_of_a_store() -> anyhow::Result<()> {
        let found = places(
            "fn all() { store.items(family); context.store.moves(); app.store().commits(filter);
            page.items(); store.gaps(); Envelope::read(body); crate::tree::read(body, 1); fs::read(path); }",
        )?;
        assert_eq!((found.reads, found.parses), (3, 2));
        Ok(())
    }

    #[test]
    fn a_list_names_several_kinds() -> anyhow::Result<()> {
        let lists = |text: &str| places(text).map(|found| found.kinds_lists);
        assert_eq!(
            lists("const ALL: [T; 3] = [Trigger::PUSH, Trigger::NOTE, Trigger::JOB];")?,
            1
        );

        assert_eq!(
            lists("const ALL: [T; 3] = [Trigger::PUSH, Trigger::PUSH, Trigger::JOB];")?,
            0
        );

        assert_eq!(
            lists("fn of(t: T) -> u8 { match t { Trigger::PUSH | Trigger::NOTE => 1, Trigger::JOB => 2, _ => 0 } }")?,
            1
        );

        assert_eq!(
            lists("fn of(t: T) -> u8 { match t { Trigger::PUSH => f(Trigger::NOTE), _ => 0 } }")?,
            0
        );

        Ok(())
    }

    #[test]
    fn a_test_takes_an_engine_and_returns_nothing() -> anyhow::Result<()> {
        let check = |text: &str, expected: bool| -> anyhow::Result<()> {
            let function: syn::ItemFn = syn::parse_str(text)?;
            assert_eq!(is_test(&function.sig), expected, "{text}");
            Ok(())
        };

        check("pub(crate) fn a_push_arrives(engine: Engine) {}", true)?;
        check("fn start(engine: Engine) -> Server {}", false)?;
        check("fn check(engine: Engine, name: &str) {}", false)?;

        check("fn check(engine: &Engine) {}", false)
    }
}
