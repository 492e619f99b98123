//! Finds members of a JSON object by name and skips all others, without building a tree.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of an object under these names, in the order of the names. The last value of a repeated name counts.
/// `None` if the text is not an object.
#[must_use]
pub(crate) fn members<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[Option<&'a RawValue>; N]> {
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

/// Finds a name among the known ones. It is read as bytes, because unlike a `String` bytes may contain a lone
/// surrogate, which JSON allows.
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
    fn the_last_value_of_each_name_is_found_and_other_names_are_skipped() {
        let text = r#"{"a":1,"b":[{"a":2}],"\ud800":0,"c":{},"\u0061":{"x":3} }"#;
        let found = members(text, ["a", "none", "b"]).expect("an object");
        assert_eq!(
            found.map(|value| value.map(RawValue::get)),
            [Some(r#"{"x":3}"#), None, Some(r#"[{"a":2}]"#)]
        );

        for text in ["", "[]", "null", "{", "{} x", r#"{"a":}"#] {
            assert!(members(text, ["a"]).is_none(), "{text}");
        }
    }
}
