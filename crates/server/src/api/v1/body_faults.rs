//! Explains why a long JSON body cannot be read: unknown, missing and repeated fields, and values of a wrong type. Long
//! bodies are not read as parameters, because that would take too much memory; this reads them without storing values.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use axum::http::StatusCode;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::{ApiError, FieldError, Kind};
use crate::params::near;

/// Largest number of errors in an answer.
const MAX_FAULTS: usize = 20;

/// A field of a body.
pub(super) struct Field {
    name: &'static str,
    expected: Expected,
    is_required: bool,
    may_be_null: bool,
}

/// The value that a field can have.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    Text,
    Number,
    Flag,
    Anything,
    Object(&'static [Field]),

    /// An object that can also have other fields.
    Open(&'static [Field]),

    /// A list of objects.
    Items(&'static [Field]),
}

impl Field {
    /// A field that must be there.
    pub(super) const fn required(name: &'static str, expected: Expected) -> Self {
        Self {
            name,
            expected,
            is_required: true,
            may_be_null: false,
        }
    }

    /// A field that can be absent or null.
    pub(super) const fn optional(name: &'static str, expected: Expected) -> Self {
        Self {
            name,
            expected,
            is_required: false,
            may_be_null: true,
        }
    }

    /// A field that has a default and cannot be null.
    pub(super) const fn with_default(name: &'static str, expected: Expected) -> Self {
        Self {
            name,
            expected,
            is_required: false,
            may_be_null: false,
        }
    }
}

impl Expected {
    const fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a whole number",
            Self::Flag => "true or false",
            Self::Anything => "a value",
            Self::Object(_) | Self::Open(_) => "an object",
            Self::Items(_) => "a list of objects",
        }
    }
}

/// Builds the 400 for a body that could not be read. `form` is an example of a right body.
pub(super) fn explain(body: &[u8], fields: &'static [Field], error: &serde_json::Error, form: &str) -> ApiError {
    if error.is_syntax() || error.is_eof() {
        let text = format!("the body is not valid JSON: {error}; send {form}");
        return ApiError::problem(StatusCode::BAD_REQUEST, text);
    }

    let mut faults = Faults::default();
    let look = Look {
        expected: Expected::Object(fields),
        may_be_null: false,
        path: "",
        faults: &mut faults,
    };
    let read = look.deserialize(&mut serde_json::Deserializer::from_slice(body));

    let Faults { errors, has_unknown } = faults;
    let is_object = errors.iter().all(|error| !error.field.is_empty());
    if read.is_err() || errors.is_empty() || !is_object {
        let text = format!("the body has the wrong form; send {form}");
        return ApiError::problem(StatusCode::BAD_REQUEST, text);
    }

    let kind = if has_unknown {
        Kind::UnknownParameter
    } else {
        Kind::InvalidParameter
    };
    ApiError::fields(kind, errors)
}

#[derive(Default)]
struct Faults {
    errors: Vec<FieldError>,
    has_unknown: bool,
}

impl Faults {
    fn add(&mut self, error: FieldError) {
        if self.errors.len() < MAX_FAULTS {
            self.errors.push(error);
        }
    }

    fn add_unknown(&mut self, path: String, name: &str, fields: &'static [Field]) {
        self.has_unknown = true;

        let names = fields.iter().map(|field| field.name);
        let meant = near::nearest(name, names.clone());
        let all: Vec<String> = names.map(str::to_owned).collect();

        let hint = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("the fields are {}", all.join(", ")),
        };

        self.add(FieldError {
            detail: format!("unknown field {path}; {hint}"),
            field: path,
            choices: all,
            did_you_mean: meant.map(str::to_owned),
        });
    }
}

/// Looks at one value.
struct Look<'a> {
    expected: Expected,
    may_be_null: bool,

    /// Path of the value, such as `events[2].payload`; empty for the body itself.
    path: &'a str,
    faults: &'a mut Faults,
}

