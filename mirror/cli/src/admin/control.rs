//! Runtime control: what changes something, and who may.
//!
//! Nobody is asked for a password, so that by default nobody may change anything (`admin.control`), with one exception: a reload that is asked for on this
//! host. It takes nothing but what the operator has written into the file, and `mirror reload` has to work. A page in a browser on this host is
//! somebody else: what has an `Origin` is refused, whatever the settings.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use mirror::config::{Expected, Fault, Fraction};
use mirror::control::{Control, ControlError, SinkNow};
use serde_json::json;

use super::Shared;
use crate::reload::{NotReloaded, apart};

/// A fraction is a few bytes.
const LONGEST_BODY: usize = 1024;

const RELOAD: &str = "/reload";

pub(super) fn routes(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    Router::new()
        .route("/sinks/{name}/pause", post(pause))
        .route("/sinks/{name}/resume", post(resume))
        .route("/sinks/{name}/fraction", put(fraction))
        .route(RELOAD, post(reload))
        .route_layer(from_fn_with_state(shared.clone(), who_may))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .route("/sinks", get(sinks))
}

async fn who_may(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let here = peer.ip().to_canonical().is_loopback();
    let refused = if request.headers().contains_key(header::ORIGIN) {
        "Origin: expected none: no page in a browser may change anything here\n"
    } else if shared.reloader.config().admin.control || (here && request.uri().path() == RELOAD) {
        return next.run(request).await;
    } else {
        "admin.control: expected true, as by --admin-control: without it nothing can be done here but a reload that is asked for on this host\n"
    };
    (StatusCode::FORBIDDEN, refused).into_response()
}

async fn sinks(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    Json(shared.reloader.control.sinks().iter().map(told).collect::<Vec<_>>())
}

fn told(SinkNow { slot, to, configured, waiting }: &SinkNow) -> serde_json::Value {
    let metrics = &slot.metrics;
    json!({
        "name": slot.name,
        "kind": if slot.answers { "shadow" } else { "record" },
        "to": to,
        "fraction": slot.fraction.to_string(),
        "configured_fraction": configured.to_string(),
        "paused": slot.paused,
        "waiting": waiting,
        "in_flight": metrics.in_flight(),
        "offered": metrics.offered.get(),
        "delivered": metrics.delivered.get(),
        "dropped": metrics.dropped.total(),
        "failed": metrics.failed.total(),
        "skipped": metrics.skipped.total(),
    })
}

type Asked = (State<Arc<Shared>>, ConnectInfo<SocketAddr>, Path<String>);

async fn pause(asked: Asked) -> Response {
    change(asked, "paused".to_owned(), Control::pause).await
}

async fn resume(asked: Asked) -> Response {
    change(asked, "resumed".to_owned(), Control::resume).await
}

async fn fraction(asked: Asked, body: String) -> Response {
    let text = body.trim();
    match text.parse::<Fraction>() {
        Ok(fraction) => {
            let set = move |control: &Control, sink: &str| control.set_fraction(sink, fraction);
            change(asked, format!("fraction {fraction}"), set).await
        }
        Err(Expected(expected)) => {
            (StatusCode::BAD_REQUEST, format!("{}\n", Fault::new("fraction", text, expected))).into_response()
        }
    }
}

/// Changes a sink, and says what was done.
async fn change(
    (State(shared), ConnectInfo(by), Path(sink)): Asked,
    what: String,
    change: impl FnOnce(&Control, &str) -> Result<(), ControlError> + Send + 'static,
) -> Response {
    // Behind a reload that is under way it waits.
    let changed = apart(move || {
        change(&shared.reloader.control, &sink).map(|()| {
            tracing::info!(sink, what, %by, "changed");
            format!("{sink}: {what}\n")
        })
    });
    match changed.await {
        Some(Ok(done)) => done.into_response(),
        Some(Err(error)) => {
            let status = match &error {
                ControlError::NoSink { .. } => StatusCode::NOT_FOUND,
                ControlError::Draining => StatusCode::SERVICE_UNAVAILABLE,
                ControlError::Engine(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{error}\n")).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn reload(State(shared): State<Arc<Shared>>, ConnectInfo(by): ConnectInfo<SocketAddr>) -> Response {
    match apart(move || shared.reloader.reload(&by.to_string())).await {
        Some(Ok(reloaded)) => reloaded.to_string().into_response(),
        Some(Err(why)) => {
            let status = match &why {
                NotReloaded::FlagsAlone => StatusCode::CONFLICT,
                NotReloaded::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
                NotReloaded::Draining => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, why.to_string()).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
