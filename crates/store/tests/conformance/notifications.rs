//! Checks of notifications: rules, states, news and messages.

use std::time::Duration;

use quickdraw_domain::hook::HookUrl;
use quickdraw_domain::notification::news::{News, What};
use quickdraw_domain::notification::schedule::{DailyTime, MAX_MESSAGES, MAX_PENDING};
use quickdraw_domain::notification::topic_state::{Change, Topic, TopicState};
use quickdraw_domain::notification::{Chat, Digest, Kind, MailAddress, Rule, Target};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{HookId, NodeId, Timestamp};
use quickdraw_store::Error;
use quickdraw_store::notifications::{
    DueMessage, MessageEnd, Noticed, Recipient, RuleState, RuleWithState, SendResult, SentMessage,
};
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at};

const HOOK: Topic = Topic::Hook(HookId(7));

fn rule(scope: Scope) -> Rule {
    Rule {
        id: 0,
        uuid: Uuid::new_v4(),
        scope,
        name: "on call".to_owned(),
        kinds: [Kind::HookFailing, Kind::HookDisabled].into_iter().collect(),
        target: Target::Mail(vec![
            MailAddress::parse("canary@example.com").expect("an address"),
            MailAddress::parse("ida@example.com").expect("an address"),
        ]),
        digest: Digest::AtOnce,
        silent_hours: 24,
        backlog_above: 1000,
        active: true,
        created_by: "ida".to_owned(),
        created_at: NOON,
        updated_at: NOON,
    }
}

async fn create(fixture: &Fixture, rule: Rule) -> Rule {
    let made = fixture.store.create_notification_rule(rule, 50).await.expect("made");
    assert_eq!(made.state, RuleState::default());
    made.rule
}

async fn find(fixture: &Fixture, id: i64) -> Option<RuleWithState> {
    fixture.store.find_notification_rule(id).await.expect("read")
}

async fn state(fixture: &Fixture, id: i64) -> RuleState {
    find(fixture, id).await.expect("it is there").state
}

fn news(seconds: i64) -> News {
    News {
        at: Timestamp::from_seconds(seconds),
        what: What::SilentModeOn,
    }
}

/// A change of the hook that one rule sends at a time.
fn noticed(before: TopicState, after: TopicState, rule: i64, due_at: Timestamp) -> Noticed {
    Noticed {
        change: Change {
            topic: HOOK,
            before,
            after,
        },
        news: Some(news(1)),
        recipients: vec![Recipient { rule, due_at }],
    }
}

async fn record(fixture: &Fixture, noticed: Vec<Noticed>) -> usize {
    fixture
        .store
        .record_topic_states(noticed, NOON)
        .await
        .expect("recorded")
}

async fn due(fixture: &Fixture, now: Timestamp) -> Vec<DueMessage> {
    fixture.store.due_messages(now, 10).await.expect("read")
}

fn message(result: SendResult, at: Timestamp) -> SentMessage {
    SentMessage {
        id: 0,
        at,
        news: 1,
        subject: "a subject".to_owned(),
        result,
        error: (result != SendResult::Sent).then(|| "no answer".to_owned()),
    }
}

async fn end(fixture: &Fixture, due: &DueMessage, result: SendResult, now: Timestamp) {
    let end = MessageEnd {
        rule: due.rule.id,
        last: due.last,
        message: message(result, now),
        next_attempt_at: now.plus(Duration::from_secs(10)),
    };
    fixture.store.end_message(end).await.expect("recorded");
}

pub(crate) async fn a_rule_comes_back_with_its_target(fixture: Fixture) {
    let project = fixture.project("p").await;
    let url = HookUrl::parse("https://hooks.example.com/services/canary").expect("a URL");
    let made = create(
        &fixture,
        Rule {
            target: Target::Chat(Chat::Mattermost, url),
            digest: Digest::Daily(DailyTime::new(8, "Europe/Berlin").expect("a time")),
            ..rule(Scope::Project(project))
        },
    )
    .await;

    let found = find(&fixture, made.id).await.expect("it is there").rule;
    assert_eq!(
        (found.scope, &*found.name, found.kinds),
        (made.scope, "on call", made.kinds)
    );
    assert_eq!(found.digest, made.digest);
    assert!(found.target == made.target, "the target is unchanged");
    assert!(find(&fixture, made.id + 1).await.is_none());
}

