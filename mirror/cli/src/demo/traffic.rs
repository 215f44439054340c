//! The demo's clients.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

/// How many clients there are, each with one request at a time.
const CLIENTS: u64 = 8;

/// What the clients saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    answers: usize,
    pub(super) errors: usize,
    latencies: Vec<Duration>,
    took: Duration,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| {
            let index = (self.latencies.len() as f64 * share) as usize;
            self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        write!(
            f,
            "{} answers, {} errors, in {:.2?}; half within {:.2?}, 99 % within {:.2?}",
            self.answers,
            self.errors,
            self.took,
            at(0.5),
            at(0.99)
        )
    }
}

/// Sends the requests to the proxy.
pub(super) async fn send(proxy: SocketAddr, requests: u64) -> Seen {
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let start = Instant::now();
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS {
        let client = client.clone();
        clients.spawn(async move {
            let mut seen = Seen::default();
            for i in (first..requests).step_by(CLIENTS as usize) {
                let sent = Instant::now();
                match one(&client, proxy, i).await {
                    Ok(()) => seen.answers += 1,
                    Err(_) => seen.errors += 1,
                }
                seen.latencies.push(sent.elapsed());
            }
            seen
        });
    }
    let mut all = Seen::default();
    while let Some(Ok(seen)) = clients.join_next().await {
        all.answers += seen.answers;
        all.errors += seen.errors;
        all.latencies.extend(seen.latencies);
    }
    all.latencies.sort_unstable();
    all.took = start.elapsed();
    all
}

async fn one(client: &Client<HttpConnector, Full<Bytes>>, proxy: SocketAddr, i: u64) -> anyhow::Result<()> {
    let (method, path, body) = match i % 10 {
        0..=4 => (Method::GET, format!("/users/{i}"), 0),
        5 => (Method::POST, "/orders".into(), 120),
        6 => (Method::POST, "/orders".into(), 5_000),
        7 => (Method::PUT, format!("/files/{i}"), 1_000_000),
        8 => (Method::GET, "/report".into(), 0),
        _ => (Method::GET, "/events".into(), 0),
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{proxy}{path}"))
        .body(Full::new(Bytes::from(vec![b'x'; body])))?;
    let answer = client.request(request).await?;
    anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
    answer.into_body().collect().await?;
    Ok(())
}
