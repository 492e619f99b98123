//! Help, completions and man pages.

use std::process::{Command, Stdio};

use crate::server::{Engine, Server};

fn print(server: &Server, arguments: &[&str]) -> String {
    let done = server.command(arguments).output().expect("it runs");
    assert!(done.status.success(), "{arguments:?}");
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// Runs a program on a file, and returns false if the program is not installed.
fn accepts(program: &str, arguments: &[&str], file: &std::path::Path) -> bool {
    let run = Command::new(program)
        .args(arguments)
        .arg(file)
        .stdout(Stdio::null())
        .output();
    match run {
        Ok(done) => {
            let errors = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{program}: {errors}");
            true
        }
        Err(_) => false,
    }
}

pub(crate) fn a_call_without_a_command_shows_examples(engine: Engine) {
    let server = Server::new(&engine);
    let help = print(&server, &[]);
    assert!(help.contains("quickdraw events list --since 2h --follow"), "{help}");
    assert!(help.lines().count() < 30);
}

pub(crate) fn shells_can_read_the_completions(engine: Engine) {
    let server = Server::new(&engine);
    let file = server.folder.path().join("completions");

    for shell in ["bash", "zsh", "fish"] {
        let script = print(&server, &["completions", shell]);
        assert!(script.contains("deliveries"), "{shell}");
        std::fs::write(&file, script).expect("a file");

        let is_checked = accepts(shell, &["-n"], &file);
        assert!(is_checked || shell != "bash", "bash is installed everywhere");
    }
}

pub(crate) fn every_command_has_a_man_page(engine: Engine) {
    let server = Server::new(&engine);
    let folder = server.folder.path().join("man");
    std::fs::create_dir(&folder).expect("a folder");
    print(&server, &["man", "man"]);

    let page = folder.join("quickdraw-hooks-create.1");
    let text = std::fs::read_to_string(&page).expect("a page");
    assert!(text.contains("branch"), "{text}");
    accepts("mandoc", &["-T", "lint", "-W", "error"], &page);
    accepts("groff", &["-man", "-Tascii", "-ww"], &page);

    assert!(print(&server, &["man"]).contains(".TH quickdraw"));
}