pub(crate) async fn rules_are_listed_by_scope_and_limited(fixture: Fixture) {
    let project = Scope::Project(fixture.project("p").await);
    let first = create(&fixture, rule(project)).await;
    let second = create(&fixture, rule(project)).await;
    create(&fixture, rule(Scope::Instance)).await;

    let list = async |before, limit| {
        let found = fixture.store.list_notification_rules(project, before, limit).await;
        found.expect("read").iter().map(|one| one.rule.id).collect::<Vec<_>>()
    };
    assert_eq!(list(i64::MAX, 10).await, [second.id, first.id]);
    assert_eq!(list(second.id, 10).await, [first.id]);
    assert_eq!(list(i64::MAX, 1).await, [second.id]);

    let third = fixture.store.create_notification_rule(rule(project), 2).await;
    assert!(matches!(third.err(), Some(Error::Full(2))));

    let nowhere = rule(Scope::Project(quickdraw_domain::ProjectId(99)));
    let made = fixture.store.create_notification_rule(nowhere, 50).await;
    assert!(matches!(made.err(), Some(Error::Missing("project"))));
}

pub(crate) async fn a_rule_changes_only_from_its_current_version(fixture: Fixture) {
    let made = create(&fixture, rule(Scope::Instance)).await;
    let changed = Rule {
        name: "nights".to_owned(),
        updated_at: at(1),
        ..made.clone()
    };

    let update = async |rule: &Rule, since| {
        let updated = fixture.store.update_notification_rule(rule.clone(), since).await;
        updated.expect("asked").map(|one| one.rule.name)
    };
    assert_eq!(update(&changed, NOON).await.as_deref(), Some("nights"));
    assert_eq!(update(&made, NOON).await, None, "it has changed since");

    assert!(fixture.store.delete_notification_rule(made.id).await.expect("deleted"));
    assert!(!fixture.store.delete_notification_rule(made.id).await.expect("asked"));
}

pub(crate) async fn active_rules_are_found_by_their_kinds(fixture: Fixture) {
    let project = Scope::Project(fixture.project("p").await);
    let failing = create(&fixture, rule(project)).await;
    create(
        &fixture,
        Rule {
            active: false,
            ..rule(project)
        },
    )
    .await;
    let silent = create(
        &fixture,
        Rule {
            kinds: [Kind::SilentMode].into_iter().collect(),
            ..rule(Scope::Instance)
        },
    )
    .await;

    let active = async |kinds: &[Kind]| {
        let found = fixture
            .store
            .active_notification_rules(kinds.iter().copied().collect())
            .await;
        found.expect("read").iter().map(|rule| rule.id).collect::<Vec<_>>()
    };
    assert_eq!(active(&[Kind::HookFailing]).await, [failing.id]);
    assert_eq!(
        active(&[Kind::HookDisabled, Kind::SilentMode]).await,
        [failing.id, silent.id]
    );
    assert_eq!(active(&[Kind::HookBacklog]).await, Vec::<i64>::new());
}

pub(crate) async fn a_change_of_a_topic_state_is_news_once(fixture: Fixture) {
    let rule = create(&fixture, rule(Scope::Instance)).await.id;
    let failing = || noticed(TopicState::Usual, TopicState::Failing, rule, NOON);

    assert_eq!(record(&fixture, vec![failing()]).await, 1);
    assert_eq!(record(&fixture, vec![failing()]).await, 0, "another node was faster");
    assert_eq!(state(&fixture, rule).await.pending, 1);

    let known = fixture.store.known_topic_states().await.expect("read");
    assert_eq!(known.len(), 1);
    assert_eq!(
        (known[0].topic, known[0].topic_state, known[0].since),
        (HOOK, TopicState::Failing, NOON)
    );

    let disabled = || noticed(TopicState::Failing, TopicState::Disabled, rule, NOON);
    let enabled = || noticed(TopicState::Disabled, TopicState::Usual, rule, NOON);
    assert_eq!(record(&fixture, vec![disabled(), enabled()]).await, 2);
    assert_eq!(record(&fixture, vec![disabled(), enabled()]).await, 0);

    assert_eq!(fixture.store.known_topic_states().await.expect("read"), []);
    assert_eq!(state(&fixture, rule).await.pending, 3);
}

