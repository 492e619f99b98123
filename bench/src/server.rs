//! The processes under measurement.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use quickdraw_store::{Ring, SharedStore};

use crate::load;

pub(crate) const TOKEN: &str = "bench-root-token-0123456789";
pub(crate) const SECRET: &str = "bench-secret";
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// The database under measurement.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite,
    Postgres(String),
}

impl Engine {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// The goal for this database.
    pub(crate) const fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres(_) => postgres,
        }
    }
}

/// A separate database for one measurement.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
}

impl Place {
    pub(crate) async fn new(engine: &Engine) -> anyhow::Result<Self> {
        // The folder is beside the binary, because the system's folder for temporary files may be in memory, where
        // nothing is flushed.
        let beside = std::env::current_exe()?.parent().context("a folder")?.to_owned();
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(beside)?;

        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", folder.path().join("bench.db").display()),
            Engine::Postgres(server) => {
                let schema = format!("bench_{}", uuid::Uuid::new_v4().simple());
                let made = Command::new("psql")
                    .args([server, "-q", "-c", &format!("CREATE SCHEMA {schema}")])
                    .status()?;
                anyhow::ensure!(made.success(), "psql failed to create a schema");

                let glue = if server.contains('?') { '&' } else { '?' };
                format!("{server}{glue}options=-csearch_path%3D{schema}")
            }
        };
        Ok(Self { folder, url })
    }

    pub(crate) async fn open(&self) -> anyhow::Result<SharedStore> {
        Ok(quickdraw_store::open(&self.url, Ring::new(vec![[1; 32]])?).await?)
    }

    /// Starts the server on this database.
    pub(crate) async fn serve(&self, settings: &[(&str, &str)]) -> anyhow::Result<Process> {
        let program = std::env::current_exe()?.with_file_name("quickdraw");
        anyhow::ensure!(
            program.exists(),
            "build quickdraw first: cargo build --release -p quickdraw"
        );

        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(program);

        command
            .arg("serve")
            .current_dir(self.folder.path())
            .env("QUICKDRAW_DATABASE_URL", &self.url)
            .env("QUICKDRAW_LISTEN", format!("127.0.0.1:{port}"))
            .env("QUICKDRAW_ROOT_TOKEN", TOKEN)
            .env("QUICKDRAW_KEY", KEY)
            .env("GITLAB_WEBHOOK_SECRET", SECRET)
            .env("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "true")
            .env("QUICKDRAW__TELEMETRY__LOG", "warn")
            .env("QUICKDRAW__SOURCE__RATE_LIMIT", "off")
            .env("QUICKDRAW__SOURCE__SENDER_RATE_LIMIT", "off")
            .envs(settings.iter().copied())
            .stdout(Stdio::null());

        let process = Process {
            child: command.spawn()?,
            port,
        };

        let started = Instant::now();
        while load::get(port, "/api/v1/ready", None).await.is_err() {
            anyhow::ensure!(started.elapsed() < Duration::from_secs(30), "the server does not start");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }

        Ok(process)
    }
}

/// A process that is stopped when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) port: u16,
}

impl Process {
    /// Starts one of our peers, which prints its port in its first line.
    pub(crate) fn peer(name: &str) -> anyhow::Result<Self> {
        let program: PathBuf = std::env::current_exe()?;
        let mut child = Command::new(program).arg(name).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line)?;

        Ok(Self {
            port: line.trim().parse().context("the peer printed no port")?,
            child,
        })
    }

    /// A value of `/proc/<pid>/status` in MiB: `VmRSS` is the current memory, `VmHWM` the maximum.
    pub(crate) fn memory(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .context("a figure")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;

        Ok(kib / 1024.0)
    }

    /// The value of a gauge or counter of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = load::get(self.port, "/metrics", None).await?;
        let values = text
            .lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