impl Look<'_> {
    fn wrong(&mut self) {
        let name = if self.path.is_empty() { "the body" } else { self.path };
        let detail = format!("{name} must be {}", self.expected.words());
        self.faults.add(FieldError::new(self.path, detail));
    }

    /// Returns the path of a field of this object.
    fn within(&self, name: &str) -> String {
        let name = near::shown(name);
        if self.path.is_empty() {
            name
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected.words())
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        if !self.may_be_null && !matches!(self.expected, Expected::Anything) {
            self.wrong();
        }

        Ok(())
    }

    fn visit_bool<E>(mut self, _: bool) -> Result<(), E> {
        if !matches!(self.expected, Expected::Flag | Expected::Anything) {
            self.wrong();
        }

        Ok(())
    }

    fn visit_str<E>(mut self, _: &str) -> Result<(), E> {
        if !matches!(self.expected, Expected::Text | Expected::Anything) {
            self.wrong();
        }

        Ok(())
    }

    fn visit_i64<E>(mut self, _: i64) -> Result<(), E> {
        if !matches!(self.expected, Expected::Number | Expected::Anything) {
            self.wrong();
        }

        Ok(())
    }

    fn visit_u64<E>(mut self, number: u64) -> Result<(), E> {
        let is_number = matches!(self.expected, Expected::Number) && i64::try_from(number).is_ok();
        if !is_number && !matches!(self.expected, Expected::Anything) {
            self.wrong();
        }

        Ok(())
    }

    fn visit_f64<E>(mut self, _: f64) -> Result<(), E> {
        if !matches!(self.expected, Expected::Anything) {
            self.wrong();
        }

        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let Expected::Items(fields) = self.expected else {
            if !matches!(self.expected, Expected::Anything) {
                self.wrong();
            }

            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };

        let mut at = 0_usize;
        loop {
            let path = format!("{}[{at}]", self.path);
            let item = Look {
                expected: Expected::Object(fields),
                may_be_null: false,
                path: &path,
                faults: &mut *self.faults,
            };
            if list.next_element_seed(item)?.is_none() {
                return Ok(());
            }

            at += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (Expected::Object(fields) | Expected::Open(fields)) = self.expected else {
            if !matches!(self.expected, Expected::Anything) {
                self.wrong();
            }

            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };

        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let path = self.within(&name);
            let Some(field) = fields.iter().find(|field| field.name == name) else {
                if matches!(self.expected, Expected::Object(_)) {
                    self.faults.add_unknown(path, &name, fields);
                }

                map.next_value::<IgnoredAny>()?;
                continue;
            };

            if !seen.insert(field.name) {
                let detail = format!("{path} is given twice; remove one of them");
                self.faults.add(FieldError::new(&path, detail));
            }

            map.next_value_seed(Look {
                expected: field.expected,
                may_be_null: field.may_be_null,
                path: &path,
                faults: &mut *self.faults,
            })?;
        }

        for field in fields
            .iter()
            .filter(|field| field.is_required && !seen.contains(field.name))
        {
            let path = self.within(field.name);
            self.faults.add(FieldError::new(&path, format!("{path} is missing")));
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &[Field] = &[
        Field::optional("trigger", Expected::Text),
        Field::required("payload", Expected::Anything),
    ];
    const USER: &[Field] = &[Field::with_default("id", Expected::Number)];
    const BODY: &[Field] = &[
        Field::required("events", Expected::Items(ITEM)),
        Field::with_default("more", Expected::Flag),
        Field::optional("user", Expected::Open(USER)),
    ];

    fn check(body: &str, expected: &[&str]) {
        let error = serde_json::from_str::<u8>("{}").expect_err("it is no number");
        let ApiError::Fields(_, _, problem) = explain(body.as_bytes(), BODY, &error, "{}") else {
            panic!("{body} has no wrong field");
        };
        let details: Vec<&str> = problem.errors.iter().map(|error| error.detail.as_str()).collect();

        assert_eq!(details, expected, "{body}");
    }

    #[test]
    fn each_wrong_field_is_named() {
        check("{}", &["events is missing"]);
        check(r#"{"events":{}}"#, &["events must be a list of objects"]);

        check(
            r#"{"event":[]}"#,
            &["unknown field event; did you mean events?", "events is missing"],
        );

        check(r#"{"events":[],"more":1}"#, &["more must be true or false"]);
        check(r#"{"events":[],"more":null}"#, &["more must be true or false"]);

        check(
            r#"{"events":[],"user":{"state":"active","id":"7"}}"#,
            &["user.id must be a whole number"],
        );

        check(
            r#"{"events":[],"color":{"a":[1]}}"#,
            &["unknown field color; the fields are events, more, user"],
        );

        check(
            r#"{"events":[{"payload":{}},{"trigger":7}]}"#,
            &["events[1].trigger must be a text", "events[1].payload is missing"],
        );

        check(
            r#"{"events":[],"events":[]}"#,
            &["events is given twice; remove one of them"],
        );
    }

    #[test]
    fn a_body_that_is_no_object_gets_an_example() {
        for body in ["[]", "7", "{"] {
            let error = serde_json::from_str::<Vec<u8>>("7").expect_err("it is no list");
            let ApiError::Problem(_, detail) = explain(body.as_bytes(), BODY, &error, "{…}") else {
                panic!("{body} has no fields");
            };
            assert!(detail.ends_with("send {…}"), "{detail}");
        }
    }

    #[test]
    fn the_number_of_errors_is_limited() {
        let body = format!(r#"{{"events":[{}]}}"#, vec!["7"; 50].join(","));
        let error = serde_json::from_str::<u8>("{}").expect_err("it is no number");
        let ApiError::Fields(_, _, problem) = explain(body.as_bytes(), BODY, &error, "{}") else {
            panic!("the items are no objects");
        };

        assert_eq!(problem.errors.len(), MAX_FAULTS);
    }
}
