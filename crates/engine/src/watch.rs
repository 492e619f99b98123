//! Watching insights: rules of alerts are looked at, and what changed is told as an event of the instance, which goes out like
//! any other. Whichever node comes first looks; the document of standings says when that was.

use std::collections::BTreeMap;
use std::time::Duration;

use quickdraw_domain::event::Source;
use quickdraw_domain::insights::alerts::{About, Beside, Found, Rule, Standings, Watched, body, key, step};
use quickdraw_domain::insights::entity::{Entity, Item};
use quickdraw_domain::insights::gaps::Sequence;
use quickdraw_domain::insights::measures::{Items, Measure};
use quickdraw_domain::insights::people::People;
use quickdraw_domain::insights::roster::{Resolver, Roster, Who};
use quickdraw_domain::scope::Place;
use quickdraw_domain::{Timestamp, Trigger};
use quickdraw_store::insights::{Document, Lives, NamedProject, Projects, things_of};
use serde::{Deserialize, Serialize};

use crate::belt::Belt;
use crate::{Arrival, Origin};

/// How often rules are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// How often a write is made again that met another.
const TRIES: usize = 5;
/// How many windows lie before, with which a number is compared.
const BEFORE: u64 = 4;
/// Stands for everything, where a rule is not looked at project by project.
const EVERYTHING: i64 = 0;

/// The document of standings.
#[derive(Default, Serialize, Deserialize)]
struct Looked {
    at: Option<Timestamp>,
    standings: Standings,
}

/// A number of now, and what it was over the windows before.
type Numbers = BTreeMap<i64, (Option<f64>, Option<f64>)>;

