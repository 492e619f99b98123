//! Types of single parameters. They validate their values, and describe themselves in the OpenAPI description.

use std::borrow::Cow;
use std::fmt;

use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::{Edit, Secret, Timestamp};
use serde::de::{Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A single line of text: not empty, at most `N` characters, no control characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line<const N: usize>(pub String);

impl<'de, const N: usize> Deserialize<'de> for Line<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(D::Error::invalid_length(0, &"a text"));
        }

        if text.chars().any(char::is_control) {
            return Err(D::Error::custom("must not contain control characters"));
        }

        if text.chars().count() > N {
            return Err(D::Error::custom(format_args!(
                "is too long (maximum is {N} characters)"
            )));
        }

        Ok(Self(text))
    }
}

impl<const N: usize> PartialSchema for Line<N> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(N))
            .into()
    }
}

impl<const N: usize> ToSchema for Line<N> {
    fn name() -> Cow<'static, str> {
        format!("Line{N}").into()
    }
}

/// A text of several lines with at most `N` characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prose<const N: usize>(pub String);

impl<'de, const N: usize> Deserialize<'de> for Prose<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(D::Error::custom("must not contain control characters"));
        }

        if text.chars().count() > N {
            return Err(D::Error::custom(format_args!(
                "is too long (maximum is {N} characters)"
            )));
        }

        Ok(Self(text))
    }
}

impl<const N: usize> PartialSchema for Prose<N> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(N))
            .into()
    }
}

impl<const N: usize> ToSchema for Prose<N> {
    fn name() -> Cow<'static, str> {
        format!("Prose{N}").into()
    }
}

/// A secret text, such as a password. It is taken as it is, and errors never contain it.
#[derive(Clone)]
pub struct Hidden(pub Secret);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl PartialSchema for Hidden {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Password);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .into()
    }
}

impl ToSchema for Hidden {}

/// A value that can be removed: if absent, it stays as it is; `null` or an empty text removes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clearable<T>(pub Edit<T>);

impl<T> Default for Clearable<T> {
    fn default() -> Self {
        Self(Edit::Keep)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Clearable<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| Self(Edit::from(value)))
    }
}

/// A day, written `2026-03-16`. It stands for its beginning in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day(pub Timestamp);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::invalid_type(serde::de::Unexpected::Str(&text), &"a day");
        let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;

        Ok(Self(Timestamp::from_seconds(zoned.timestamp().as_second())))
    }
}

impl PartialSchema for Day {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Date);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .into()
    }
}

impl ToSchema for Day {}

/// A point in time, written `2026-03-16T09:30:00Z`, or a day, which stands for its beginning in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment(pub Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(Timestamp::from_micros(at.as_microsecond())));
        }

        let day: Result<Day, serde::de::value::Error> = Day::deserialize(text.as_str().into_deserializer());
        let wrong = |_| D::Error::invalid_type(serde::de::Unexpected::Str(&text), &"a time");
        day.map(|day| Self(day.0)).map_err(wrong)
    }
}

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .into()
    }
}

impl ToSchema for Moment {}

/// A role, as GitLab's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level(pub AccessLevel);

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        let wrong = || D::Error::invalid_value(serde::de::Unexpected::Signed(number), &"a role");
        AccessLevel::by_number(number).map(Self).ok_or_else(wrong)
    }
}

impl PartialSchema for Level {
    fn schema() -> RefOr<Schema> {
        let text = "10 Guest, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner";
        let numbers = AccessLevel::ALL.map(AccessLevel::number);
        let level = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .enum_values(Some(numbers));
        level.description(Some(text)).into()
    }
}

impl ToSchema for Level {}

/// Names with values, in every form that clients use: `[{"key": …, "value": …}]`, `{"KEY": "v"}`,
/// `name[][key]=…&name[][value]=…` and `name[KEY]=v`. A value can be absent, because clients send back names that
/// they have read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pairs(pub Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor)
    }
}

struct PairsVisitor;

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and values")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Pairs, E> {
        Ok(Pairs::default())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pairs, E> {
        if text.is_empty() {
            Ok(Pairs::default())
        } else {
            Err(E::invalid_type(serde::de::Unexpected::Str(text), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Pair { key, value }) = items.next_element()? {
            pairs.push((key, value));
        }

        Ok(Pairs(pairs))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Pairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = entries.next_entry()? {
            pairs.push(pair);
        }

        Ok(Pairs(pairs))
    }
}

impl PartialSchema for Pairs {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let pair = ObjectBuilder::new()
            .property("key", text())
            .property("value", text())
            .required("key");
        ArrayBuilder::new()
            .items(pair)
            .max_items(Some(quickdraw_domain::hook::values::MAX_VALUES))
            .into()
    }
}

impl ToSchema for Pairs {}
