//! Alerts: rules are evaluated every minute, and a change is an event of the instance, which is delivered like any
//! other. The first node that finds the rules due evaluates them; the document of statuses contains the time.

use std::collections::BTreeMap;
use std::time::Duration;

use quickdraw_domain::event::Origin;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{Timestamp, Trigger};
use quickdraw_insights::alerts::{
    About, AlertStatus, AlertStatuses, Found, Rule, Rules, Special, Watched, body, key, over, step,
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

/// Interval between two evaluations of the rules.
const EVERY: Duration = Duration::from_secs(60);
/// Lease of the node that evaluates, renewed from rule to rule. It is longer than any rule takes.
const LEASE: Duration = Duration::from_secs(60);
/// Number of earlier windows with which a number is compared.
const BEFORE: u32 = 4;
/// Maximum number of gaps of one project that are counted.
const MAX_GAPS: usize = 10_000;

/// The document of alert statuses.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Evaluation {
    /// End of the last evaluation.
    #[serde(alias = "at")]
    ended_at: Option<Timestamp>,

    /// Another evaluation was requested.
    #[serde(alias = "asked")]
    is_requested: bool,

    /// The running evaluation, and the end of its lease.
    #[serde(alias = "under_way")]
    running: Option<(Uuid, Timestamp)>,

    /// Statuses of the rules.
    #[serde(alias = "standings")]
    statuses: AlertStatuses,
}

impl Evaluation {
    /// True if an evaluation is due. Times in the future come from a clock that was wrong.
    fn is_due(&self, now: Timestamp) -> bool {
        let lapsed = self
            .running
            .is_none_or(|(_, until)| until <= now || until > now.plus(LEASE * 2));
        let is_old = self.ended_at.is_none_or(|at| at > now || now >= at.plus(EVERY));
        lapsed && (is_old || self.is_requested)
    }
}

/// The current number and that of the windows before, by project; None for all projects.
type Numbers = BTreeMap<Option<i64>, (Option<f64>, Option<f64>)>;

