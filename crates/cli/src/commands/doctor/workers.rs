//! The workers of a running server, as `/api/v1/workers` shows them.

use serde::Deserialize;

use super::findings::Findings;

/// The workers of a running server.
#[derive(Deserialize)]
pub(super) struct Workers {
    items: Vec<Worker>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Worker {
    name: String,
    is_failing: bool,
    last_error: Option<String>,
    last_error_at: Option<String>,
    backlog: Option<i64>,
}

impl Workers {
    /// Shows one line for each worker that fails, or one for all, and the warnings of the server.
    pub(super) fn show(self, findings: &mut Findings) {
        for line in summary(self.items) {
            findings.line("workers", line);
        }

        for warning in self.warnings {
            findings.warn("server", warning);
        }
    }
}

fn summary(workers: Vec<Worker>) -> Vec<anyhow::Result<String>> {
    let count = workers.len();
    let mut failing = Vec::new();
    let mut waiting = Vec::new();

    for worker in workers {
        if let Some(backlog) = worker.backlog {
            waiting.push(format!("{} {backlog}", worker.name));
        }

        if worker.is_failing {
            let (at, error) = (
                worker.last_error_at.unwrap_or_default(),
                worker.last_error.unwrap_or_default(),
            );

            failing.push(Err(anyhow::anyhow!("{} failed at {at}: {error}", worker.name)));
        }
    }

    if failing.is_empty() {
        return vec![Ok(format!("{count}, none fails; waiting: {}", waiting.join(", ")))];
    }

    failing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_that_fails_has_a_line() {
        let worker = |name: &str, is_failing| Worker {
            name: name.to_owned(),
            is_failing,
            last_error: Some("the disk is full".to_owned()),
            last_error_at: Some("2026-01-01T00:00:00Z".to_owned()),
            backlog: (name == "fan_out").then_some(3),
        };

        let all = summary(vec![worker("fan_out", false), worker("maintenance", false)]);
        assert_eq!(all[0].as_deref().ok(), Some("2, none fails; waiting: fan_out 3"));

        let all = summary(vec![worker("fan_out", false), worker("maintenance", true)]);
        let lines: Vec<String> = all
            .into_iter()
            .filter_map(|line| Some(line.err()?.to_string()))
            .collect();

        assert_eq!(lines, ["maintenance failed at 2026-01-01T00:00:00Z: the disk is full"]);
    }
}
