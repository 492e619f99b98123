//! Masking: removes the secrets of a hook from a text before the text is stored or shown.
//!
//! A receiver can echo a secret in many forms: percent-encoded or decoded, escaped for JSON or HTML, in other case, in
//! base64, wrapped over lines, or cut off. Decoding an escape needs no knowledge of the secret, so text and secrets are
//! both converted to one plain form (`redact::plain`) and compared there. Base64 mixes neighbouring bytes and cannot be
//! decoded without knowing its first byte, so its forms are separate patterns, one for each of the three alignments.
//!
//! Each pattern is found in one pass (Knuth, Morris and Pratt), so the work is at most the length of the text times the
//! number of patterns. A hook has about 45 secrets at most.

mod plain;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroize;

use self::plain::{Plain, fold};
use crate::hook::Hook;

/// The text that replaces a secret.
pub const MASK: &str = "[REDACTED]";
/// The shortest secret that is masked, and the shortest masked beginning of a secret at the end of a text, in bytes.
/// Shorter ones occur in every text by chance.
const SHORTEST: usize = 4;
/// The shortest text after a scheme, as in `Bearer abc…`, that is a secret by itself.
const SHORTEST_CREDENTIAL: usize = 8;

/// The form of a text in which a pattern is searched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The original text.
    Raw,

    /// The plain form.
    Plain,

    /// The plain form, where the whole surrounding word is base64.
    Base64,
}

/// One form of one secret.
#[derive(PartialEq, Eq)]
struct Pattern {
    form: Form,
    bytes: Vec<u8>,

    /// For each length, the length of the longest proper prefix that is also a suffix.
    borders: Vec<usize>,
}

impl Drop for Pattern {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl Pattern {
    /// Invariant: `bytes` is not empty.
    fn new(form: Form, bytes: Vec<u8>) -> Self {
        let mut borders = vec![0; bytes.len()];
        let mut matched = 0;

        for at in 1..bytes.len() {
            while matched > 0 && bytes[matched] != bytes[at] {
                matched = borders[matched - 1];
            }

            if bytes[matched] == bytes[at] {
                matched += 1;
            }

            borders[at] = matched;
        }

        Self { form, bytes, borders }
    }

    /// All occurrences, and a beginning of the pattern at the end of the text.
    fn places(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        let mut matched = 0;

        for (at, byte) in text.iter().enumerate() {
            while matched > 0 && self.bytes[matched] != *byte {
                matched = self.borders[matched - 1];
            }

            if self.bytes[matched] == *byte {
                matched += 1;
            }

            if matched == self.bytes.len() {
                places.push((at + 1 - matched, at + 1));
                matched = self.borders[matched - 1];
            }
        }

        if matched >= SHORTEST {
            places.push((text.len() - matched, text.len()));
        }

        places
    }
}

/// The secrets of a hook, in every form in which a text may show them. It has no `Debug` because of them.
#[derive(Default)]
pub struct Redactor {
    patterns: Vec<Pattern>,
}

impl Redactor {
    /// A redactor for every secret of a hook: tokens, header values, URL variables, user info, and a host with
    /// variables.
    #[must_use]
    pub fn of(hook: &Hook) -> Self {
        let mut redactor = Self::default();
        if let Some(token) = &hook.token {
            redactor.add(token.expose().as_bytes());
        }

        let before = hook.previous_signing_token.as_ref().map(|(token, _)| token);
        for signing_token in hook.signing_token.iter().chain(before) {
            let text = signing_token.to_text();
            redactor.add(text.expose().as_bytes());

            let encoded = text.expose().strip_prefix("whsec_").unwrap_or_default();
            if let Ok(key) = STANDARD.decode(encoded) {
                redactor.add(&key);
            }
        }

        for (_, value) in hook.url_variables.iter() {
            redactor.add(value.expose().as_bytes());
        }

        for (_, value) in hook.custom_headers.iter() {
            redactor.add_header_value(value.expose());
        }

        for part in hook.url.secret_parts() {
            redactor.add(part.expose().as_bytes());
        }

        redactor
    }

    /// Adds a header value and the credentials in it: receivers often use only the `abc…` of `Bearer abc…`.
    fn add_header_value(&mut self, value: &str) {
        self.add(value.as_bytes());

        let Some((scheme, rest)) = value.split_once(' ') else {
            return;
        };
        let rest = rest.trim();
        if rest.len() < SHORTEST_CREDENTIAL {
            return;
        }

        self.add(rest.as_bytes());

        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(pair) = STANDARD.decode(rest)
        {
            self.add(&pair);
            if let Some(colon) = pair.iter().position(|byte| *byte == b':') {
                self.add(&pair[..colon]);
                self.add(&pair[colon + 1..]);
            }
        }
    }

