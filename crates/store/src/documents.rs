//! Documents, which people write or which change as a whole: JSON under a name, with a version. A change names the
//! version that it was made from, so that no change overwrites another one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::SharedStore;
use crate::error::{Error, Result};

/// How often a change is made again when somebody else changed it meanwhile.
const TRIES: usize = 10;

/// A kind of document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Document {
    /// The people and their accounts.
    Roster,

    /// The people and their accounts before the last change.
    RosterBefore,

    /// Versions of the definitions that what is counted was counted by.
    Definitions,

    /// The settings of privacy.
    Privacy,

    /// Rules of alerts.
    Alerts,

    /// How alerts stand.
    AlertStates,

    /// Large events that are being read for insights.
    Reading,

    /// The secret of the default source, sealed.
    DefaultSecret,
}

impl Document {
    /// As the store names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Roster => "roster",
            Self::RosterBefore => "roster_before",
            Self::Definitions => "definitions",
            Self::Privacy => "privacy",
            Self::Alerts => "alerts",
            Self::AlertStates => "alert_states",
            Self::Reading => "reading",
            Self::DefaultSecret => "default_secret",
        }
    }
}

/// Reads a document. One that was never written is empty.
///
/// # Errors
/// When the store cannot be read, or the document is something else.
pub async fn read<T: DeserializeOwned + Default>(store: &SharedStore, name: Document) -> Result<T> {
    versioned(store, name).await.map(|(_, document)| document)
}

async fn versioned<T: DeserializeOwned + Default>(store: &SharedStore, name: Document) -> Result<(i64, T)> {
    match store.document(name).await? {
        None => Ok((0, T::default())),
        // Versions before this one wrote nothing where there was nothing left.
        Some((version, document)) if document.is_empty() => Ok((version, T::default())),
        Some((version, document)) => {
            let read = serde_json::from_slice(&document).map_err(|_| Error::Damaged(name.name()))?;
            Ok((version, read))
        }
    }
}

/// Changes a document, unless somebody else did meanwhile; then what they wrote. Gives it with what the change made;
/// nothing where the change is not wanted, or others change it all the time.
///
/// # Errors
/// Those of the change, and those of the store.
pub async fn change<T, R, E>(
    store: &SharedStore,
    name: Document,
    then: impl Fn(&mut T) -> std::result::Result<Option<R>, E>,
) -> std::result::Result<Option<(T, R)>, E>
where
    T: DeserializeOwned + Serialize + Default,
    E: From<Error>,
{
    for _ in 0..TRIES {
        let (version, mut document) = versioned(store, name).await?;
        let Some(made) = then(&mut document)? else {
            return Ok(None);
        };
        let written = serde_json::to_vec(&document).map_err(|_| Error::Damaged(name.name()))?;
        if store.put_document(name, version, written).await? {
            return Ok(Some((document, made)));
        }
    }

    Ok(None)
}
