//! Trees of JSON within a budget of memory. A small text can have a large tree: one megabyte of nested lists takes 150
//! megabytes as a [`Value`]. JSON from other programs becomes a tree only through [`read`].
//!
//! The weight of a tree is the most memory that it takes, also during its construction. It is counted before the memory
//! is allocated, from the way in which lists, objects and strings grow, so a tree over its budget is never built. The
//! weight does not include the buffer in which the parser unescapes one string at a time: at most three times the
//! longest string.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// Budget for the tree of one body, in bytes: enough for 1 MiB of any usual body, and more.
pub const BUDGET: usize = 24 << 20;

/// The size of a value in its list or object.
const VALUE: usize = size_of::<Value>();
/// The size of a member of an object: its hash, its name and its value.
const MEMBER: usize = size_of::<(usize, String, Value)>();
/// The first capacity of a list and of the table of an object. It doubles from there.
const FIRST: usize = 4;

/// The reason why a text did not become a tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The text is not JSON, or not the expected kind of value.
    #[error(transparent)]
    Json(#[from] serde_json::Error),

    /// The tree would exceed the budget.
    #[error("has too many parts: as a tree it would take more than {0} bytes of memory")]
    TooLarge(usize),
}

/// Parses a text as a tree of at most `budget` bytes. The last value of a repeated name counts.
///
/// # Errors
/// When the text is not JSON, nests deeper than 127 levels, or its tree exceeds the budget.
pub fn read(text: &[u8], budget: usize) -> Result<Value, TreeError> {
    walk(text, budget, true).map(|(tree, _)| tree)
}

/// Parses a text that must be an object.
///
/// # Errors
/// As [`read`], and when the text is another value.
pub fn read_object(text: &[u8], budget: usize) -> Result<Map<String, Value>, TreeError> {
    match read(text, budget)? {
        Value::Object(object) => Ok(object),
        _ => Err(serde_json::Error::custom("it is not a JSON object").into()),
    }
}

/// The most memory that a text takes as a tree, in bytes. No tree is built.
///
/// # Errors
/// As [`read`].
pub fn weigh(text: &[u8], budget: usize) -> Result<usize, TreeError> {
    walk(text, budget, false).map(|(_, weight)| weight)
}

fn walk(text: &[u8], limit: usize, is_kept: bool) -> Result<(Value, usize), TreeError> {
    let budget = Budget::new(limit);
    let mut parser = serde_json::Deserializer::from_slice(text);

    let part = Part {
        budget: &budget,
        is_kept,
    };
    let tree = part
        .deserialize(&mut parser)
        .and_then(|tree| parser.end().map(|()| tree));

    match tree {
        Ok(tree) => Ok((tree, budget.most.get())),
        Err(_) if budget.is_exceeded.get() => Err(TreeError::TooLarge(limit)),
        Err(error) => Err(error.into()),
    }
}

/// A tree as a member of a struct that serde parses, within [`BUDGET`]. A member of type [`Value`] would have no limit.
#[derive(Clone, PartialEq, Debug)]
pub struct Tree(pub Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let budget = Budget::new(BUDGET);
        Part {
            budget: &budget,
            is_kept: true,
        }
        .deserialize(deserializer)
        .map(Self)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The memory used, in bytes.
struct Budget {
    limit: usize,
    used: Cell<usize>,
    most: Cell<usize>,
    is_exceeded: Cell<bool>,
}

impl Budget {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: Cell::new(0),
            most: Cell::new(0),
            is_exceeded: Cell::new(false),
        }
    }

    fn take<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        let used = self.used.get().saturating_add(bytes);
        if used > self.limit {
            self.is_exceeded.set(true);
            return Err(E::custom("it has too many parts"));
        }

        self.used.set(used);
        self.most.set(self.most.get().max(used));
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_sub(bytes));
    }
}

/// The memory that the allocator takes for a block of this size: its own header, and up to a quarter of rounding.
const fn block(bytes: usize) -> usize {
    if bytes == 0 {
        0
    } else {
        (bytes + bytes / 4).next_multiple_of(16) + 16
    }
}

