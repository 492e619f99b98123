//! GitLab's spellings of times, which depend on the kind of event and the name of the attribute. A forge may report a
//! time in any of them. Source: the timestamp formats of GitLab's webhook events page and of real bodies.
//!
//! GitLab's documentation shows `created_at` of issues, merge requests and labels in two spellings. Real bodies have
//! the one with `UTC` for all of them, and so have ours.

use std::borrow::Cow;

use jiff::fmt::strtime;
use serde_json::{Map, Value};

use super::{Written, read};

/// A spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// `2026-03-16 08:30:00 UTC`: most attributes of real bodies.
    Utc,

    /// `2026-03-16T08:30:00Z`: bodies without an object, and the second spelling of times of jobs.
    Iso,

    /// `2026-03-16T08:30:00.250Z`: times of jobs, vulnerabilities.
    Millis,

    /// `2026-03-16T09:30:00+01:00`: commits, with the author's offset.
    Author,

    /// `2026-03-16 09:30:00 +0100`: the last change of the status of a deployment.
    Offset,

    /// `2026-03-16`.
    Date,
}

/// The spelling of the times of a kind.
#[derive(Debug)]
pub(crate) struct Times {
    /// The spelling of attributes whose names end in `_at`.
    pub(crate) usual: Form,

    /// The spelling of single attributes, by name, where it differs. The flag says that the attribute belongs to the
    /// object itself, and not to another object inside of it.
    pub(crate) special: fn(&str, bool) -> Option<Form>,
}

impl Times {
    /// The usual spelling of objects.
    pub(crate) const UTC: Self = Self {
        usual: Form::Utc,
        special: |_, _| None,
    };
    /// The usual spelling of bodies without an object.
    pub(crate) const ISO: Self = Self {
        usual: Form::Iso,
        special: |_, _| None,
    };

    /// The spelling of an attribute; nothing for an attribute that is no point in time.
    fn form_of(&self, name: &str, is_own: bool) -> Option<Form> {
        let special = (self.special)(name, is_own);

        special.or_else(|| match name {
            "timestamp" => Some(Form::Author),
            "due_date" | "start_date" => Some(Form::Date),
            _ if name.ends_with("_at_iso") => Some(Form::Iso),
            _ if name.ends_with("_at") => Some(self.usual),
            _ => None,
        })
    }
}

impl Form {
    /// A point in time in this spelling, where it can be read; `text` itself where not.
    pub(crate) fn spell(self, text: &str) -> Cow<'_, str> {
        read(text)
            .and_then(|written| self.written(written))
            .map_or(Cow::Borrowed(text), Cow::Owned)
    }

    fn written(self, Written { at, offset_minutes }: Written) -> Option<String> {
        let at = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
        let (form, in_its_offset) = match self {
            Self::Utc => ("%Y-%m-%d %H:%M:%S UTC", false),
            Self::Iso => ("%Y-%m-%dT%H:%M:%SZ", false),
            Self::Millis => ("%Y-%m-%dT%H:%M:%S.%3fZ", false),
            Self::Author => ("%Y-%m-%dT%H:%M:%S%:z", true),
            Self::Offset => ("%Y-%m-%d %H:%M:%S %z", true),
            Self::Date => ("%Y-%m-%d", true),
        };

        let minutes = if in_its_offset { offset_minutes } else { 0 };
        let offset = jiff::tz::Offset::from_seconds(i32::from(minutes) * 60).ok()?;
        strtime::format(form, &at.to_zoned(offset.to_time_zone())).ok()
    }
}

/// Spells all points in time of a reported object.
pub(crate) fn respell(times: &Times, object: &mut Map<String, Value>) {
    walk(times, object, true);
}

fn walk(times: &Times, values: &mut Map<String, Value>, is_own: bool) {
    for (name, value) in values {
        match value {
            Value::String(text) => {
                let spelled = times.form_of(name, is_own).map(|form| form.spell(text));
                if let Some(Cow::Owned(spelled)) = spelled {
                    *text = spelled;
                }
            }
            Value::Object(inner) => walk(times, inner, false),
            Value::Array(all) => {
                all.iter_mut()
                    .filter_map(Value::as_object_mut)
                    .for_each(|one| walk(times, one, false));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Trigger;

    const SPELLINGS: [&str; 6] = [
        "2026-03-16T08:30:00Z",
        "2026-03-16 08:30:00 UTC",
        "2026-03-16 09:30:00 +0100",
        "2026-03-16T09:30:00+01:00",
        "2026-03-16T08:30:00.000Z",
        "2026-03-16T08:30:00.000000Z",
    ];

    fn check(form: Form, text: &str, expected: &str) {
        assert_eq!(form.spell(text), expected, "{form:?} of {text}");
    }

    #[test]
    fn every_spelling_becomes_every_other() {
        for text in SPELLINGS {
            check(Form::Utc, text, "2026-03-16 08:30:00 UTC");
            check(Form::Iso, text, "2026-03-16T08:30:00Z");
            check(Form::Millis, text, "2026-03-16T08:30:00.000Z");
            check(Form::Date, text, "2026-03-16");
        }

        check(Form::Millis, "2026-03-16T08:30:00.2512Z", "2026-03-16T08:30:00.251Z");
        check(Form::Author, "2026-03-16 23:30:00 +0200", "2026-03-16T23:30:00+02:00");
        check(Form::Author, "2026-03-16T08:30:00Z", "2026-03-16T08:30:00+00:00");
        check(Form::Offset, "2026-03-16T23:30:00-03:30", "2026-03-16 23:30:00 -0330");
        check(Form::Offset, "2026-03-16T08:30:00Z", "2026-03-16 08:30:00 +0000");
        check(Form::Date, "2026-03-16T23:30:00-03:30", "2026-03-16");
        check(Form::Utc, "soon", "soon");
    }

    #[test]
    fn an_attribute_is_spelled_by_its_name_and_kind_at_any_depth() {
        let text = "2026-03-16T08:30:00Z";
        let mut object = json!({"created_at": text, "title": text, "due_date": text, "pipeline": {"started_at": text},
            "commits": [{"timestamp": "2026-03-16 09:30:00 +0100"}], "closed_at": null});

        let mut of = |name: &str| {
            let mut object = object.as_object_mut().expect("an object").clone();
            respell(&Trigger::by_name(name).expect("a trigger").row().times, &mut object);
            Value::Object(object)
        };
        let issue = of("issue_hooks");
        assert_eq!(issue["created_at"], "2026-03-16 08:30:00 UTC");

        assert_eq!(
            (&issue["title"], &issue["due_date"]),
            (&json!(text), &json!("2026-03-16"))
        );

        assert_eq!(issue["commits"][0]["timestamp"], "2026-03-16T09:30:00+01:00");
        assert_eq!(issue["closed_at"], Value::Null);

        let job = of("job_hooks");
        assert_eq!(job["created_at"], "2026-03-16T08:30:00.000Z");
        assert_eq!(job["pipeline"]["started_at"], "2026-03-16 08:30:00 UTC");
        assert_eq!(of("member_hooks")["created_at"], text);
        assert_eq!(of("vulnerability_hooks")["created_at"], "2026-03-16T08:30:00.000Z");
    }
}
