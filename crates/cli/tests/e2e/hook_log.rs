//! The log of a hook: its entries, their filters, and the resending of a request.

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::health::Rejected;
use crate::http::{Reply, eventually};
use crate::server::Engine;

/// A disabled hook with secrets, and the log of its four rejected requests.
struct Logged {
    rejected: Rejected,
    log: Value,
}

impl Logged {
    fn start(engine: &Engine) -> Self {
        let secrets = r#","token":"canary-token","custom_headers":{"X-Key":"canary-header"}"#;
        let rejected = Rejected::start(engine, &[], secrets);
        rejected.disable();

        let log = rejected.server.get(&format!("{}/events", rejected.path));
        assert_eq!(items(&log).len(), 4, "{log}");

        Self { rejected, log }
    }

    /// Starts like `start`, repairs the receiver and re-enables the hook.
    fn start_repaired(engine: &Engine) -> Self {
        let logged = Self::start(engine);
        logged.rejected.repair();
        logged.rejected.test();

        logged
    }

    /// Resends the first request of the log.
    fn resend(&self) -> Reply {
        self.call("POST", &format!("/events/{}/resend", self.log[3]["id"]), "{}")
    }

    fn call(&self, method: &str, below: &str, body: &str) -> Reply {
        let path = format!("{}{below}", self.rejected.path);
        self.rejected.server.call(method, &path, body)
    }

    fn count(&self, filter: &str) -> usize {
        let log = self.call("GET", &format!("/events?{filter}"), "");
        items(&log.checked(200).json()).len()
    }
}

pub(crate) fn the_log_of_a_hook_shows_requests_without_secrets(engine: Engine) {
    let logged = Logged::start(&engine);
    let expected = json!({
        "response_status": "404",
        "trigger": "push_hooks",
        "request_headers": { "X-Key": "[REDACTED]" },
        "request_data": { "number": 0 },
    });
    check_shows(&logged.log[3], &expected);
    assert!(!logged.log.to_string().contains("canary"), "{}", logged.log);
}

pub(crate) fn a_request_of_a_disabled_hook_is_not_resent(engine: Engine) {
    let refused = Logged::start(&engine).resend().checked(422);
    assert_eq!(refused.json()["message"], "Hook disabled");
}

pub(crate) fn a_resend_repeats_the_request(engine: Engine) {
    let logged = Logged::start_repaired(&engine);
    let sent = logged.resend().checked(201);
    assert_eq!(sent.json()["response_status"], 200);

    let got = logged.rejected.receiver.got();
    let (first, last) = (&got[0], &got[got.len() - 1]);
    assert_eq!(got.len(), 6, "four rejections, the test and the resend");
    assert_eq!(last.headers["Idempotency-Key"], first.headers["Idempotency-Key"]);
    assert_eq!(last.body, first.body);
}

/// Also not after the URL was changed back.
pub(crate) fn a_request_to_one_url_is_not_resent_to_another(engine: Engine) {
    let logged = Logged::start_repaired(&engine);
    let url = logged.rejected.receiver.url();

    for url in [format!("{url}/elsewhere"), url] {
        let change = json!({ "url": url }).to_string();
        logged.call("PUT", "", &change).checked(200);

        let refused = logged.resend().checked(422);
        let words = "The hook URL has changed, and this log entry cannot be retried";
        assert_eq!(refused.json()["message"], words);
    }
}

pub(crate) fn the_log_of_a_hook_can_be_filtered_by_status(engine: Engine) {
    let logged = Logged::start(&engine);
    logged.rejected.server.report(9).expect("accepted");
    logged.rejected.repair();
    logged.rejected.test();
    logged.resend().checked(201);

    eventually("the test, the waiting event and the resend are recorded", || {
        logged.count("status=successful") == 3
    });
    assert_eq!(logged.count("status=client_failure,500&per_page=2"), 2);

    let error = |filter: &str| logged.call("GET", &format!("/events?{filter}"), "").json()["error"].clone();
    assert_eq!(error("per_page=21"), "per_page does not have a valid value");
    assert_eq!(error("status=now"), "status does not have a valid value");
}