const fn list_weight(places: usize) -> usize {
    block(places * VALUE)
}

/// The number of members for which a table of this size has room. An eighth of the table stays free.
const fn members(places: usize) -> usize {
    if places <= 8 {
        places.saturating_sub(1)
    } else {
        places / 8 * 7
    }
}

/// The members in their order, and the table for finding them: a number and a byte for each place.
const fn object_weight(places: usize) -> usize {
    if places == 0 {
        0
    } else {
        block(members(places) * MEMBER) + block(places * (size_of::<usize>() + 1) + 16)
    }
}

/// One value of the text, which is either built or only weighed.
///
/// The visitor is our own and not that of [`Value`]. The latter treats an object whose first name is serde_json's mark
/// of a raw value as the text inside, and parses this text without any limit.
#[derive(Clone, Copy)]
struct Part<'a> {
    budget: &'a Budget,
    is_kept: bool,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.budget.take(block(text.len()))?;
        Ok(if self.is_kept {
            Value::String(text.to_owned())
        } else {
            Value::Null
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let (mut count, mut places) = (0, 0);

        while let Some(part) = parts.next_element_seed(self)? {
            if count == places {
                let more = (places * 2).max(FIRST);
                // The old block exists until the new one is filled.
                self.budget.take(list_weight(more))?;

                if self.is_kept {
                    list.reserve_exact(more - count);
                }

                self.budget.give_back(list_weight(places));
                places = more;
            }

            count += 1;
            if self.is_kept {
                list.push(part);
            }
        }

        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let (mut count, mut places) = (0, 0);

        while let Some(name) = parts.next_key::<String>()? {
            self.budget.take(block(name.len()))?;

            let part = parts.next_value_seed(self)?;
            if count == members(places) {
                let more = (places * 2).max(FIRST);
                self.budget.take(object_weight(more))?;
                self.budget.give_back(object_weight(places));
                places = more;
            }

            count += 1;
            if self.is_kept {
                object.insert(name, part);
            }
        }

        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1 << 20;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn a_tree_equals_that_of_the_library() {
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

        assert!(
            read(nested(200).as_bytes(), BUDGET).is_err(),
            "deeper than the parser allows"
        );
    }

    #[test]
    fn a_tree_that_is_too_large_is_refused() {
        let nests = format!("[{}]", vec![nested(100); 5_100].join(","));
        let objects = format!("[{}]", vec![r#"{"a":1}"#; 130_000].join(","));
        let numbers = format!("[{}]", vec!["1"; 500_000].join(","));

        for text in [nests, objects, numbers] {
            assert!(text.len() < 1_100_000);
            assert!(matches!(
                read(text.as_bytes(), BUDGET),
                Err(TreeError::TooLarge(BUDGET))
            ));
        }

        let usual = format!(
            "[{}]",
            vec![r#"{"id":1,"title":"A title of some length","labels":[]}"#; 15_000].join(",")
        );

        assert!(
            read(usual.as_bytes(), BUDGET).is_ok(),
            "{} bytes of a usual body",
            usual.len()
        );
    }

    /// The size of a finished tree: lists and strings from their capacity, objects from the growth of their tables.
    fn size(tree: &Value) -> usize {
        match tree {
            Value::String(text) => block(text.capacity()),
            Value::Array(list) => list_weight(list.capacity()) + list.iter().map(size).sum::<usize>(),
            Value::Object(object) => {
                let mut places = 0;
                while members(places) < object.len() {
                    places = (places * 2).max(FIRST);
                }

                let parts = object.iter().map(|(name, part)| block(name.capacity()) + size(part));
                object_weight(places) + parts.sum::<usize>()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
        ];

        leaf.prop_recursive(6, 400, 40, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..40).prop_map(Value::Array),
                prop::collection::vec(("\\PC{0,8}", inner), 0..40)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_equals_its_text_and_is_never_larger_than_its_weight(tree in json()) {
            let text = serde_json::to_vec(&tree).expect("JSON");
            let weight = weigh(&text, usize::MAX).expect("JSON");
            let read = read(&text, weight).expect("its weight is enough");
            prop_assert!(size(&read) <= weight, "{} of {weight}", size(&read));
            // While a block grows, at most half of the memory exists twice.
            prop_assert!(weight <= size(&read) * 2, "{weight} for {}", size(&read));
            prop_assert_eq!(read, tree);
        }

        #[test]
        fn trees_equal_those_of_serde_json(text in "[\\[\\]{}\":,a0 \\\\]{0,80}") {
            let theirs = serde_json::from_str::<Value>(&text).ok();
            prop_assert_eq!(read(text.as_bytes(), MIB).ok(), theirs);
        }

        #[test]
        fn a_budget_is_never_exceeded(
            part in prop_oneof![
                Just("[]"), Just("[[[[[[[[]]]]]]]]"), Just(r#"{"a":1}"#), Just(r#"{"":{}}"#), Just(r#""""#), Just("0"),
                Just(r#"{"a":1,"b":[],"c":"d"}"#),
            ],
            count in 1..40_000_usize,
            budget in 0..MIB,
        ) {
            let text = format!("[{}]", vec![part; count].join(","));
            match read(text.as_bytes(), budget) {
                Ok(tree) => prop_assert!(size(&tree) <= budget),
                Err(error) => prop_assert!(matches!(error, TreeError::TooLarge(_)), "{}", error),
            }
        }
    }

    #[test]
    fn a_small_text_with_a_large_tree_is_refused() {
        let of = |part: &str| format!("[{}]", vec![part; MIB / (part.len() + 1)].join(","));
        for part in [
            "[]",
            "[[[[[[[[]]]]]]]]",
            r#"{"a":1}"#,
            r#"{"a":{"a":{"a":1}}}"#,
            "0",
            r#""""#,
        ] {
            let refused = read(of(part).as_bytes(), 8 * MIB);
            assert!(matches!(refused, Err(TreeError::TooLarge(_))), "{part}");

            assert!(
                matches!(weigh(of(part).as_bytes(), 8 * MIB), Err(TreeError::TooLarge(_))),
                "{part}"
            );
        }

        let long = serde_json::to_vec(&vec!["x".repeat(1000); 1000]).expect("JSON");
        assert!(
            weigh(&long, 8 * MIB).expect("few parts") < 2 * MIB,
            "a long string weighs little more than its length"
        );
    }

    #[test]
    fn a_string_in_an_object_stays_a_string_under_any_name() {
        let text = r#"{"$serde_json::private::RawValue":"[[[]]]"}"#;
        let tree = read(text.as_bytes(), MIB).expect("JSON");
        assert_eq!(tree["$serde_json::private::RawValue"], "[[[]]]");
        assert_eq!(serde_json::to_string(&tree).expect("JSON"), text);

        let member: Tree = serde_json::from_str(text).expect("JSON");
        assert_eq!(serde_json::to_string(&member).expect("JSON"), text);

        let many = format!("[{}]", vec!["[]"; 500_000].join(","));
        assert!(
            serde_json::from_str::<Tree>(&many).is_err(),
            "a member has the same budget"
        );
    }

    #[test]
    fn invalid_json_and_other_values_are_refused() {
        assert!(matches!(read(b"{", MIB), Err(TreeError::Json(_))));
        assert!(matches!(read(b"{} {}", MIB), Err(TreeError::Json(_))));
        assert!(matches!(read(b"\"\xff\"", MIB), Err(TreeError::Json(_))));

        assert!(
            matches!(read("[".repeat(200).as_bytes(), MIB), Err(TreeError::Json(_))),
            "it is too deep"
        );

        assert!(matches!(read_object(b"[]", MIB), Err(TreeError::Json(_))));
        assert_eq!(read_object(br#"{"a":1,"a":2}"#, MIB).expect("an object")["a"], 2);
    }
}
