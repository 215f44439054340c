//! The demo's application, in two versions. The second has three faults that its tests did not find.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::serve::ListenerExt;
use futures_util::StreamExt;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// Serves it for as long as the runtime lives.
pub(super) async fn serve(version: Version) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/users/{id}", get(user))
        .route("/orders", post(order))
        .route("/files/{name}", put(file))
        .route("/report", get(report))
        .route("/events", get(events))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(version);
    // Otherwise small writes wait 40 ms for the other side's delayed acknowledgement.
    let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// v2 has renamed a field.
async fn user(State(version): State<Version>, Path(id): Path<u32>) -> String {
    let field = if version == Version::One { "name" } else { "full_name" };
    format!("{{\"id\":{id},\"{field}\":\"user {id}\"}}\n")
}

/// v2 does not take large orders.
async fn order(State(version): State<Version>, body: Bytes) -> Response {
    match version {
        Version::Two if body.len() > 1000 => (StatusCode::INTERNAL_SERVER_ERROR, "too many items\n").into_response(),
        _ => (StatusCode::CREATED, format!("{{\"bytes\":{}}}\n", body.len())).into_response(),
    }
}

/// The same in both.
async fn file(Path(name): Path<String>, body: Bytes) -> String {
    format!("{name}: {} bytes\n", body.len())
}

/// v2 is slower.
async fn report(State(version): State<Version>) -> Vec<u8> {
    tokio::time::sleep(Duration::from_millis(if version == Version::One { 2 } else { 40 })).await;
    vec![b'r'; 64 * 1024]
}

/// Server-sent events, without a length; the same in both.
async fn events() -> Response {
    let events = futures_util::stream::iter(0..3).then(|i| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok::<_, Infallible>(format!("data: event {i}\n\n"))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
}