impl Insights {
    /// Statuses of all rules.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn alert_statuses(&self) -> anyhow::Result<AlertStatuses> {
        Ok(evaluation(&self.context).await?.statuses)
    }

    /// Asks for an evaluation of the rules as soon as a node is free.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn evaluate_again(&self) -> anyhow::Result<()> {
        let requested = change_evaluation(&self.context, |evaluation| {
            evaluation.is_requested = true;
            true
        });
        requested.await.map(drop)
    }

    /// Evaluates all rules, if no node did within the last minute, and reports what changed.
    pub(crate) async fn evaluate_alerts(&self) -> anyhow::Result<()> {
        let evaluation = evaluation(&self.context).await?;
        let (now, id) = (self.context.clock.now(), self.context.clock.uuid());

        if !evaluation.is_due(now)
            || (evaluation.statuses.is_empty() && alert_rules(&self.context).await?.all.is_empty())
        {
            return Ok(());
        }

        let begun = change_evaluation(&self.context, |evaluation| {
            let is_due = evaluation.is_due(now);
            (evaluation.is_requested, evaluation.running) = (false, Some((id, now.plus(LEASE))));
            is_due
        });
        let Some(evaluation) = begun.await? else { return Ok(()) };

        // Changes that an earlier evaluation did not report come first.
        let projects = self.context.store.insights_projects().await?;
        self.report_statuses(id, &projects, &evaluation.statuses).await?;

        // Read after the evaluation began: a later change of the rules requests another evaluation.
        let rules = alert_rules(&self.context).await?;
        let mut found = Vec::new();
        let mut leased = now;

        for rule in &rules.all {
            let time = self.context.clock.now();
            if time.since(leased) > LEASE / 3 {
                leased = time;

                let renew = |evaluation: &mut Evaluation| {
                    let is_ours = evaluation.running.is_some_and(|(running, _)| running == id);
                    evaluation.running = Some((id, time.plus(LEASE)));
                    is_ours
                };
                if change_evaluation(&self.context, renew).await?.is_none() {
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
                            "failed to evaluate the rule {:?}, whose status is unchanged: {error:#}",
                            rule.name
                        );
                    })
                    .ok(),
            ));
        }

        let settle = |evaluation: &mut Evaluation| {
            let known = std::mem::take(&mut evaluation.statuses);
            evaluation.statuses = next_statuses(&found, known, now);
            evaluation.running.is_some_and(|(running, _)| running == id)
        };
        // The change is stored before it is reported: after a crash in between it is reported later.
        let Some(evaluation) = change_evaluation(&self.context, settle).await? else {
            return Ok(());
        };
        self.report_statuses(id, &projects, &evaluation.statuses).await?;

        let ended = self.context.clock.now();
        change_evaluation(&self.context, |evaluation| {
            let is_ours = evaluation.running.is_some_and(|(running, _)| running == id);
            (evaluation.ended_at, evaluation.running) = (Some(ended), None);
            is_ours
        })
        .await?;

        Ok(())
    }

    /// Reports changed statuses, and stores that they are reported.
    async fn report_statuses(
        &self,
        id: Uuid,
        projects: &[NamedProject],
        statuses: &AlertStatuses,
    ) -> anyhow::Result<()> {
        let mut reported = Vec::new();
        for (name, one) in statuses.iter().filter(|(_, one)| one.is_unreported) {
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
            change_evaluation(&self.context, |evaluation| {
                for (name, one) in &reported {
                    if let Some(known) = evaluation.statuses.get_mut(*name).filter(|known| *known == *one) {
                        known.is_unreported = false;
                    }
                }

                evaluation.running.is_some_and(|(running, _)| running == id)
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

        let special = match rule.check()? {
            Watched::Metric(metric) => {
                let ids = watched.iter().map(|one| one.id).collect();
                return evaluate(&self.context, rule, metric, only, ids, now).await;
            }
            Watched::Special(special, _) => special,
        };

        let by_project: BTreeMap<i64, f64> = match special {
            Special::UnmatchedShare => return unmatched_share(&self.context, rule, only.as_deref()).await,
            Special::Silence => watched
                .iter()
                // The time of projects that were last received before times were stored is unknown.
                .filter(|one| one.seen_at > Timestamp::default())
                .map(|one| (one.id, now.since(one.seen_at).as_secs_f64()))
                .collect(),
            Special::MissingPushes => {
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
        let value = match special {
            Special::MissingPushes => Some(values.sum()),
            // All are silent for as long as the last project that sent an event.
            _ => values.reduce(f64::min),
        };
        Ok(Numbers::from([(None, (value, None))]))
    }
}

async fn alert_rules(context: &Context) -> anyhow::Result<Rules> {
    Ok(documents::read(&context.store, Document::Alerts).await?)
}

async fn evaluation(context: &Context) -> anyhow::Result<Evaluation> {
    Ok(documents::read(&context.store, Document::AlertStates).await?)
}

/// Changes the document of statuses, and returns it; `None` where the change is not wanted any more, or other
/// nodes keep changing it.
async fn change_evaluation(
    context: &Context,
    change: impl Fn(&mut Evaluation) -> bool,
) -> anyhow::Result<Option<Evaluation>> {
    let changed = documents::change(&context.store, Document::AlertStates, |evaluation| {
        Ok::<_, anyhow::Error>(change(evaluation).then_some(()))
    });
    Ok(changed.await?.map(|(evaluation, ())| evaluation))
}

async fn evaluate(
    context: &Context,
    rule: &Rule,
    metric: &'static Metric,
    only: Option<Vec<i64>>,
    watched: Vec<i64>,
    now: Timestamp,
) -> anyhow::Result<Numbers> {
    let window = Duration::from_secs(rule.window);
    let from = now.minus(window);
    let compares = rule.times_previous.is_some();
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
        .gaps(project, After::Pushes(since, String::new()), MAX_GAPS)
        .await?;
    let count = gaps.iter().filter(|gap| gap.kind() == Sequence::Push).count();
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

/// The new statuses, from the numbers of each rule; `None` where a rule could not be evaluated.
fn next_statuses(found: &[(&Rule, Option<Numbers>)], known: AlertStatuses, now: Timestamp) -> AlertStatuses {
    let mut statuses = AlertStatuses::new();
    let is_of = |rule: &Rule, one: &AlertStatus| (one.rule.id, one.rule.revision) == (rule.id, rule.revision);

    for (rule, numbers) in found {
        let Some(numbers) = numbers else {
            statuses.extend(
                known
                    .iter()
                    .filter(|(_, one)| is_of(rule, one))
                    .map(|(name, one)| (name.clone(), one.clone())),
            );

            continue;
        };

        for (project, (value, before)) in numbers {
            let (is_violated, threshold) = (rule.is_violated(*value, *before), rule.threshold(*before));
            let name = key(rule, *project);
            let last = known.get(&name).cloned();

            let status = step(
                rule,
                *project,
                last,
                Found {
                    is_violated,
                    value: *value,
                    threshold,
                },
                now,
            );
            statuses.extend(status.map(|status| (name, status)));
        }
    }

    // A deleted rule, and a rule on a project that is gone, are no longer violated.
    let is_there = |one: &AlertStatus| {
        found.iter().any(|(rule, numbers)| {
            is_of(rule, one)
                && numbers
                    .as_ref()
                    .is_none_or(|numbers| numbers.contains_key(&one.project))
        })
    };
    let gone = known.into_iter().filter(|(_, one)| !is_there(one));
    statuses.extend(gone.filter_map(|(name, one)| Some((name, over(one, now)?))));

    statuses
}
