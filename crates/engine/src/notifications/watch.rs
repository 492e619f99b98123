//! Compares states with the known ones, and records changes with their news.

use std::collections::{HashMap, HashSet};

use quickdraw_domain::notification::topic_state::{
    Change, Topic, TopicState, of_backlog, of_hook, of_silent_mode, of_source,
};
use quickdraw_domain::notification::{Kind, Kinds, Rule};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{HookId, SourceId, Timestamp};
use quickdraw_store::notifications::{HookBacklog, KnownTopicState, Noticed, Recipient};

use super::Notifier;
use super::describe::Seen;
use crate::directory::Index;

/// Maximum number of changes that are recorded in one run. Further ones are found by the next run.
const MAX_CHANGES: usize = 200;
/// The default source, which is not in the directory.
const DEFAULT_SOURCE: SourceId = SourceId(1);
/// The first status of refused requests.
const REFUSED: u16 = 400;

/// States by topic.
type Known = HashMap<Topic, TopicState>;

impl Notifier {
    /// Records changes of hooks and of silent mode.
    pub(super) async fn watch_hooks(&self) -> anyhow::Result<()> {
        // The known states are read first: what is read after them is newer than they are.
        let known = known(&self.context.store.known_topic_states().await?);
        let health: HashMap<HookId, _> = self.context.store.failing_hooks().await?.into_iter().collect();
        // A hook that was deleted on another node must not look re-enabled.
        self.context.refresh_directory().await?;

        let index = self.context.directory();
        let mut topics: HashSet<HookId> = health.keys().copied().collect();
        topics.extend(known.keys().filter_map(|topic| match topic {
            Topic::Hook(hook) => Some(*hook),
            _ => None,
        }));

        let mut changes = Vec::new();
        for hook in topics {
            let topic_state = health.get(&hook).map_or(TopicState::Usual, |health| of_hook(*health));
            changes.extend(change(&known, Topic::Hook(hook), topic_state));
        }

        let silence = of_silent_mode(index.silence().is_on());
        changes.extend(change(&known, Topic::SilentMode, silence));

        let seen = Seen {
            health,
            ..Seen::default()
        };
        self.record(changes, &index, &seen).await
    }

    /// Records changes of backlogs and of sources, each by the numbers of a rule.
    pub(super) async fn watch_numbers(&self) -> anyhow::Result<()> {
        let known = known(&self.context.store.known_topic_states().await?);
        let kinds: Kinds = [Kind::HookBacklog, Kind::SourceSilent].into_iter().collect();
        let rules = self.context.store.active_notification_rules(kinds).await?;
        let index = self.context.directory();

        let mut seen = Seen::default();
        let mut changes = Vec::new();

        let of_backlogs: Vec<&Rule> = of_kind(&rules, Kind::HookBacklog);
        for backlog in self.backlogs(&of_backlogs).await? {
            seen.backlogs.insert(backlog.hook, backlog);
        }
        for rule in &of_backlogs {
            changes.extend(backlog_changes(rule, &known, &seen, &index));
        }

        let of_sources = of_kind(&rules, Kind::SourceSilent);
        if !of_sources.is_empty() {
            seen.accepted = self.accepted_requests(&index).await?;
        }
        for rule in &of_sources {
            changes.extend(source_changes(rule, &known, &seen, self.context.clock.now()));
        }

        // The states of rules that are gone, or no longer want them, are forgotten.
        let wanted: HashSet<(i64, bool)> = of_backlogs
            .iter()
            .map(|rule| (rule.id, true))
            .chain(of_sources.iter().map(|rule| (rule.id, false)))
            .collect();
        for topic in known.keys() {
            let is_backlog = matches!(topic, Topic::Backlog { .. });
            if topic.rule().is_some_and(|rule| !wanted.contains(&(rule, is_backlog))) {
                changes.extend(change(&known, *topic, TopicState::Usual));
            }
        }

        self.record(changes, &index, &seen).await
    }

    /// The backlogs that can change the state of a rule.
    async fn backlogs(&self, rules: &[&Rule]) -> anyhow::Result<Vec<HookBacklog>> {
        let limits = rules.iter().map(|rule| i64::from(rule.backlog_above));
        let (Some(least), Some(most)) = (limits.clone().min(), limits.max()) else {
            return Ok(Vec::new());
        };

        // A large backlog ends at half of its limit.
        Ok(self.context.store.hook_backlogs(least / 2, most + 1).await?)
    }

