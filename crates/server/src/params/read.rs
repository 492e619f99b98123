//! Reads parameters into a struct. JSON has types and forms do not, so numbers and booleans can be text. An invalid
//! value is reported with the name of the parameter, in GitLab's words.

use std::fmt;

use axum::http::StatusCode;
use serde::Deserialize as _;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::near;
use crate::error::{ApiError, FieldError, Kind, Problem};

/// Largest number of items in a list. A million short words fit into a body, and cost far more memory than the body.
const MAX_ITEMS: usize = 1000;

/// An invalid parameter.
#[derive(PartialEq, Eq, Debug)]
pub struct Invalid {
    name: Option<String>,
    fault: Fault,
}

#[derive(PartialEq, Eq, Debug)]
enum Fault {
    Missing,

    /// Wrong type, with the expected one if it is known.
    Type(Option<String>),

    /// Right type, but not one of the allowed values.
    Value,

    /// A text that is not one of the allowed texts.
    Choice {
        given: String,
        choices: &'static [&'static str],
    },

    /// A list of more than [`MAX_ITEMS`] items.
    TooMany,

    /// Violates a rule of its own type. The text follows the name.
    Rule(String),
}

impl Invalid {
    /// Checks whether a rule is violated, for which GitLab answers 422 instead of 400.
    #[must_use]
    pub const fn is_rule(&self) -> bool {
        matches!(self.fault, Fault::Rule(_))
    }

    /// An error for a value of the right type that is not one of the allowed ones.
    #[must_use]
    pub fn value(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            fault: Fault::Value,
        }
    }

    /// An error for a required parameter that is missing.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            fault: Fault::Missing,
        }
    }

    fn of(mut self, name: &str) -> Self {
        self.name = Some(match self.name {
            Some(inner) => format!("{name}[{inner}]"),
            None => name.to_owned(),
        });

        self
    }

    const fn unnamed(fault: Fault) -> Self {
        Self { name: None, fault }
    }

    /// The error for `/api/v1`, which says more than GitLab's words.
    fn field_error(&self) -> FieldError {
        let name = self.name.as_deref().unwrap_or("the body");

        match &self.fault {
            Fault::Choice { given, choices } => {
                let near = near::find(given, choices.iter().copied()).map(str::to_owned);
                FieldError::choice(name, choices.iter().map(|&choice| choice.to_owned()).collect(), near)
            }
            Fault::Type(Some(expected)) => FieldError::new(name, format!("{name} is invalid; it must be {expected}")),
            _ => FieldError::new(name, self.to_string()),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        let status = if invalid.is_rule() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::BAD_REQUEST
        };

        let problem = Problem::of_fields(Kind::InvalidParameter, vec![invalid.field_error()]);
        Self::Fields(status, invalid.to_string(), Box::new(problem))
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("the body");
        match &self.fault {
            Fault::Missing => write!(f, "{name} is missing"),
            Fault::Type(_) => write!(f, "{name} is invalid"),
            Fault::Value | Fault::Choice { .. } => write!(f, "{name} does not have a valid value"),
            Fault::TooMany => write!(f, "{name} has too many values (maximum is {MAX_ITEMS})"),
            Fault::Rule(rule) => write!(f, "{name} {rule}"),
        }
    }
}

impl std::error::Error for Invalid {}

impl serde::de::Error for Invalid {
    fn custom<T: fmt::Display>(rule: T) -> Self {
        Self::unnamed(Fault::Rule(rule.to_string()))
    }
    fn invalid_type(_: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::unnamed(Fault::Type(Some(expected.to_string())))
    }
    fn invalid_value(_: serde::de::Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self::unnamed(Fault::Value)
    }
    /// Types that need at least one character or item report a missing value with this error.
    fn invalid_length(_: usize, _: &dyn serde::de::Expected) -> Self {
        Self::unnamed(Fault::Missing)
    }
    fn unknown_variant(given: &str, choices: &'static [&'static str]) -> Self {
        Self::unnamed(Fault::Choice {
            given: given.to_owned(),
            choices,
        })
    }
    fn missing_field(name: &'static str) -> Self {
        Self::missing(name)
    }
}

/// Reads parameters. Those that the struct does not have are ignored.
pub(super) fn read<T: DeserializeOwned>(params: &Map<String, Value>) -> Result<T, Invalid> {
    T::deserialize(Object(params))
}

pub(super) fn one<T: DeserializeOwned>(params: &Map<String, Value>, name: &str) -> Result<Option<T>, Invalid> {
    let Some(value) = params.get(name) else { return Ok(None) };
    Option::deserialize(Loose(value)).map_err(|error: Invalid| error.of(name))
}

/// All parameters.
struct Object<'a>(&'a Map<String, Value>);

