//! The admin endpoint: `/metrics`, `/healthz`, `/readyz`, `/config`, `/sinks`, and what changes something.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use mirror::config::{AdminAddress, Config, DEFAULT_ADMIN, ListenAddress, ProxyConfig};
use mirror::telemetry::Telemetry;
use mirror_proxy::Listeners;

use crate::reload::Reloader;

mod control;

/// The endpoint, bound or not.
pub(crate) struct Admin {
    listeners: std::cell::Cell<Option<Listeners>>,
    telemetry: Arc<Telemetry>,
    ready: Arc<AtomicBool>,
}

struct Shared {
    telemetry: Arc<Telemetry>,
    reloader: Arc<Reloader>,
    ready: Arc<AtomicBool>,
}

impl Admin {
    /// Binds the address. That the default one is taken is worth a warning, no more: two `mirror`s on a host are no fault.
    pub(crate) fn bind(config: &Config, telemetry: &Arc<Telemetry>) -> std::io::Result<Admin> {
        let bind = |address: &ListenAddress| {
            let errors = |mut errors: Vec<mirror_proxy::BindError>| errors.remove(0).error;
            Listeners::bind(std::slice::from_ref(address), &ProxyConfig::default()).map_err(errors)
        };
        let listeners = match &config.admin.address {
            AdminAddress::Off => None,
            AdminAddress::Address(address) => Some(bind(address)?),
            AdminAddress::Default => {
                match DEFAULT_ADMIN.parse().map_err(std::io::Error::other).and_then(|a| bind(&a)) {
                    Ok(listeners) => Some(listeners),
                    Err(error) => {
                        tracing::warn!(address = DEFAULT_ADMIN, %error, "no admin endpoint: give --admin another address");
                        None
                    }
                }
            }
        };
        let (listeners, telemetry) = (std::cell::Cell::new(listeners), telemetry.clone());
        Ok(Admin { listeners, telemetry, ready: Arc::default() })
    }

    /// Serves, and is ready.
    pub(crate) fn serve(&self, runtime: &tokio::runtime::Runtime, reloader: &Arc<Reloader>) {
        self.ready.store(true, Relaxed);
        let (telemetry, reloader) = (self.telemetry.clone(), reloader.clone());
        let shared = Arc::new(Shared { telemetry, reloader, ready: self.ready.clone() });
        let Some(listeners) = self.listeners.take() else { return };
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/config", get(config))
            .merge(control::routes(&shared))
            .with_state(shared)
            .into_make_service_with_connect_info::<SocketAddr>();
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
        self.ready.store(false, Relaxed);
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
    ([(header::CONTENT_TYPE, "application/yaml")], shared.reloader.shown())
}
