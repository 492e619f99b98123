//! Finds the values of a template's names in a body. Each object or list is read once for all names that lead into it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::TemplateError;
use crate::work::Work;

/// The bytes of a body that may be read, as a multiple of its length, and as a minimum.
const TIMES: usize = 10;
const IN_ANY_CASE: usize = 8 << 20;

/// A name that is being followed: its remaining steps in reverse order, and its number.
struct Path<'n> {
    steps: Vec<&'n str>,
    number: usize,
}

/// The value of each name, as JSON.
pub(super) fn look_up<'a>(body: &'a str, names: &[&str]) -> Result<Vec<&'a str>, TemplateError> {
    let mut found = vec!["null"; names.len()];
    let mut paths = Vec::with_capacity(names.len());

    for (number, name) in names.iter().enumerate() {
        // Steps are taken from the end, so they are reversed.
        paths.push(Path {
            steps: name.split('.').rev().collect(),
            number,
        });
    }

    if !paths.is_empty() {
        let most = body.len().saturating_mul(TIMES).max(IN_ANY_CASE);
        descend(body.trim(), paths, &mut found, &mut Work::new(most as u64))?;
    }

    Ok(found)
}

fn descend<'a>(
    value: &'a str,
    paths: Vec<Path<'_>>,
    found: &mut [&'a str],
    work: &mut Work,
) -> Result<(), TemplateError> {
    let mut inside: Vec<(&str, Path<'_>)> = Vec::new();
    for mut path in paths {
        match path.steps.pop() {
            None => found[path.number] = value,
            Some(step) => inside.push((step, path)),
        }
    }

    if inside.is_empty() || value == "null" {
        return Ok(());
    }

    inside.sort_by_key(|(step, _)| *step);
    work.spend(value.len())?;

    let mut steps: Vec<&str> = inside.iter().map(|(step, _)| *step).collect();
    steps.dedup();

    let mut parser = serde_json::Deserializer::from_str(value);
    let values = match value.as_bytes().first() {
        Some(b'{') => Members(&steps).deserialize(&mut parser),
        Some(b'[') => {
            let numbers: Option<Vec<usize>> = steps.iter().map(|step| step.parse().ok()).collect();
            Items(&numbers.ok_or_else(TemplateError::stepped_wrong)?).deserialize(&mut parser)
        }
        _ => return Err(TemplateError::stepped_wrong()),
    };
    let values = values.map_err(TemplateError::new)?;
    let mut inside = inside.into_iter().peekable();

    for (step, value) in steps.into_iter().zip(values) {
        let mut paths = Vec::new();
        while let Some((_, path)) = inside.next_if(|(of, _)| *of == step) {
            paths.push(path);
        }

        if let Some(value) = value {
            descend(value.get(), paths, found, work)?;
        }
    }

    Ok(())
}

/// The members of an object under sorted names. The last value of a repeated name counts.
struct Members<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.0.len()];
        while let Some(at) = members.next_key_seed(Which(self.0))? {
            match at {
                Some(at) => found[at] = Some(members.next_value()?),
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }

        Ok(found)
    }
}

/// Finds a name among the sorted ones. It is read as bytes, because unlike a `String` bytes may contain a lone
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
        Ok(self.0.binary_search_by(|known| known.as_bytes().cmp(name)).ok())
    }
}

/// The items of a list at these indexes.
struct Items<'n>(&'n [usize]);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.0.len()];
        // The indexes in ascending order, each with the position of its result, so that an item is compared with the
        // next index only.
        let mut wanted: Vec<(usize, usize)> = self.0.iter().enumerate().map(|(at, place)| (*place, at)).collect();
        wanted.sort_unstable();

        let mut wanted = wanted.into_iter().peekable();
        for place in 0.. {
            let Some((next, _)) = wanted.peek() else { break };
            if *next > place {
                if items.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(found);
                }

                continue;
            }

            let Some(item) = items.next_element::<&RawValue>()? else {
                return Ok(found);
            };
            while let Some((_, at)) = wanted.next_if(|(next, _)| *next == place) {
                found[at] = Some(item);
            }
        }

        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}