impl<'de> Deserializer<'de> for Object<'_> {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_map(Entries {
            rest: self.0.iter(),
            value: None,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries<'a> {
    rest: serde_json::map::Iter<'a>,
    value: Option<(&'a String, &'a Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Invalid;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Invalid> {
        self.value = self.rest.next();
        self.value
            .map(|(name, _)| seed.deserialize(StrDeserializer::new(name)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Invalid> {
        let (name, value) = self.value.take().ok_or_else(|| Invalid::unnamed(Fault::Type(None)))?;
        seed.deserialize(Loose(value)).map_err(|error| error.of(name))
    }
}

/// One value, read as the requested type.
struct Loose<'a>(&'a Value);

fn wrong<T>() -> Result<T, Invalid> {
    Err(Invalid::unnamed(Fault::Type(None)))
}

impl<'de> Deserializer<'de> for Loose<'_> {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(_) => self.deserialize_i64(visitor),
            Value::String(_) => self.deserialize_str(visitor),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(object) if object.len() > MAX_ITEMS => Err(Invalid::unnamed(Fault::TooMany)),
            Value::Object(object) => Object(object).deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            // Databases cannot store a null character.
            Value::String(text) if text.contains('\0') => wrong(),
            Value::String(text) => visitor.visit_str(text),
            Value::Number(number) => visitor.visit_str(&number.to_string()),
            Value::Bool(flag) => visitor.visit_str(if *flag { "true" } else { "false" }),
            _ => wrong(),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) if number.as_i64() == Some(1) => visitor.visit_bool(true),
            Value::Number(number) if number.as_i64() == Some(0) => visitor.visit_bool(false),
            Value::String(text) => match text.as_str() {
                "true" | "t" | "1" | "on" | "yes" => visitor.visit_bool(true),
                "false" | "f" | "0" | "off" | "no" => visitor.visit_bool(false),
                _ => wrong(),
            },
            _ => wrong(),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let number = match self.0 {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map_or_else(wrong, |number| visitor.visit_i64(number))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let number = match self.0 {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map_or_else(wrong, |number| visitor.visit_f64(number))
    }

    /// An empty text counts as absent, because a form cannot send null.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            Value::String(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// Reads a list, or a text whose items are separated by commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::Array(list) if list.len() > MAX_ITEMS => Err(Invalid::unnamed(Fault::TooMany)),
            Value::Array(list) => visitor.visit_seq(Items(list.iter())),
            Value::String(text) => {
                let words = text.split(',').take(MAX_ITEMS + 1);
                let words: Vec<Value> = words.map(|word| Value::from(word.trim())).collect();

                if words.len() > MAX_ITEMS {
                    return Err(Invalid::unnamed(Fault::TooMany));
                }

                visitor.visit_seq(Items(words.iter()))
            }
            _ => wrong(),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(StrDeserializer::new(text)),
            _ => wrong(),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_unit()
    }

    // All widths of numbers are read alike, so that `older_than=3600` works for each of them.
    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_f64(visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
    }
}

struct Items<'a>(std::slice::Iter<'a, Value>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Invalid;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Invalid> {
        self.0.next().map(|value| seed.deserialize(Loose(value))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Color {
        Red,
        DarkBlue,
    }

    #[derive(Deserialize, Debug, PartialEq)]
    struct Input {
        name: String,
        #[serde(default)]
        count: Option<i64>,
        #[serde(default)]
        flag: Option<bool>,
        #[serde(default)]
        color: Option<Color>,
        #[serde(default)]
        words: Vec<String>,
        #[serde(default)]
        narrow: Option<u32>,
    }

    fn input(value: Value) -> Result<Input, String> {
        let Value::Object(object) = value else {
            return Err("no object".to_owned());
        };
        read(&object).map_err(|error| error.to_string())
    }

    #[test]
    fn forms_and_json_are_equal() {
        let typed = json!({ "name": "7", "count": 3, "flag": true, "color": "dark_blue", "words": ["a", "b"], "narrow": 9, "x": {} });
        let form = json!({ "name": 7, "count": "3", "flag": "true", "color": "dark_blue", "words": "a, b", "narrow": "9", "x": ["?"] });
        assert_eq!(input(typed), input(form));

        let empty = input(json!({ "name": "a", "count": "", "flag": null, "color": "" })).expect("valid");
        assert_eq!(
            empty,
            Input {
                name: "a".to_owned(),
                count: None,
                flag: None,
                color: None,
                words: vec![],
                narrow: None
            }
        );
    }

    #[test]
    fn a_list_has_at_most_a_thousand_items_in_either_form() {
        let refused = Err("words has too many values (maximum is 1000)".to_owned());
        assert_eq!(
            input(json!({ "name": "a", "words": vec!["w"; MAX_ITEMS + 1] })),
            refused
        );

        assert_eq!(
            input(json!({ "name": "a", "words": vec!["w"; MAX_ITEMS + 1].join(",") })),
            refused
        );

        let most =
            input(json!({ "name": "a", "words": vec!["w"; MAX_ITEMS].join(",") })).expect("the largest allowed number");
        assert_eq!(most.words.len(), MAX_ITEMS);
    }

    #[test]
    fn what_is_wrong_is_named_in_gitlabs_words() {
        for (value, words) in [
            (json!({}), "name is missing"),
            (json!({ "name": ["a"] }), "name is invalid"),
            (json!({ "name": "a\0b" }), "name is invalid"),
            (json!({ "name": "a", "count": "many" }), "count is invalid"),
            (json!({ "name": "a", "count": 1.5 }), "count is invalid"),
            (json!({ "name": "a", "flag": "maybe" }), "flag is invalid"),
            (
                json!({ "name": "a", "color": "green" }),
                "color does not have a valid value",
            ),
            (json!({ "name": "a", "color": 3 }), "color is invalid"),
            (json!({ "name": "a", "words": 3 }), "words is invalid"),
            (json!({ "name": "a", "words": [{}] }), "words is invalid"),
        ] {
            assert_eq!(input(value.clone()), Err(words.to_owned()), "{value}");
        }
    }
}
