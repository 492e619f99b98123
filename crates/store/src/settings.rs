//! The section `[database]` of the settings.

use std::time::Duration;

use quickdraw_domain::settings::{Problem, Span};
use serde::{Deserialize, Serialize};

use crate::check_url;

quickdraw_domain::section! {
    /// The database that contains events, webhooks and insights.
    pub struct DatabaseSection as "database" {
        /// Address of the database: `sqlite:path` or `postgres://user@host/name`. If this is not set, it is the SQLite
        /// file `quickdraw.db` in `server.data_dir`.
        url: DatabaseUrl = DatabaseUrl::default(),

        /// Longest time that a request waits for the database. A request that waits longer is answered 503 with a
        /// `Retry-After` header. The shortest permitted value is `100ms`.
        answer_within: Span = Span::seconds(5),
    }
}

/// The shortest `answer_within`. A healthy commit can take nearly as long.
const SHORTEST_ANSWER: Duration = Duration::from_millis(100);

impl DatabaseSection {
    /// Every problem of the section.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();

        if let Err(error) = check_url(self.url.expose()) {
            problems.push(Problem::new("database.url", format!("is not usable: {error}")));
        }

        if self.answer_within.0 < SHORTEST_ANSWER {
            let text = "is shorter than 100ms, and a healthy commit can take as long; set it to 5s";
            problems.push(Problem::new("database.answer_within", text));
        }

        problems
    }
}

/// The address of a database, which may contain a password; empty if it is not set.
///
/// Invariant: it serialises without the password and has no `Debug`.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The address with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the address names an SQLite file.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }

    /// Whether the address names a PostgreSQL database.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.0.starts_with("postgres://") || self.0.starts_with("postgresql://")
    }

    /// The address without the password that it may contain, before the host or among the parameters.
    fn masked(&self) -> String {
        let mut masked = self.0.clone();
        if let Some((start, rest)) = self.0.split_once("://")
            && let Some((_, host)) = rest.rsplit_once('@')
        {
            masked = format!("{start}://[REDACTED]@{host}");
        }

        let Some((before, parameters)) = masked.split_once('?') else {
            return masked;
        };

        let shown: Vec<String> = parameters.split('&').map(masked_parameter).collect();
        format!("{before}?{}", shown.join("&"))
    }
}

impl From<String> for DatabaseUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

fn masked_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}=[REDACTED]"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_is_printed_without_its_password() {
        for (url, shown) in [
            (
                "sqlite:quickdraw-data/quickdraw.db",
                "sqlite:quickdraw-data/quickdraw.db",
            ),
            (
                "postgres://me:s3cret@db/quickdraw",
                "postgres://[REDACTED]@db/quickdraw",
            ),
            (
                "postgres://db/quickdraw?user=me&password=s3cret&sslmode=disable",
                "postgres://db/quickdraw?user=me&password=[REDACTED]&sslmode=disable",
            ),
        ] {
            assert_eq!(DatabaseUrl(url.to_owned()).masked(), shown);
        }
    }
}
