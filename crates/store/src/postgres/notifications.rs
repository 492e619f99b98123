//! Notifications in PostgreSQL.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use quickdraw_domain::notification::schedule::{MAX_MESSAGES, MAX_PENDING};
use quickdraw_domain::notification::topic_state::TopicState;
use quickdraw_domain::notification::{Kinds, Rule};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{HookId, NodeId, Timestamp};
use tokio_postgres::Row;

use super::{Postgres, scalar};
use crate::columns;
use crate::error::{Error, Result};
use crate::notifications::{
    DueMessage, HookBacklog, KnownTopicState, MESSAGE_COLUMNS, MessageEnd, Noticed, Notifications, RULE_COLUMNS,
    Recipient, RuleState, RuleWithState, SendResult, SentMessage, StoredRule, TopicColumns, count, news_text,
    topic_state_code, topic_state_of_code,
};
use crate::seal::Ring;

#[async_trait]
impl Notifications for Postgres {
    async fn create_notification_rule(&self, rule: Rule, most: i64) -> Result<RuleWithState> {
        let stored = StoredRule::seal(&rule, &self.ring)?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        lock_scope(&transaction, rule.scope).await?;

        let (project, group) = columns::scope_columns(rule.scope);
        let (here, owner) = columns::in_scope(rule.scope, "r", '$');
        let sql = format!("SELECT count(*) FROM notification_rules r WHERE {here}");
        let there: i64 = scalar(&transaction.query_one(&sql, &[&owner]).await?);
        if there >= most {
            return Err(Error::Full(most));
        }

        let row = transaction
            .query_one(
                "INSERT INTO notification_rules (uuid, project_id, group_id, name, kinds, channel, target, digest,
                    hour, zone, silent_hours, backlog_above, active, created_by, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15) RETURNING id",
                &[
                    &rule.uuid,
                    &project,
                    &group,
                    &rule.name,
                    &rule.kinds.bits(),
                    &stored.channel,
                    &stored.target,
                    &stored.digest,
                    &stored.hour,
                    &stored.zone,
                    &i64::from(rule.silent_hours),
                    &i64::from(rule.backlog_above),
                    &rule.active,
                    &rule.created_by,
                    &rule.created_at.as_micros(),
                ],
            )
            .await?;
        let rule = Rule {
            id: scalar(&row),
            ..rule
        };
        transaction.commit().await?;

