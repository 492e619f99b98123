//! `quickdraw doctor`: checks the settings, the files, the key and the database. It prints a line for each check, with
//! the remedy for a problem. It changes nothing: it creates no file, migrates no database and seals nothing.

use std::path::Path;
use std::time::Duration;

use quickdraw_egress::Method;
use quickdraw_store::examine::{Depth, Examination, KeyFit};
use quickdraw_store::{Error, examine};
use serde::Deserialize;

use super::say;
use crate::settings::{self, Config, secrets};
use crate::{client, first_start, private_file, system, wiring};

/// The longest wait for a server that may run here.
const PATIENCE: Duration = Duration::from_secs(5);

/// The workers of a running server.
#[derive(Deserialize)]
struct Workers {
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

pub(crate) async fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let mut problems = 0;
    let mut line = |what: &str, result: anyhow::Result<String>| match result {
        Ok(text) => say(format!("ok       {what}: {text}")),
        Err(error) => {
            problems += 1;
            say(format!("problem  {what}: {error:#}"));
        }
    };

    let config = match settings::load(file) {
        Ok(config) => config,
        Err(error) => {
            line("configuration", Err(error));
            anyhow::bail!("the configuration is not valid");
        }
    };
    let wrong = config.validate();

    if wrong.is_empty() {
        line(
            "configuration",
            Ok(format!("valid, serving {}", config.server.external_url)),
        );
    }

    for problem in wrong {
        line("configuration", Err(problem.into()));
    }

    if let Ok(guard) = wiring::guard(&config) {
        let text = if guard.allow_local_networks {
            "local networks are allowed"
        } else {
            "public addresses only"
        };
        line("guard", Ok(text.to_owned()));
    }

    let attempts = config.delivery.retry.policy().pauses.len() + 1;
    line("attempts", Ok(format!("{attempts} for each delivery")));

    for name in ["root-token", "webhook-secret"] {
        let file = config.server.data_dir.join(name);
        // A file that cannot be read is among the problems of the configuration, unless a setting replaces it.
        if file.exists() && private_file::read(&file).is_ok() {
            line(name, Ok(format!("{} can be read", file.display())));
        }
    }

    // A key that cannot be read is among the problems of the configuration.
    let (ring, key_is_readable) = match first_start::known_ring(&config) {
        Ok(ring) => (ring, true),
        Err(_) => (None, false),
    };

    match examine(config.database.url.expose(), ring.as_ref(), Depth::Whole, system::now()).await {
        Ok(found) => {
            line("database", database(&found));
            if key_is_readable {
                line("key", key(&config, ring.is_some(), &found));
            }

            if found.insights_missing {
                let text = "the file of insights beside the database is missing: restore its copy, or the next start \
                    counts the events that history still has";
                line("insights", Err(anyhow::anyhow!(text)));
            }

            for problem in found.problems {
                line("database", Err(anyhow::anyhow!(problem)));
            }
        }
        Err(Error::InUse(file)) => line("database", Ok(format!("{file} is in use by a running Quickdraw"))),
        Err(error) => line("database", Err(error.into())),
    }

    for found in workers(&config).await {
        line("workers", found);
    }

    anyhow::ensure!(problems == 0, "problems found: {problems}");
    Ok(())
}

fn database(found: &Examination) -> anyhow::Result<String> {
    let (engine, newest) = (&found.engine, found.newest_schema);
    match found.schema_version {
        None => Ok(format!(
            "{engine}, no schema yet: the first start or quickdraw migrate creates it"
        )),
        Some(version) if version > newest => {
            anyhow::bail!("the database has schema {version}, which is newer than schema {newest} of this program")
        }
        Some(version) if version < newest => Ok(format!(
            "{engine}, schema {version}: the next start or quickdraw migrate upgrades it to {newest}"
        )),
        Some(version) => Ok(format!("{engine}, schema {version}, nodes: {}", found.nodes)),
    }
}

fn key(config: &Config, is_known: bool, found: &Examination) -> anyhow::Result<String> {
    match found.key {
        KeyFit::Fits => Ok("it opens the sealed values".to_owned()),
        KeyFit::DoesNotFit(error) => Err(error.into()),
        KeyFit::NotTried => Err(anyhow::anyhow!(first_start::missing_key(
            &config.server.data_dir.join("key")
        ))),
        KeyFit::NothingSealed if is_known => Ok("present; nothing is sealed yet".to_owned()),
        KeyFit::NothingSealed if config.database.url.is_sqlite() => {
            Ok("none yet: the first start generates one".to_owned())
        }
        KeyFit::NothingSealed => Err(anyhow::anyhow!(secrets::NO_KEY)),
    }
}

/// The workers of the server that runs with these settings: one line for each that fails, or one for all. A server that
/// does not run is no problem.
async fn workers(config: &Config) -> Vec<anyhow::Result<String>> {
    let url = settings::base_url(&config.server.listen);
    let token = match config.server.root_token.expose() {
        "" => private_file::read(&config.server.data_dir.join("root-token")).unwrap_or_default(),
        token => token.to_owned(),
    };

    let headers = [("PRIVATE-TOKEN".into(), token.trim().to_owned())];
    let asked = client::call(
        Method::GET,
        &format!("{url}/api/v1/workers"),
        &headers,
        Vec::new(),
        PATIENCE,
    )
    .await;
    let answer = match asked {
        Ok(answer) => answer,
        Err(_) => return vec![Ok(format!("not shown, because no server answers at {url}"))],
    };

    if answer.status != 200 {
        return vec![Ok(format!(
            "not shown, because the server at {url} answered {}",
            answer.status
        ))];
    }

    match serde_json::from_slice::<Workers>(&answer.body) {
        Ok(workers) => {
            let mut lines = summary(workers.items);
            lines.extend(workers.warnings.into_iter().map(Ok));
            lines
        }
        Err(error) => vec![Ok(format!(
            "not shown, because the answer of {url} is not a list of workers: {error}"
        ))],
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
