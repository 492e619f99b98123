//! What people decided about privacy, carried out: who is to be forgotten is taken out of what is counted, now and whenever
//! something is counted; what projects no longer keep goes.

use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_insights::people::User;
use quickdraw_insights::privacy::Privacy;
use quickdraw_store::documents::{self, Document};
use quickdraw_store::insights::Identity;

use crate::context::Belt;
use crate::lock;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: i64 = 3_600_000_000;
/// Rows that one deletion takes.
const BATCH: usize = 20_000;

impl Belt {
    /// What is decided; nothing, without a salt of its own, where nobody decided anything.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn privacy(&self) -> anyhow::Result<Privacy> {
        Ok(documents::read(&self.store, Document::Privacy).await?)
    }

    /// What is decided, with a salt that stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn salted_privacy(&self) -> anyhow::Result<Privacy> {
        let privacy = self.privacy().await?;
        if privacy.has_salt() { Ok(privacy) } else { self.change_privacy(|_| ()).await }
    }

    /// Changes what is decided, and gives it.
    ///
    /// # Errors
    /// When the store fails, or others change it all the time.
    pub async fn change_privacy(&self, change: impl Fn(&mut Privacy)) -> anyhow::Result<Privacy> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let changed = documents::change(&self.store, Document::Privacy, |privacy: &mut Privacy| {
            if !privacy.has_salt() {
                *privacy = Privacy::new(salt);
            }
            change(privacy);
            Ok::<_, anyhow::Error>(Some(()))
        });
        let (privacy, ()) = changed.await?.ok_or_else(|| anyhow::anyhow!("others are changing it; try again"))?;
        Ok(privacy)
    }

    /// Takes whoever is to be forgotten out of what is counted; how many identities and accounts that were.
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
        let all = self.store.find_identities(None).await?;
        let identities: Vec<Identity> =
            all.into_iter().filter_map(|one| Some(Identity { author: privacy.left_of(&one.author)?, ..one })).collect();
        let users = self.store.insights_users().await?;
        let users: Vec<User> = users.iter().filter_map(|user| privacy.left_of_user(user)).collect();
        let counts = (identities.len(), users.len());
        if counts != (0, 0) {
            self.store.rename(identities, users).await?;
        }
        Ok(counts)
    }

    /// Deletes what projects no longer keep.
    pub(crate) async fn forget_projects(&self) -> anyhow::Result<()> {
        let (privacy, now) = (self.privacy().await?, self.clock.now());
        for (project, days) in &privacy.kept_days {
            let before = now.minus(DAY * *days).as_micros().div_euclid(HOUR) * HOUR;
            // Once an hour: no index serves it, so that counting has none to keep.
            if lock(&self.forgotten).insert(*project, before) == Some(before) {
                continue;
            }
            while self.store.forget_before(*project, Timestamp::from_micros(before), BATCH).await? >= BATCH {
                // Between two batches others get their turn.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}
