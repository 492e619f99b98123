//! The relay: a received event reaches the hooks of its project, its groups and the instance, byte for byte.

use std::collections::HashMap;
use std::path::Path;

use quickdraw_domain::Trigger;
use quickdraw_domain::scope::Scope;
use serde_json::{Value, json};

use crate::gitlab::{GITLAB, SENDER, SIGNING, Sender, push_of, receiver};
use crate::http::{Got, Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const PROJECT: &str = "/api/v4/projects/gear%2Fsoft%2Frope";
const CHAIN: &str = "0190a0b0-0000-4000-8000-00000000c4a1";
const COPY: &str = "0190a0b0-0000-4000-8000-00000000c4a2";

/// A server that has received an event of project 77, and hooks of that project, of its group, and of the instance.
struct Scene {
    server: Server,
    on_project: Sink,
    on_group: Sink,
    on_instance: Sink,
}

impl Scene {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[("QUICKDRAW__SOURCE__INSTANCE", "any")]);
        SENDER.accepted(&server, "Push Hook", "k1", push_of(1));

        let settings = json!({ "other_events": true, "token": "ours", "signing_token": SIGNING });
        let on_project = receiver(&server, "projects/gear%2Fsoft%2Frope/hooks", &settings);
        let on_group = receiver(&server, "groups/gear/hooks", &settings);
        let on_instance = receiver(&server, "hooks", &settings);

        Self {
            server,
            on_project,
            on_group,
            on_instance,
        }
    }

    /// Waits until each receiver has one request, and returns the requests.
    fn relayed(&self) -> [Got; 3] {
        [&self.on_project, &self.on_group, &self.on_instance].map(|sink| {
            // A system hook also gets an event if a test changes the project.
            let relayed = || {
                let mut got = sink.got();
                got.retain(|got| !String::from_utf8_lossy(&got.body).contains("project_update"));
                got
            };
            eventually("the event is relayed", || relayed().len() == 1);
            relayed().remove(0)
        })
    }

    fn name(&self) -> Value {
        self.server.get(PROJECT)["name"].clone()
    }
}

pub(crate) fn the_first_event_of_a_project_creates_it_with_its_groups_and_user(engine: Engine) {
    let scene = Scene::start(&engine);
    let server = &scene.server;

    let project = server.get(PROJECT);
    check_parts(&project, json!({ "name": "Rope é", "default_branch": "main" }));
    assert_eq!(server.get("/api/v4/groups/gear%2Fsoft")["name"], "Gear Ltd");

    eventually("the user of the event exists", || {
        let users = server.get("/api/v4/users?username=ida");
        users.as_array().is_some_and(|users| users.len() == 1)
    });
}

pub(crate) fn an_event_is_relayed_byte_for_byte_with_the_headers_of_gitlab(engine: Engine) {
    let scene = Scene::start(&engine);
    let sender = Sender { chain: CHAIN, ..SENDER };
    sender.accepted(&scene.server, "Push Hook", "k2", push_of(2));

    for got in scene.relayed() {
        assert_eq!(got.body, push_of(2).as_bytes(), "byte for byte");

        let header = |name: &str| got.headers.get(name).map_or("", String::as_str);
        assert_eq!(header("X-Gitlab-Event"), "Push Hook", "also for a system hook");
        assert_eq!(header("X-Gitlab-Instance"), GITLAB);
        assert_eq!(header("X-Gitlab-Event-Uuid"), CHAIN);
        assert_eq!(header("X-Gitlab-Token"), "ours", "the token is the hook's");
        assert!(header("Webhook-Signature").starts_with("v1,"));
        assert_ne!(header("Idempotency-Key"), "k2");
    }
}

