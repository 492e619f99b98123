//! Checks of the audit log: its filters and its pages.

use quickdraw_domain::Timestamp;
use quickdraw_domain::outcome::Answers;
use quickdraw_store::SharedStore;
use quickdraw_store::audit::{AuditEntry, AuditFilter, Behalf};

use crate::fixture::{Fixture, at};

/// Writes an entry of a user.
async fn write(store: &SharedStore, user_id: i64, at: Timestamp) {
    let entry = AuditEntry {
        id: 0,
        at,
        user_id,
        username: format!("user{user_id}"),
        behalf: None,
        address: None,
        method: "POST".to_owned(),
        path: "/api/v4/hooks".to_owned(),
        status: 201,
        attributes: "url".to_owned(),
    };
    store.append_audit(entry).await.expect("written");
}

/// Three entries, each a minute after the one before. The second is of another user.
async fn make(fixture: &Fixture) {
    for (user, second) in [(1, 0), (2, 60), (1, 120)] {
        write(&fixture.store, user, at(second)).await;
    }
}

/// The times of the entries that a filter finds, and the position of the next page.
async fn find(fixture: &Fixture, filter: AuditFilter) -> (Vec<Timestamp>, Option<i64>) {
    let found = fixture.store.list_audit(filter).await.expect("listed");
    (found.rows.iter().map(|entry| entry.at).collect(), found.next)
}

fn any() -> AuditFilter {
    AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    }
}

pub(crate) async fn audit_entries_are_found_by_user_and_time(fixture: Fixture) {
    make(&fixture).await;
    assert_eq!(find(&fixture, any()).await.0, [at(120), at(60), at(0)]);

    let user = Some(1);
    assert_eq!(find(&fixture, AuditFilter { user, ..any() }).await.0, [at(120), at(0)]);

    let since = Some(at(60));
    assert_eq!(
        find(&fixture, AuditFilter { since, ..any() }).await.0,
        [at(120), at(60)]
    );

    let until = Some(at(60));
    assert_eq!(find(&fixture, AuditFilter { until, ..any() }).await.0, [at(0)]);

    let all = AuditFilter {
        user,
        since,
        until: Some(at(120)),
        ..any()
    };
    assert_eq!(find(&fixture, all).await.0, []);
}

pub(crate) async fn audit_entries_are_found_by_login_method_path_and_answer(fixture: Fixture) {
    make(&fixture).await;
    let refused = AuditEntry {
        id: 0,
        at: at(180),
        user_id: 3,
        username: "o'neil".to_owned(),
        behalf: Some(Behalf {
            user_id: 4,
            username: "ida".to_owned(),
        }),
        address: None,
        method: "DELETE".to_owned(),
        path: "/api/v4/projects/1/hooks/2".to_owned(),
        status: 404,
        attributes: String::new(),
    };
    fixture.store.append_audit(refused).await.expect("written");

    let only = |change: fn(&mut AuditFilter)| {
        let mut filter = any();
        change(&mut filter);
        filter
    };
    for filter in [
        only(|filter| filter.username = Some("o'neil".to_owned())),
        only(|filter| filter.username = Some("ida".to_owned())),
        only(|filter| filter.method = Some("DELETE".to_owned())),
        only(|filter| filter.path = Some("/api/v4/projects/1/".to_owned())),
        only(|filter| filter.answers = Answers::parse(&["client_failure"]).expect("a class")),
    ] {
        assert_eq!(find(&fixture, filter).await.0, [at(180)]);
    }

    let none = only(|filter| filter.path = Some("/api/v4/projects/12".to_owned()));
    assert_eq!(find(&fixture, none).await.0, []);

    let all = only(|filter| filter.answers = Answers::parse(&["201", "404"]).expect("statuses"));
    assert_eq!(find(&fixture, all).await.0.len(), 4);
}

pub(crate) async fn only_the_last_page_of_the_audit_log_has_no_next(fixture: Fixture) {
    make(&fixture).await;

    let (rows, next) = find(&fixture, AuditFilter { limit: 3, ..any() }).await;
    assert_eq!((rows.len(), next), (3, None));

    let (rows, before) = find(&fixture, AuditFilter { limit: 2, ..any() }).await;
    assert_eq!(rows, [at(120), at(60)]);
    assert!(before.is_some(), "another page follows");

    let (rows, next) = find(&fixture, AuditFilter { before, ..any() }).await;
    assert_eq!((rows, next), (vec![at(0)], None));
}
