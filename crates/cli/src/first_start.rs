//! Opens the data directory, the sealing key and the store, and creates them at the first start. Existing data is
//! examined before anything is created: a new key next to a database that another key sealed would look like the right
//! key.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quickdraw_server::setup;
use quickdraw_store::examine::{Depth, KeyFit};
use quickdraw_store::{Error, Ring, SharedStore, examine};

use crate::private_file;
use crate::settings::Config;
use crate::settings::secrets::{NO_KEY, parse_ring};
use crate::system::{now, random};

const FAILED: &str = "failed to open the database";

/// Messages about the secrets and files that a start created or found missing.
#[derive(Default)]
pub(crate) struct FirstStart {
    /// Notes for the person who started the server.
    pub(crate) notes: Vec<String>,

    /// Losses of data. They are also written to the log.
    pub(crate) warnings: Vec<String>,

    /// True if a server used this database before.
    pub(crate) continues: bool,
}

impl FirstStart {
    /// Creates the set-up link of a first start. Later links come from `quickdraw setup-link`.
    pub(crate) async fn make_setup_link(&mut self, config: &Config, store: &SharedStore) -> anyhow::Result<()> {
        if self.continues || store.has_passwords().await? {
            return Ok(());
        }

        let link = setup::create(store, &config.server.external_url, now()).await?;
        let file = config.server.data_dir.join("setup-link");
        private_file::write(&file, &link.url)?;
        self.made_secret("set-up link, valid for 30 minutes", &file, &link.url);

        Ok(())
    }

    /// Adds a note about a new secret. The secret itself is printed only to a terminal, because other output is often
    /// stored. Elsewhere the note names the file.
    pub(crate) fn made_secret(&mut self, name: &str, file: &Path, secret: &str) {
        let file = file.display();
        self.notes.push(if std::io::stdout().is_terminal() {
            format!("{name} (kept in {file}): {secret}")
        } else {
            format!("{name}: generated and kept in {file}")
        });
    }
}

/// Opens the store with the configured keys. A key that was generated for it is deleted if the store cannot be opened.
pub(crate) async fn open_store(config: &Config, first: &mut FirstStart) -> anyhow::Result<SharedStore> {
    let url = config.database.url.expose();
    let file = config.server.data_dir.join("key");
    let known = known_ring(config)?;
    let before = examine(url, known.as_ref(), Depth::Quick, now())
        .await
        .context(FAILED)?;

    match (&known, before.key) {
        (Some(_), KeyFit::DoesNotFit(error)) => return Err(Error::Seal(error)).context(FAILED),
        (None, KeyFit::NothingSealed) => {
            anyhow::ensure!(url.starts_with("sqlite:"), "{NO_KEY}");
        }
        (None, _) => anyhow::bail!("{}", missing_key(&file)),
        (Some(_), _) => {}
    }

    if before.insights_missing {
        first.warnings.push(
            "the file of insights beside the database is missing: a new file is created from the events that history \
             still has; counts of older events exist only in a copy of the missing file"
                .to_owned(),
        );
    }

    std::fs::create_dir_all(&config.server.data_dir)
        .with_context(|| format!("failed to create {}", config.server.data_dir.display()))?;

    let (ring, made) = match known {
        Some(ring) => (ring, false),
        None => (make_ring(&file, first)?, true),
    };

    let opened = quickdraw_store::open(url, ring).await;
    if opened.is_err() && made && nothing_sealed(url).await {
        std::fs::remove_file(&file).with_context(|| format!("failed to remove {}", file.display()))?;
    }

    opened.context(FAILED)
}

/// The keys of the settings or of the key file. `None` if neither has a key.
pub(crate) fn known_ring(config: &Config) -> anyhow::Result<Option<Ring>> {
    let file = config.server.data_dir.join("key");
    if !config.server.key.is_empty() {
        return parse_ring(config.server.key.expose()).map(Some);
    }

    if file.exists() {
        return parse_ring(&private_file::read(&file)?).map(Some);
    }

    Ok(None)
}

/// The error if the database needs a key that is missing.
pub(crate) fn missing_key(file: &Path) -> String {
    format!(
        "the key of the database is missing: restore its copy as {}, or set QUICKDRAW_KEY",
        file.display()
    )
}

fn make_ring(file: &Path, first: &mut FirstStart) -> anyhow::Result<Ring> {
    let key = STANDARD.encode(random::<32>()?);
    private_file::write(file, &key)?;

    first.notes.push(format!(
        "generated a sealing key in {}: keep a copy of it apart from the database; without the key, secrets are lost",
        file.display()
    ));

    parse_ring(&key)
}

async fn nothing_sealed(url: &str) -> bool {
    let found = examine(url, None, Depth::Quick, now()).await;
    found.is_ok_and(|found| found.key == KeyFit::NothingSealed)
}