    /// Adds a secret in all its forms. A secret that is too short to distinguish from ordinary text is left out.
    pub(crate) fn add(&mut self, secret: &[u8]) {
        if secret.len() < SHORTEST {
            return;
        }

        self.add_pattern(Form::Raw, secret.to_vec());
        self.add_pattern(Form::Plain, Plain::of(secret).bytes);

        let decoded: Vec<u8> = percent_encoding::percent_decode(secret).collect();
        let escaped = std::str::from_utf8(secret)
            .ok()
            .and_then(|text| serde_json::to_string(text).ok());
        let escaped = escaped
            .as_deref()
            .map(|quoted| quoted.as_bytes()[1..quoted.len() - 1].to_vec());

        for spelt in [Some(secret.to_vec()), Some(decoded), escaped].into_iter().flatten() {
            for before in 0..3 {
                self.add_pattern(Form::Base64, base64_inside(&spelt, before));
            }
        }
    }

    fn add_pattern(&mut self, form: Form, bytes: Vec<u8>) {
        if bytes.len() < SHORTEST {
            return;
        }

        let pattern = Pattern::new(form, bytes);
        if !self.patterns.contains(&pattern) {
            self.patterns.push(pattern);
        }
    }

    /// Its approximate memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.patterns
            .iter()
            .map(|pattern| pattern.bytes.len() * (1 + size_of::<usize>()) + size_of::<Pattern>())
            .sum()
    }

    /// The text without the secrets, and without the beginning of a secret that its end cuts off.
    #[must_use]
    pub fn bytes(&self, text: Vec<u8>) -> Vec<u8> {
        if self.patterns.is_empty() || text.is_empty() {
            return text;
        }

        let mut places = self.places(&text);
        if places.is_empty() {
            return text;
        }

        places.sort_unstable();

        let mut masked = Vec::with_capacity(text.len());
        let mut done = 0;

        for (from, to) in places {
            // The match overlaps the previous one, which is already masked.
            if from < done {
                done = done.max(to);
                continue;
            }

            masked.extend_from_slice(&text[done..from]);
            masked.extend_from_slice(MASK.as_bytes());
            done = to;
        }

        masked.extend_from_slice(&text[done..]);
        masked
    }

    /// Masks a string.
    #[must_use]
    pub fn text(&self, text: String) -> String {
        if self.patterns.is_empty() {
            return text;
        }

        String::from_utf8_lossy(&self.bytes(text.into_bytes())).into_owned()
    }

    /// Masks header fields, one per line, as history stores them. Each value may be cut off at its own end.
    #[must_use]
    pub fn header_lines(&self, lines: &str) -> String {
        let mut masked = String::with_capacity(lines.len());
        for line in lines.lines() {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            masked.push_str(&self.text(name.to_owned()));
            masked.push_str(": ");
            masked.push_str(&self.text(value.to_owned()));
            masked.push('\n');
        }

        masked
    }

    fn places(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        for pattern in self.patterns.iter().filter(|pattern| pattern.form == Form::Raw) {
            places.extend(pattern.places(text));
        }

        self.places_in(&Plain::of(text), text, &mut places);

        if let Some(plain) = Plain::of_cut_off(text) {
            let known = places.len();
            self.places_in(&plain, text, &mut places);

            let end = plain.spans.last().map_or(0, |span| span.1);
            for place in &mut places[known..] {
                // The rest of the text is the incomplete escape.
                if place.1 == end {
                    place.1 = text.len();
                }
            }
        }

        places
    }

    fn places_in(&self, plain: &Plain, text: &[u8], places: &mut Vec<(usize, usize)>) {
        for pattern in self.patterns.iter().filter(|pattern| pattern.form != Form::Raw) {
            let mut last = 0;
            for (from, to) in pattern.places(&plain.bytes) {
                let (from, to) = (plain.spans[from].0, plain.spans[to - 1].1);
                if pattern.form == Form::Plain {
                    places.push((from, to));
                } else if to > last {
                    let word = base64_word(text, from, to);
                    last = word.1;
                    places.push(word);
                }
            }
        }
    }
}

/// The letters of base64 that depend on these bytes alone, with `before` bytes (modulo three) in front of them. They
/// are folded like plain text, which also unifies the two alphabets of base64.
fn base64_inside(bytes: &[u8], before: usize) -> Vec<u8> {
    let mut whole = vec![0; before];
    whole.extend_from_slice(bytes);

    let letters = STANDARD_NO_PAD.encode(&whole);
    let (from, to) = ((before * 4).div_ceil(3), whole.len() * 4 / 3);
    whole.zeroize();

    letters.as_bytes()[from..to]
        .iter()
        .filter_map(|letter| fold(*letter))
        .collect()
}

/// The whole base64 word around a match: its edges contain bits of the secret, and its rest may be the other half of a
/// user and password.
fn base64_word(text: &[u8], from: usize, to: usize) -> (usize, usize) {
    // `%` and `\` are included because the word itself may be escaped.
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=%\\".contains(byte);
    let before = text[..from].iter().rev().take_while(|byte| is_inside(byte)).count();
    let after = text[to..].iter().take_while(|byte| is_inside(byte)).count();
    (from - before, to + after)
}
