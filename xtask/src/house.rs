//! Measures the structure of the code: `cargo run -p xtask -- house` prints the figures, and `-- house --check` refuses
//! a figure that is worse than the bound in `xtask/house.json`. A change that improves a figure lowers its bound (`--
//! house --record`).

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;
use proc_macro2::{TokenStream, TokenTree};
use serde_json::{Map, Value, json};
use syn::visit::Visit;

use crate::tidy::{rust_files, show};

const BOUNDS: &str = "xtask/house.json";
const CRATES: [&str; 7] = ["domain", "insights", "store", "egress", "engine", "server", "cli"];

/// A figure, and the direction in which it should go.
struct Figure {
    name: &'static str,
    value: f64,
    wish: Wish,
}

/// The direction in which a figure should go.
#[derive(Clone, Copy, PartialEq)]
enum Wish {
    /// Less is better, so the bound is a maximum.
    Less,

    /// Less is better until this value, so the bound is a maximum that is not lower than the value.
    AtMost(f64),

    /// More is better until this value, so the bound is a minimum that is not higher than the value.
    AtLeast(f64),

    /// The figure only informs. It has no bound.
    None,
}

impl Figure {
    /// The bound that holds the figure from now on.
    fn bound(&self) -> f64 {
        match self.wish {
            Wish::AtMost(enough) => self.value.max(enough),
            Wish::AtLeast(enough) => self.value.min(enough),
            Wish::Less | Wish::None => self.value,
        }
    }
}

/// Prints the figures. With `check`, fails if one is worse than its bound; with `record`, writes the figures as bounds.
pub(crate) fn run(root: &Path, check: bool, record: bool) -> anyhow::Result<()> {
    let mut figures = measure(root)?;
    figures.extend(places::measure(root)?);
    figures.extend(places::shares(root)?);

    let path = root.join(BOUNDS);

    if record {
        let bounds: Map<String, Value> = figures
            .iter()
            .filter(|figure| figure.wish != Wish::None)
            .map(|figure| (figure.name.to_owned(), json!(figure.bound())))
            .collect();

        fs::write(&path, serde_json::to_string_pretty(&bounds)? + "\n")?;
    }

    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let bounds: Map<String, Value> = serde_json::from_str(&text)?;

    let mut worse = 0;
    for figure in &figures {
        let bound = bounds.get(figure.name).and_then(Value::as_f64);
        let is_worse = match figure.wish {
            Wish::Less | Wish::AtMost(_) => bound.is_none_or(|bound| figure.value > bound),
            Wish::AtLeast(_) => bound.is_none_or(|bound| figure.value < bound),
            Wish::None => false,
        };
        worse += usize::from(is_worse);

        let bound = bound.map_or_else(|| "none".to_owned(), |bound| bound.to_string());
        let mark = if is_worse { "  WORSE" } else { "" };
        show(&format!(
            "{:<64} {:>8}   bound {bound}{mark}",
            figure.name, figure.value
        ));
    }

    anyhow::ensure!(
        !check || worse == 0,
        "{worse} figures are worse than their bounds in {BOUNDS}"
    );

    Ok(())
}

fn measure(root: &Path) -> anyhow::Result<Vec<Figure>> {
    let (mut tokens, mut lines, mut blank) = (0, 0, 0);
    let (mut literals, mut positions, mut double_options) = (0, 0, 0);
    let mut largest = (0, String::new());
    let mut circles = 0;

    for name in CRATES {
        let source = root.join("crates").join(name).join("src");
        let mut methods: BTreeMap<String, usize> = BTreeMap::new();
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();

        for file in rust_files(&source)? {
            let text = fs::read_to_string(&file)?;
            let shown = file.strip_prefix(&source)?.to_string_lossy().replace('\\', "/");
            let parsed = syn::parse_file(&text).with_context(|| format!("failed to parse {}", file.display()))?;
            let is_test = shown.contains("tests") || shown.contains("cases");

            if !is_test {
                let stream: TokenStream = text
                    .parse()
                    .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
                tokens += count_tokens(stream);
                lines += text.lines().count();
                blank += text.lines().filter(|line| line.trim().is_empty()).count();
            }

            let mut seen = Seen::default();
            seen.visit_file(&parsed);

            if !shown.starts_with("kinds") && !shown.starts_with("trigger") && !is_test {
                literals += seen.trigger_literals;
            }

            if name == "store" {
                positions += seen.positions;
            }

            double_options += seen.double_options;
            for (of, count) in seen.methods {
                *methods.entry(of).or_default() += count;
            }

            let room = shown.split(['/', '.']).next().unwrap_or_default().to_owned();
            if room != "lib" && room != "main" {
                seen.rooms.remove(&room);
                uses.entry(room).or_default().extend(seen.rooms);
            }
        }

        for (of, count) in methods {
            if count > largest.0 {
                largest = (count, format!("{name}::{of}"));
            }
        }

        circles += pairs_that_use_each_other(&uses);
    }

    show(&format!("the type with the most methods is {}", largest.1));
    Ok(vec![
        figure("kinds: trigger names as literals outside the registry", literals),
        figure("store: columns read by position outside of constants", positions),
        figure("Option<Option<_>>", double_options),
        figure("methods of the largest type", largest.0),
        figure("pairs of rooms of one crate that use each other", circles),
        Figure {
            name: "tokens a line",
            value: ratio(tokens, lines),
            wish: Wish::AtMost(8.0),
        },
        Figure {
            name: "blank lines, percent",
            value: ratio(blank * 100, lines),
            wish: Wish::AtLeast(12.0),
        },
    ])
}

