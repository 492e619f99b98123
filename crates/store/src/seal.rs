//! Sealing of secrets at rest: XChaCha20-Poly1305 with a random nonce, bound to the place where the value is stored.
//!
//! Layout of a sealed value: version (1 byte, 1), key id (4), nonce (24), text and tag. The associated data is table,
//! column and the row's own name, so a value copied to another row does not open. The first key of the ring seals, all
//! open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

use crate::nodes::KeyUse;

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const NONCE_LEN: usize = 24;

/// Why a value does not open or a ring cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// No key of the ring has the id that the value names.
    #[error("it was sealed with key {0:08x}, which is not among the configured keys")]
    UnknownKey(u32),

    /// Wrong place, or changed.
    #[error("it was changed or moved")]
    Changed,

    /// Cut short, or of a later version.
    #[error("it is not in a form that this version knows")]
    Form,

    /// A ring needs at least one key.
    #[error("no key is configured")]
    NoKey,

    /// The operating system gave no random bytes.
    #[error("the system has no randomness")]
    Randomness,
}

/// The place of the value that is sealed at the first start. Opening it shows whether a ring fits, before anything is
/// written with a wrong key.
pub(crate) const KEY_CHECK: Place<'static> = Place {
    table: "settings",
    column: "value",
    row: b"key_check",
};

/// The columns with sealed values, of which administrators see how many each key has sealed.
const SEALED: [(&str, &str); 10] = [
    ("hooks", "url"),
    ("hooks", "token"),
    ("hooks", "signing_token"),
    ("hooks", "previous_signing_token"),
    ("hooks", "custom_headers"),
    ("hooks", "url_variables"),
    ("hooks", "client_certificate"),
    ("hook_versions", "settings"),
    ("sources", "secrets"),
    ("inspectors", "secrets"),
];
/// Sealed values that are counted.
const COUNTED: usize = 100_000;

/// The query of the sealed values of each key, with the expression for its number in hexadecimal digits.
pub(crate) fn count_by_key(digits: &str) -> String {
    let mut values: Vec<String> = SEALED
        .iter()
        .map(|(table, column)| format!("SELECT {column} AS value FROM {table} WHERE {column} IS NOT NULL"))
        .collect();
    values.push("SELECT value FROM settings WHERE name = 'key_check'".to_owned());

    format!(
        "SELECT {digits} AS key_id, count(*) AS sealed
         FROM (SELECT value FROM ({}) sealed_values LIMIT {COUNTED}) counted_values GROUP BY 1",
        values.join(" UNION ALL ")
    )
}

/// Where a value is stored.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Table.
    pub table: &'a str,

    /// Column.
    pub column: &'a str,

    /// The name of the row, known before it is inserted.
    pub row: &'a [u8],
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        for part in [self.table.as_bytes(), self.column.as_bytes(), self.row] {
            data.extend_from_slice(&u32::try_from(part.len()).expect("names are short").to_be_bytes());
            data.extend_from_slice(part);
        }

        data
    }
}

/// The keys. No `Debug`.
#[derive(Clone)]
pub struct Ring {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: u32,
    columns: XChaCha20Poly1305,
}

impl Ring {
    /// From master keys; the first one seals. Sub-keys are derived by HKDF, one per purpose.
    ///
    /// # Errors
    /// Without any key.
    pub fn new(masters: Vec<[u8; 32]>) -> std::result::Result<Self, SealError> {
        if masters.is_empty() {
            return Err(SealError::NoKey);
        }

        let keys = masters
            .into_iter()
            .map(|mut master| {
                let hkdf = Hkdf::<Sha256>::new(Some(b"quickdraw"), &master);
                let (mut columns, mut id) = ([0; 32], [0; KEY_ID_LEN]);
                hkdf.expand(b"columns", &mut columns)
                    .expect("32 bytes is a legal length");
                hkdf.expand(b"key id", &mut id).expect("4 bytes is a legal length");

                let key = Key {
                    id: u32::from_be_bytes(id),
                    columns: XChaCha20Poly1305::new((&columns).into()),
                };

                columns.zeroize();
                master.zeroize();
                key
            })
            .collect();
        Ok(Self { keys })
    }

    /// The keys of the ring and of what is sealed, given how many values each number has sealed.
    pub(crate) fn uses(&self, sealed: &[(String, i64)]) -> Vec<KeyUse> {
        let sealed: Vec<(u32, i64)> = sealed
            .iter()
            .filter_map(|(digits, values)| Some((u32::from_str_radix(digits, 16).ok()?, *values)))
            .collect();
        let values_of = |id: u32| {
            sealed
                .iter()
                .find(|(key, _)| *key == id)
                .map_or(0, |(_, values)| *values)
        };

        let mut uses: Vec<KeyUse> = self
            .keys
            .iter()
            .map(|key| KeyUse {
                key: key.id,
                is_known: true,
                seals: key.id == self.sealing_key_id(),
                values: values_of(key.id),
            })
            .collect();

        for (key, values) in sealed {
            if uses.iter().all(|known| known.key != key) {
                uses.push(KeyUse {
                    key,
                    is_known: false,
                    seals: false,
                    values,
                });
            }
        }

        uses
    }

