//! Alerts: rules are evaluated every minute, and a change is an event of the instance, which is delivered like any
//! other. The first node that finds the rules due evaluates them; the document of standings has the time.

use std::collections::BTreeMap;
use std::time::Duration;

use quickdraw_domain::event::Origin;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{Timestamp, Trigger};
use quickdraw_insights::alerts::{
    About, Beside, Found, Rule, Rules, Standing, Standings, Watched, body, key, over, step,
};
use quickdraw_insights::gaps::{After, Sequence};
use quickdraw_insights::metrics::{Choice, Kind, Metric, Trait};
use quickdraw_insights::people::{People, Whose};
use quickdraw_insights::question::{GroupKey, Grouping, Question, Window};
use quickdraw_insights::roster::{Resolver, Roster, Who};
use quickdraw_store::documents::{self, Document};
use quickdraw_store::insights::NamedProject;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Insights;
use super::ask::ask;
use crate::context::Context;
use crate::telemetry::precise;

/// How often rules are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// For how long a node that looks has it for itself, from rule to rule; longer than any rule takes.
const LEASE: Duration = Duration::from_secs(60);
/// How many windows lie before, with which a number is compared.
const BEFORE: u32 = 4;
/// Gaps of one project that are counted.
const MOST_GAPS: usize = 10_000;

/// The document of standings.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Looked {
    /// When the last look ended.
    at: Option<Timestamp>,

    /// Somebody wants another look.
    asked: bool,

    /// Which look is under way, and until when it has it for itself.
    under_way: Option<(Uuid, Timestamp)>,
    standings: Standings,
}

impl Looked {
    /// Whether it is time to look. Times ahead of ours are those of a clock that was wrong.
    fn is_due(&self, now: Timestamp) -> bool {
        let lapsed = self
            .under_way
            .is_none_or(|(_, until)| until <= now || until > now.plus(LEASE * 2));
        let is_old = self.at.is_none_or(|at| at > now || now >= at.plus(EVERY));
        lapsed && (is_old || self.asked)
    }
}

/// A number of now, and what it was over the windows before, by project; none for everything.
type Numbers = BTreeMap<Option<i64>, (Option<f64>, Option<f64>)>;

