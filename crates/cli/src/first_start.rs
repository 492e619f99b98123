//! The first start and every later one: the folder, the sealing key, and the store that is sealed with it. Nothing is made
//! before it is known what is there already: a new key beside a database that another key sealed would look like the right one.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quickdraw_store::examine::{Depth, KeyFit};
use quickdraw_store::{Error, Ring, SharedStore, examine};

use crate::config::Config;
use crate::wiring::{now, random, read_private, write_private};

/// Says what to do where no key is known and none may be made.
pub(crate) const NO_KEY: &str = "no sealing key: set QUICKDRAW_KEY to 32 random bytes in base64 (openssl rand -base64 32), \
     the same on every node";

const FAILED: &str = "failed to open the database";

/// Secrets and files that a start created, and those that it found missing.
#[derive(Default)]
pub(crate) struct FirstStart {
    /// For the person who started it.
    pub(crate) notes: Vec<String>,
    /// Losses that somebody has to know of. They belong into the log as well.
    pub(crate) warnings: Vec<String>,
    /// A server ran on this database before.
    pub(crate) continues: bool,
}

impl FirstStart {
    /// Notes a secret that was made. It is shown where a person looks on; what goes anywhere else is often kept, so there
    /// only the file is named.
    pub(crate) fn made_secret(&mut self, name: &str, file: &Path, secret: &str) {
        let file = file.display();
        self.notes.push(if std::io::stdout().is_terminal() {
            format!("{name} (kept in {file}): {secret}")
        } else {
            format!("{name}: made, and kept in {file}")
        });
    }
}

/// Opens the store with the keys that the settings name. A key that was made for it goes again when the store did not open.
pub(crate) async fn open_store(config: &Config, first: &mut FirstStart) -> anyhow::Result<SharedStore> {
    let url = config.database.url.expose();
    let file = config.server.data_dir.join("key");
    let known = known_ring(config)?;
    let before = examine(url, known.as_ref(), Depth::Quick, now()).await.context(FAILED)?;
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
            "the file of insights beside the database is missing: it is made anew, and the events that history still has are \
             counted again; what was counted of older events is only in a copy of that file"
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

/// The keys that the settings or the key file name; `None` where there are none.
pub(crate) fn known_ring(config: &Config) -> anyhow::Result<Option<Ring>> {
    let file = config.server.data_dir.join("key");
    if !config.server.key.is_empty() {
        return parse_ring(config.server.key.expose()).map(Some);
    }
    if file.exists() {
        return parse_ring(&read_private(&file)?).map(Some);
    }
    Ok(None)
}

/// Reads keys, separated by commas.
pub(crate) fn parse_ring(text: &str) -> anyhow::Result<Ring> {
    let keys = text.split(',').map(|key| {
        let bytes = STANDARD.decode(key.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.context("a sealing key is not 32 bytes in base64 (openssl rand -base64 32)")
    });
    Ok(Ring::new(keys.collect::<anyhow::Result<_>>()?)?)
}

/// Says where a key belongs that the database needs and nobody has here.
pub(crate) fn missing_key(file: &Path) -> String {
    format!(
        "the database is sealed with a key that is not here: put the copy of the key back as {}, or set QUICKDRAW_KEY",
        file.display()
    )
}

fn make_ring(file: &Path, first: &mut FirstStart) -> anyhow::Result<Ring> {
    let key = STANDARD.encode(random::<32>()?);
    write_private(file, &key)?;
    first.notes.push(format!(
        "made a sealing key in {}: keep a copy of it apart from the database, without it secrets are lost",
        file.display()
    ));
    parse_ring(&key)
}

async fn nothing_sealed(url: &str) -> bool {
    let found = examine(url, None, Depth::Quick, now()).await;
    found.is_ok_and(|found| found.key == KeyFit::NothingSealed)
}