        Ok(RuleWithState {
            rule,
            state: RuleState::default(),
        })
    }

    async fn update_notification_rule(&self, rule: Rule, unchanged_since: Timestamp) -> Result<Option<RuleWithState>> {
        let stored = StoredRule::seal(&rule, &self.ring)?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        let changed = transaction
            .execute(
                "UPDATE notification_rules SET name = $3, kinds = $4, channel = $5, target = $6, digest = $7,
                    hour = $8, zone = $9, silent_hours = $10, backlog_above = $11, active = $12, updated_at = $13,
                    failures = 0, next_attempt_at = 0, last_error = NULL, last_error_at = NULL,
                    unlisted = CASE WHEN $12 THEN unlisted ELSE 0 END
                 WHERE id = $1 AND updated_at = $2",
                &[
                    &rule.id,
                    &unchanged_since.as_micros(),
                    &rule.name,
                    &rule.kinds.bits(),
                    &stored.channel,
                    &stored.target,
                    &stored.digest,
                    &stored.hour,
                    &stored.zone,
                    &i64::from(rule.silent_hours),
                    &i64::from(rule.backlog_above),
                    &rule.active,
                    &rule.updated_at.as_micros(),
                ],
            )
            .await?;
        if changed == 0 {
            return Ok(None);
        }

        if !rule.active {
            let sql = "DELETE FROM notification_news WHERE rule_id = $1";
            transaction.execute(sql, &[&rule.id]).await?;
        }

        transaction.commit().await?;
        drop(client);

        self.find_notification_rule(rule.id).await
    }

    async fn find_notification_rule(&self, id: i64) -> Result<Option<RuleWithState>> {
        let sql = format!("SELECT {RULE_COLUMNS} FROM notification_rules r WHERE r.id = $1");
        let row = self.client().await?.query_opt(&sql, &[&id]).await?;
        row.map(|row| rule(&row, &self.ring)).transpose()
    }

    async fn list_notification_rules(&self, scope: Scope, before: i64, limit: usize) -> Result<Vec<RuleWithState>> {
        let (here, owner) = columns::in_scope(scope, "r", '$');
        let sql = format!(
            "SELECT {RULE_COLUMNS} FROM notification_rules r WHERE {here} AND r.id < $2 ORDER BY r.id DESC LIMIT $3"
        );
        let client = self.client().await?;
        let rows = client.query(&sql, &[&owner, &before, &columns::limit(limit)]).await?;
        rows.iter().map(|row| rule(row, &self.ring)).collect()
    }

    async fn delete_notification_rule(&self, id: i64) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let gone = transaction
            .execute("DELETE FROM notification_rules WHERE id = $1", &[&id])
            .await?;
        transaction
            .execute("DELETE FROM notification_topic_states WHERE rule_id = $1", &[&id])
            .await?;
        transaction.commit().await?;

        Ok(gone > 0)
    }

    async fn active_notification_rules(&self, kinds: Kinds) -> Result<Vec<Rule>> {
        let sql = format!(
            "SELECT {RULE_COLUMNS} FROM notification_rules r WHERE r.active AND (r.kinds & $1) <> 0 ORDER BY r.id"
        );
        let rows = self.client().await?.query(&sql, &[&kinds.bits()]).await?;
        rows.iter().map(|row| Ok(rule(row, &self.ring)?.rule)).collect()
    }

    async fn known_topic_states(&self) -> Result<Vec<KnownTopicState>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT topic, subject, rule_id, topic_state, since FROM notification_topic_states")
            .await?;
        let rows = client.query(&statement, &[]).await?;

        let known = |row: &Row| KnownTopicState {
            topic: TopicColumns {
                topic: row.get("topic"),
                subject: row.get("subject"),
                rule: row.get("rule_id"),
            }
            .read(),
            topic_state: topic_state_of_code(row.get("topic_state")),
            since: Timestamp::from_micros(row.get("since")),
        };
        Ok(rows.iter().map(known).collect())
    }

    async fn record_topic_states(&self, noticed: Vec<Noticed>, now: Timestamp) -> Result<usize> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let mut recorded = 0;

        for one in &noticed {
            if !record(&transaction, one, now).await? {
                continue;
            }

            recorded += 1;

            let Some(news) = &one.news else { continue };
            let text = news_text(news)?;
            for recipient in &one.recipients {
                add_news(&transaction, *recipient, &text).await?;
            }
        }

        transaction.commit().await?;
        Ok(recorded)
    }

    async fn due_messages(&self, now: Timestamp, limit: usize) -> Result<Vec<DueMessage>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {RULE_COLUMNS} FROM notification_rules r
             WHERE r.id IN (SELECT rule_id FROM notification_news WHERE due_at <= $1) AND r.active
                AND r.next_attempt_at <= $1
             ORDER BY r.next_attempt_at, r.id LIMIT $2"
        );
        let statement = client.prepare_cached(&sql).await?;
        let rules = client
            .query(&statement, &[&now.as_micros(), &columns::limit(limit)])
            .await?;

        let mut due = Vec::new();
        for row in &rules {
            let mut message = DueMessage::new(rule(row, &self.ring)?);
            let statement = client
                .prepare_cached(
                    "SELECT id, news FROM notification_news WHERE rule_id = $1 AND due_at <= $2 ORDER BY id",
                )
                .await?;

            for row in client.query(&statement, &[&message.rule.id, &now.as_micros()]).await? {
                message.add(row.get("id"), row.get("news"));
            }

            due.push(message);
        }

        Ok(due)
    }

    async fn end_message(&self, end: MessageEnd) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let at = end.message.at.as_micros();

        if end.message.result != SendResult::Failed {
            let sql = "DELETE FROM notification_news WHERE rule_id = $1 AND id <= $2 AND due_at <= $3";
            transaction.execute(sql, &[&end.rule, &end.last, &at]).await?;
        }

        let sql = match end.message.result {
            SendResult::Sent => {
                "UPDATE notification_rules SET failures = 0, next_attempt_at = $2, last_sent_at = $3,
                    last_error = $4, last_error_at = CASE WHEN $4::text IS NULL THEN NULL ELSE $3::bigint END,
                    unlisted = 0
                 WHERE id = $1"
            }
            SendResult::Failed => {
                "UPDATE notification_rules SET failures = failures + 1, next_attempt_at = $2, last_error = $4,
                    last_error_at = $3 WHERE id = $1"
            }
            SendResult::GivenUp => {
                "UPDATE notification_rules SET failures = 0, next_attempt_at = $2, last_error = $4,
                    last_error_at = $3, unlisted = 0 WHERE id = $1"
            }
        };
        let changed = transaction
            .execute(
                sql,
                &[&end.rule, &end.next_attempt_at.as_micros(), &at, &end.message.error],
            )
            .await?;
        if changed > 0 {
            add_message(&transaction, end.rule, &end.message).await?;
        }

        transaction.commit().await?;
        Ok(())
    }

    async fn add_message(&self, rule: i64, message: SentMessage) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        add_message(&transaction, rule, &message).await?;
        transaction.commit().await?;

        Ok(())
    }

    async fn list_messages(&self, rule: i64, before: i64, limit: usize) -> Result<Vec<SentMessage>> {
        let sql = format!(
            "SELECT {MESSAGE_COLUMNS} FROM notification_messages WHERE rule_id = $1 AND id < $2
                 ORDER BY id DESC LIMIT $3"
        );
        let client = self.client().await?;
        let rows = client.query(&sql, &[&rule, &before, &columns::limit(limit)]).await?;

        let message = |row: &Row| SentMessage {
            id: row.get("id"),
            at: Timestamp::from_micros(row.get("at")),
            news: row.get("news"),
            subject: row.get("subject"),
            result: SendResult::from_code(row.get("result")),
            error: row.get("error"),
        };
        Ok(rows.iter().map(message).collect())
    }

    async fn hook_backlogs(&self, above: i64, bound: i64) -> Result<Vec<HookBacklog>> {
        let client = self.client().await?;
        // From hook to hook in the index of what is owed, as for the backlog of the instance.
        let statement = client
            .prepare_cached(
                "WITH RECURSIVE walk (state, hook) AS (
                    VALUES (0::smallint, 0::bigint), (1::smallint, 0::bigint)
                    UNION ALL
                    SELECT w.state, (SELECT min(d.hook_id) FROM deliveries d
                        WHERE d.state = w.state AND d.state < 2 AND d.leased_until IS NULL AND d.hook_id > w.hook)
                    FROM walk w WHERE w.hook IS NOT NULL),
                 counted AS (
                    SELECT w.hook,
                        (SELECT count(*) FROM (SELECT 1 FROM deliveries d WHERE d.state = w.state AND d.state < 2
                            AND d.leased_until IS NULL AND d.hook_id = w.hook LIMIT $2) l) AS waiting,
                        (SELECT min(d.due_at) FROM deliveries d WHERE d.state = w.state AND d.state < 2
                            AND d.leased_until IS NULL AND d.hook_id = w.hook AND d.due_at < $3) AS oldest
                    FROM walk w WHERE w.hook > 0)
                 SELECT hook, sum(waiting)::bigint AS waiting, min(oldest) AS oldest
                 FROM counted GROUP BY hook HAVING sum(waiting) > $1::bigint",
            )
            .await?;
        let blocked = quickdraw_domain::delivery::BLOCKED;
        let rows = client.query(&statement, &[&above, &bound, &blocked]).await?;

        let backlog = |row: &Row| HookBacklog {
            hook: HookId(row.get("hook")),
            waiting: row.get("waiting"),
            oldest_due_at: row.get::<_, Option<i64>>("oldest").map(Timestamp::from_micros),
        };
        Ok(rows.iter().map(backlog).collect())
    }

    async fn claim_watch(&self, node: NodeId, now: Timestamp, lease_until: Timestamp) -> Result<bool> {
        let client = self.client().await?;
        // A lease that ends long after ours would was taken by a clock that was wrong.
        let statement = client
            .prepare_cached(
                "INSERT INTO notification_watch VALUES (true, $1, $3)
                 ON CONFLICT (one) DO UPDATE SET node = $1, lease_until = $3
                 WHERE notification_watch.node = $1 OR notification_watch.lease_until <= $2
                    OR notification_watch.lease_until > 2 * $3::bigint - $2::bigint",
            )
            .await?;
        let claimed = client
            .execute(&statement, &[&node.0, &now.as_micros(), &lease_until.as_micros()])
            .await?;
        Ok(claimed > 0)
    }
}