impl Insights {
    /// How rules stand.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn alert_standings(&self) -> anyhow::Result<Standings> {
        Ok(looked(&self.context).await?.standings)
    }

    /// Asks for an evaluation of the rules as soon as a node is free.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look_again(&self) -> anyhow::Result<()> {
        let asked = change_looked(&self.context, |looked| {
            looked.asked = true;
            true
        });
        asked.await.map(drop)
    }

    /// Evaluates all rules, if no node did within the last minute, and reports what changed.
    pub(crate) async fn watch(&self) -> anyhow::Result<()> {
        let looked = looked(&self.context).await?;
        let (now, look) = (self.context.clock.now(), self.context.clock.uuid());

        if !looked.is_due(now) || (looked.standings.is_empty() && alert_rules(&self.context).await?.all.is_empty()) {
            return Ok(());
        }

        let begun = change_looked(&self.context, |looked| {
            let is_due = looked.is_due(now);
            (looked.asked, looked.under_way) = (false, Some((look, now.plus(LEASE))));
            is_due
        });
        let Some(looked) = begun.await? else { return Ok(()) };

        // Changes that an earlier look did not report come first.
        let projects = self.context.store.insights_projects().await?;
        self.report_standings(look, &projects, &looked.standings).await?;

        // Read after the look began: a later change of the rules asks for another look.
        let rules = alert_rules(&self.context).await?;
        let mut found = Vec::new();
        let mut leased = now;

        for rule in &rules.all {
            let time = self.context.clock.now();
            if time.since(leased) > LEASE / 3 {
                leased = time;

                let renew = |looked: &mut Looked| {
                    let is_ours = looked.under_way.is_some_and(|(id, _)| id == look);
                    looked.under_way = Some((look, time.plus(LEASE)));
                    is_ours
                };
                if change_looked(&self.context, renew).await?.is_none() {
                    return Ok(());
                }
            }

            let numbers = self.numbers(rule, &projects, now).await;
            found.push((
                rule,
                numbers
                    .inspect_err(|error| {
                        tracing::warn!(
                            rule.id,
                            "failed to look at the rule {:?}, which stands as before: {error:#}",
                            rule.name
                        );
                    })
                    .ok(),
            ));
        }

        let settle = |looked: &mut Looked| {
            let known = std::mem::take(&mut looked.standings);
            looked.standings = settled(&found, known, now);
            looked.under_way.is_some_and(|(id, _)| id == look)
        };
        // The change is stored before it is reported: after a crash in between it is reported later.
        let Some(looked) = change_looked(&self.context, settle).await? else {
            return Ok(());
        };
        self.report_standings(look, &projects, &looked.standings).await?;

        let ended = self.context.clock.now();
        change_looked(&self.context, |looked| {
            let is_ours = looked.under_way.is_some_and(|(id, _)| id == look);
            (looked.at, looked.under_way) = (Some(ended), None);
            is_ours
        })
        .await?;

        Ok(())
    }

    /// Reports changed standings, and stores that they are reported.
    async fn report_standings(
        &self,
        look: Uuid,
        projects: &[NamedProject],
        standings: &Standings,
    ) -> anyhow::Result<()> {
        let mut reported = Vec::new();
        for (name, one) in standings.iter().filter(|(_, one)| one.news) {
            let path = projects
                .iter()
                .find(|known| Some(known.id) == one.project)
                .map(|known| known.path.as_str());
            let about = one.project.map(|id| About { id, path });
            let (called, state) = (&one.rule.name, one.state.name());

            tracing::info!(
                rule.id = one.rule.id,
                project = path,
                "alert {called:?} is {state}: {:?}",
                one.value
            );

            let body = body(one, about, self.context.clock.now());
            let event = self
                .journal
                .new_event(Place::Instance, Trigger::INSIGHT_ALERT, Origin::Api);

            // The same change is the same event, if it is reported again after a crash.
            let key = format!("insight alert {name} {} {}", one.state.name(), one.since.as_micros());
            match self.journal.ingest(event, Some(key), body.as_bytes(), None).await {
                Ok(_) => reported.push((name, one)),
                Err(error) => {
                    tracing::warn!(%error, rule.id = one.rule.id, "failed to report an alert; it is reported again")
                }
            }
        }

        if !reported.is_empty() {
            change_looked(&self.context, |looked| {
                for (name, one) in &reported {
                    if let Some(known) = looked.standings.get_mut(*name).filter(|known| *known == *one) {
                        known.news = false;
                    }
                }

                looked.under_way.is_some_and(|(id, _)| id == look)
            })
            .await?;
        }

        Ok(())
    }

    /// The numbers of a rule now, by project; `None` for all together.
    ///
    /// # Errors
    /// When the store cannot be read, or the rule makes no sense any more.
    pub async fn numbers(&self, rule: &Rule, projects: &[NamedProject], now: Timestamp) -> anyhow::Result<Numbers> {
        let only: Option<Vec<i64>> = rule.project.as_ref().map(|wanted| {
            let is_it = |one: &&NamedProject| one.id.to_string() == *wanted || one.path.eq_ignore_ascii_case(wanted);
            projects.iter().filter(is_it).map(|one| one.id).collect()
        });

        let watched: Vec<&NamedProject> = projects
            .iter()
            .filter(|one| only.as_ref().is_none_or(|only| only.contains(&one.id)))
            .collect();

        let beside = match rule.check()? {
            Watched::Metric(metric) => {
                let ids = watched.iter().map(|one| one.id).collect();
                return measured(&self.context, rule, metric, only, ids, now).await;
            }
            Watched::Beside(beside, _) => beside,
        };

        let by_project: BTreeMap<i64, f64> = match beside {
            Beside::UnmatchedShare => return unmatched_share(&self.context, rule, only.as_deref()).await,
            Beside::Silence => watched
                .iter()
                // Before that was written down, nobody knows.
                .filter(|one| one.seen_at > Timestamp::default())
                .map(|one| (one.id, now.since(one.seen_at).as_secs_f64()))
                .collect(),
            Beside::MissingPushes => {
                let since = now.minus(Duration::from_secs(rule.window));
                let mut missing = BTreeMap::new();
                for one in &watched {
                    missing.insert(one.id, gaps_since(&self.context, one.id, since).await?);
                }

                missing
            }
        };

        if rule.each_project {
            return Ok(by_project
                .into_iter()
                .map(|(id, value)| (Some(id), (Some(value), None)))
                .collect());
        }

        let values = by_project.into_values();
        let value = match beside {
            Beside::MissingPushes => Some(values.sum()),
            // All are silent for as long as the last project that sent an event.
            _ => values.reduce(f64::min),
        };
        Ok(Numbers::from([(None, (value, None))]))
    }
}

async fn alert_rules(context: &Context) -> anyhow::Result<Rules> {
    Ok(documents::read(&context.store, Document::Alerts).await?)
}

async fn looked(context: &Context) -> anyhow::Result<Looked> {
    Ok(documents::read(&context.store, Document::AlertStates).await?)
}

/// Changes the document of standings, and returns it; `None` where the change is not wanted any more, or other
/// nodes keep changing it.
async fn change_looked(context: &Context, change: impl Fn(&mut Looked) -> bool) -> anyhow::Result<Option<Looked>> {
    let changed = documents::change(&context.store, Document::AlertStates, |looked| {
        Ok::<_, anyhow::Error>(change(looked).then_some(()))
    });
    Ok(changed.await?.map(|(looked, ())| looked))
}

