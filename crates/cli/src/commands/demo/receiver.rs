//! The receivers of the demo's webhooks: a listener in the same process. One path accepts, one fails, one refuses.

use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use quickdraw_server::{Listener, ListenerLimits};
use tokio::sync::watch;

/// Name of the file with the port, so that the webhooks of an earlier demo find their receivers.
const PORT: &str = "receiver-port";

pub(super) struct Receiver {
    listener: Listener,
    address: String,
}

impl Receiver {
    /// Binds the port of the earlier demo in this folder, or a free port.
    pub(super) async fn bind(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join(PORT);
        let earlier: u16 = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or_default();

        let listener = match Listener::bind(&format!("127.0.0.1:{earlier}"), ListenerLimits::default()).await {
            Ok(listener) => listener,
            Err(_) => Listener::bind("127.0.0.1:0", ListenerLimits::default())
                .await
                .context("failed to open a port for the receivers of the demo")?,
        };

        let address = listener.address()?;
        std::fs::write(&file, address.port().to_string())
            .with_context(|| format!("failed to write {}", file.display()))?;

        Ok(Self {
            listener,
            address: address.to_string(),
        })
    }

    /// The address with its port, as an entry of the guard's allowlist.
    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    /// The base URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers requests until the future is dropped.
    pub(super) async fn serve(self) {
        let router = Router::new()
            .route("/chat", post(async || (StatusCode::OK, "posted")))
            .route(
                "/builds",
                post(async || (StatusCode::SERVICE_UNAVAILABLE, "the build server is down")),
            )
            .fallback(async || (StatusCode::NOT_FOUND, "this service has moved"));

        let (_stop, stopped) = watch::channel(false);
        self.listener.serve(router, stopped).await;
    }
}
