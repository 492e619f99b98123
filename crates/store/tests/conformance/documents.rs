//! Checks of documents.

use quickdraw_insights::roster::Roster;
use quickdraw_store::documents::{self, Document};

use crate::fixture::Fixture;

pub(crate) async fn a_document_is_replaced_only_at_its_current_version(fixture: Fixture) {
    let store = &fixture.store;
    assert_eq!(store.document(Document::Roster).await.expect("read"), None);

    assert!(
        !store
            .put_document(Document::Roster, 3, b"late".to_vec())
            .await
            .expect("asked"),
        "there is no document at this version"
    );

    assert!(
        store
            .put_document(Document::Roster, 0, b"one".to_vec())
            .await
            .expect("written")
    );

    assert!(
        !store
            .put_document(Document::Roster, 0, b"other".to_vec())
            .await
            .expect("asked"),
        "another writer was faster"
    );

    assert_eq!(
        store.document(Document::Roster).await.expect("read"),
        Some((1, b"one".to_vec()))
    );

    assert!(
        store
            .put_document(Document::Roster, 1, b"two".to_vec())
            .await
            .expect("written")
    );

    assert!(
        !store
            .put_document(Document::Roster, 1, b"three".to_vec())
            .await
            .expect("asked")
    );

    assert_eq!(
        store.document(Document::Roster).await.expect("read"),
        Some((2, b"two".to_vec()))
    );

    // A document that an older version emptied is read as absent, and not as damaged.
    assert!(
        store
            .put_document(Document::Roster, 2, Vec::new())
            .await
            .expect("written")
    );

    let read: Roster = documents::read(store, Document::Roster).await.expect("read");
    assert_eq!(read, Roster::default());
}