pub(crate) async fn every_topic_is_known_again(fixture: Fixture) {
    let source = quickdraw_domain::SourceId(1);
    let topics = [
        Topic::Hook(HookId(1)),
        Topic::Backlog {
            hook: HookId(1),
            rule: 2,
        },
        Topic::Source { source, rule: 3 },
        Topic::SilentMode,
    ];

    let mut changes = Vec::new();
    for topic in topics {
        changes.push(Noticed {
            change: Change {
                topic,
                before: TopicState::Usual,
                after: TopicState::Raised,
            },
            news: None,
            recipients: Vec::new(),
        });
    }
    assert_eq!(record(&fixture, changes).await, 4);

    let known = fixture.store.known_topic_states().await.expect("read");
    let known: Vec<Topic> = known.iter().map(|one| one.topic).collect();
    assert!(topics.iter().all(|topic| known.contains(topic)), "{known:?}");
}

pub(crate) async fn news_is_due_at_its_time_and_after_a_pause(fixture: Fixture) {
    let rule = create(&fixture, rule(Scope::Instance)).await.id;
    record(
        &fixture,
        vec![noticed(TopicState::Usual, TopicState::Failing, rule, at(60))],
    )
    .await;
    assert!(due(&fixture, at(59)).await.is_empty());

    let message = due(&fixture, at(60)).await.remove(0);
    assert_eq!((message.rule.id, &*message.news), (rule, &[news(1)][..]));

    end(&fixture, &message, SendResult::Failed, at(60)).await;
    assert!(due(&fixture, at(69)).await.is_empty(), "it waits for the pause");
    assert_eq!(due(&fixture, at(70)).await.len(), 1);

    let shown = state(&fixture, rule).await;
    assert_eq!((shown.failures, shown.pending), (1, 1));
    assert_eq!(shown.last_error.as_deref(), Some("no answer"));
}

pub(crate) async fn a_sent_message_takes_its_news_along(fixture: Fixture) {
    let rule = create(&fixture, rule(Scope::Instance)).await.id;
    record(
        &fixture,
        vec![noticed(TopicState::Usual, TopicState::Failing, rule, NOON)],
    )
    .await;
    let message = due(&fixture, NOON).await.remove(0);

    // This news came while the message was on its way.
    record(
        &fixture,
        vec![noticed(TopicState::Failing, TopicState::Usual, rule, NOON)],
    )
    .await;
    end(&fixture, &message, SendResult::Sent, NOON).await;

    let shown = state(&fixture, rule).await;
    assert_eq!((shown.failures, shown.pending, shown.last_error), (0, 1, None));
    assert_eq!((shown.last_sent_at, shown.next_attempt_at), (Some(NOON), at(10)));
    assert_eq!(due(&fixture, at(10)).await.len(), 1);
}

pub(crate) async fn a_message_that_is_given_up_takes_its_news_along(fixture: Fixture) {
    let rule = create(&fixture, rule(Scope::Instance)).await.id;
    record(
        &fixture,
        vec![noticed(TopicState::Usual, TopicState::Failing, rule, NOON)],
    )
    .await;
    let message = due(&fixture, NOON).await.remove(0);
    end(&fixture, &message, SendResult::GivenUp, NOON).await;

    let shown = state(&fixture, rule).await;
    assert_eq!((shown.failures, shown.pending, shown.last_sent_at), (0, 0, None));
    assert!(shown.last_error.is_some() && shown.last_error_at == Some(NOON));
}

