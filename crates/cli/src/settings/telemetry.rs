//! The section `[telemetry]` of the settings: logs and metrics.

use quickdraw_domain::hook::BranchFilter;
use quickdraw_domain::settings::Problem;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

quickdraw_domain::section! {
    /// Logs and Prometheus metrics.
    pub(crate) struct TelemetrySection as "telemetry" {
        /// Log filter: a level such as `info`, optionally with levels of single modules, such as
        /// `quickdraw_engine=debug,info`.
        log: String = "info".to_owned(),

        /// Format of log lines: `text` or `json`.
        log_format: LogFormat = LogFormat::Text,

        /// Branches, tags and open merge requests whose last pipelines `/metrics` shows, in addition to default
        /// branches. `*` stands for any text, `!12` for a merge request, and `!*` for all open merge requests.
        refs: Vec<String> = Vec::new(),
    }
}

/// Format of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Readable lines.
    Text,

    /// A JSON object a line.
    Json,
}

impl TelemetrySection {
    /// Every problem of the section.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.log_filter().err());
        problems.extend(self.shown_refs().err());

        problems
    }

    /// The filter of log lines.
    pub(crate) fn log_filter(&self) -> Result<EnvFilter, Problem> {
        let wrong = |error| Problem::with_value("telemetry.log", &self.log, format!("is not a log filter: {error}"));
        EnvFilter::try_new(&self.log).map_err(wrong)
    }

    /// The branches, tags and merge requests whose last pipelines are shown.
    pub(crate) fn shown_refs(&self) -> Result<Vec<BranchFilter>, Problem> {
        let mut filters = Vec::new();
        for pattern in &self.refs {
            if pattern.is_empty() {
                return Err(Problem::new("telemetry.refs", "has an empty pattern; use * for all"));
            }

            let filter = BranchFilter::parse("wildcard", Some(pattern));
            filters.push(filter.map_err(|error| Problem::with_value("telemetry.refs", pattern, error))?);
        }

        Ok(filters)
    }
}
