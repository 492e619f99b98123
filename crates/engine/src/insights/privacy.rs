//! Privacy: removes people from facts, now and whenever events are counted, and deletes facts that projects no longer
//! keep.

use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_insights::people::User;
use quickdraw_insights::privacy::Privacy;
use quickdraw_store::documents::{self, Document};
use quickdraw_store::insights::Identity;

use super::Insights;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: i64 = 3_600_000_000;
/// Rows that one deletion takes.
const BATCH: usize = 20_000;

impl Insights {
    /// The decisions about privacy; empty and without a salt where none was made.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn privacy(&self) -> anyhow::Result<Privacy> {
        Ok(documents::read(&self.context.store, Document::Privacy).await?)
    }

    /// The decisions about privacy, with a salt that stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn salted_privacy(&self) -> anyhow::Result<Privacy> {
        let privacy = self.privacy().await?;
        if privacy.has_salt() {
            Ok(privacy)
        } else {
            self.change_privacy(|_| ()).await
        }
    }

    /// Changes the decisions about privacy, and returns them.
    ///
    /// # Errors
    /// When the store fails, or others change it all the time.
    pub async fn change_privacy(&self, change: impl Fn(&mut Privacy)) -> anyhow::Result<Privacy> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;

        let changed = documents::change(&self.context.store, Document::Privacy, |privacy: &mut Privacy| {
            if !privacy.has_salt() {
                *privacy = Privacy::new(salt);
            }

            change(privacy);
            Ok::<_, anyhow::Error>(Some(()))
        });
        let (privacy, ()) = changed
            .await?
            .ok_or_else(|| anyhow::anyhow!("others are changing it; try again"))?;
        Ok(privacy)
    }

    /// Removes people from facts who are to be forgotten. Returns the numbers of identities and accounts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_people(&self) -> anyhow::Result<(usize, usize)> {
        let privacy = self.privacy().await?;
        if !privacy.forgets() {
            return Ok((0, 0));
        }

        // No batch of this node is between its facts and their rows. One of another node is met by the next look.
        let _projecting = self.projecting.lock().await;
        let all = self.context.store.find_identities(None).await?;

        let identities: Vec<Identity> = all
            .into_iter()
            .filter_map(|one| {
                Some(Identity {
                    author: privacy.replacement_of(&one.author)?,
                    ..one
                })
            })
            .collect();

        let users = self.context.store.insights_users().await?;
        let users: Vec<User> = users
            .iter()
            .filter_map(|user| privacy.replacement_of_user(user))
            .collect();

        let counts = (identities.len(), users.len());
        if counts != (0, 0) {
            self.context.store.rename(identities, users).await?;
        }

        Ok(counts)
    }

    /// Deletes facts that projects no longer keep.
    pub(crate) async fn forget_projects(&self) -> anyhow::Result<()> {
        let (privacy, now) = (self.privacy().await?, self.context.clock.now());
        for (project, days) in &privacy.kept_days {
            let before = now.minus(DAY * *days).as_micros().div_euclid(HOUR) * HOUR;
            // Once an hour: no index serves it, so that counting has none to keep.
            if self.deleted_before.lock().insert(*project, before) == Some(before) {
                continue;
            }

            while self
                .context
                .store
                .forget_before(*project, Timestamp::from_micros(before), BATCH)
                .await?
                >= BATCH
            {
                // Between two batches others get their turn.
                tokio::task::yield_now().await;
            }
        }

        Ok(())
    }
}