impl Belt {
    /// The rules that there are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn alert_rules(&self) -> anyhow::Result<(i64, Vec<Rule>)> {
        let Some((version, document)) = self.store.document(Document::Alerts).await? else {
            return Ok((0, Vec::new()));
        };
        Ok((version, serde_json::from_slice(&document)?))
    }

    /// How they stand.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn alert_standings(&self) -> anyhow::Result<Standings> {
        Ok(self.looked().await?.1.standings)
    }

    /// Has rules looked at as soon as some node comes to it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn look_again(&self) -> anyhow::Result<()> {
        // A node that is looking just now writes too; what it found of the old rules is then left out.
        for _ in 0..TRIES {
            let (version, looked) = self.looked().await?;
            if self.write_looked(version, &Looked { at: None, ..looked }).await? {
                break;
            }
        }
        Ok(())
    }

    async fn looked(&self) -> anyhow::Result<(i64, Looked)> {
        let Some((version, document)) = self.store.document(Document::AlertStates).await? else {
            return Ok((0, Looked::default()));
        };
        Ok((version, serde_json::from_slice(&document)?))
    }

    /// Looks at all rules, if no node did within the last minute, and tells what changed.
    pub(crate) async fn watch(&self) -> anyhow::Result<()> {
        let (_, rules) = self.alert_rules().await?;
        let (version, mut looked) = self.looked().await?;
        let now = self.clock.now();
        if (rules.is_empty() && looked.standings.is_empty()) || looked.at.is_some_and(|at| now < at.plus(EVERY)) {
            return Ok(());
        }
        looked.at = Some(now);
        if !self.write_looked(version, &looked).await? {
            return Ok(());
        }
        let projects = self.store.insights_projects().await?;
        let mut standings = Standings::new();
        for rule in &rules {
            match self.numbers(rule, &projects, now).await {
                Ok(numbers) => {
                    // Of what is no longer there, nothing is bad.
                    let gone = looked.standings.keys().filter_map(|known| known.strip_prefix(&format!("{} ", rule.id)));
                    let gone: Vec<i64> =
                        gone.filter_map(|id| id.parse().ok()).filter(|id| !numbers.contains_key(id)).collect();
                    for (project, (value, before)) in
                        numbers.into_iter().chain(gone.into_iter().map(|id| (id, (None, None))))
                    {
                        let (is_bad, threshold) = (rule.is_bad(value, before), rule.threshold(before));
                        let name = key(rule.id, project);
                        let known = looked.standings.get(&name).cloned();
                        let stands = step(rule, known, Found { is_bad, value, threshold }, now);
                        standings.extend(stands.map(|one| (name, one)));
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        rule.id,
                        "failed to look at the rule {:?}, which stands as before: {error:#}",
                        rule.name
                    );
                    let prefix = format!("{} ", rule.id);
                    let known = looked.standings.iter().filter(|(name, _)| name.starts_with(&prefix));
                    standings.extend(known.map(|(name, one)| (name.clone(), one.clone())));
                }
            }
        }
        looked.standings = standings;
        // First it is written down that there is news, and then told: a crash in between tells it later.
        if !self.write_looked(version + 1, &looked).await? {
            return Ok(());
        }
        if self.tell_standings(&rules, &projects, &mut looked.standings, now).await {
            self.write_looked(version + 2, &looked).await?;
        }
        Ok(())
    }

    async fn write_looked(&self, version: i64, looked: &Looked) -> anyhow::Result<bool> {
        Ok(self.store.put_document(Document::AlertStates, version, serde_json::to_vec(looked)?).await?)
    }

    /// Tells what is news; whether anything was.
    async fn tell_standings(
        &self,
        rules: &[Rule],
        projects: &[NamedProject],
        standings: &mut Standings,
        now: Timestamp,
    ) -> bool {
        let mut told = false;
        for (name, one) in standings.iter_mut().filter(|(_, one)| one.news) {
            let (rule, project) = name.split_once(' ').unwrap_or_default();
            let Some(rule) = rules.iter().find(|known| known.id.to_string() == rule) else { continue };
            let project = projects.iter().find(|known| known.id.to_string() == project);
            let about = project.map(|project| About { id: project.id, path: &project.path });
            tracing::info!(rule.id, "alert {:?} is {}: {:?}", rule.name, one.state.name(), one.value);
            let body = body(rule, one, about, now);
            let arrival = Arrival {
                place: Place::Instance,
                trigger: Trigger::INSIGHT_ALERT,
                source: Source::Api,
                chain: None,
                git_ref: None,
                origin: Origin::default(),
                // The same news is the same event, if it is told again after a crash.
                key: Some(format!("insight alert {name} {} {}", one.state.name(), one.since.as_micros())),
                body: body.as_bytes(),
            };
            match self.ingest(arrival).await {
                Ok(_) => {
                    one.news = false;
                    told = true;
                }
                Err(error) => tracing::warn!(%error, rule.id, "failed to tell of an alert; it is told again"),
            }
        }
        told
    }

    /// What a rule finds now, by project; 0 stands for everything.
    ///
    /// # Errors
    /// When the store cannot be read, or the rule makes no sense any more.
    pub async fn numbers(&self, rule: &Rule, projects: &[NamedProject], now: Timestamp) -> anyhow::Result<Numbers> {
        let only: Option<Vec<i64>> = rule.project.as_ref().map(|wanted| {
            let is_it = |one: &&NamedProject| one.id.to_string() == *wanted || one.path.eq_ignore_ascii_case(wanted);
            projects.iter().filter(is_it).map(|one| one.id).collect()
        });
        let mut numbers = match rule.check()? {
            Watched::Measure(measure) => return self.measured(rule, measure, only, now).await,
            Watched::Beside(Beside::UnmatchedShare, _) => {
                return Ok(Numbers::from([(EVERYTHING, (self.unmatched_share(only).await?, None))]));
            }
            Watched::Beside(Beside::Silence, _) => {
                let since = |one: &NamedProject| Some(now.since(one.seen_at).as_secs_f64());
                projects.iter().map(|one| (one.id, since(one))).collect::<BTreeMap<_, _>>()
            }
            Watched::Beside(Beside::MissingPushes, _) => {
                let all = self.store.completeness(Projects::ALL, usize::MAX).await?;
                let of_pushes = all.into_iter().filter(|one| one.measure == Sequence::Push);
                #[expect(clippy::cast_precision_loss, reason = "counts fit 52 bits")]
                of_pushes.map(|one| (one.project, Some(one.missing as f64))).collect()
            }
        };
        numbers.retain(|id, _| only.as_ref().is_none_or(|only| only.contains(id)));
        if rule.each_project {
            return Ok(numbers.into_iter().map(|(id, value)| (id, (value, None))).collect());
        }
        // Of several projects, the worst; missing pushes add up.
        let values = numbers.into_values().flatten();
        let value = match rule.check()? {
            Watched::Beside(Beside::MissingPushes, _) => Some(values.sum()),
            _ => values.reduce(f64::max),
        };
        Ok(Numbers::from([(EVERYTHING, (value, None))]))
    }

    async fn measured(
        &self,
        rule: &Rule,
        measure: &'static Measure,
        projects: Option<Vec<i64>>,
        now: Timestamp,
    ) -> anyhow::Result<Numbers> {
        let window = Duration::from_secs(rule.window);
        let from = now.minus(window);
        let compares = rule.times_before.is_some();
        let before = if compares { from.minus(window * u32::try_from(BEFORE)?) } else { from };
        let (things, others) = things_of(&self.store, measure, Lives { from: before, to: now, projects }).await?;
        let people = self.people().await?;
        let (rule, mut groups) = (rule.clone(), BTreeMap::<i64, (Vec<Item>, Vec<Item>)>::new());
        let group = |item: &Item| if rule.each_project { item.key().0 } else { EVERYTHING };
        for item in things {
            groups.entry(group(&item)).or_default().0.push(item);
        }
        for item in others {
            groups.entry(group(&item)).or_default().1.push(item);
        }
        if !rule.each_project {
            groups.entry(EVERYTHING).or_default();
        }
        let days = window.as_secs_f64() / 86_400.0;
        // Off the threads that answer others: there can be many.
        let measured = tokio::task::spawn_blocking(move || {
            let of_group = |(id, (things, others))| {
                let items =
                    Items::new(things, others, people.clone(), rule.branch.clone()).with_label(rule.label.clone());
                let value = rule.statistic.of(&items.measure(measure, from, now, days));
                let was = if compares { Some(items.measure(measure, before, from, days * 4.0)) } else { None };
                (id, (value, was.and_then(|was| rule.statistic.of(&was))))
            };
            groups.into_iter().map(of_group).collect()
        });
        Ok(measured.await?)
    }

    async fn roster(&self) -> anyhow::Result<Roster> {
        let found = self.store.document(Document::Roster).await?;
        Ok(found.map(|(_, document)| serde_json::from_slice(&document)).transpose()?.unwrap_or_default())
    }

    /// Everybody but bots.
    pub(crate) async fn people(&self) -> anyhow::Result<People> {
        let (roster, users) = (self.roster().await?, self.store.insights_users().await?);
        Ok(People::new(Resolver::new(&roster, &users), &users, false, None))
    }

    async fn unmatched_share(&self, projects: Option<Vec<i64>>) -> anyhow::Result<Option<f64>> {
        let (roster, users) = (self.roster().await?, self.store.insights_users().await?);
        let resolver = Resolver::new(&roster, &users);
        let (mut all, mut unmatched) = (0.0, 0.0);
        for one in self.store.identity_uses().await? {
            if projects.as_ref().is_some_and(|only| !only.contains(&one.project)) {
                continue;
            }
            #[expect(clippy::cast_precision_loss, reason = "counts fit 52 bits")]
            let commits = one.commits as f64;
            match resolver.author(&one.identity.author) {
                Who::Bot | Who::Ignored => {}
                Who::Unmatched => (all, unmatched) = (all + commits, unmatched + commits),
                Who::Member(_) => all += commits,
            }
        }
        Ok((all > 0.0).then(|| unmatched / all))
    }
}
