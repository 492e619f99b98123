//! Members of a JSON object by their names, found while all else is skipped: no tree is made, whatever the object has.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What an object has under these names, in their order. A name that is repeated counts with its last value. `None` for a text that
/// is no object.
#[must_use]
pub fn members<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let found = Named(&names).deserialize(&mut parser).ok()?;
    parser.end().ok()?;
    Some(found)
}

struct Named<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Named<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Named<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; N];
        while let Some(at) = members.next_key_seed(Which(self.0))? {
            match at {
                Some(at) => found[at] = Some(members.next_value()?),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// Which of the names a name is. It is read as bytes: unlike a `String`, they can be a half of a surrogate pair, which JSON allows.
struct Which<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Which<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Which<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|known| known.as_bytes() == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_name_is_found_and_all_else_is_skipped() {
        let text = r#"{"a":1,"b":[{"a":2}],"\ud800":0,"c":{},"\u0061":{"x":3} }"#;
        let found = members(text, ["a", "none", "b"]).expect("an object");
        assert_eq!(found.map(|value| value.map(RawValue::get)), [Some(r#"{"x":3}"#), None, Some(r#"[{"a":2}]"#)]);
        for text in ["", "[]", "null", "{", "{} x", r#"{"a":}"#] {
            assert!(members(text, ["a"]).is_none(), "{text}");
        }
    }
}
