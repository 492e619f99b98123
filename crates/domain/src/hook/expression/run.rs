//! Runs a program on a text: all states together, one character after the other, with one step of work for each state
//! that is entered.

use regex_syntax::hir::Look;

use super::compile::{Id, Part, Program, State};
use crate::work::{Exhausted, Work};

/// The positions at which a look-around matches: one bit for each position, including the end of the text.
struct Places(Vec<u64>);

impl Places {
    fn new(characters: usize) -> Self {
        Self(vec![0; characters / 64 + 1])
    }

    fn set(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn contains(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
}

/// Whether a program matches anywhere in a text.
pub(super) fn is_match(program: &Program, text: &str, work: &mut Work) -> Result<bool, Exhausted> {
    work.spend(text.len() + 1)?;

    let text: Vec<char> = text.chars().collect();
    let Some((expression, look_arounds)) = program.parts.split_last() else {
        return Ok(false);
    };
    let mut places = Vec::with_capacity(look_arounds.len());

    for part in look_arounds {
        let mut held = Places::new(text.len());
        work.spend(text.len() / 64 + 1)?;

        Run {
            part,
            text: &text,
            places: &places,
            work,
        }
        .each(|at| {
            held.set(at);
            false
        })?;

        places.push(held);
    }

    let mut found = false;
    Run {
        part: expression,
        text: &text,
        places: &places,
        work,
    }
    .each(|_| {
        found = true;
        true
    })?;

    Ok(found)
}

struct Run<'a> {
    part: &'a Part,
    text: &'a [char],
    places: &'a [Places],
    work: &'a mut Work,
}

impl Run<'_> {
    /// Calls back with each position at which the part ends, whatever its start, until the callback returns true.
    fn each(mut self, mut found: impl FnMut(usize) -> bool) -> Result<(), Exhausted> {
        let count = self.part.states.len();
        let (mut here, mut next) = (Vec::with_capacity(count), Vec::with_capacity(count));

        // The round in which each state was last entered. No state is entered twice at one position.
        let mut entered = vec![0_usize; count];
        let mut open = Vec::new();
        self.work.spend(count)?;

        for round in 0..=self.text.len() {
            let at = if self.part.backward {
                self.text.len() - round
            } else {
                round
            };

            if round == 0 || !self.part.anchored {
                next.push(self.part.start);
            }

            if next.is_empty() {
                return Ok(());
            }

            here.clear();

            let mut ends = false;
            for state in next.drain(..) {
                ends |= self.enter(state, (at, round + 1), &mut entered, &mut open, &mut here)?;
            }

            if ends && found(at) {
                return Ok(());
            }

            let character = if self.part.backward {
                at.checked_sub(1).map(|at| self.text[at])
            } else {
                self.text.get(at).copied()
            };
            let Some(character) = character else { return Ok(()) };
            self.work.spend(here.len())?;

            for state in &here {
                if let State::Class(ranges, after) = &self.part.states[*state]
                    && ranges.contains(character)
                {
                    next.push(*after);
                }
            }
        }

        Ok(())
    }

    /// Enters a state and all states that follow it without a character. Returns whether the end is one of them.
    fn enter(
        &mut self,
        state: Id,
        (at, round): (usize, usize),
        entered: &mut [usize],
        open: &mut Vec<Id>,
        here: &mut Vec<Id>,
    ) -> Result<bool, Exhausted> {
        let mut ends = false;
        open.push(state);

        while let Some(state) = open.pop() {
            self.work.spend(1)?;
            if std::mem::replace(&mut entered[state], round) == round {
                continue;
            }

            match &self.part.states[state] {
                State::Class(..) => here.push(state),
                State::Any(ways) => {
                    self.work.spend(ways.len())?;
                    open.extend(ways);
                }
                State::Look(look, after) => {
                    if holds(*look, self.text, at) {
                        open.push(*after);
                    }
                }
                State::Around { part, holds, next } => {
                    if self.places[*part].contains(at) == *holds {
                        open.push(*next);
                    }
                }
                State::Found => ends = true,
            }
        }

        Ok(ends)
    }
}

/// Whether a condition on a position is true.
fn holds(look: Look, text: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| text[at]);
    let after = text.get(at).copied();
    let ascii = |character: Option<char>| character.is_some_and(|one| one.is_ascii_alphanumeric() || one == '_');
    let unicode = |character: Option<char>| {
        character.is_some_and(|one| regex_syntax::try_is_word_character(one).unwrap_or_else(|_| one.is_alphanumeric()))
    };

    match look {
        Look::Start => before.is_none(),
        Look::End => after.is_none(),
        Look::StartLF => before.is_none_or(|one| one == '\n'),
        Look::EndLF => after.is_none_or(|one| one == '\n'),
        Look::StartCRLF => before.is_none_or(|one| one == '\n' || (one == '\r' && after != Some('\n'))),
        Look::EndCRLF => after.is_none_or(|one| one == '\r' || (one == '\n' && before != Some('\r'))),
        Look::WordAscii => ascii(before) != ascii(after),
        Look::WordAsciiNegate => ascii(before) == ascii(after),
        Look::WordUnicode => unicode(before) != unicode(after),
        Look::WordUnicodeNegate => unicode(before) == unicode(after),
        Look::WordStartAscii => !ascii(before) && ascii(after),
        Look::WordEndAscii => ascii(before) && !ascii(after),
        Look::WordStartUnicode => !unicode(before) && unicode(after),
        Look::WordEndUnicode => unicode(before) && !unicode(after),
        Look::WordStartHalfAscii => !ascii(before),
        Look::WordEndHalfAscii => !ascii(after),
        Look::WordStartHalfUnicode => !unicode(before),
        Look::WordEndHalfUnicode => !unicode(after),
    }
}
