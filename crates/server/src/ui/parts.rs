//! Small parts of pages that templates insert: badges, times, numbers.

use askama::Template;
use askama::filters::HtmlSafe;

/// A status: an icon, a word and a colour, so that it never depends on colour alone.
#[derive(Template, Clone, Debug)]
#[template(
    ext = "html",
    source = r#"<span class="badge {{ kind }}"{% if !reason.is_empty() %} title="{{ reason }}"{% endif %}><span class="icon" aria-hidden="true">{{ icon }}</span>{{ word }}</span>"#
)]
pub(super) struct Badge {
    kind: &'static str,
    icon: &'static str,
    word: String,
    reason: String,
}

impl HtmlSafe for Badge {}

impl Badge {
    pub(super) fn good(word: impl Into<String>) -> Self {
        Self::new("good", "✓", word)
    }

    pub(super) fn bad(word: impl Into<String>) -> Self {
        Self::new("bad", "✕", word)
    }

    pub(super) fn warning(word: impl Into<String>) -> Self {
        Self::new("warning", "!", word)
    }

    pub(super) fn waiting(word: impl Into<String>) -> Self {
        Self::new("waiting", "…", word)
    }

    pub(super) fn plain(word: impl Into<String>) -> Self {
        Self::new("plain", "·", word)
    }

    fn new(kind: &'static str, icon: &'static str, word: impl Into<String>) -> Self {
        Self {
            kind,
            icon,
            word: word.into(),
            reason: String::new(),
        }
    }

    /// Adds a reason, which is shown on hover.
    pub(super) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// The badge of an HTTP status: green for 2xx, as on GitLab's pages, and red for all others.
    pub(super) fn status(status: Option<u16>) -> Self {
        match status {
            Some(status @ 200..300) => Self::good(status.to_string()),
            Some(status) => Self::bad(status.to_string()),
            None => Self::bad("internal error"),
        }
    }
}

/// A time. The script shows it relative to now; without the script it is exact.
#[derive(Template, Clone, Debug)]
#[template(ext = "html", source = r#"<time datetime="{{ at }}">{{ shown }}</time>"#)]
pub(super) struct Time {
    at: String,
    shown: String,
}

impl HtmlSafe for Time {}

impl Time {
    /// A time of the API, such as `2026-12-01T10:00:00.000Z`.
    pub(super) fn new(at: &str) -> Self {
        let shown = at
            .split_once('.')
            .map_or(at.trim_end_matches('Z'), |(seconds, _)| seconds);
        Self {
            at: at.to_owned(),
            shown: format!("{} UTC", shown.replace('T', " ")),
        }
    }
}

/// A duration in seconds, with the unit that fits.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 0.01 {
        return format!("{:.1} ms", seconds * 1000.0);
    }

    if seconds < 1.0 {
        return format!("{:.0} ms", seconds * 1000.0);
    }

    format!("{seconds:.2} s")
}

/// A text with a capital letter at its beginning.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>());
    first.map(|first| first + letters.as_str()).unwrap_or_default()
}

/// A value of a command, as a shell reads it.
pub(super) fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.:,".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }

    format!("'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_value_is_quoted_for_a_shell() {
        assert_eq!(quoted("gear/rope"), "gear/rope");
        assert_eq!(quoted(r#"{"branch":"main"}"#), r#"'{"branch":"main"}'"#);
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn texts_in_parts_are_escaped() {
        let badge = Badge::bad("<b>").because("\"><script>").to_string();
        assert!(!badge.contains("<b>") && !badge.contains("<script>"), "{badge}");
    }

    #[test]
    fn a_time_is_exact_without_the_script() {
        let time = Time::new("2026-12-01T10:00:00.123Z").to_string();
        assert_eq!(
            time,
            r#"<time datetime="2026-12-01T10:00:00.123Z">2026-12-01 10:00:00 UTC</time>"#
        );
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        assert_eq!(duration(0.0012), "1.2 ms");
        assert_eq!(duration(0.25), "250 ms");
        assert_eq!(duration(9.999), "10.00 s");
    }
}
