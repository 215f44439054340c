//! The admin endpoint: `/metrics`, `/healthz`, `/readyz`, `/config`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use mirror::config::{AdminConfig, Config, DEFAULT_ADMIN, ListenAddress};
use mirror::telemetry::Telemetry;
use mirror_proxy::Listeners;

/// The endpoint, bound or not.
pub(crate) struct Admin {
    listeners: std::cell::Cell<Option<Listeners>>,
    shared: Arc<Shared>,
}

struct Shared {
    telemetry: Arc<Telemetry>,
    config: String,
    ready: AtomicBool,
}

impl Admin {
    /// Binds the address. That the default one is taken is worth a warning, no more: two `mirror`s on a host are no fault.
    pub(crate) fn bind(config: &Config, telemetry: &Arc<Telemetry>) -> std::io::Result<Admin> {
        let bind = |address: &ListenAddress| {
            let errors = |mut errors: Vec<mirror_proxy::BindError>| errors.remove(0).error;
            Listeners::bind(std::slice::from_ref(address)).map_err(errors)
        };
        let listeners = match &config.admin {
            AdminConfig::Off => None,
            AdminConfig::Address(address) => Some(bind(address)?),
            AdminConfig::Default => match DEFAULT_ADMIN.parse().map_err(std::io::Error::other).and_then(|a| bind(&a)) {
                Ok(listeners) => Some(listeners),
                Err(error) => {
                    tracing::warn!(address = DEFAULT_ADMIN, %error, "no admin endpoint: give --admin another address");
                    None
                }
            },
        };
        let shared = Shared { telemetry: telemetry.clone(), config: config.to_yaml(), ready: AtomicBool::new(false) };
        Ok(Admin { listeners: std::cell::Cell::new(listeners), shared: Arc::new(shared) })
    }

    /// Serves, and is ready.
    pub(crate) fn serve(&self, runtime: &tokio::runtime::Runtime) {
        self.shared.ready.store(true, Relaxed);
        let Some(listeners) = self.listeners.take() else { return };
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/config", get(config))
            .with_state(self.shared.clone());
        for address in listeners.addresses() {
            tracing::info!(%address, "admin endpoint");
        }
        for socket in listeners.into_sockets() {
            let routes = routes.clone();
            runtime.spawn(async move {
                let served = match tokio::net::TcpListener::from_std(socket) {
                    Ok(listener) => axum::serve(listener, routes).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = served {
                    tracing::error!(%error, "the admin endpoint has ended");
                }
            });
        }
    }

    /// Not ready any more: what balances load is to send no new connections.
    pub(crate) fn draining(&self) {
        self.shared.ready.store(false, Relaxed);
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shared.telemetry.render())
}

async fn ready(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    match shared.ready.load(Relaxed) {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

async fn config(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], shared.config.clone())
}
