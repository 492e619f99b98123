//! `quickdraw serve`: runs the server until a signal stops it.

use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use quickdraw_engine::Lifecycle;
use quickdraw_server::process::{LastLines, Process};
use quickdraw_server::state::Entrance;
use quickdraw_server::{App, Listener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::first_start::{self, FirstStart};
use crate::settings::{Config, LogFormat, NO_REACHABLE_URL, base_url, ensure_none, in_force};
use crate::system::now;
use crate::wiring;

/// Upper bounds of histogram buckets, in seconds: from a fast commit to the longest attempt.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Time between two runs of the upkeep.
const UPKEEP: Duration = Duration::from_secs(5);

/// Runs the server. `say` prints a line about the start.
pub(crate) async fn run(mut config: Config, say: fn(String)) -> anyhow::Result<()> {
    // Settings are checked before the first start creates anything from them.
    ensure_none(&config.validate())?;
    let log = LastLines::default();
    log_to_stderr(&config, &log)?;

    let metrics = metrics_recorder()?;
    let limits = config.server.listener_limits();
    // The port is opened first, because a first start prints its secrets once, and they must not be lost to a failure.
    let listener = Listener::bind(&config.server.listen, limits).await.with_context(|| {
        let listen = &config.server.listen;
        format!("failed to listen on {listen} (set another address with QUICKDRAW_LISTEN, such as 127.0.0.1:8001)")
    })?;
    let address = listener.address()?;

    if config.external_url_is_made && config.server.listen.ends_with(":0") {
        // Port 0: the actual port is known only now.
        config.server.external_url = base_url(&address.to_string());
    }

    let mut first = FirstStart::default();
    let store = first_start::open_store(&config, &mut first).await?;
    wiring::root_token(&config, &store, &mut first).await?;

    let source = wiring::source(&config, &store, &mut first).await?;
    wiring::bind(&config, &source.source, &store).await?;
    first.make_setup_link(&config, &store).await?;

    let engine = wiring::engine(&config, store, address).await?;
    let lifecycle = Lifecycle::start(engine.clone());
    let limits = config.limits.limits();
    let proxies = config.server.read_trusted_proxies()?;

    let app = App::new(
        engine,
        source,
        proxies,
        Entrance {
            external_url: config.server.external_url.clone(),
            host_names: config.server.host_names.clone(),
            portal_origins: config.server.portal_origins.clone(),
            oidc: wiring::oidc(&config)?,
        },
        metrics.clone(),
        config.server.metrics_token_required,
        limits,
    );
    app.set_process(Process {
        started_at: now(),
        settings: in_force(&config)?,
        log,
    });

    for note in first.notes.iter().chain(&first.warnings) {
        say(note.clone());
    }

    for warning in &first.warnings {
        tracing::warn!("{warning}");
    }

    let version = env!("CARGO_PKG_VERSION");
    if address.ip().is_unspecified() {
        let (port, here) = (address.port(), base_url(&address.to_string()));
        say(format!(
            "quickdraw {version} listens on port {port} of all addresses; URL on this machine: {here}"
        ));
    } else {
        say(format!("quickdraw {version} listens on http://{address}"));
    }

    if config.has_no_reachable_url() {
        say(format!("warning: {NO_REACHABLE_URL}"));
        tracing::warn!("{NO_REACHABLE_URL}");
    } else {
        say(format!(
            "GitLab posts to {}/api/v1/webhooks/gitlab",
            config.server.external_url
        ));
    }

    // The subscription precedes the first answer: a SIGTERM after it must end the server in order.
    let signals = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (stop, stopped) = watch::channel(false);
    let serving = listener.serve(quickdraw_server::router(app.clone()), stopped);

    let ending = async {
        let reason = signalled(signals, &metrics, &app).await;
        app.close_streams();

        let _ = stop.send(true);
        reason
    };
    let ((), reason) = tokio::join!(serving, ending);
    tracing::info!("stopping: {reason}");
    app.finish().await;
    lifecycle.stop().await;
    tracing::info!("stopped");

    Ok(())
}

/// Waits for SIGINT or SIGTERM. Meanwhile it runs the upkeep of the metrics, without which unread histograms grow, and
/// logs refused requests that no later request would log.
async fn signalled(
    (mut interrupt, mut terminate): (Signal, Signal),
    metrics: &PrometheusHandle,
    app: &App,
) -> &'static str {
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return "interrupted",
            _ = terminate.recv() => return "terminated",
            _ = upkeep.tick() => {
                metrics.run_upkeep();
                app.log_refusals();
            }
        }
    }
}

fn metrics_recorder() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS)?;
    let handle = builder.install_recorder()?;

    quickdraw_store::telemetry::describe();
    quickdraw_engine::telemetry::describe();
    quickdraw_server::telemetry::describe();

    Ok(handle)
}

/// Writes the log to standard error, and keeps its last lines for the support bundle.
fn log_to_stderr(config: &Config, last: &LastLines) -> anyhow::Result<()> {
    let filter = config.telemetry.log_filter()?;
    let last = last.clone();
    let writer = std::io::stderr.and(move || last.clone());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match config.telemetry.log_format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }

    Ok(())
}
