//! Files that are the same for all clients, compressed, with their content types and entity tags: scripts, styles, and
//! the API page.

use std::io::{Read, Write};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Scripts and styles come from this server only, and none is part of a page. Swagger UI needs pictures in its style
/// sheet.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Time for which clients may keep a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The client asks each time whether its copy is current.
    Ask,

    /// The name of the file contains the hash of its content, so the content of a name never changes.
    Forever,
}

/// A file in its compressed form.
pub(crate) struct File {
    packed: Bytes,
    kind: &'static str,
    keep: Keep,

    /// The beginning of the hash of the content.
    hash: String,
}

impl File {
    /// Compresses a file that the server made.
    pub(crate) fn pack(content: &[u8], kind: &'static str, keep: Keep) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).expect("memory takes every byte");
        let packed = encoder.finish().expect("memory takes every byte");

        Self::packed(packed.into(), kind, keep)
    }

    /// Takes a file that is compressed already.
    pub(crate) fn packed(packed: Bytes, kind: &'static str, keep: Keep) -> Self {
        let hash = hex::encode(&Sha256::digest(&packed)[..8]);
        Self {
            packed,
            kind,
            keep,
            hash,
        }
    }

    /// Returns the name of a file with the hash of its content, such as `api-0123456789abcdef.css`.
    pub(crate) fn name(&self, stem: &str, end: &str) -> String {
        format!("{stem}-{}.{end}", self.hash)
    }

    /// Answers a request for the file.
    pub(crate) fn answer(&self, request: &HeaderMap) -> Response {
        let tag = format!("W/\"{}\"", self.hash);
        let mut response = if has_copy(request, &tag) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            self.content(request)
        };

        let cache = match self.keep {
            Keep::Ask => "no-cache",
            Keep::Forever => "public, max-age=31536000, immutable",
        };

        let headers = response.headers_mut();
        headers.insert(
            header::ETAG,
            HeaderValue::try_from(tag).expect("a hash can be a header"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        response
    }

    fn content(&self, request: &HeaderMap) -> Response {
        let takes_gzip = takes_gzip(request);
        let body = if takes_gzip {
            self.packed.clone()
        } else {
            self.unpacked()
        };

        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        if takes_gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }

        response
    }

    /// Unpacks the file for a client that does not know gzip, such as curl without `--compressed`.
    fn unpacked(&self) -> Bytes {
        let mut content = Vec::new();
        GzDecoder::new(&self.packed[..])
            .read_to_end(&mut content)
            .expect("the file was packed by this program or in its repository");
        content.into()
    }
}

/// Checks whether the copy that the client has is current.
fn has_copy(request: &HeaderMap, tag: &str) -> bool {
    let asked = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let strong = tag.trim_start_matches("W/");

    asked
        .flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == strong || one == "*")
}

/// Checks whether the client accepts gzip.
fn takes_gzip(request: &HeaderMap) -> bool {
    let asked = request
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());

    for one in asked.flat_map(|value| value.split(',')) {
        let mut parts = one.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("gzip") && name != "*" {
            continue;
        }

        let weight = parts.find_map(|part| part.strip_prefix("q="));
        return weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0));
    }

    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_sent_only_to_clients_that_accept_it() {
        for (value, expected) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("br", false),
            ("", false),
        ] {
            let request = headers(header::ACCEPT_ENCODING, value);
            assert_eq!(takes_gzip(&request), expected, "{value:?}");
        }

        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_current_copy_is_not_sent_again() {
        let file = File::pack(b"text", "text/plain", Keep::Ask);
        let current = Box::leak(format!("\"other\", W/\"{}\"", file.hash).into_boxed_str());
        let request = headers(header::IF_NONE_MATCH, current);
        assert_eq!(file.answer(&request).status(), StatusCode::NOT_MODIFIED);

        let request = headers(header::IF_NONE_MATCH, "\"other\"");
        assert_eq!(file.answer(&request).status(), StatusCode::OK);
    }

    #[test]
    fn an_unpacked_file_is_the_original() {
        let file = File::pack(b"some text", "text/plain", Keep::Ask);
        assert_eq!(file.unpacked(), Bytes::from_static(b"some text"));
    }
}
