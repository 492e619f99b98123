//! `quickdraw connect gitlab`.

use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;

use anyhow::Context;
use clap::{ArgGroup, Args};
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use quickdraw_domain::hook::HookUrl;
use quickdraw_egress::{Method, Trust, authorities};
use serde_json::json;

use super::hook::{Level, Wanted};
use super::places::{Place, Places, Wish};
use super::report::{Row, State, items, summary, table};
use super::source::{Quickdraw, Source};
use super::version::{Credential, Version};
use super::work::{Task, Work};
use crate::client::{self, Misused, Server, Unverified};
use crate::commands::gitlab::GitLab;
use crate::commands::{plain, say};

/// Number of places that are worked on at the same time.
const AT_ONCE: usize = 4;
/// Number of failures in a row after which a run ends, because the next places would fail too.
const MAX_FAILURES_IN_A_ROW: usize = 8;

#[derive(Args)]
#[command(group(ArgGroup::new("places").required(true).multiple(true).args(["group", "project", "all", "system"])))]
#[command(group(ArgGroup::new("task").args(["check", "repair", "remove"])))]
pub(crate) struct Gitlab {
    /// Base URL of the GitLab.
    #[arg(long)]
    url: String,

    /// File with an access token for GitLab with the scope api; - reads standard input. Defaults to the environment
    /// variable QUICKDRAW_GITLAB_TOKEN or GITLAB_TOKEN, and then to a prompt.
    #[arg(long, value_name = "FILE")]
    gitlab_token_file: Option<PathBuf>,

    /// Full path or number of a group; may be repeated. A GitLab without webhooks for groups gets one in each project
    /// of the group and its subgroups.
    #[arg(long, value_name = "PATH")]
    group: Vec<String>,

    /// Full path or number of a project; may be repeated.
    #[arg(long, value_name = "PATH")]
    project: Vec<String>,

    /// Every project that the token may change; with an administrator's token, every project of the GitLab.
    #[arg(long)]
    all: bool,

    /// One system hook for the whole GitLab. It sends pushes, tags, merge requests, repository updates, and changes of
    /// projects, groups, users and members. It needs an administrator's token.
    #[arg(long)]
    system: bool,

    /// Only compare: list missing, edited and disabled webhooks, and exit with 1 if there is one.
    #[arg(long)]
    check: bool,

    /// Create and repair webhooks, and test only those that were changed.
    #[arg(long)]
    repair: bool,

    /// Delete the webhooks of the source from the chosen places. Other webhooks and the source itself stay.
    #[arg(long)]
    remove: bool,

    /// Print what a run would do.
    #[arg(long)]
    dry_run: bool,

    /// Do not test webhooks. A test sends an example of a push.
    #[arg(long)]
    no_test: bool,

    /// Leave out a trigger, such as job_events; may be repeated. The trigger is neither enabled nor compared.
    #[arg(long, value_name = "TRIGGER", value_parser = clap::builder::PossibleValuesParser::new(triggers()))]
    except: Vec<String>,

    /// Let GitLab post without verifying the certificate of Quickdraw.
    #[arg(long)]
    no_ssl_verification: bool,

    /// Name or id of the source at Quickdraw. Defaults to the source that serves this GitLab; a source that does not
    /// exist is created.
    #[arg(long, value_name = "NAME")]
    source: Option<String>,

    /// File with certificate authorities (PEM) of the GitLab, in addition to the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// Maximum number of places.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max: u32,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,

