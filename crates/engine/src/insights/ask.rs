//! Asks a question about a metric: reads the items that the question needs, and calculates the answer.

use quickdraw_insights::question::{Answer, Found, Question};
use quickdraw_store::SharedStore;
use quickdraw_store::insights::read_items;

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

/// Reads what a question needs.
async fn read(store: &SharedStore, question: &Question) -> quickdraw_store::Result<Found> {
    let (reads, projects) = (question.reads(), &question.projects);
    let mut found = Found::default();
    if reads.first_received {
        found.first_received = store.first_received(projects.clone()).await?;
    }

    found.items = read_items(store, reads.items, projects.clone()).await?;
    for read in reads.context {
        found.context.extend(read_items(store, read, projects.clone()).await?);
    }

    Ok(found)
}