/// Makes sure that the owner of a new rule is there. The lock also makes those who count its rules take turns.
async fn lock_scope(transaction: &Transaction<'_>, scope: Scope) -> Result<()> {
    let (sql, id, what) = match scope {
        Scope::Instance => return Ok(()),
        Scope::Group(id) => ("SELECT 1 FROM groups WHERE id = $1 FOR UPDATE", id.0, "group"),
        Scope::Project(id) => ("SELECT 1 FROM projects WHERE id = $1 FOR UPDATE", id.0, "project"),
    };

    let there = transaction.query_opt(sql, &[&id]).await?;
    there.map(drop).ok_or(Error::Missing(what))
}

/// Changes a known state. `false` if the known state is not the one before the change.
async fn record(transaction: &Transaction<'_>, noticed: &Noticed, now: Timestamp) -> Result<bool> {
    let change = noticed.change;
    let TopicColumns { topic, subject, rule } = TopicColumns::of(change.topic);
    let (before, after) = (topic_state_code(change.before), topic_state_code(change.after));
    let now = now.as_micros();

    let changed = if change.before == TopicState::Usual {
        let sql = "INSERT INTO notification_topic_states VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        transaction
            .execute(sql, &[&topic, &subject, &rule, &after, &now])
            .await?
    } else if change.after == TopicState::Usual {
        let sql = "DELETE FROM notification_topic_states
            WHERE topic = $1 AND subject = $2 AND rule_id = $3 AND topic_state = $4";
        transaction.execute(sql, &[&topic, &subject, &rule, &before]).await?
    } else {
        let sql = "UPDATE notification_topic_states SET topic_state = $5, since = $6
            WHERE topic = $1 AND subject = $2 AND rule_id = $3 AND topic_state = $4";
        transaction
            .execute(sql, &[&topic, &subject, &rule, &before, &after, &now])
            .await?
    };

    Ok(changed > 0)
}

