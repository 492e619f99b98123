//! `quickdraw doctor`: checks the settings, the files, the key and the database. It prints a line for each check, with
//! the remedy for a problem. It changes nothing: it creates no file, migrates no database and seals nothing. With
//! `--url` it examines a running server over HTTP instead.

mod disk;
mod findings;
mod remote;
mod workers;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use quickdraw_egress::Method;
use quickdraw_store::examine::{Depth, Examination, KeyFit};
use quickdraw_store::{Error, examine};

use self::findings::Findings;
use self::workers::Workers;
use crate::settings::{self, Config, secrets};
use crate::{client, first_start, private_file, system, wiring};

/// The longest wait for a server that may run here.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Args)]
pub(crate) struct Doctor {
    /// Examine the running server with this base URL, instead of the settings and the database on this machine.
    #[arg(long, visible_alias = "server")]
    url: Option<String>,

    /// Print one JSON document with the result of each check.
    #[arg(long)]
    json: bool,

    /// The token is used with --url. Without one, only the public checks run.
    #[command(flatten)]
    token: client::TokenFile,
}

pub(crate) async fn run(command: Doctor, file: Option<&Path>) -> anyhow::Result<()> {
    match &command.url {
        Some(url) => {
            let url = url.trim_end_matches('/');
            let given = command.token.given()?;
            let token = given.or_else(|| client::token(url).ok());
            remote::examine(url, token, Findings::new(command.json)).await
        }
        None => examine_here(file, Findings::new(command.json)).await,
    }
}

async fn examine_here(file: Option<&Path>, mut findings: Findings) -> anyhow::Result<()> {
    let config = match settings::load(file) {
        Ok(config) => config,
        Err(error) => {
            findings.line("configuration", Err(error));
            drop(findings.end());
            anyhow::bail!("the configuration is not valid");
        }
    };
    let wrong = config.validate();

    if wrong.is_empty() {
        findings.line(
            "configuration",
            Ok(format!("valid, serving {}", config.server.external_url)),
        );
    }

    if config.has_no_reachable_url() {
        findings.warn("configuration", settings::NO_REACHABLE_URL);
    }

    for problem in wrong {
        findings.line("configuration", Err(problem.into()));
    }

    if let Ok(guard) = wiring::guard(&config) {
        let text = if guard.allow_local_networks {
            "local networks are allowed"
        } else {
            "public addresses only"
        };
        findings.line("guard", Ok(text.to_owned()));
    }

    let attempts = config.delivery.retry.policy().pauses.len() + 1;
    findings.line("attempts", Ok(format!("{attempts} for each delivery")));

    for name in ["root-token", "webhook-secret"] {
        let file = config.server.data_dir.join(name);
        // A file that cannot be read is among the problems of the configuration, unless a setting replaces it.
        if file.exists() && private_file::read(&file).is_ok() {
            findings.line(name, Ok(format!("{} can be read", file.display())));
        }
    }

    disk::show(&config, &mut findings);

    // A key that cannot be read is among the problems of the configuration.
    let (ring, key_is_readable) = match first_start::known_ring(&config) {
        Ok(ring) => (ring, true),
        Err(_) => (None, false),
    };

    match examine(config.database.url.expose(), ring.as_ref(), Depth::Whole, system::now()).await {
        Ok(found) => {
            findings.line("database", database(&found));
            if key_is_readable {
                findings.line("key", key(&config, ring.is_some(), &found));
            }

            if found.insights_missing {
                let text = "the file of insights beside the database is missing: restore its copy, or the next start \
                    counts the events that history still has";
                findings.line("insights", Err(anyhow::anyhow!(text)));
            }

            for problem in found.problems {
                findings.line("database", Err(anyhow::anyhow!(problem)));
            }
        }
        Err(Error::InUse(file)) => findings.line("database", Ok(format!("{file} is in use by a running Quickdraw"))),
        Err(error) => findings.line("database", Err(error.into())),
    }

    workers(&config, &mut findings).await;

    findings.end()
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

/// Shows the workers of the server that runs with these settings. A server that does not run is no problem.
async fn workers(config: &Config, findings: &mut Findings) {
    let topic = "workers";
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
    let Ok(answer) = asked else {
        return findings.ok(topic, format!("not shown, because no server answers at {url}"));
    };

    if answer.status != 200 {
        let text = format!("not shown, because the server at {url} answered {}", answer.status);
        return findings.ok(topic, text);
    }

    match serde_json::from_slice::<Workers>(&answer.body) {
        Ok(workers) => workers.show(findings),
        Err(error) => {
            let text = format!("not shown, because the answer of {url} is not a list of workers: {error}");
            findings.ok(topic, text);
        }
    }
}