    /// The token for Quickdraw must be an administrator's.
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(command: Gitlab) -> anyhow::Result<()> {
    let bar = ProgressBar::no_length();
    let gitlab = command.gitlab(&bar)?;

    let quickdraw = Quickdraw::new(&command.server.url()?, command.server.token()?)?;

    let version = version(&gitlab).await.map_err(explained)?;
    let places = Places::find(&gitlab, &command.wish()).await?;
    let instance = places.base_url.clone().unwrap_or_else(|| gitlab.url().to_owned());

    let source = command.source(&quickdraw, &instance, version).await?;
    let wanted = command.wanted(&quickdraw, source.as_ref(), version).await?;

    let work = Work {
        gitlab: &gitlab,
        quickdraw: &quickdraw,
        source: source.as_ref(),
        wanted: &wanted,
        task: command.task(),
        is_dry: command.dry_run,
        has_tests: !command.no_test,
    };

    if !command.json {
        command.say_head(&instance, version, source.as_ref(), &wanted);
        for note in &places.notes {
            say(plain(note));
        }
    }

    let ended = work_on(&work, &places.list, &bar).await?;
    let rows = &ended.rows;

    if command.json {
        let (items, summary) = items(rows);
        let source = source
            .as_ref()
            .map(|source| json!({ "id": source.id, "name": source.name, "url": source.url }));

        say(json!({
            "gitlab": instance,
            "version": version.to_string(),
            "source": source,
            "notes": places.notes,
            "items": items,
            "summary": summary,
        }));
    } else {
        say(table(rows));
        say(summary(rows));
    }

    anyhow::ensure!(
        !ended.is_interrupted,
        "interrupted; run the same command again to continue"
    );

    let problems = rows.iter().filter(|row| row.is_problem()).count();
    anyhow::ensure!(
        problems == 0,
        "{problems} of {} places are not as they should be",
        rows.len()
    );

    Ok(())
}

/// The results of a run.
struct Ended {
    rows: Vec<Row>,
    is_interrupted: bool,
}

/// Works on all places, some at a time. The rows have the order of the places.
async fn work_on(work: &Work<'_>, places: &[Place], bar: &ProgressBar) -> anyhow::Result<Ended> {
    let mut rows: Vec<Row> = places.iter().map(Row::new).collect();
    let (mut failures, mut is_interrupted) = (0, false);
    bar.set_length(u64::try_from(places.len()).unwrap_or_default());
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} places, {eta} left")?);

    let mut running = stream::iter(places.iter().enumerate())
        .map(|(at, place)| async move { (at, work.run(place).await) })
        .buffer_unordered(AT_ONCE);

    // One future for the whole run: a signal between two places must not be lost.
    let mut interruption = pin!(tokio::signal::ctrl_c());

    loop {
        let next = tokio::select! {
            next = running.next() => next,
            _ = &mut interruption => {
                is_interrupted = true;
                None
            }
        };
        let Some((at, result)) = next else { break };
        bar.inc(1);

        match result {
            Ok(row) => {
                rows[at] = row;
                failures = 0;
            }
            Err(error) => {
                rows[at] = Row::new(&places[at]).failed(format!("{error:#}"));
                failures += 1;
            }
        }

        if failures == MAX_FAILURES_IN_A_ROW {
            break;
        }
    }

    bar.finish_and_clear();

    for row in rows.iter_mut().filter(|row| row.state == State::NotReached) {
        row.notes.push("the run ended before this place".to_owned());
    }

    Ok(Ended { rows, is_interrupted })
}

/// Adds the remedy to an error about the certificate of the GitLab.
fn explained(error: anyhow::Error) -> anyhow::Error {
    if !error.is::<Unverified>() {
        return error;
    }

    error.context(
        "the certificate of the GitLab cannot be verified; --ca-file names a file with its authority if that is a \
         private one",
    )
}

/// The version of GitLab.
async fn version(gitlab: &GitLab) -> anyhow::Result<Version> {
    let mut status = 0;
    for path in ["version", "metadata"] {
        let said = gitlab.call(Method::GET, path).await?;
        if let Some(version) = said.json["version"].as_str().and_then(Version::parse) {
            return Ok(version);
        }

        anyhow::ensure!(
            said.status != 403,
            "GitLab answered 403 to the question for its version; the token needs the scope api"
        );
        status = said.status;
    }

    anyhow::bail!(
        "{} does not answer as a GitLab (status {status}); give its base URL with --url",
        gitlab.url()
    )
}

impl Gitlab {
    fn task(&self) -> Task {
        if self.check {
            Task::Check
        } else if self.remove {
            Task::Remove
        } else if self.repair {
            Task::Repair
        } else {
            Task::Connect
        }
    }

