//! Notifications in SQLite.

use async_trait::async_trait;
use quickdraw_domain::notification::schedule::{MAX_MESSAGES, MAX_PENDING};
use quickdraw_domain::notification::topic_state::TopicState;
use quickdraw_domain::notification::{Kinds, Rule};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{HookId, NodeId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::hooks::check_scope;
use super::rows::scalar;
use crate::columns;
use crate::error::{Error, Result};
use crate::notifications::{
    DueMessage, HookBacklog, KnownTopicState, MESSAGE_COLUMNS, MessageEnd, Noticed, Notifications, RULE_COLUMNS,
    Recipient, RuleState, RuleWithState, SendResult, SentMessage, StoredRule, TopicColumns, count, news_text,
    topic_state_code, topic_state_of_code,
};
use crate::seal::Ring;

#[async_trait]
impl Notifications for Sqlite {
    async fn create_notification_rule(&self, rule: Rule, most: i64) -> Result<RuleWithState> {
        let stored = StoredRule::seal(&rule, &self.ring)?;
        self.configure(move |tx| {
            check_scope(tx.connection, rule.scope)?;

            let (project, group) = columns::scope_columns(rule.scope);
            let (here, owner) = columns::in_scope(rule.scope, "r", '?');
            let sql = format!("SELECT count(*) FROM notification_rules r WHERE {here}");
            if tx.connection.query_row(&sql, [owner], scalar::<i64>)? >= most {
                return Err(Error::Full(most));
            }

            tx.connection.execute(
                "INSERT INTO notification_rules (uuid, project_id, group_id, name, kinds, channel, target, digest,
                   hour, zone, silent_hours, backlog_above, active, created_by, created_at, updated_at)
                 VALUES (:uuid, :project_id, :group_id, :name, :kinds, :channel, :target, :digest,
                   :hour, :zone, :silent_hours, :backlog_above, :active, :created_by, :created_at, :created_at)",
                rusqlite::named_params! {
                    ":uuid": rule.uuid,
                    ":project_id": project,
                    ":group_id": group,
                    ":name": rule.name,
                    ":kinds": rule.kinds.bits(),
                    ":channel": stored.channel,
                    ":target": stored.target,
                    ":digest": stored.digest,
                    ":hour": stored.hour,
                    ":zone": stored.zone,
                    ":silent_hours": rule.silent_hours,
                    ":backlog_above": rule.backlog_above,
                    ":active": rule.active,
                    ":created_by": rule.created_by,
                    ":created_at": rule.created_at.as_micros(),
                },
            )?;

            let rule = Rule {
                id: tx.connection.last_insert_rowid(),
                ..rule
            };
            Ok(RuleWithState {
                rule,
                state: RuleState::default(),
            })
        })
        .await
    }

    async fn update_notification_rule(&self, rule: Rule, unchanged_since: Timestamp) -> Result<Option<RuleWithState>> {
        let (stored, ring) = (StoredRule::seal(&rule, &self.ring)?, self.ring.clone());
        self.configure(move |tx| {
            let changed = tx.connection.execute(
                "UPDATE notification_rules SET name = :name, kinds = :kinds, channel = :channel, target = :target,
                   digest = :digest, hour = :hour, zone = :zone, silent_hours = :silent_hours,
                   backlog_above = :backlog_above, active = :active, updated_at = :updated_at, failures = 0,
                   next_attempt_at = 0, last_error = NULL, last_error_at = NULL,
                   unlisted = CASE WHEN :active THEN unlisted ELSE 0 END
                 WHERE id = :id AND updated_at = :unchanged_since",
                rusqlite::named_params! {
                    ":id": rule.id,
                    ":unchanged_since": unchanged_since.as_micros(),
                    ":name": rule.name,
                    ":kinds": rule.kinds.bits(),
                    ":channel": stored.channel,
                    ":target": stored.target,
                    ":digest": stored.digest,
                    ":hour": stored.hour,
                    ":zone": stored.zone,
                    ":silent_hours": rule.silent_hours,
                    ":backlog_above": rule.backlog_above,
                    ":active": rule.active,
                    ":updated_at": rule.updated_at.as_micros(),
                },
            )?;
            if changed == 0 {
                return Ok(None);
            }

            if !rule.active {
                tx.connection
                    .execute("DELETE FROM notification_news WHERE rule_id = ?1", [rule.id])?;
            }

            find(tx.connection, &ring, rule.id)
        })
        .await
    }

    async fn find_notification_rule(&self, id: i64) -> Result<Option<RuleWithState>> {
        let ring = self.ring.clone();
        self.read(move |connection| find(connection, &ring, id)).await
    }

    async fn list_notification_rules(&self, scope: Scope, before: i64, limit: usize) -> Result<Vec<RuleWithState>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let (here, owner) = columns::in_scope(scope, "r", '?');
            let sql = format!(
                "SELECT {RULE_COLUMNS} FROM notification_rules r WHERE {here} AND r.id < ?2 ORDER BY r.id DESC LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((owner, before, columns::limit(limit)), |row| Ok(rule(row, &ring)))?;
            found.map(|row| row?).collect()
        })
        .await
    }

    async fn delete_notification_rule(&self, id: i64) -> Result<bool> {
        self.configure(move |tx| {
            let gone = tx
                .connection
                .execute("DELETE FROM notification_rules WHERE id = ?1", [id])?;
            tx.connection
                .execute("DELETE FROM notification_topic_states WHERE rule_id = ?1", [id])?;
            Ok(gone > 0)
        })
        .await
    }

    async fn active_notification_rules(&self, kinds: Kinds) -> Result<Vec<Rule>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {RULE_COLUMNS} FROM notification_rules r WHERE r.active AND (r.kinds & ?1) <> 0 ORDER BY r.id"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map([kinds.bits()], |row| Ok(rule(row, &ring)))?;
            found.map(|row| Ok(row??.rule)).collect()
        })
        .await
    }

    async fn known_topic_states(&self) -> Result<Vec<KnownTopicState>> {
        self.read(|connection| {
            let sql = "SELECT topic, subject, rule_id, topic_state, since FROM notification_topic_states";
            let mut statement = connection.prepare_cached(sql)?;
            let found = statement.query_map([], |row| {
                let topic = TopicColumns {
                    topic: row.get("topic")?,
                    subject: row.get("subject")?,
                    rule: row.get("rule_id")?,
                };
                Ok(KnownTopicState {
                    topic: topic.read(),
                    topic_state: topic_state_of_code(row.get("topic_state")?),
                    since: Timestamp::from_micros(row.get("since")?),
                })
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn record_topic_states(&self, noticed: Vec<Noticed>, now: Timestamp) -> Result<usize> {
        self.write(move |tx| {
            let mut recorded = 0;
            for one in &noticed {
                if !record(tx.connection, one, now)? {
                    continue;
                }

                recorded += 1;

                let Some(news) = &one.news else { continue };
                let text = news_text(news)?;
                for recipient in &one.recipients {
                    add_news(tx.connection, *recipient, &text)?;
                }
            }

            Ok(recorded)
        })
        .await
    }

    async fn due_messages(&self, now: Timestamp, limit: usize) -> Result<Vec<DueMessage>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {RULE_COLUMNS} FROM notification_rules r
                 WHERE r.id IN (SELECT rule_id FROM notification_news WHERE due_at <= ?1) AND r.active
                   AND r.next_attempt_at <= ?1
                 ORDER BY r.next_attempt_at, r.id LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((now.as_micros(), columns::limit(limit)), |row| Ok(rule(row, &ring)))?;
            let found: Vec<RuleWithState> = found.map(|row| row?).collect::<Result<_>>()?;

            let mut of_rule = connection.prepare_cached(
                "SELECT id, news FROM notification_news WHERE rule_id = ?1 AND due_at <= ?2 ORDER BY id",
            )?;
            let mut due = Vec::new();
            for found in found {
                let mut message = DueMessage::new(found);
                let mut rows = of_rule.query((message.rule.id, now.as_micros()))?;
                while let Some(row) = rows.next()? {
                    message.add(row.get("id")?, &row.get::<_, String>("news")?);
                }

                due.push(message);
            }

            Ok(due)
        })
        .await
    }

    async fn end_message(&self, end: MessageEnd) -> Result<()> {
        self.write(move |tx| {
            let at = end.message.at.as_micros();
            if end.message.result != SendResult::Failed {
                tx.connection
                    .prepare_cached("DELETE FROM notification_news WHERE rule_id = ?1 AND id <= ?2 AND due_at <= ?3")?
                    .execute((end.rule, end.last, at))?;
            }

            let sql = match end.message.result {
                SendResult::Sent => {
                    "UPDATE notification_rules SET failures = 0, next_attempt_at = ?2, last_sent_at = ?3,
                       last_error = ?4, last_error_at = CASE WHEN ?4 IS NULL THEN NULL ELSE ?3 END, unlisted = 0
                     WHERE id = ?1"
                }
                SendResult::Failed => {
                    "UPDATE notification_rules SET failures = failures + 1, next_attempt_at = ?2, last_error = ?4,
                       last_error_at = ?3 WHERE id = ?1"
                }
                SendResult::GivenUp => {
                    "UPDATE notification_rules SET failures = 0, next_attempt_at = ?2, last_error = ?4,
                       last_error_at = ?3, unlisted = 0 WHERE id = ?1"
                }
            };
            let parameters = (end.rule, end.next_attempt_at.as_micros(), at, &end.message.error);
            if tx.connection.prepare_cached(sql)?.execute(parameters)? > 0 {
                add_message(tx.connection, end.rule, &end.message)?;
            }

            Ok(())
        })
        .await
    }

    async fn add_message(&self, rule: i64, message: SentMessage) -> Result<()> {
        self.configure(move |tx| add_message(tx.connection, rule, &message))
            .await
    }

    async fn list_messages(&self, rule: i64, before: i64, limit: usize) -> Result<Vec<SentMessage>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {MESSAGE_COLUMNS} FROM notification_messages WHERE rule_id = ?1 AND id < ?2
                 ORDER BY id DESC LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((rule, before, columns::limit(limit)), |row| {
                Ok(SentMessage {
                    id: row.get("id")?,
                    at: Timestamp::from_micros(row.get("at")?),
                    news: row.get("news")?,
                    subject: row.get("subject")?,
                    result: SendResult::from_code(row.get("result")?),
                    error: row.get("error")?,
                })
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn hook_backlogs(&self, above: i64, bound: i64) -> Result<Vec<HookBacklog>> {
        self.read(move |connection| {
            // From hook to hook in the index of what is owed, as for the backlog of the instance.
            let mut statement = connection.prepare_cached(
                "WITH RECURSIVE walk (state, hook) AS (
                    VALUES (0, 0), (1, 0)
                    UNION ALL
                    SELECT w.state, (SELECT min(hook_id) FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.hook_id > w.hook)
                    FROM walk w WHERE w.hook IS NOT NULL)
                 SELECT w.hook,
                    sum((SELECT count(*) FROM (SELECT 1 FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.hook_id = w.hook LIMIT ?2))) AS waiting,
                    min((SELECT min(d.due_at) FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.hook_id = w.hook AND d.due_at < ?3)) AS oldest
                 FROM walk w WHERE w.hook > 0 GROUP BY w.hook HAVING waiting > ?1",
            )?;
            let found = statement.query_map((above, bound, quickdraw_domain::delivery::BLOCKED), backlog)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn claim_watch(&self, _node: NodeId, _now: Timestamp, _lease_until: Timestamp) -> Result<bool> {
        // The lock on the file makes sure that there is one node.
        Ok(true)
    }
}

fn backlog(row: &Row<'_>) -> rusqlite::Result<HookBacklog> {
    Ok(HookBacklog {
        hook: HookId(row.get("hook")?),
        waiting: row.get("waiting")?,
        oldest_due_at: row.get::<_, Option<i64>>("oldest")?.map(Timestamp::from_micros),
    })
}

fn find(connection: &Connection, ring: &Ring, id: i64) -> Result<Option<RuleWithState>> {
    let sql = format!("SELECT {RULE_COLUMNS} FROM notification_rules r WHERE r.id = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([id], |row| Ok(rule(row, ring)))
        .optional()?
        .transpose()
}

/// Changes a known state. `false` if the known state is not the one before the change.
fn record(connection: &Connection, noticed: &Noticed, now: Timestamp) -> Result<bool> {
    let change = noticed.change;
    let TopicColumns { topic, subject, rule } = TopicColumns::of(change.topic);
    let (before, after) = (topic_state_code(change.before), topic_state_code(change.after));

    let changed = if change.before == TopicState::Usual {
        connection
            .prepare_cached("INSERT OR IGNORE INTO notification_topic_states VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute((topic, subject, rule, after, now.as_micros()))?
    } else if change.after == TopicState::Usual {
        connection
            .prepare_cached(
                "DELETE FROM notification_topic_states
                 WHERE topic = ?1 AND subject = ?2 AND rule_id = ?3 AND topic_state = ?4",
            )?
            .execute((topic, subject, rule, before))?
    } else {
        connection
            .prepare_cached(
                "UPDATE notification_topic_states SET topic_state = ?5, since = ?6
                 WHERE topic = ?1 AND subject = ?2 AND rule_id = ?3 AND topic_state = ?4",
            )?
            .execute((topic, subject, rule, before, after, now.as_micros()))?
    };

    Ok(changed > 0)
}

/// Gives news to a rule. With too much news already, it is only counted.
fn add_news(connection: &Connection, recipient: Recipient, text: &str) -> Result<()> {
    let added = connection
        .prepare_cached(
            "INSERT INTO notification_news (rule_id, due_at, news)
             SELECT r.id, ?2, ?3 FROM notification_rules r
             WHERE r.id = ?1 AND r.active AND (SELECT count(*) FROM notification_news n WHERE n.rule_id = ?1) < ?4",
        )?
        .execute((recipient.rule, recipient.due_at.as_micros(), text, MAX_PENDING))?;
    if added == 0 {
        connection
            .prepare_cached("UPDATE notification_rules SET unlisted = unlisted + 1 WHERE id = ?1 AND active")?
            .execute([recipient.rule])?;
    }

    Ok(())
}

fn add_message(connection: &Connection, rule: i64, message: &SentMessage) -> Result<()> {
    let added = connection
        .prepare_cached(
            "INSERT INTO notification_messages (rule_id, at, news, subject, result, error)
             SELECT id, ?2, ?3, ?4, ?5, ?6 FROM notification_rules WHERE id = ?1",
        )?
        .execute((
            rule,
            message.at.as_micros(),
            message.news,
            &message.subject,
            message.result.code(),
            &message.error,
        ))?;
    if added > 0 {
        connection
            .prepare_cached(
                "DELETE FROM notification_messages WHERE rule_id = ?1 AND id <=
                    (SELECT id FROM notification_messages WHERE rule_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute((rule, MAX_MESSAGES))?;
    }

    Ok(())
}

fn rule(row: &Row<'_>, ring: &Ring) -> Result<RuleWithState> {
    let stored = StoredRule {
        channel: row.get("channel")?,
        target: row.get("target")?,
        digest: row.get("digest")?,
        hour: row.get("hour")?,
        zone: row.get("zone")?,
    };
    let uuid = row.get("uuid")?;

    let rule = Rule {
        id: row.get("id")?,
        uuid,
        scope: columns::scope(row.get("project_id")?, row.get("group_id")?),
        name: row.get("name")?,
        kinds: Kinds::from_bits(row.get("kinds")?),
        target: stored.open_target(&uuid, ring)?,
        digest: stored.digest()?,
        silent_hours: count(row.get("silent_hours")?),
        backlog_above: count(row.get("backlog_above")?),
        active: row.get("active")?,
        created_by: row.get("created_by")?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        updated_at: Timestamp::from_micros(row.get("updated_at")?),
    };
    let time = |at: Option<i64>| at.map(Timestamp::from_micros);

    let state = RuleState {
        failures: count(row.get("failures")?),
        next_attempt_at: Timestamp::from_micros(row.get("next_attempt_at")?),
        last_sent_at: time(row.get("last_sent_at")?),
        last_error: row.get("last_error")?,
        last_error_at: time(row.get("last_error_at")?),
        pending: row.get("pending")?,
        unlisted: row.get("unlisted")?,
    };
    Ok(RuleWithState { rule, state })
}
