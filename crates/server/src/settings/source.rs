//! The section `[source]` of the settings: the default source.

use std::fmt;

use bytesize::ByteSize;
use quickdraw_domain::settings::{Problem, SecretText, Span};
use quickdraw_domain::source::{Addresses, BoundTo, Mode, Source};
use quickdraw_store::payload;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

quickdraw_domain::section! {
    /// The default source, which receives the webhooks of a GitLab at `/api/v1/webhooks/gitlab`.
    pub struct SourceSection as "source" {
        /// Secret token. If this is not set, the first start generates one.
        secret: SecretText = SecretText::default(),

        /// Signing token, which begins with `whsec_`.
        signing_token: SecretText = SecretText::default(),

        /// Credentials that a request must carry. `any`: at least one of token and signature, and every one that it
        /// carries must be valid. `token`: the secret token. `signature`: a valid signature. `both`: the token and a
        /// signature.
        mode: Mode = Mode::Any,

        /// Largest difference between the time of a signature and the server's clock, in either direction.
        window: Span = Span::seconds(300),

        /// Addresses and address blocks that may send requests, such as `["10.0.0.0/8"]`. An empty list permits all.
        addresses: Vec<String> = Vec::new(),

        /// Maximum number of requests per minute without a valid credential from one address (with IPv6, from one /64
        /// network), such as `100/min`. `off` disables the limit. Requests with a valid credential do not count.
        rate_limit: RateLimit = RateLimit(Some(Source::PER_MINUTE)),

        /// Maximum number of requests per minute with a valid credential, from all addresses, such as `6000/min`. Each
        /// node counts separately. `off` disables the limit. GitLab does not send an event again that this limit
        /// refuses.
        sender_rate_limit: RateLimit = RateLimit(Some(Source::SENDER_PER_MINUTE)),

        /// Delivers an event once if both a project webhook and a group webhook of the GitLab send it. Both copies are
        /// stored.
        deduplicate: bool = true,

        /// Largest request body, up to 64 MiB.
        body_limit: Size = Size(ByteSize::mib(25)),

        /// The GitLab that may use the default source, such as `https://gitlab.example.com`, or `any`. If this is not
        /// set, the first request that names a GitLab binds the source to it.
        instance: String = String::new(),
    }
}

impl SourceSection {
    /// Every problem of the section. Secrets are checked by the program that generates them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.read_addresses().err());
        problems.extend(self.read_body_limit().err());
        problems.extend(self.read_instance().err());

        problems
    }

    /// The addresses that may send requests.
    ///
    /// # Errors
    /// When an entry is neither an address nor a block.
    pub fn read_addresses(&self) -> Result<Addresses, Problem> {
        let entries = self.addresses.iter().map(String::as_str);
        Addresses::parse(entries).map_err(|error| Problem::new("source.addresses", error))
    }

    /// The largest request body, in bytes.
    ///
    /// # Errors
    /// When it is larger than the largest body that the store accepts.
    pub fn read_body_limit(&self) -> Result<usize, Problem> {
        let limit = usize::try_from(self.body_limit.0.as_u64()).unwrap_or(usize::MAX);

        if limit > payload::MAX_LEN {
            let text = format!(
                "is larger than {} MiB, the largest body that is stored",
                payload::MAX_LEN >> 20
            );

            return Err(Problem::with_value(
                "source.body_limit",
                self.body_limit.0.to_string(),
                text,
            ));
        }

        Ok(limit)
    }

    /// The GitLab that may use the source, if the settings name it.
    ///
    /// # Errors
    /// When the text is neither the address of a GitLab nor `any`.
    pub fn read_instance(&self) -> Result<Option<BoundTo>, Problem> {
        if self.instance.is_empty() {
            return Ok(None);
        }

        let bound = BoundTo::parse(&self.instance);
        bound
            .map(Some)
            .map_err(|error| Problem::with_value("source.instance", &self.instance, error))
    }
}

/// Requests per minute, written `100/min`; `None` is written `off`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit(pub Option<u32>);

impl RateLimit {
    fn parse(text: &str) -> Option<Self> {
        if text == "off" {
            return Some(Self(None));
        }

        let number = text.strip_suffix("/min").or_else(|| text.strip_suffix("/minute"))?;
        let number = number.trim().parse::<u32>().ok()?;
        (number > 0).then_some(Self(Some(number)))
    }
}

impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => serializer.serialize_str(&format!("{number}/min")),
            None => serializer.serialize_str("off"),
        }
    }
}

impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || D::Error::custom(format!("{text:?} is neither off nor a number such as 100/min"));
        Self::parse(&text).ok_or_else(wrong)
    }
}

/// A size in bytes, written `25MiB` or as a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size(pub ByteSize);

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

/// Reads a text or a number of bytes. The error of `bytesize` would not say how a size is written.
struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 25MiB")
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<Size, E> {
        let bytes = u64::try_from(bytes).map_err(|_| E::custom(format!("{bytes} is negative; write it as 25MiB")))?;
        self.visit_u64(bytes)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Size, E> {
        Ok(Size(ByteSize(bytes)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        let size = text
            .parse()
            .map_err(|_| E::custom(format!("{text:?} is not a size; write it as 25MiB")))?;
        Ok(Size(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_is_a_number_per_minute_or_off() {
        for (text, number) in [("off", None), ("100/min", Some(100)), ("5 /minute", Some(5))] {
            assert_eq!(RateLimit::parse(text), Some(RateLimit(number)), "{text}");
        }

        for wrong in ["", "often", "100", "0/min", "-1/min", "100/hour"] {
            assert_eq!(RateLimit::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_has_a_unit_or_is_a_number_of_bytes() {
        let read = |json: &str| serde_json::from_str::<Size>(json).map(|size| size.0.as_u64()).ok();
        assert_eq!(read(r#""1MiB""#), Some(1 << 20));
        assert_eq!(read("4096"), Some(4096));
        assert_eq!(read("-1"), None);
        assert_eq!(read(r#""large""#), None);
    }

    #[test]
    fn a_body_limit_beyond_the_store_is_refused() {
        for (mib, is_good) in [(64, true), (65, false)] {
            let section = SourceSection {
                body_limit: Size(ByteSize::mib(mib)),
                ..SourceSection::default()
            };
            assert_eq!(section.problems().is_empty(), is_good, "{mib}");
        }
    }
}
