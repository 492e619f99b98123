//! How much memory the server has.

use crate::http::{eventually, send};
use crate::server::{Engine, Server, TOKEN};

/// Memory that may stay with the process: the test does not ask for the last page.
const NEAR: u64 = 48 << 20;

pub(crate) fn memory_goes_back_to_the_system(engine: Engine) {
    let server = Server::start(&engine, &[]);
    if !cfg!(target_os = "linux") {
        return;
    }
    let before = server.memory();
    let list = vec![r#"{"a":1}"#; 60_000].join(",");
    let body = format!(r#"{{"a":[{list}]}}"#);
    let headers = [("PRIVATE-TOKEN", TOKEN), ("Content-Type", "application/json")];
    std::thread::scope(|scope| {
        for _ in 0..20 {
            // Whether it is answered or refused is not what is asked here.
            scope.spawn(|| drop(send(server.port, "GET", "/api/v4/projects", &headers, body.as_bytes())));
        }
    });
    eventually("what was taken is given back", || server.memory() < before + NEAR);
}
