//! The versions of the definitions by which insights were counted. A number that an older version did not know is
//! missing until a rebuild.

use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_store::Error;
use quickdraw_store::documents::{self, Document};

use super::Insights;

impl Insights {
    /// The versions of the definitions by which insights were counted, the oldest first. There is more than one, or an
    /// older one, until a rebuild.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counted_versions(&self) -> Result<Vec<u32>, Error> {
        documents::read(&self.context.store, Document::Definitions).await
    }

    /// Stores that this version counts too.
    pub(crate) async fn note_definitions(&self) -> anyhow::Result<()> {
        self.definitions_noted
            .get_or_try_init(|| self.write_definitions(false))
            .await
            .copied()
    }

    /// Stores that this version counts too or, with `all`, that it has counted everything.
    pub(crate) async fn write_definitions(&self, all: bool) -> anyhow::Result<()> {
        let with_this = |known: &[u32]| -> Vec<u32> {
            let others = known
                .iter()
                .copied()
                .filter(|version| !all && *version != DEFINITION_VERSION);
            let mut versions: Vec<u32> = others.chain([DEFINITION_VERSION]).collect();
            versions.sort_unstable();

            versions
        };

        let known = self.counted_versions().await?;
        if with_this(&known) == known {
            return Ok(());
        }

        let written = documents::change(&self.context.store, Document::Definitions, |known: &mut Vec<u32>| {
            *known = with_this(known);
            Ok::<_, Error>(Some(()))
        });
        anyhow::ensure!(written.await?.is_some(), "other nodes write it at the same time");
        Ok(())
    }
}
