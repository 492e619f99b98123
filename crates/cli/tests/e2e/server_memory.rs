//! The memory of the server.

use crate::http::{eventually, send};
use crate::server::{Engine, Server, TOKEN};

/// Memory that may stay with the process, because the test does not require the last page back.
const NEAR: u64 = 48 << 20;

pub(crate) fn memory_is_returned_to_the_system(engine: Engine) {
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
            // The answers do not matter here.
            scope.spawn(|| drop(send(server.port, "GET", "/api/v4/projects", &headers, body.as_bytes())));
        }
    });

    eventually("the memory is returned", || server.memory() < before + NEAR);
}