/// Gives news to a rule. With too much news already, it is only counted.
async fn add_news(transaction: &Transaction<'_>, recipient: Recipient, text: &str) -> Result<()> {
    let added = transaction
        .execute(
            "INSERT INTO notification_news (rule_id, due_at, news)
             SELECT r.id, $2::bigint, $3::text FROM notification_rules r
             WHERE r.id = $1 AND r.active AND (SELECT count(*) FROM notification_news n WHERE n.rule_id = $1) < $4",
            &[&recipient.rule, &recipient.due_at.as_micros(), &text, &MAX_PENDING],
        )
        .await?;
    if added == 0 {
        let sql = "UPDATE notification_rules SET unlisted = unlisted + 1 WHERE id = $1 AND active";
        transaction.execute(sql, &[&recipient.rule]).await?;
    }

    Ok(())
}

async fn add_message(transaction: &Transaction<'_>, rule: i64, message: &SentMessage) -> Result<()> {
    let added = transaction
        .execute(
            "INSERT INTO notification_messages (rule_id, at, news, subject, result, error)
             SELECT id, $2::bigint, $3::bigint, $4::text, $5::smallint, $6::text FROM notification_rules WHERE id = $1",
            &[
                &rule,
                &message.at.as_micros(),
                &message.news,
                &message.subject,
                &message.result.code(),
                &message.error,
            ],
        )
        .await?;
    if added > 0 {
        let sql = "DELETE FROM notification_messages WHERE rule_id = $1 AND id <=
            (SELECT id FROM notification_messages WHERE rule_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
        transaction.execute(sql, &[&rule, &MAX_MESSAGES]).await?;
    }

    Ok(())
}

fn rule(row: &Row, ring: &Ring) -> Result<RuleWithState> {
    let stored = StoredRule {
        channel: row.get("channel"),
        target: row.get("target"),
        digest: row.get("digest"),
        hour: row.get("hour"),
        zone: row.get("zone"),
    };
    let uuid = row.get("uuid");

    let rule = Rule {
        id: row.get("id"),
        uuid,
        scope: columns::scope(row.get("project_id"), row.get("group_id")),
        name: row.get("name"),
        kinds: Kinds::from_bits(row.get("kinds")),
        target: stored.open_target(&uuid, ring)?,
        digest: stored.digest()?,
        silent_hours: count(row.get("silent_hours")),
        backlog_above: count(row.get("backlog_above")),
        active: row.get("active"),
        created_by: row.get("created_by"),
        created_at: Timestamp::from_micros(row.get("created_at")),
        updated_at: Timestamp::from_micros(row.get("updated_at")),
    };
    let time = |name: &str| row.get::<_, Option<i64>>(name).map(Timestamp::from_micros);

    let state = RuleState {
        failures: count(row.get("failures")),
        next_attempt_at: Timestamp::from_micros(row.get("next_attempt_at")),
        last_sent_at: time("last_sent_at"),
        last_error: row.get("last_error"),
        last_error_at: time("last_error_at"),
        pending: row.get("pending"),
        unlisted: row.get("unlisted"),
    };
    Ok(RuleWithState { rule, state })
}
