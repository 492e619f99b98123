//! By which versions of the definitions insights were counted, and until when: what an older version did not know is not there until it
//! is counted anew, and what was accepted is counted a little later.

use quickdraw_domain::Timestamp;
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_store::Error;
use quickdraw_store::documents::{self, Document};

use crate::context::Belt;

impl Belt {
    /// Until when everything that was accepted is counted: now, or the time of the oldest event that waits. Read it before what it is about.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counted_until(&self) -> Result<Timestamp, Error> {
        let now = self.clock.now();
        let Some(oldest) = self.store.pending().await?.oldest else { return Ok(now) };
        // The first 48 bits of an id are milliseconds.
        let millis = i64::try_from(oldest.0.as_u128() >> 80).unwrap_or(i64::MAX);
        Ok(now.min(Timestamp::from_micros(millis.saturating_mul(1_000))))
    }

    /// The versions of the definitions by which insights were counted, the oldest first. More than one, or an older one, until
    /// everything is counted anew.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counted_by(&self) -> Result<Vec<u32>, Error> {
        documents::read(&self.store, Document::Definitions).await
    }

    /// Writes down that this version counts too.
    pub(crate) async fn note_definitions(&self) -> anyhow::Result<()> {
        self.definitions_noted.get_or_try_init(|| self.write_definitions(false)).await.copied()
    }

    /// The same; or that everything is counted by this version.
    pub(crate) async fn write_definitions(&self, all: bool) -> anyhow::Result<()> {
        let with_this = |known: &[u32]| -> Vec<u32> {
            let others = known.iter().copied().filter(|version| !all && *version != DEFINITION_VERSION);
            let mut versions: Vec<u32> = others.chain([DEFINITION_VERSION]).collect();
            versions.sort_unstable();
            versions
        };
        let known = self.counted_by().await?;
        if with_this(&known) == known {
            return Ok(());
        }
        let written = documents::change(&self.store, Document::Definitions, |known: &mut Vec<u32>| {
            *known = with_this(known);
            Ok::<_, Error>(Some(()))
        });
        anyhow::ensure!(written.await?.is_some(), "other nodes write it at the same time");
        Ok(())
    }
}
