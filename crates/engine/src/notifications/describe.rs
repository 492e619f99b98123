//! Describes changes for people: names, reasons and times.

use std::collections::HashMap;

use quickdraw_domain::health::Health;
use quickdraw_domain::hook::Hook;
use quickdraw_domain::notification::Rule;
use quickdraw_domain::notification::news::{HookName, News, PlaceName, What, reason};
use quickdraw_domain::notification::topic_state::{Change, Topic, TopicState};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{HookId, SourceId, Timestamp};
use quickdraw_store::attempts::AttemptFilter;
use quickdraw_store::notifications::HookBacklog;
use quickdraw_store::scopes::Name;

use super::Notifier;
use crate::directory::Index;

/// Facts that were read to find changes.
#[derive(Default)]
pub(super) struct Seen {
    /// Hooks that remember failures.
    pub(super) health: HashMap<HookId, Health>,

    /// Large backlogs.
    pub(super) backlogs: HashMap<HookId, HookBacklog>,

    /// The times of the last accepted requests of each source, the newest first.
    pub(super) accepted: HashMap<SourceId, Vec<Timestamp>>,
}

impl Notifier {
    /// The news about a change. `None` if its hook, source or rule is gone.
    pub(super) async fn describe(
        &self,
        change: Change,
        rules: &[Rule],
        index: &Index,
        seen: &Seen,
        now: Timestamp,
    ) -> anyhow::Result<Option<News>> {
        let what = match change.topic {
            Topic::Hook(id) => match index.hook(id) {
                Some(hook) => Some(self.of_hook(change, hook, seen).await?),
                None => None,
            },
            Topic::Backlog { hook: id, rule } => {
                let rule = rules.iter().find(|known| known.id == rule);
                match index.hook(id).zip(rule) {
                    Some((hook, rule)) => Some(self.of_backlog(change, hook, rule, seen).await?),
                    None => None,
                }
            }
            Topic::Source { source, .. } => of_source(change, source, index, seen),
            Topic::SilentMode => Some(match change.after {
                TopicState::Usual => What::SilentModeOff,
                _ => What::SilentModeOn,
            }),
        };
        Ok(what.map(|what| News { at: now, what }))
    }

    async fn of_hook(&self, change: Change, hook: &Hook, seen: &Seen) -> anyhow::Result<What> {
        let name = HookName::new(hook, self.place_name(hook.scope).await?);
        if change.after == TopicState::Usual {
            return Ok(What::HookEnabled { hook: name });
        }

        let health = seen.health.get(&hook.id).copied().unwrap_or_default();
        let last = self.last_outcome(hook.id).await?;
        let reason = reason(health.recent_failures, last.as_deref());

        Ok(match change.after {
            TopicState::Disabled => What::HookDisabled { hook: name, reason },
            _ => What::HookFailing {
                hook: name,
                reason,
                until: health.disabled_until,
            },
        })
    }

    async fn of_backlog(&self, change: Change, hook: &Hook, rule: &Rule, seen: &Seen) -> anyhow::Result<What> {
        let name = HookName::new(hook, self.place_name(hook.scope).await?);
        let above = rule.backlog_above;

        Ok(match change.after {
            TopicState::Usual => What::BacklogShrank { hook: name, above },
            _ => What::BacklogGrew {
                hook: name,
                above,
                oldest: seen.backlogs.get(&hook.id).and_then(|backlog| backlog.oldest_due_at),
            },
        })
    }

    /// The outcome of the last attempt for a hook: `rejected (404)`.
    async fn last_outcome(&self, hook: HookId) -> anyhow::Result<Option<String>> {
        let filter = AttemptFilter {
            hook: Some(hook),
            limit: 1,
            ..AttemptFilter::default()
        };
        let attempts = self.context.store.list_attempts(filter).await?;

        Ok(attempts.first().map(|attempt| match attempt.status {
            Some(status) => format!("{} ({status})", attempt.outcome),
            None => attempt.outcome.clone(),
        }))
    }

    /// The path of a project or group.
    pub(super) async fn place_name(&self, scope: Scope) -> anyhow::Result<PlaceName> {
        let store = &self.context.store;
        Ok(match scope {
            Scope::Project(id) => {
                let project = store.find_project(Name::Id(id.0)).await?;
                PlaceName::Project(project.map_or_else(|| id.to_string(), |project| project.path_with_namespace))
            }
            Scope::Group(id) => {
                let group = store.find_group(Name::Id(id.0)).await?;
                PlaceName::Group(group.map_or_else(|| id.to_string(), |group| group.full_path))
            }
            Scope::Instance => PlaceName::Instance,
        })
    }
}

fn of_source(change: Change, source: SourceId, index: &Index, seen: &Seen) -> Option<What> {
    let last = seen.accepted.get(&source)?.first().copied()?;
    let known = index.sources().iter().find(|known| known.id == source);
    let (name, key) = match known {
        Some(source) => (source.name.clone(), source.key.clone()),
        None => ("default".to_owned(), String::new()),
    };

    Some(match change.after {
        TopicState::Usual => What::SourceSends { name, key },
        _ => What::SourceSilent { name, key, last },
    })
}
