//! The dates of a server's certificate. They are read without verifying the certificate, so that those of a certificate
//! that has expired can be shown too.

use std::net::IpAddr;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::call::Call;
use crate::client::Client;
use crate::error::{Failure, Stage, innermost};

/// DER's tag of a time with two digits for its year.
const UTC_TIME: u8 = 0x17;
/// DER's tag of the optional version of a certificate.
const VERSION: u8 = 0xa0;

/// The time during which a certificate is valid, such as `2026-12-01T00:00:00Z`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateDates {
    /// Its begin.
    pub from: String,

    /// Its end.
    pub until: String,
}

impl Client {
    /// Reads the dates of the certificate that a server shows. `judge` is used as in [`Client::call`].
    ///
    /// # Errors
    /// If the server cannot be reached, or its certificate cannot be read.
    pub async fn certificate_dates<B>(
        &self,
        call: &Call<'_>,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
    ) -> Result<CertificateDates, Failure<B>> {
        let asked = tokio::time::timeout(self.limits.deadline, self.shown_dates(call, judge)).await;
        asked.unwrap_or(Err(Failure::TimedOut(Stage::Handshaking)))
    }

    async fn shown_dates<B>(
        &self,
        call: &Call<'_>,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
    ) -> Result<CertificateDates, Failure<B>> {
        let addresses = self.judged(call, judge).await?;
        let tls_failure = |error: &dyn std::error::Error| Failure::Tls(error.to_string());

        let configs = self.tls.configs(None).map_err(|error| tls_failure(&error))?;
        let host = call.host.trim_end_matches('.').trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| tls_failure(&error))?;

        let stream = TcpStream::connect(&*addresses)
            .await
            .map_err(|error| Failure::Connect(error.to_string()))?;
        let stream = TlsConnector::from(configs.unchecked)
            .connect(name, stream)
            .await
            .map_err(|error| Failure::Tls(innermost(&error)))?;

        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        shown
            .and_then(|certificate| dates(certificate))
            .ok_or_else(|| Failure::Tls("the certificate cannot be read".to_owned()))
    }
}

/// The dates in a certificate (RFC 5280, section 4.1). `None` if its structure is another one.
fn dates(certificate: &[u8]) -> Option<CertificateDates> {
    let content = Element::first(certificate)?.content;
    let fields = Element::first(content)?.content;

    let mut field = Element::first(fields)?;
    if field.tag == VERSION {
        field = Element::first(field.rest)?;
    }

    // The serial number is followed by the algorithm, the issuer and the dates.
    for _ in 0..3 {
        field = Element::first(field.rest)?;
    }

    let from = Element::first(field.content)?;
    let until = Element::first(from.rest)?;
    Some(CertificateDates {
        from: from.time()?,
        until: until.time()?,
    })
}

/// An element of DER.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],

    /// The bytes behind the element.
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        let (&short, mut rest) = rest.split_first()?;
        let mut length = usize::from(short);

        // The highest bit says that the other bits are the number of bytes that contain the length.
        if short & 0x80 != 0 {
            let (long, behind) = rest.split_at_checked(usize::from(short & 0x7f))?;
            if long.is_empty() || long.len() > 4 {
                return None;
            }

            length = long.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = behind;
        }

        let (content, rest) = rest.split_at_checked(length)?;
        Some(Self { tag, content, rest })
    }

    /// The time that the element contains.
    fn time(&self) -> Option<String> {
        let digits = std::str::from_utf8(self.content).ok()?.strip_suffix('Z')?;
        let century = match (self.tag, digits.get(..2)?) {
            (UTC_TIME, year) if year < "50" => "20",
            (UTC_TIME, _) => "19",
            _ => "",
        };

        let digits = format!("{century}{digits}");
        if digits.len() != 14 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }

        let (date, time) = digits.split_at(8);
        Some(format!(
            "{}-{}-{}T{}:{}:{}Z",
            &date[..4],
            &date[4..6],
            &date[6..],
            &time[..2],
            &time[2..4],
            &time[4..]
        ))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn check_dates(until: i32, expected: &str) {
        let mut params = CertificateParams::new(vec!["quickdraw.example".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2026, 3, 1);
        params.not_after = date_time_ymd(until, 12, 31);

        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");

        let found = dates(certificate.der()).expect("dates");
        assert_eq!((&*found.from, &*found.until), ("2026-03-01T00:00:00Z", expected));
    }

    #[test]
    fn both_forms_of_a_time_are_read() {
        check_dates(2049, "2049-12-31T00:00:00Z");
        check_dates(2050, "2050-12-31T00:00:00Z");
    }

    #[test]
    fn damaged_certificates_have_no_dates() {
        for damaged in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x30\x01\x00"] {
            assert_eq!(dates(damaged), None, "{damaged:?}");
        }
    }
}