pub(crate) async fn too_much_news_is_only_counted(fixture: Fixture) {
    let rule = create(&fixture, rule(Scope::Instance)).await.id;
    let mut changes = Vec::new();
    for number in 0..MAX_PENDING + 3 {
        changes.push(Noticed {
            change: Change {
                topic: Topic::Hook(HookId(number)),
                before: TopicState::Usual,
                after: TopicState::Failing,
            },
            news: Some(news(number)),
            recipients: vec![Recipient { rule, due_at: NOON }],
        });
    }
    record(&fixture, changes).await;

    let shown = state(&fixture, rule).await;
    assert_eq!((shown.pending, shown.unlisted), (MAX_PENDING, 3));

    let message = due(&fixture, NOON).await.remove(0);
    assert_eq!(message.state.unlisted, 3);
    end(&fixture, &message, SendResult::Sent, NOON).await;
    assert_eq!(state(&fixture, rule).await.unlisted, 0);
}

pub(crate) async fn a_rule_that_is_not_active_gets_no_news(fixture: Fixture) {
    let made = create(&fixture, rule(Scope::Instance)).await;
    record(
        &fixture,
        vec![noticed(TopicState::Usual, TopicState::Failing, made.id, NOON)],
    )
    .await;

    let quiet = Rule {
        active: false,
        updated_at: at(1),
        ..made
    };
    let id = quiet.id;
    fixture
        .store
        .update_notification_rule(quiet, NOON)
        .await
        .expect("asked");
    assert_eq!(state(&fixture, id).await.pending, 0);

    record(
        &fixture,
        vec![noticed(TopicState::Failing, TopicState::Usual, id, NOON)],
    )
    .await;
    let shown = state(&fixture, id).await;
    assert_eq!((shown.pending, shown.unlisted), (0, 0));
    assert!(due(&fixture, at(99)).await.is_empty());
}

pub(crate) async fn the_last_messages_of_a_rule_are_kept(fixture: Fixture) {
    let rule = create(&fixture, rule(Scope::Instance)).await.id;
    for number in 0..MAX_MESSAGES + 5 {
        let number = u64::try_from(number).expect("positive");
        let sent = message(SendResult::Sent, at(number));
        fixture.store.add_message(rule, sent).await.expect("added");
    }

    let kept = fixture.store.list_messages(rule, i64::MAX, 100).await.expect("read");
    assert_eq!(i64::try_from(kept.len()).expect("few"), MAX_MESSAGES);
    assert_eq!(
        (kept[0].at, kept[0].result, &*kept[0].subject),
        (at(54), SendResult::Sent, "a subject")
    );

    fixture
        .store
        .add_message(rule + 1, message(SendResult::Sent, NOON))
        .await
        .expect("nothing is added for a rule that is gone");
    assert_eq!(
        fixture
            .store
            .list_messages(rule + 1, i64::MAX, 100)
            .await
            .expect("read"),
        []
    );
}

pub(crate) async fn large_backlogs_are_counted_up_to_a_bound(fixture: Fixture) {
    let project = fixture.project("p").await;
    let (large, small) = (fixture.hook(project).await, fixture.hook(project).await);
    for number in 0..5 {
        fixture.owe(&[large], at(number)).await;
    }
    fixture.owe(&[small], NOON).await;

    let backlogs = async |above, bound| fixture.store.hook_backlogs(above, bound).await.expect("counted");
    let found = backlogs(1, 100).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].hook, found[0].waiting), (large, 5));
    assert_eq!(found[0].oldest_due_at, Some(NOON));

    assert_eq!(backlogs(1, 3).await[0].waiting, 3);
    assert_eq!(backlogs(5, 100).await, []);
    assert_eq!(backlogs(0, 100).await.len(), 2);
}

pub(crate) async fn one_node_watches_at_a_time(fixture: Fixture) {
    let [one, other] = [1, 2].map(|number| NodeId(Uuid::from_u128(number)));
    let claim = async |node, now: Timestamp| {
        let lease_until = now.plus(Duration::from_secs(30));
        fixture.store.claim_watch(node, now, lease_until).await.expect("asked")
    };

    assert!(claim(one, NOON).await);
    assert!(claim(one, at(5)).await, "a node renews its lease");

    // A second process cannot open a database of SQLite.
    assert_eq!(claim(other, at(34)).await, fixture.is_sqlite());
    assert!(claim(other, at(35)).await, "the lease has lapsed");

    fixture.store.node_stopped(other).await.expect("stopped");
    assert!(claim(one, at(36)).await, "a node that stops gives its lease back");
}