async fn measured(
    context: &Context,
    rule: &Rule,
    metric: &'static Metric,
    only: Option<Vec<i64>>,
    watched: Vec<i64>,
    now: Timestamp,
) -> anyhow::Result<Numbers> {
    let window = Duration::from_secs(rule.window);
    let from = now.minus(window);
    let compares = rule.times_before.is_some();
    let before = from.minus(window * BEFORE);
    let days = window.as_secs_f64() / 86_400.0;
    let days_before = days * f64::from(BEFORE);

    let mut choice = Choice {
        older_than: rule.older_than.map(Duration::from_secs),
        deployed_by: metric.deployed_by(),
        incident_labels: context.settings.incident_labels.clone(),
        ..Choice::default()
    };
    for (of, wanted) in [(Trait::Branch, &rule.branch), (Trait::Label, &rule.label)] {
        choice.only.extend(wanted.clone().map(|wanted| (of, wanted)));
    }

    let question = Question {
        before: compares.then_some(Window {
            from: before,
            to: from,
            days: days_before,
        }),
        projects: only,
        people: people(context).await?,
        choice,
        grouping: if rule.each_project {
            Grouping::WatchedProjects(watched)
        } else {
            Grouping::None
        },
        ..Question::new(metric, Window { from, to: now, days }, now)
    };
    let answer = ask(&context.store, question, ()).await?;

    // A count of several windows is compared as the count of one window.
    let windows = if matches!(metric.kind, Kind::Count | Kind::Sum) {
        f64::from(BEFORE)
    } else {
        1.0
    };

    let mut numbers = Numbers::new();
    for group in answer.groups {
        let project = if let GroupKey::Project(id) = group.key {
            Some(id)
        } else {
            None
        };

        // A number without samples cannot be compared.
        let before = group.before.filter(|before| before.samples > 0);
        let before = before.and_then(|before| rule.statistic.of(&before));
        let value = rule.statistic.of(&group.number);
        numbers.insert(project, (value, before.map(|before| before / windows)));
    }

    Ok(numbers)
}

/// All people but bots.
pub(super) async fn people(context: &Context) -> anyhow::Result<People> {
    let (roster, users) = (roster(context).await?, context.store.insights_users().await?);
    Ok(People::new(Resolver::new(&roster, &users), &users, Whose::People, None))
}

/// How many gaps of pushes a project had since a time.
async fn gaps_since(context: &Context, project: i64, since: Timestamp) -> anyhow::Result<f64> {
    let gaps = context
        .store
        .gaps(project, After::Pushes(since, String::new()), MOST_GAPS)
        .await?;
    let count = gaps.iter().filter(|gap| gap.metric() == Sequence::Push).count();
    Ok(f64::from(u32::try_from(count).unwrap_or(u32::MAX)))
}

async fn unmatched_share(context: &Context, rule: &Rule, only: Option<&[i64]>) -> anyhow::Result<Numbers> {
    let (roster, users) = (roster(context).await?, context.store.insights_users().await?);
    let resolver = Resolver::new(&roster, &users);
    let mut counts: BTreeMap<Option<i64>, (f64, f64)> = BTreeMap::new();

    for one in context.store.identity_uses().await? {
        let who = resolver.author(&one.identity.author);
        let is_asked = only.is_none_or(|only| only.contains(&one.project));
        if !is_asked || matches!(who, Who::Bot | Who::Ignored) {
            continue;
        }

        let commits = precise(one.commits);
        let (all, unmatched) = counts
            .entry(Some(one.project).filter(|_| rule.each_project))
            .or_default();
        *all += commits;

        if who == Who::Unmatched {
            *unmatched += commits;
        }
    }

    // A person who only merged has no commits, and no share of them.
    let share = |all: f64, unmatched: f64| (all > 0.0).then(|| unmatched / all);
    Ok(counts
        .into_iter()
        .map(|(id, (all, unmatched))| (id, (share(all, unmatched), None)))
        .collect())
}

/// The document of people and teams.
pub(super) async fn roster(context: &Context) -> anyhow::Result<Roster> {
    Ok(documents::read(&context.store, Document::Roster).await?)
}

/// The new standings, from the numbers of each rule; `None` where a rule could not be evaluated.
fn settled(found: &[(&Rule, Option<Numbers>)], known: Standings, now: Timestamp) -> Standings {
    let mut standings = Standings::new();
    let is_of = |rule: &Rule, one: &Standing| (one.rule.id, one.rule.revision) == (rule.id, rule.revision);

    for (rule, numbers) in found {
        let Some(numbers) = numbers else {
            standings.extend(
                known
                    .iter()
                    .filter(|(_, one)| is_of(rule, one))
                    .map(|(name, one)| (name.clone(), one.clone())),
            );

            continue;
        };

        for (project, (value, before)) in numbers {
            let (is_bad, threshold) = (rule.is_bad(*value, *before), rule.threshold(*before));
            let name = key(rule, *project);
            let stood = known.get(&name).cloned();

            let stands = step(
                rule,
                *project,
                stood,
                Found {
                    is_bad,
                    value: *value,
                    threshold,
                },
                now,
            );
            standings.extend(stands.map(|one| (name, one)));
        }
    }

    // Of a rule that is gone, or of a project that is, nothing is bad any more.
    let is_there = |one: &Standing| {
        found.iter().any(|(rule, numbers)| {
            is_of(rule, one)
                && numbers
                    .as_ref()
                    .is_none_or(|numbers| numbers.contains_key(&one.project))
        })
    };
    let gone = known.into_iter().filter(|(_, one)| !is_there(one));
    standings.extend(gone.filter_map(|(name, one)| Some((name, over(one, now)?))));

    standings
}