#[expect(clippy::cast_precision_loss, reason = "counts of lines and tokens")]
fn figure(name: &'static str, value: usize) -> Figure {
    Figure {
        name,
        value: value as f64,
        wish: Wish::Less,
    }
}

/// A quotient with two decimals.
#[expect(clippy::cast_precision_loss, reason = "counts of lines and tokens")]
fn ratio(part: usize, whole: usize) -> f64 {
    (part as f64 / whole.max(1) as f64 * 100.0).round() / 100.0
}

fn count_tokens(stream: TokenStream) -> usize {
    let mut count = 0;
    for token in stream {
        count += match token {
            TokenTree::Group(group) => 2 + count_tokens(group.stream()),
            _ => 1,
        };
    }

    count
}

fn pairs_that_use_each_other(uses: &BTreeMap<String, BTreeSet<String>>) -> usize {
    let mut pairs = 0;
    for (room, used) in uses {
        for other in used {
            if room < other && uses.get(other).is_some_and(|back| back.contains(room)) {
                pairs += 1;
            }
        }
    }

    pairs
}

/// Checks whether a module exists only under a condition, which is `test` in this repository.
fn is_test_module(item: &syn::ItemMod) -> bool {
    item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

/// The facts that one file contributes.
#[derive(Default)]
struct Seen {
    trigger_literals: usize,
    positions: usize,
    double_options: usize,
    methods: BTreeMap<String, usize>,
    rooms: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_module(item) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.trait_.is_none()
            && let syn::Type::Path(path) = &*item.self_ty
            && let Some(last) = path.path.segments.last()
        {
            let count = item
                .items
                .iter()
                .filter(|item| matches!(item, syn::ImplItem::Fn(_)))
                .count();
            *self.methods.entry(last.ident.to_string()).or_default() += count;
        }

        syn::visit::visit_item_impl(self, item);
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        let text = literal.value();
        let is_name = text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        self.trigger_literals += usize::from(is_name && text.ends_with("_hooks") && text.len() > "_hooks".len());
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let is_get = call.method == "get" || call.method == "try_get";
        let is_row = matches!(&*call.receiver, syn::Expr::Path(path) if path.path.is_ident("row"));
        if is_get && is_row && call.args.first().is_some_and(is_number) {
            self.positions += 1;
        }

        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        if segment.ident == "Option"
            && let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments
            && let Some(syn::GenericArgument::Type(syn::Type::Path(inner))) = arguments.args.first()
            && inner.path.segments.last().is_some_and(|last| last.ident == "Option")
        {
            self.double_options += 1;
        }

        syn::visit::visit_path_segment(self, segment);
    }

    fn visit_use_tree(&mut self, tree: &'ast syn::UseTree) {
        if let syn::UseTree::Path(path) = tree
            && path.ident == "crate"
        {
            add_rooms(&path.tree, &mut self.rooms);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(room) = segments.next()
        {
            self.rooms.insert(room.ident.to_string());
        }

        syn::visit::visit_path(self, path);
    }
}

fn add_rooms(tree: &syn::UseTree, rooms: &mut BTreeSet<String>) {
    match tree {
        syn::UseTree::Path(path) => drop(rooms.insert(path.ident.to_string())),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| add_rooms(tree, rooms)),
        _ => {}
    }
}

/// Whether an expression is a number, or a sum with one, as in `row.get(at + 3)`.
fn is_number(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Lit(literal) => matches!(literal.lit, syn::Lit::Int(_)),
        syn::Expr::Binary(sum) => is_number(&sum.left) || is_number(&sum.right),
        _ => false,
    }
}
