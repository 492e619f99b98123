//! The plain form of a text: escapes decoded, letters in lower case, control characters removed. It is used only for
//! comparisons.

/// The number of layers of escapes that are decoded. JSON inside a form inside JSON has three.
const LAYERS: usize = 4;

/// A text in its plain form, with the origin of each byte.
pub(super) struct Plain {
    pub(super) bytes: Vec<u8>,

    /// For each byte, its range in the original text.
    pub(super) spans: Vec<(usize, usize)>,
}

/// An escape: its length in bytes, and the bytes that it encodes.
struct Escape {
    len: usize,
    stands_for: Vec<u8>,
}

impl Plain {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut plain = Self::raw(text);
        let layers = if has_escapes(text) { LAYERS } else { 0 };

        for _ in 0..layers {
            let before = plain.bytes.len();
            plain = plain.unescaped();

            // Every escape is longer than the bytes that it encodes.
            if plain.bytes.len() == before {
                break;
            }
        }

        plain.folded()
    }

    /// The plain form of a text that ends in an incomplete escape, without that escape. `None` if the text ends in
    /// none.
    pub(super) fn of_cut_off(text: &[u8]) -> Option<Self> {
        if !has_escapes(text) {
            return None;
        }

        let mut plain = Self::raw(text);
        let mut is_cut_off = false;

        for _ in 0..LAYERS {
            let broken = broken_escape(&plain.bytes);
            is_cut_off |= broken > 0;
            plain.bytes.truncate(plain.bytes.len() - broken);
            plain.spans.truncate(plain.bytes.len());
            plain = plain.unescaped();
        }

        is_cut_off.then(|| plain.folded())
    }

    fn raw(text: &[u8]) -> Self {
        Self {
            bytes: text.to_vec(),
            spans: (0..text.len()).map(|at| (at, at + 1)).collect(),
        }
    }

    /// Decodes one layer of escapes.
    fn unescaped(&self) -> Self {
        let mut next = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            spans: Vec::with_capacity(self.bytes.len()),
        };

        let mut at = 0;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let escape = match rest[0] {
                b'%' => percent(rest),
                b'\\' => Some(backslash(rest)),
                b'&' => reference(rest),
                _ => None,
            };

            let Some(escape) = escape else {
                next.bytes.push(rest[0]);
                next.spans.push(self.spans[at]);
                at += 1;
                continue;
            };

            let span = (self.spans[at].0, self.spans[at + escape.len - 1].1);
            for byte in escape.stands_for {
                next.bytes.push(byte);
                next.spans.push(span);
            }

            at += escape.len;
        }

        next
    }

    fn folded(self) -> Self {
        let mut folded = Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            spans: Vec::with_capacity(self.spans.len()),
        };

        for (byte, span) in self.bytes.into_iter().zip(self.spans) {
            if let Some(byte) = fold(byte) {
                folded.bytes.push(byte);
                folded.spans.push(span);
            }
        }

        folded
    }
}

/// The byte by which a byte is compared; `None` if it is left out. No secret contains control characters, but base64
/// may be wrapped over lines. Forms encode a blank as a plus, and the two alphabets of base64 differ in two letters.
pub(super) const fn fold(byte: u8) -> Option<u8> {
    match byte {
        0..=0x1f | 0x7f => None,
        b' ' | b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        _ => Some(byte.to_ascii_lowercase()),
    }
}

/// Whether a text contains a byte that begins an escape.
fn has_escapes(text: &[u8]) -> bool {
    text.iter().any(|byte| b"%\\&".contains(byte))
}

/// `%2F`.
fn percent(rest: &[u8]) -> Option<Escape> {
    let byte = u8::try_from(hex_number(rest.get(1..3)?)?).ok()?;
    Some(Escape {
        len: 3,
        stands_for: vec![byte],
    })
}

/// The escapes of JSON and similar formats, with any number of backslashes: each layer doubles them.
fn backslash(rest: &[u8]) -> Escape {
    let run = rest.iter().take_while(|byte| **byte == b'\\').count();
    let after = &rest[run..];

    let (len, stands_for) = match after.first() {
        Some(b'u') => match unicode(after) {
            Some((len, character)) => (len, character.map(|c| c.to_string().into_bytes()).unwrap_or_default()),
            None => (0, Vec::new()),
        },
        // Control characters are not compared.
        Some(b'b' | b'f' | b'n' | b'r' | b't') => (1, Vec::new()),
        Some(byte @ (b'"' | b'\'' | b'/')) => (1, vec![*byte]),
        _ => (0, Vec::new()),
    };

    Escape {
        len: run + len,
        stands_for,
    }
}

/// `u00e9`, `u{e9}`, or a surrogate pair: `ud83d\ude00`. A lone surrogate decodes to nothing.
fn unicode(after: &[u8]) -> Option<(usize, Option<char>)> {
    if after.get(1) == Some(&b'{') {
        let close = after.iter().take(9).position(|byte| *byte == b'}')?;
        return Some((close + 1, char::from_u32(hex_number(&after[2..close])?)));
    }

    let first = hex_number(after.get(1..5)?)?;
    if (0xd800..0xdc00).contains(&first) {
        let run = after[5..].iter().take_while(|byte| **byte == b'\\').count();
        let low = after.get(5 + run..10 + run).filter(|low| run > 0 && low[0] == b'u');
        let low = low
            .and_then(|low| hex_number(&low[1..]))
            .filter(|low| (0xdc00..0xe000).contains(low));
        if let Some(low) = low {
            let number = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            return Some((10 + run, char::from_u32(number)));
        }
    }

    Some((5, char::from_u32(first)))
}

/// `&quot;`, `&#39;` or `&#x27;`.
fn reference(rest: &[u8]) -> Option<Escape> {
    let end = rest.iter().take(12).position(|byte| *byte == b';')?;
    let character = match &rest[1..end] {
        b"amp" => '&',
        b"apos" => '\'',
        b"gt" => '>',
        b"lt" => '<',
        b"quot" => '"',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(hex_number(digits)?)?,
        [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => return None,
    };
    Some(Escape {
        len: end + 1,
        stands_for: character.to_string().into_bytes(),
    })
}

/// Parses digits only: the standard library also accepts a sign.
fn hex_number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }

    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The length of the incomplete escape at the end of a text.
fn broken_escape(text: &[u8]) -> usize {
    const LONGEST: usize = 10;

    let tail = &text[text.len().saturating_sub(LONGEST)..];
    let Some(at) = tail.iter().rposition(|byte| b"%\\&".contains(byte)) else {
        return 0;
    };
    let after = &tail[at + 1..];

    let is_open = match tail[at] {
        b'%' => after.len() < 2,
        b'\\' => after.is_empty() || (after[0] == b'u' && after.len() < 5),
        _ => !after.contains(&b';'),
    };

    let could_be = after.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#');
    if is_open && could_be { tail.len() - at } else { 0 }
}
