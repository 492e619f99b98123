//! Completions in real shells: `quickdraw hooks cr` and a tab.

use std::process::Command;

use crate::commands::output_of;
use crate::server::{BINARY, Engine, Server};

/// A completion in bash, as readline asks for it: by the function that the script registers.
const BASH: &str = r#"
source ./completions
COMP_WORDS=(quickdraw hooks cr)
COMP_CWORD=2
COMP_LINE='quickdraw hooks cr'
COMP_POINT=18
registered=$(complete -p quickdraw)
[[ $registered =~ -F\ ([^ ]+) ]]
${BASH_REMATCH[1]} quickdraw cr hooks
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// A completion in zsh: an interactive shell in a pseudo-terminal, into which the words and a tab are typed. The line
/// that the shell then has is run, and an alias prints it.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "zsh -f -i"
zpty -w shell "PS1= PS2= fpath=($PWD \$fpath)"
zpty -w shell "autoload -U compinit && compinit -u -d $PWD/dump"
zpty -w shell "quickdraw() { print -r -- \"<<\$*>>\" }"
zpty -w shell "print rea\"\"dy"
zpty -r -m shell line "*ready*"
zpty -w -n shell $'quickdraw hooks cr\t\n'
zpty -r -m shell line "*<<*>>*"
print -r -- $line
zpty -d shell
"#;

/// A completion in fish, by its own command for tests of completions.
const FISH: &str = "source ./completions; complete -C 'quickdraw hooks cr'";

/// Completes in a shell, if the shell is installed. `script` is the name of the file with the completions.
fn check_shell(engine: &Engine, shell: &str, script: &str, words: &str, expected: &str) {
    let server = Server::new(engine);
    let folder = server.folder.path();
    let printed = Command::new(BINARY).args(["completions", shell]).output();
    std::fs::write(folder.join(script), printed.expect("it runs").stdout).expect("a file");

    let asked = Command::new(shell)
        .args(["-c", words])
        .current_dir(folder)
        .env("HOME", folder)
        .output();

    match asked {
        Ok(done) => {
            let output = output_of(&done);
            assert!(output.contains(expected), "{shell}: {output}");
        }
        Err(_) => assert_ne!(shell, "bash", "bash is installed everywhere"),
    }
}

pub(crate) fn bash_completes_the_verb_of_a_noun(engine: Engine) {
    check_shell(&engine, "bash", "completions", BASH, "create\n");
}

pub(crate) fn zsh_completes_the_verb_of_a_noun(engine: Engine) {
    check_shell(&engine, "zsh", "_quickdraw", ZSH, "<<hooks create");
}

pub(crate) fn fish_completes_the_verb_of_a_noun(engine: Engine) {
    check_shell(&engine, "fish", "completions", FISH, "create\tCreate a webhook");
}