pub(crate) fn a_name_that_a_user_has_set_is_kept(engine: Engine) {
    let scene = Scene::start(&engine);
    scene.server.call("PUT", PROJECT, r#"{"name":"Ours"}"#).check(200);

    SENDER.accepted(&scene.server, "Push Hook", "k2", push_of(2));
    scene.relayed();
    assert_eq!(scene.name(), "Ours");
}

pub(crate) fn an_event_with_the_same_key_and_a_copy_for_the_group_are_not_delivered(engine: Engine) {
    let scene = Scene::start(&engine);
    let of_project = Sender { chain: CHAIN, ..SENDER };
    of_project.accepted(&scene.server, "Push Hook", "k2", push_of(2));
    scene.relayed();

    let again = of_project.post(&scene.server, "Push Hook", "k2", push_of(2));
    assert_eq!(again.json()["status"], "duplicate");

    let of_group = Sender { chain: COPY, ..SENDER };
    let copy = of_group.accepted(&scene.server, "Push Hook", "k2-group", push_of(2));
    let copy = scene.server.get(&format!("/api/v1/events/{copy}"));
    assert_eq!(copy["deliveries"], json!([]));

    let skipped = copy["skipped"].as_array().expect("a list");
    assert_eq!(skipped.len(), 3, "{copy}");
    assert!(skipped.iter().all(|skip| skip["reason"] == "duplicate"), "{copy}");
}

pub(crate) fn an_unknown_kind_is_relayed_with_the_header_that_it_had(engine: Engine) {
    let scene = Scene::start(&engine);
    let odd = br#"{"object_kind":"moon_phase","project":{"id":77}}"#;
    SENDER.post(&scene.server, "Moon Hook", "k3", odd).check(200);

    for got in scene.relayed() {
        assert_eq!(got.body, odd);
        assert_eq!(got.headers["X-Gitlab-Event"], "Moon Hook");
    }
}

pub(crate) fn a_project_of_another_instance_with_the_same_path_is_another_project(engine: Engine) {
    let scene = Scene::start(&engine);
    let instance = "https://git.other.example";
    let sender = Sender { instance, ..SENDER };
    sender.post(&scene.server, "Push Hook", "k4", push_of(3)).check(200);
    eventually("the system hook gets the event", || scene.on_instance.got().len() == 1);

    let path = "/api/v4/projects/git.other.example%2Fgear%2Fsoft%2Frope";
    assert_eq!(scene.server.get(path)["name"], "Rope é");
    assert!(scene.on_project.got().is_empty() && scene.on_group.got().is_empty());
}

/// A body of `fixtures/`, and the header with which GitLab sends it.
struct Sample {
    file: String,
    body: Vec<u8>,
    header: &'static str,
}

fn samples() -> Vec<Sample> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gitlab");
    let mut samples = Vec::new();

    for trigger in Trigger::all() {
        let row = trigger.row();
        let Ok(files) = std::fs::read_dir(root.join(row.name)) else {
            continue;
        };

        for file in files {
            let path = file.expect("listed").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if !name.starts_with("sample") {
                continue;
            }

            samples.push(Sample {
                file: format!("{}/{name}", row.name),
                body: std::fs::read(&path).expect("it exists"),
                header: row.header,
            });
        }
    }

    assert!(samples.len() >= 70, "{} samples", samples.len());
    samples
}

/// A system hook with all its triggers.
fn make_hook_for_all(server: &Server, sink: &Sink) {
    let document = server.get("/api/v1/openapi.json");
    let triggers = document["components"]["schemas"]["HookTriggers"]["properties"].clone();
    let mut body = json!({ "url": sink.url() });

    for (name, about) in triggers.as_object().expect("triggers") {
        let levels = about["description"].as_str().unwrap_or_default();
        if levels.contains("system") {
            body[name] = json!(true);
        }
    }

    server.create("/api/v4/hooks", &body);
}

/// Posts a sample three times, and returns the number of its deliveries.
fn relay(server: &Server, sample: &Sample) -> usize {
    let mut id = SENDER.accepted(server, sample.header, &sample.file, &sample.body);
    for _ in 0..2 {
        let again = SENDER.post(server, sample.header, &sample.file, &sample.body);
        let again = again.check(200).json();
        assert_eq!(again["status"], "duplicate", "{}", sample.file);
        id = again["job_id"].as_str().expect("an id").to_owned();
    }

    let event = server.get(&format!("/api/v1/events/{id}"));
    let trigger = event["trigger"].as_str().unwrap_or_default();
    assert_ne!(trigger, "unknown", "{} is not recognised", sample.file);

    // A system hook gets all its kinds, independent of their place.
    let trigger = Trigger::by_name(trigger).expect("a trigger");
    let expected = usize::from(trigger.row().levels.contain(Scope::Instance));
    let deliveries = event["deliveries"].as_array().map_or(0, Vec::len);
    assert_eq!(deliveries, expected, "{event}");

    deliveries
}

pub(crate) fn every_sample_is_relayed_once_and_unchanged(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__SOURCE__DEDUPLICATE", "false")]);
    let sink = Sink::start(|_| Some(200));
    make_hook_for_all(&server, &sink);

    let samples = samples();
    let mut expected: HashMap<Vec<u8>, usize> = HashMap::new();

    for sample in &samples {
        *expected.entry(sample.body.clone()).or_default() += relay(&server, sample);
    }

    expected.retain(|_, count| *count > 0);

    let total: usize = expected.values().sum();
    assert!(total * 4 >= samples.len(), "system hooks get {total} kinds");
    eventually("all samples are relayed", || sink.got().len() >= total);

    let mut got: HashMap<Vec<u8>, usize> = HashMap::new();
    for one in sink.got() {
        *got.entry(one.body).or_default() += 1;
    }

    assert_eq!(got, expected, "no byte of a body was changed");
}
