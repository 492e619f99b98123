//! Commands of the program that run beside a server.

use std::process::{Child, Output, Stdio};

use crate::server::Server;

/// Runs a command and returns its exit code and all output.
pub(crate) fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let done = server.command(arguments).output().expect("it runs");
    (done.status.code(), output_of(&done))
}

/// The output of a command, and then its errors.
pub(crate) fn output_of(done: &Output) -> String {
    let (output, errors) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );

    format!("{output}{errors}")
}

/// Runs a command against the API of the server, with the token of the administrator.
pub(crate) fn administer(server: &Server, arguments: &[&str]) -> Output {
    let url = format!("http://127.0.0.1:{}", server.port);
    let access = ["--server", &*url];
    server
        .command(&[arguments, &access].concat())
        .output()
        .expect("it runs")
}

/// Runs a command against the API that succeeds, and returns its output without errors.
#[track_caller]
pub(crate) fn succeed(server: &Server, arguments: &[&str]) -> String {
    let done = administer(server, arguments);
    assert!(done.status.success(), "{arguments:?}: {}", output_of(&done));
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// A child process that is killed when its handle is dropped, also when a check fails.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command. Its output is added to a file in the folder of the server.
    pub(crate) fn start(server: &Server, log: &str, arguments: &[&str]) -> Self {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(server.folder.path().join(log))
            .expect("a file");
        let errors = file.try_clone().expect("a file");

        let child = server
            .command(arguments)
            .stdout(Stdio::from(file))
            .stderr(Stdio::from(errors))
            .spawn();
        Self(child.expect("it starts"))
    }
}

impl Running {
    /// The arguments of the process, as every user of the machine can read them.
    pub(crate) fn arguments(&self) -> String {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", self.0.id())).expect("it runs");
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The text of a file in the folder of the server; empty if it does not exist.
pub(crate) fn text_of(server: &Server, file: &str) -> String {
    std::fs::read_to_string(server.folder.path().join(file)).unwrap_or_default()
}
