//! Bodies as trees, weighed while they grow. A tree takes up to 150 times the memory of the text that it is made of, so a limit
//! on the text is none on the tree: whoever takes a body apart says how much memory that may take.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Memory that the tree of one body may take, in bytes, as it is estimated: that of 1 MiB of any usual body, and more.
pub const BUDGET: usize = 24 << 20;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// It would take more memory than it may.
    #[error("has too many parts: as a tree it would take more than {0} bytes of memory")]
    TooLarge(usize),
    /// The text is no JSON, or cannot be represented.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reads JSON into a tree.
///
/// # Errors
/// When the text is no JSON, or its tree would take more than `budget` bytes. At most that much is taken before it is refused.
pub fn read(text: &[u8], budget: usize) -> Result<Value, TreeError> {
    let mut left = budget;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let tree = Weighed { left: &mut left }.deserialize(&mut deserializer);
    let tree = tree.and_then(|tree| deserializer.end().map(|()| tree));
    // The reader's own error would speak of a place in the text.
    tree.map_err(|error| if left == 0 { TreeError::TooLarge(budget) } else { TreeError::Json(error) })
}

/// What a place for a value takes in a list: lists double, so half of the places may be empty.
const PLACE: usize = 2 * size_of::<Value>();
/// What the smallest list and the smallest object with something in them take.
const LIST: usize = 4 * size_of::<Value>();
const OBJECT: usize = 512;
/// What a member takes in an object, beside its name and the value.
const MEMBER: usize = PLACE + 128;
/// What a text takes beside its letters.
const TEXT: usize = 16;

struct Weighed<'a> {
    left: &'a mut usize,
}

impl Weighed<'_> {
    fn take<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        match self.left.checked_sub(bytes) {
            Some(left) if left > 0 => *self.left = left,
            _ => {
                *self.left = 0;
                return Err(E::custom("too large"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Weighed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Weighed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(mut self, value: &str) -> Result<Value, E> {
        self.take(value.len() + TEXT)?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(mut self, value: String) -> Result<Value, E> {
        self.take(value.len() + TEXT)?;
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Weighed { left: self.left })? {
            self.take(if values.is_empty() { LIST } else { PLACE })?;
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            self.take(name.len() + TEXT + if members.is_empty() { OBJECT } else { MEMBER })?;
            let value = object.next_value_seed(Weighed { left: self.left })?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn a_tree_is_what_the_library_reads() {
        for text in [
            r#"{"a":[1,-2,3.5,1e400,true,null,"xé\u0041"],"a":{"b":{}},"":18446744073709551615}"#,
            "[]",
            "null",
            "\"x\"",
            "{",
            "[1,]",
            "1 2",
            "\"\\ud800\"",
            "",
        ] {
            let (weighed, plain) = (read(text.as_bytes(), BUDGET), serde_json::from_str::<Value>(text));
            match (weighed, plain) {
                (Ok(weighed), Ok(plain)) => assert_eq!(weighed, plain, "{text}"),
                (Err(TreeError::Json(weighed)), Err(plain)) => {
                    assert_eq!(weighed.to_string(), plain.to_string(), "{text}")
                }
                (weighed, plain) => panic!("{text}: {weighed:?} and {plain:?}"),
            }
        }
        assert!(read(nested(200).as_bytes(), BUDGET).is_err(), "deeper than the reader goes");
    }

    #[test]
    fn a_tree_that_is_too_large_is_refused() {
        let nests = format!("[{}]", vec![nested(100); 5_100].join(","));
        let objects = format!("[{}]", vec![r#"{"a":1}"#; 130_000].join(","));
        let numbers = format!("[{}]", vec!["1"; 500_000].join(","));
        for text in [nests, objects, numbers] {
            assert!(text.len() < 1_100_000);
            assert!(matches!(read(text.as_bytes(), BUDGET), Err(TreeError::TooLarge(BUDGET))));
        }
        let usual = format!("[{}]", vec![r#"{"id":1,"title":"A title of some length","labels":[]}"#; 15_000].join(","));
        assert!(read(usual.as_bytes(), BUDGET).is_ok(), "{} bytes of a usual body", usual.len());
    }

    fn weight(value: &Value) -> usize {
        match value {
            Value::String(text) => text.capacity(),
            Value::Array(list) => list.capacity() * size_of::<Value>() + list.iter().map(weight).sum::<usize>(),
            Value::Object(members) => {
                let inside = members.iter().map(|(name, value)| name.capacity() + weight(value)).sum::<usize>();
                // A hash, a name, a value and a place in the table for each.
                inside + members.len() * (size_of::<Value>() + 24 + 8 + 16)
            }
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn no_tree_takes_more_than_its_budget(text in r#"(\[|\{"a":|1,|"x",|\]|\}|\{"b":2\},){0,200}"#, lists in 0usize..300) {
            let text = format!("[{}{}]", "[[1,1,1]],".repeat(lists), text.trim_end_matches(','));
            if let Ok(tree) = read(text.as_bytes(), 20_000) {
                prop_assert!(weight(&tree) <= 20_000, "{} bytes", weight(&tree));
            }
        }
    }
}
