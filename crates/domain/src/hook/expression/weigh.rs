//! Estimates the work of compiling an expression from its syntax. If case is ignored, every character of a class is
//! examined, and five letters can name a class of a million characters.

use std::collections::HashMap;

use regex_syntax::ast::{
    Ast, ClassBracketed, ClassSet, ClassSetItem, ClassUnicode, Flag, Flags, FlagsItemKind, GroupKind,
};
use regex_syntax::hir::{Class, Hir, HirKind};

/// The number of all characters.
const ALL: usize = 0x0011_0000;
/// The cost of a named class, in addition to its characters.
const NAMED: usize = 1_000;
/// An upper bound for the characters of `\w`, the largest class of its kind.
const WORD: usize = 150_000;
/// The number of ASCII characters.
const ASCII: usize = 128;

/// The maximum number of characters that compilation examines.
pub(super) fn weight(text: &str, syntax: &Ast) -> usize {
    let mut scale = Scale {
        text,
        looks_at_all: mentions_case(syntax),
        named: HashMap::new(),
        weight: 0,
    };
    scale.part(syntax);
    scale.weight
}

/// Whether a flag about case occurs anywhere. It is then assumed to apply everywhere.
fn mentions_case(syntax: &Ast) -> bool {
    match syntax {
        Ast::Flags(set) => is_about_case(&set.flags),
        Ast::Group(group) => {
            let flags = match &group.kind {
                GroupKind::NonCapturing(flags) => Some(flags),
                GroupKind::CaptureIndex(_) | GroupKind::CaptureName { .. } => None,
            };
            flags.is_some_and(is_about_case) || mentions_case(&group.ast)
        }
        Ast::Repetition(repetition) => mentions_case(&repetition.ast),
        Ast::Alternation(ways) => ways.asts.iter().any(mentions_case),
        Ast::Concat(parts) => parts.asts.iter().any(mentions_case),
        _ => false,
    }
}

fn is_about_case(flags: &Flags) -> bool {
    flags
        .items
        .iter()
        .any(|item| item.kind == FlagsItemKind::Flag(Flag::CaseInsensitive))
}

struct Scale<'a> {
    text: &'a str,
    looks_at_all: bool,

    /// The number of characters of the named classes seen so far.
    named: HashMap<&'a str, usize>,
    weight: usize,
}

impl Scale<'_> {
    fn add(&mut self, weight: usize) {
        self.weight = self.weight.saturating_add(weight);
    }

    /// Adds the cost of ignoring case in a class with this many characters, if case is ignored.
    fn fold(&mut self, characters: usize) {
        if self.looks_at_all {
            self.add(characters);
        }
    }

    fn part(&mut self, syntax: &Ast) {
        match syntax {
            Ast::ClassUnicode(class) => {
                self.named(class);
            }
            Ast::ClassPerl(_) => self.add(NAMED),
            Ast::ClassBracketed(class) => {
                self.bracketed(class);
            }
            Ast::Repetition(repetition) => self.part(&repetition.ast),
            Ast::Group(group) => self.part(&group.ast),
            Ast::Alternation(ways) => ways.asts.iter().for_each(|way| self.part(way)),
            Ast::Concat(parts) => parts.asts.iter().for_each(|part| self.part(part)),
            Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::Assertion(_) => {}
        }
    }

    /// Adds the cost of a bracketed class, and returns its maximum number of characters.
    fn bracketed(&mut self, class: &ClassBracketed) -> usize {
        let characters = self.set(&class.kind);
        self.fold(characters);
        if class.negated { ALL } else { characters }
    }

    fn set(&mut self, set: &ClassSet) -> usize {
        match set {
            ClassSet::Item(item) => self.item(item),
            ClassSet::BinaryOp(operation) => {
                let characters = [self.set(&operation.lhs), self.set(&operation.rhs)];
                for one in characters {
                    self.fold(one);
                    self.add(NAMED);
                }

                characters.iter().sum::<usize>().min(ALL)
            }
        }
    }

    fn item(&mut self, item: &ClassSetItem) -> usize {
        match item {
            ClassSetItem::Empty(_) => 0,
            ClassSetItem::Literal(_) => 1,
            ClassSetItem::Range(range) => (range.start.c..=range.end.c).count(),
            ClassSetItem::Ascii(class) => {
                if class.negated {
                    ALL
                } else {
                    ASCII
                }
            }
            ClassSetItem::Unicode(class) => self.named(class),
            ClassSetItem::Perl(class) => {
                self.add(NAMED);
                if class.negated { ALL } else { WORD }
            }
            ClassSetItem::Bracketed(class) => self.bracketed(class),
            ClassSetItem::Union(union) => {
                let mut characters = 0;
                for item in &union.items {
                    characters = (characters + self.item(item)).min(ALL);
                }

                characters
            }
        }
    }

    /// Adds the cost of a named class, and returns its number of characters.
    fn named(&mut self, class: &ClassUnicode) -> usize {
        self.add(NAMED);
        if !self.looks_at_all {
            return ALL;
        }

        let name = &self.text[class.span.start.offset..class.span.end.offset];
        let characters = match self.named.get(name) {
            Some(characters) => *characters,
            None => {
                let characters = regex_syntax::parse(name).map_or(ALL, |class| characters_of(&class));
                self.named.insert(name, characters);
                characters
            }
        };

        // Case is resolved before a class is negated.
        let looked_at = if class.is_negated() {
            ALL.saturating_sub(characters)
        } else {
            characters
        };
        self.fold(looked_at);
        characters
    }
}

fn characters_of(class: &Hir) -> usize {
    match class.kind() {
        HirKind::Class(Class::Unicode(class)) => class.iter().map(|range| range.len()).sum(),
        // One character, or none.
        _ => 1,
    }
}
