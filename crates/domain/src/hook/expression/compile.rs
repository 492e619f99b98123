//! Compiles an expression into a program: states that follow one another, with each look-around as a program of its
//! own.

use regex_syntax::ast;
use regex_syntax::hir::translate::Translator;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::weigh::weight;
use super::{MAX_STATES, MAX_WEIGHT, TOO_WIDE};

/// Maximum number of look-arounds in one expression.
const MAX_LOOK_AROUNDS: usize = 20;
/// Maximum number of parts that are visited during compilation. Repetitions of nothing have no states, but still take
/// time.
const MAX_VISITS: usize = 20 * MAX_STATES;
/// Deepest nesting.
const DEEPEST: u32 = 100;
/// The prefix of the names of groups that stand for look-arounds. An expression that contains it is refused.
const MARK: &str = "quickdraw_look_";

/// Number of a state.
pub(super) type Id = usize;

/// A compiled expression.
pub(super) struct Program {
    /// Look-arounds, before the parts that use them. The last part is the expression itself.
    pub(super) parts: Vec<Part>,

    /// The counted states of all parts.
    pub(super) size: usize,

    /// The maximum number of characters examined during compilation.
    pub(super) weight: usize,
}

/// A part of a program, which runs over the text in one pass.
pub(super) struct Part {
    pub(super) states: Vec<State>,
    pub(super) start: Id,

    /// Runs from the end of the text to its beginning, for look-ahead.
    pub(super) backward: bool,

    /// Can only match at the beginning of the text.
    pub(super) anchored: bool,
}

/// A state, with the states that follow it.
pub(super) enum State {
    /// One character of a class.
    Class(Ranges, Id),

    /// One of several states.
    Any(Vec<Id>),

    /// A condition on the position in the text.
    Look(Look, Id),

    /// A look-around: the number of its part, and whether the part must match or must not.
    Around { part: usize, holds: bool, next: Id },

    /// The end of a match.
    Found,
}

/// A set of characters.
pub(super) struct Ranges {
    ascii: u128,
    beyond: Vec<(char, char)>,
}

impl Ranges {
    pub(super) fn contains(&self, character: char) -> bool {
        let code = u32::from(character);
        if code < 128 {
            return self.ascii >> code & 1 == 1;
        }

        let after = self.beyond.partition_point(|(first, _)| *first <= character);
        after > 0 && character <= self.beyond[after - 1].1
    }

    fn new(ranges: impl Iterator<Item = (char, char)>) -> Self {
        let mut set = Self {
            ascii: 0,
            beyond: Vec::new(),
        };

        for (first, last) in ranges {
            for code in u32::from(first)..=u32::from(last).min(127) {
                set.ascii |= 1 << code;
            }

            if u32::from(last) > 127 {
                set.beyond.push((first, last));
            }
        }

        set
    }
}

/// Compiles an expression. The error is the reason why it cannot be used.
pub(super) fn compile(text: &str) -> Result<Program, String> {
    if text.contains(MARK) {
        return Err(format!("the name of a group must not contain {MARK}"));
    }

    let marked = mark(text)?;
    // Errors are one line without an excerpt, because the author never saw the marked expression.
    let syntax = ast::parse::ParserBuilder::new()
        .nest_limit(DEEPEST)
        .build()
        .parse(&marked);
    let syntax = syntax.map_err(|error| error.kind().to_string())?;
    let weight = weight(&marked, &syntax);

    if weight > MAX_WEIGHT {
        return Err(TOO_WIDE.to_owned());
    }

    let hir = Translator::new()
        .translate(&marked, &syntax)
        .map_err(|error| error.kind().to_string())?;
    let mut compiler = Compiler {
        parts: Vec::new(),
        size: 0,
        visits: 0,
    };
    let part = compiler.part(&hir, false)?;
    compiler.parts.push(part);

    Ok(Program {
        parts: compiler.parts,
        size: compiler.size,
        weight,
    })
}

/// Turns look-arounds into named groups, which `regex-syntax` can parse, so that it finds their flags and their ends.
fn mark(text: &str) -> Result<String, String> {
    let mut marked = String::with_capacity(text.len());
    let (mut count, mut in_class) = (0, 0_usize);
    let mut rest = text;

    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        match first {
            '\\' => taken += rest[1..].chars().next().map_or(0, char::len_utf8),
            '[' => {
                in_class += 1;
                // A bracket at the beginning of a class is one of its characters.
                taken += usize::from(rest[taken..].starts_with('^'));
                taken += usize::from(rest[taken..].starts_with(']'));
            }
            ']' => in_class = in_class.saturating_sub(1),
            '(' if in_class == 0 => {
                let kinds = [
                    ("(?=", "ahead_is"),
                    ("(?!", "ahead_not"),
                    ("(?<=", "behind_is"),
                    ("(?<!", "behind_not"),
                ];

                if let Some((sign, kind)) = kinds.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
                    marked.push_str(&format!("(?P<{MARK}{kind}_{count}>"));
                    count += 1;
                    rest = &rest[sign.len()..];
                    continue;
                }
            }
            _ => {}
        }

        marked.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }

    if count > MAX_LOOK_AROUNDS {
        return Err(format!("it has more than {MAX_LOOK_AROUNDS} look-arounds"));
    }

    Ok(marked)
}

