//! The GitLab instance that a source is bound to. A source's secret is valid for that instance only, because anyone
//! with a secret can send any `X-Gitlab-Instance`.

use crate::SourceId;

/// Longest address of an instance, in bytes.
const LONGEST: usize = 255;

/// The instances for which a source accepts events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BoundTo {
    /// One instance.
    Instance(String),

    /// Any instance that a request names: for instances that trust one another.
    Any,
}

/// The text is neither the address of an instance nor `any`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is neither the address of a GitLab, such as https://gitlab.example.com, nor the word any")]
pub struct BoundError;

impl BoundTo {
    /// Reads an address, or the word `any`.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Self, BoundError> {
        if text == "any" {
            return Ok(Self::Any);
        }

        address(text).map(Self::Instance).ok_or(BoundError)
    }

    /// The text form.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Instance(address) => address,
            Self::Any => "any",
        }
    }
}

/// The instance for which a verified request is accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InstanceMatch {
    /// This instance. `None` if it is known only by its source.
    Accepted(Option<String>),

    /// The first instance that the source meets. The source is bound to it from now on.
    First(String),

    /// An instance that the source is not bound to.
    Other,
}

/// Compares the `X-Gitlab-Instance` of a verified request with the instance that its source is bound to, if known. A
/// request without the header counts for the bound instance, because old versions of GitLab do not send it.
#[must_use]
pub fn match_instance(bound: Option<&BoundTo>, said: Option<&str>) -> InstanceMatch {
    let named = said.and_then(address);
    match (bound, named) {
        (Some(BoundTo::Instance(known)), _) if said.is_none() => InstanceMatch::Accepted(Some(known.clone())),
        (Some(BoundTo::Instance(known)), Some(named)) if named == *known => InstanceMatch::Accepted(Some(named)),
        (Some(BoundTo::Instance(_)), _) => InstanceMatch::Other,
        (Some(BoundTo::Any), named) => InstanceMatch::Accepted(named),
        (None, Some(named)) => InstanceMatch::First(named),
        (None, None) => InstanceMatch::Accepted(None),
    }
}

/// The name of an instance that is known only by its source.
#[must_use]
pub fn unnamed(source: SourceId) -> String {
    format!("source:{source}")
}

/// An address in the form in which addresses are compared: scheme and host in lower case, no slash at the end.
fn address(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let (scheme, rest) = text.split_once("://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_http = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");

    let is_host = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));

    let is_path = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if text.len() > LONGEST || !is_http || !is_host || !is_path {
        return None;
    }

    Some(format!(
        "{}://{}{path}",
        scheme.to_ascii_lowercase(),
        host.to_ascii_lowercase()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_an_address_in_one_form() {
        for (text, expected) in [
            ("https://GitLab.example.com/", Some("https://gitlab.example.com")),
            (
                "HTTP://[2001:db8::1]:8080/Path/",
                Some("http://[2001:db8::1]:8080/Path"),
            ),
            ("gitlab.example.com", None),
            ("https://", None),
            ("https://user@example.com", None),
            ("https://example.com/a?b", None),
            ("ftp://example.com", None),
            ("", None),
        ] {
            let expected = expected
                .map(|text| BoundTo::Instance(text.to_owned()))
                .ok_or(BoundError);
            assert_eq!(BoundTo::parse(text), expected, "{text}");
        }

        assert_eq!(BoundTo::parse("any"), Ok(BoundTo::Any));
    }

    #[test]
    fn a_secret_is_valid_only_for_the_instance_that_its_source_is_bound_to() {
        let one = || "https://one.example".to_owned();
        let bound = BoundTo::Instance(one());

        for (bound, said, expected) in [
            (
                Some(&bound),
                Some("https://ONE.example/"),
                InstanceMatch::Accepted(Some(one())),
            ),
            (Some(&bound), None, InstanceMatch::Accepted(Some(one()))),
            (Some(&bound), Some("https://two.example"), InstanceMatch::Other),
            (Some(&bound), Some("nonsense"), InstanceMatch::Other),
            (None, Some("https://one.example"), InstanceMatch::First(one())),
            (None, None, InstanceMatch::Accepted(None)),
            (None, Some("nonsense"), InstanceMatch::Accepted(None)),
            (
                Some(&BoundTo::Any),
                Some("https://one.example"),
                InstanceMatch::Accepted(Some(one())),
            ),
            (Some(&BoundTo::Any), None, InstanceMatch::Accepted(None)),
        ] {
            assert_eq!(match_instance(bound, said), expected, "{bound:?} {said:?}");
        }
    }
}