    /// The times of the last accepted requests of each source, the newest first.
    async fn accepted_requests(&self, index: &Index) -> anyhow::Result<HashMap<SourceId, Vec<Timestamp>>> {
        let others = index.sources().iter().map(|source| source.id);
        let mut accepted = HashMap::new();

        for source in others.chain([DEFAULT_SOURCE]) {
            let mut times = Vec::new();
            for request in self.journal.last_requests(source).await? {
                if request.status < REFUSED {
                    times.push(Timestamp::from_micros(request.at));
                }
            }

            accepted.insert(source, times);
        }

        Ok(accepted)
    }

    /// Records changes, with the news for the rules that want it.
    async fn record(&self, mut changes: Vec<Change>, index: &Index, seen: &Seen) -> anyhow::Result<()> {
        if changes.is_empty() {
            return Ok(());
        }

        changes.truncate(MAX_CHANGES);

        let now = self.context.clock.now();
        let kinds: Kinds = changes.iter().map(|change| change.kind()).collect();
        let rules = self.context.store.active_notification_rules(kinds).await?;
        let mut noticed = Vec::with_capacity(changes.len());

        for change in changes {
            let recipients = recipients(&rules, change, index, now);
            let news = if recipients.is_empty() {
                None
            } else {
                self.describe(change, &rules, index, seen, now).await?
            };

            noticed.push(Noticed {
                change,
                news,
                recipients,
            });
        }

        self.context.store.record_topic_states(noticed, now).await?;
        Ok(())
    }
}

fn known(topic_states: &[KnownTopicState]) -> Known {
    topic_states
        .iter()
        .map(|known| (known.topic, known.topic_state))
        .collect()
}

fn topic_state(known: &Known, topic: Topic) -> TopicState {
    known.get(&topic).copied().unwrap_or_default()
}

fn change(known: &Known, topic: Topic, after: TopicState) -> Option<Change> {
    Change::between(topic, topic_state(known, topic), after)
}

fn of_kind(rules: &[Rule], kind: Kind) -> Vec<&Rule> {
    rules.iter().filter(|rule| rule.kinds.contains(kind)).collect()
}

/// The changes of backlogs by the limit of a rule.
fn backlog_changes(rule: &Rule, known: &Known, seen: &Seen, index: &Index) -> Vec<Change> {
    let mut hooks: HashSet<HookId> = seen.backlogs.keys().copied().collect();
    hooks.extend(known.keys().filter_map(|topic| match topic {
        Topic::Backlog { hook, rule: of } if *of == rule.id => Some(*hook),
        _ => None,
    }));

    let mut changes = Vec::new();
    for hook in hooks {
        if !covers(index, rule.scope, hook) && !known.contains_key(&Topic::Backlog { hook, rule: rule.id }) {
            continue;
        }

        let topic = Topic::Backlog { hook, rule: rule.id };
        let waiting = seen.backlogs.get(&hook).map_or(0, |backlog| backlog.waiting);
        let after = of_backlog(waiting, rule.backlog_above, topic_state(known, topic));
        changes.extend(change(known, topic, after));
    }

    changes
}

/// The changes of sources by the longest silence of a rule.
fn source_changes(rule: &Rule, known: &Known, seen: &Seen, now: Timestamp) -> Vec<Change> {
    let mut changes = Vec::new();
    for (source, accepted) in &seen.accepted {
        let topic = Topic::Source {
            source: *source,
            rule: rule.id,
        };
        let after = of_source(accepted, rule.silent_after(), topic_state(known, topic), now);
        changes.extend(change(known, topic, after));
    }

    for topic in known.keys() {
        let Topic::Source { source, rule: of } = topic else {
            continue;
        };
        if *of == rule.id && !seen.accepted.contains_key(source) {
            // The source was deleted.
            changes.extend(change(known, *topic, TopicState::Usual));
        }
    }

    changes
}

/// The rules that send a change, and when.
fn recipients(rules: &[Rule], change: Change, index: &Index, now: Timestamp) -> Vec<Recipient> {
    let mut recipients = Vec::new();
    for rule in rules.iter().filter(|rule| rule.kinds.contains(change.kind())) {
        let is_meant = match change.topic {
            Topic::Hook(hook) => covers(index, rule.scope, hook),
            Topic::Backlog { rule: of, .. } | Topic::Source { rule: of, .. } => of == rule.id,
            Topic::SilentMode => true,
        };
        if is_meant {
            recipients.push(Recipient {
                rule: rule.id,
                due_at: rule.digest.due(now),
            });
        }
    }

    recipients
}

/// Whether a hook belongs to a scope, or to a group or project in it.
fn covers(index: &Index, scope: Scope, hook: HookId) -> bool {
    let Some(hook) = index.hook(hook) else { return false };
    let place = match hook.scope {
        Scope::Project(id) => Place::Project(id),
        Scope::Group(id) => Place::Group(id),
        Scope::Instance => Place::Instance,
    };
    index.is_in(place, scope)
}