    fn wish(&self) -> Wish<'_> {
        Wish {
            groups: &self.group,
            projects: &self.project,
            all: self.all,
            system: self.system,
            max: usize::try_from(self.max).unwrap_or(usize::MAX),
            groups_and_projects: self.remove,
        }
    }

    /// The client for GitLab. It prints notes above the progress bar, to standard error.
    fn gitlab(&self, bar: &ProgressBar) -> anyhow::Result<GitLab> {
        if let Err(error) = HookUrl::parse(&self.url) {
            return Err(Misused(format!("--url {error}")).into());
        }

        let mut trust = Trust::default();
        if let Some(file) = &self.ca_file {
            let pem = std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
            trust.roots = authorities(&pem).map_err(|error| anyhow::anyhow!("{} {error}", file.display()))?;
        }

        let bar = bar.clone();
        let note = move |note: String| {
            // A closed standard error is no reason to end.
            bar.suspend(|| drop(writeln!(std::io::stderr().lock(), "{}", plain(&note))));
        };
        let token = client::gitlab_token(self.gitlab_token_file.as_deref())?;
        GitLab::trusting(&self.url, &token, trust, note)
    }

    /// Finds the source for the GitLab, or creates it. `None` for a run that must not create the missing source.
    async fn source(&self, quickdraw: &Quickdraw, instance: &str, version: Version) -> anyhow::Result<Option<Source>> {
        let found = quickdraw.find(instance, self.source.as_deref()).await?;
        let changes_nothing = self.check || self.dry_run;

        match (found, self.task()) {
            (Some(found), _) => Ok(Some(found)),
            (None, Task::Check | Task::Remove) => {
                anyhow::bail!("Quickdraw has no source for {instance}, so this GitLab was never connected")
            }
            (None, _) if changes_nothing => Ok(None),
            (None, _) => {
                let name = self.source.clone().unwrap_or_else(|| host_of(instance));
                let made = quickdraw.create(instance, &name, Credential::mode_for(version)).await?;
                Ok(Some(made))
            }
        }
    }

    async fn wanted(&self, quickdraw: &Quickdraw, source: Option<&Source>, version: Version) -> anyhow::Result<Wanted> {
        let Some(source) = source else {
            return Ok(Wanted {
                url: String::new(),
                source: "(new)".to_owned(),
                secret: String::new(),
                credential: Credential::Token,
                verify_tls: true,
                except: self.except.clone(),
            });
        };

        anyhow::ensure!(
            self.task() == Task::Remove || is_reachable(&source.url, &self.url),
            "GitLab cannot post to {}, which is an address of this machine only; set server.external_url \
             (QUICKDRAW_EXTERNAL_URL) to the address under which GitLab reaches Quickdraw",
            source.url
        );

        let secret = quickdraw.secret(source).await?;
        let credential = match Credential::choose(source.mode, version, &secret) {
            Ok(credential) => credential,
            // Webhooks are found by their URL, so the credential does not matter.
            Err(_) if self.task() == Task::Remove => Credential::Token,
            Err(why) => anyhow::bail!(why.replace("ID", &source.id)),
        };

        Ok(Wanted {
            url: source.url.clone(),
            source: source.id.clone(),
            secret,
            credential,
            verify_tls: !self.no_ssl_verification,
            except: self.except.clone(),
        })
    }

    fn say_head(&self, instance: &str, version: Version, source: Option<&Source>, wanted: &Wanted) {
        say(format!("GitLab {version} at {}", plain(instance)));

        match source {
            Some(source) => {
                say(format!(
                    "source {} ({}), {}",
                    source.id,
                    plain(&source.name),
                    wanted.credential
                ));

                say(format!("  {}", source.url));
            }
            None => say("a source would be created"),
        }
    }
}

/// The triggers of all levels.
fn triggers() -> Vec<&'static str> {
    let mut all = Level::Project.triggers();
    for trigger in [Level::Group.triggers(), Level::Instance.triggers()].concat() {
        if !all.contains(&trigger) {
            all.push(trigger);
        }
    }

    all
}

/// The host of a URL, as the name of a source.
fn host_of(url: &str) -> String {
    let host = HookUrl::parse(url).map(|url| url.host().to_string());
    host.unwrap_or_else(|_| "GitLab".to_owned())
}

/// Returns false if a source has an address of this machine only, and GitLab has another one.
fn is_reachable(source: &str, gitlab: &str) -> bool {
    let is_local = |url: &str| {
        let host = host_of(url);
        let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        host == "localhost" || address.is_some_and(|address| address.is_loopback() || address.is_unspecified())
    };
    !is_local(source) || is_local(gitlab)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_not_given_to_another_one() {
        assert!(!is_reachable("http://127.0.0.1:8000/api", "https://gitlab.example.com"));
        assert!(!is_reachable("http://[::]:8000/api", "https://gitlab.example.com"));
        assert!(!is_reachable("http://localhost:8000/api", "https://gitlab.example.com"));
        assert!(is_reachable("http://127.0.0.1:8000/api", "http://localhost:8080"));

        assert!(is_reachable(
            "https://quickdraw.example.com/api",
            "https://gitlab.example.com"
        ));
    }

    #[test]
    fn a_new_source_has_the_name_of_the_host() {
        assert_eq!(host_of("https://gitlab.example.com/gitlab"), "gitlab.example.com");
        assert_eq!(host_of("nonsense"), "GitLab");
    }
}
