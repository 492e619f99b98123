//! Asks a question about metrics: reads what the question needs, and calculates the answer. The crate `insights`
//! decides what to read.

pub(crate) mod overview;

use quickdraw_domain::EventId;
use quickdraw_insights::question::{Answer, Cells, CommitReads, EventSearch, Found, FoundCommits, ItemKey, Question};
use quickdraw_store::SharedStore;
use quickdraw_store::insights::{CommitFilter, read_items};

/// Answers a question. `permit` is held until the calculation ends, even if the caller stops waiting for it.
///
/// # Errors
/// When the store cannot be read, or with [`TooLarge`](quickdraw_insights::question::TooLarge) when the answer would be
/// too large.
pub async fn ask(store: &SharedStore, question: Question, permit: impl Send + 'static) -> anyhow::Result<Answer> {
    let found = read(store, &question).await?;

    // There can be many items, so the calculation runs off the threads that answer requests.
    let answer = tokio::task::spawn_blocking(move || {
        let answer = question.answer(found);
        drop(permit);
        answer
    });
    Ok(answer.await??)
}

/// Examines the next events of a search. `permit` is held until their bodies are examined, even if the caller stops
/// waiting for it.
///
/// # Errors
/// When the store cannot be read.
pub async fn search_events(
    store: &SharedStore,
    search: &mut EventSearch,
    permit: impl Send + 'static,
) -> anyhow::Result<()> {
    let Some(read) = search.next_read() else {
        return Ok(());
    };

    let ids = store.event_ids(read.after, read.limit).await?;
    let mut relevant: Vec<EventId> = Vec::new();

    for event in store.events_by_id(ids.clone()).await? {
        if ItemKey::can_be_in(event.trigger) {
            relevant.push(event.id);
        }
    }

    let bodies = store.bodies(relevant).await?;
    let item = search.item();

    // Bodies can be large.
    let mentioning = tokio::task::spawn_blocking(move || {
        let mut mentioning = Vec::new();
        for (event, body) in bodies {
            if body.unpack().is_ok_and(|body| item.is_in(&event, &body)) {
                mentioning.push(event);
            }
        }

        drop(permit);
        mentioning
    });

    search.add(&ids, mentioning.await?);
    Ok(())
}

/// Reads what a question needs.
async fn read(store: &SharedStore, question: &Question) -> quickdraw_store::Result<Found> {
    let (reads, projects) = (question.reads(), &question.projects);
    let mut found = Found::default();
    if reads.first_received {
        found.first_received = store.first_received(projects.clone()).await?;
    }

    if let Some(read) = reads.items {
        found.items = read_items(store, read, projects.clone()).await?;
    }

    for read in reads.context {
        found.context.extend(read_items(store, read, projects.clone()).await?);
    }

    if let Some(reads) = reads.commits {
        found.commits = read_commits(store, reads, projects.clone()).await?;
    }

    Ok(found)
}

/// Reads what a report about commits needs.
async fn read_commits(
    store: &SharedStore,
    reads: CommitReads,
    projects: Option<Vec<i64>>,
) -> quickdraw_store::Result<FoundCommits> {
    let is_of_author = reads.author.is_some();
    let identities = store.find_identities(reads.author).await?;

    let filter = CommitFilter {
        from: reads.from,
        to: reads.to,
        projects,
        identities: is_of_author.then(|| identities.iter().map(|identity| identity.id).collect()),
    };

    let cells = match reads.cells {
        Cells::Hours => store.commit_cells(filter.clone()).await?,
        Cells::Commits => store.commit_cells_from_facts(filter.clone()).await?,
    };

    let rows = store.commit_rows(filter.clone()).await?;
    let unlisted = if reads.unlisted {
        Some(store.commits_unlisted(filter).await?)
    } else {
        None
    };

    Ok(FoundCommits {
        identities,
        cells,
        rows,
        unlisted,
    })
}