/// Whether an expression can only match at the beginning of the text. The library's own answer treats the content of a
/// look-around as a part of the match.
fn begins_at_start(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Look(Look::Start) => true,
        HirKind::Capture(capture) if !is_look_around(capture.name.as_deref()) => begins_at_start(&capture.sub),
        HirKind::Concat(parts) => {
            let is_around =
                |part: &&Hir| matches!(part.kind(), HirKind::Capture(one) if is_look_around(one.name.as_deref()));
            parts.iter().find(|part| !is_around(part)).is_some_and(begins_at_start)
        }
        HirKind::Alternation(ways) => ways.iter().all(begins_at_start),
        _ => false,
    }
}

fn is_look_around(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with(MARK))
}

struct Compiler {
    parts: Vec<Part>,
    size: usize,
    visits: usize,
}

impl Compiler {
    fn part(&mut self, hir: &Hir, backward: bool) -> Result<Part, String> {
        let mut states = vec![State::Found];
        let start = self.add(hir, 0, backward, &mut states)?;
        let anchored = !backward && begins_at_start(hir);

        Ok(Part {
            states,
            start,
            backward,
            anchored,
        })
    }

    fn push(&mut self, states: &mut Vec<State>, state: State) -> Result<Id, String> {
        self.size += match &state {
            State::Class(ranges, _) => 1 + ranges.beyond.len() / 16,
            _ => 1,
        };

        if self.size > MAX_STATES {
            return Err(format!(
                "it is too large: it has more than {MAX_STATES} states, with every repetition written out"
            ));
        }

        states.push(state);
        Ok(states.len() - 1)
    }

    /// Adds the states of an expression in front of the state `next`, and returns the first of them.
    fn add(&mut self, hir: &Hir, next: Id, backward: bool, states: &mut Vec<State>) -> Result<Id, String> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err("it is too large: it has too many repetitions".to_owned());
        }

        match hir.kind() {
            HirKind::Empty => Ok(next),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).map_err(|_| "it would match invalid UTF-8".to_owned())?;
                let mut characters: Vec<char> = text.chars().collect();

                if !backward {
                    characters.reverse();
                }

                let mut next = next;
                for character in characters {
                    let one = Ranges::new([(character, character)].into_iter());
                    next = self.push(states, State::Class(one, next))?;
                }

                Ok(next)
            }

            HirKind::Class(class) => {
                let ranges = match class {
                    Class::Unicode(class) => Ranges::new(class.iter().map(|range| (range.start(), range.end()))),
                    Class::Bytes(class) => Ranges::new(
                        class
                            .iter()
                            .map(|range| (char::from(range.start()), char::from(range.end()))),
                    ),
                };
                self.push(states, State::Class(ranges, next))
            }
            HirKind::Look(look) => self.push(states, State::Look(*look, next)),
            HirKind::Capture(capture) => match capture.name.as_deref().and_then(|name| name.strip_prefix(MARK)) {
                Some(kind) => {
                    let part = self.part(&capture.sub, kind.starts_with("ahead"))?;
                    self.parts.push(part);

                    let part = self.parts.len() - 1;
                    self.push(
                        states,
                        State::Around {
                            part,
                            holds: kind.contains("_is"),
                            next,
                        },
                    )
                }
                None => self.add(&capture.sub, next, backward, states),
            },

            HirKind::Concat(parts) => {
                let mut next = next;
                if backward {
                    for part in parts {
                        next = self.add(part, next, backward, states)?;
                    }
                } else {
                    for part in parts.iter().rev() {
                        next = self.add(part, next, backward, states)?;
                    }
                }

                Ok(next)
            }

            HirKind::Alternation(ways) => {
                let mut firsts = Vec::with_capacity(ways.len());
                for way in ways {
                    firsts.push(self.add(way, next, backward, states)?);
                }

                self.push(states, State::Any(firsts))
            }

            HirKind::Repetition(repetition) => {
                let mut next = next;
                match repetition.max {
                    Some(max) => {
                        let end = next;
                        for _ in repetition.min..max {
                            let once = self.add(&repetition.sub, next, backward, states)?;
                            next = self.push(states, State::Any(vec![once, end]))?;
                        }
                    }

                    None => {
                        let again = self.push(states, State::Any(vec![next]))?;
                        let once = self.add(&repetition.sub, again, backward, states)?;
                        if let State::Any(ways) = &mut states[again] {
                            ways.push(once);
                        }

                        next = again;
                    }
                }

                for _ in 0..repetition.min {
                    next = self.add(&repetition.sub, next, backward, states)?;
                }

                Ok(next)
            }
        }
    }
}