    /// Id of the key that seals.
    #[must_use]
    pub fn sealing_key_id(&self) -> u32 {
        self.keys[0].id
    }

    /// Seals a text for its place.
    ///
    /// # Errors
    /// Only without randomness.
    pub fn seal(&self, place: Place<'_>, text: &str) -> std::result::Result<Vec<u8>, SealError> {
        let key = &self.keys[0];
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Randomness)?;

        let payload = Payload {
            msg: text.as_bytes(),
            aad: &place.associated_data(),
        };
        let sealed = key
            .columns
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::Form)?;
        let mut value = Vec::with_capacity(1 + KEY_ID_LEN + NONCE_LEN + sealed.len());
        value.push(VERSION);
        value.extend_from_slice(&key.id.to_be_bytes());
        value.extend_from_slice(&nonce);
        value.extend_from_slice(&sealed);

        Ok(value)
    }

    /// Opens a sealed value found in its place.
    ///
    /// # Errors
    /// Every reason of [`SealError`] but the missing key and randomness.
    pub fn open(&self, place: Place<'_>, value: &[u8]) -> std::result::Result<String, SealError> {
        let (head, sealed) = value
            .split_at_checked(1 + KEY_ID_LEN + NONCE_LEN)
            .ok_or(SealError::Form)?;
        if head[0] != VERSION {
            return Err(SealError::Form);
        }

        let id = u32::from_be_bytes(head[1..=KEY_ID_LEN].try_into().map_err(|_| SealError::Form)?);
        let nonce: [u8; NONCE_LEN] = head[1 + KEY_ID_LEN..].try_into().map_err(|_| SealError::Form)?;

        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or(SealError::UnknownKey(id))?;

        let payload = Payload {
            msg: sealed,
            aad: &place.associated_data(),
        };
        let text = key
            .columns
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::Changed)?;
        String::from_utf8(text).map_err(|_| SealError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        table: "hooks",
        column: "token",
        row: b"1",
    };

    fn ring(keys: &[u8]) -> Ring {
        Ring::new(keys.iter().map(|byte| [*byte; 32]).collect()).expect("there is a key")
    }

    #[test]
    fn a_value_opens_only_in_its_place_and_unchanged() {
        let ring = ring(&[1]);
        let value = ring.seal(PLACE, "s3cret").expect("sealed");
        assert_eq!(ring.open(PLACE, &value).as_deref(), Ok("s3cret"));
        assert_eq!(ring.open(Place { row: b"2", ..PLACE }, &value), Err(SealError::Changed));

        assert_eq!(
            ring.open(Place { column: "url", ..PLACE }, &value),
            Err(SealError::Changed)
        );

        for at in [0, 3, 10, value.len() - 1] {
            let mut other = value.clone();
            other[at] ^= 1;
            assert!(ring.open(PLACE, &other).is_err(), "byte {at}");
        }

        assert!(ring.open(PLACE, &value[..20]).is_err());
        assert!(!value.windows(6).any(|window| window == b"s3cret"));
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let value = old.seal(PLACE, "x").expect("sealed");
        assert_eq!(both.open(PLACE, &value).as_deref(), Ok("x"));

        assert_eq!(
            new.open(PLACE, &value),
            Err(SealError::UnknownKey(old.sealing_key_id()))
        );

        let value = both.seal(PLACE, "y").expect("sealed");
        assert_eq!(new.open(PLACE, &value).as_deref(), Ok("y"));
    }

    #[test]
    fn the_use_of_keys_names_those_of_the_ring_and_others() {
        let (ring, other) = (ring(&[2, 1]), ring(&[3]).sealing_key_id());
        let first = ring.sealing_key_id();
        let uses = ring.uses(&[(format!("{first:08x}"), 5), (format!("{other:08X}"), 1)]);
        let uses: Vec<_> = uses.iter().map(|one| (one.is_known, one.seals, one.values)).collect();
        assert_eq!(uses, [(true, true, 5), (true, false, 0), (false, false, 1)]);
    }

    #[test]
    fn two_sealings_of_one_text_differ() {
        let ring = ring(&[1]);
        assert_ne!(ring.seal(PLACE, "x"), ring.seal(PLACE, "x"));
    }
}
