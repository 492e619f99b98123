//! Facts about this process that only the program which started the server knows: its settings and where they come
//! from, its start, and the last lines of its log.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use quickdraw_domain::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Maximum number of log lines that are kept, their maximum size in bytes, and the longest of them.
const MAX_LINES: usize = 2000;
const MAX_BYTES: usize = 512 << 10;
const MAX_LINE: usize = 4 << 10;

/// Facts about this process.
#[derive(Default)]
pub struct Process {
    /// The time of its start.
    pub started_at: Timestamp,

    /// The settings in force, in the order of the reference.
    pub settings: Vec<SettingInForce>,

    /// The last lines of its log.
    pub log: LastLines,
}

/// The origin of a setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// Nobody set it.
    Default,

    /// The settings file.
    File,

    /// An environment variable.
    Environment,
}

/// A setting in force.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct SettingInForce {
    /// Section and name, such as `delivery.timeout`.
    pub name: String,

    /// Value; null for a secret, and for a setting without a value.
    pub value: Value,

    /// True if the setting is a secret, whose value is never shown.
    pub is_secret: bool,

    /// False if nobody set the setting and it has no default. A secret that the server generated is not set.
    pub is_set: bool,

    /// Origin of the value.
    pub source: SettingSource,

    /// Path of the file or name of the environment variable; null for a default.
    pub source_name: Option<String>,

    /// Meaning of the setting.
    pub meaning: &'static str,
}

/// The last lines of the log, in bounded memory. All copies are one list.
///
/// The log never contains tokens, bodies or header values, so the lines can be shown to administrators.
#[derive(Clone, Default)]
pub struct LastLines(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
}

impl LastLines {
    /// The lines, the oldest first.
    #[must_use]
    pub fn text(&self) -> String {
        let kept = self.0.lock();
        let mut text = String::with_capacity(kept.bytes + kept.lines.len());
        for line in &kept.lines {
            text.push_str(line);
            text.push('\n');
        }

        text
    }
}

impl io::Write for LastLines {
    /// Keeps an entry of the log. The caller writes each entry at once.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let mut kept = self.0.lock();
        for line in text.lines() {
            let line: String = line.chars().take(MAX_LINE).collect();
            kept.bytes += line.len();
            kept.lines.push_back(line);
        }

        while kept.lines.len() > MAX_LINES || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.len();
        }

        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines_are_kept_within_their_bounds() {
        let log = LastLines::default();
        let mut writer = log.clone();
        for number in 0..MAX_LINES + 10 {
            writer
                .write_all(format!("line {number}\n").as_bytes())
                .expect("written");
        }

        let text = log.text();
        assert_eq!(text.lines().count(), MAX_LINES);
        assert_eq!(text.lines().next(), Some("line 10"));

        for _ in 0..1000 {
            writer.write_all("x".repeat(10_000).as_bytes()).expect("written");
        }

        let text = log.text();
        assert!(text.len() <= MAX_BYTES + MAX_LINES, "{}", text.len());
        assert!(text.lines().all(|line| line.len() <= MAX_LINE));
    }
}
