//! By which versions of the definitions insights were counted: what an older version did not know is not there until it is
//! counted anew.

use quickdraw_domain::insights::DEFINITION_VERSION;
use quickdraw_store::Error;
use quickdraw_store::insights::Document;

use crate::belt::Belt;

impl Belt {
    /// The versions of the definitions by which insights were counted, the oldest first. More than one, or an older one, until
    /// everything is counted anew.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn counted_by(&self) -> Result<Vec<u32>, Error> {
        let found = self.store.document(Document::Definitions).await?;
        Ok(found.and_then(|(_, document)| serde_json::from_slice(&document).ok()).unwrap_or_default())
    }

    /// Writes down that this version counts too.
    pub(crate) async fn note_definitions(&self) -> anyhow::Result<()> {
        self.definitions_noted.get_or_try_init(|| self.write_definitions(false)).await.copied()
    }

    /// The same; or that everything is counted by this version.
    pub(crate) async fn write_definitions(&self, all: bool) -> anyhow::Result<()> {
        let found = self.store.document(Document::Definitions).await?;
        let (version, document) = found.unwrap_or_default();
        let mut known: Vec<u32> = serde_json::from_slice(&document).unwrap_or_default();
        if all {
            known.clear();
        }
        if !known.contains(&DEFINITION_VERSION) {
            known.push(DEFINITION_VERSION);
            known.sort_unstable();
        }
        let written = serde_json::to_vec(&known)?;
        if written != document && !self.store.put_document(Document::Definitions, version, written).await? {
            anyhow::bail!("another node wrote it at the same time");
        }
        Ok(())
    }
}
