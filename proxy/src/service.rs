//! pingora's hooks, in the order they run: once a request, then for each attempt, then at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::DATE;
use mirror::config::{ProxyConfig, UpstreamAddress};
use mirror::exchange::Origin;
use mirror::outcome::Abort;
use mirror::resolve::Resolver;
use mirror::source::Tap;
use mirror::telemetry::{Counter, Durations, Reasons, Telemetry};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType, Result};

use crate::connector::PLAIN;
use crate::failure::{failure, kind};
use crate::hop;
use crate::stream::Stream;
use crate::tee::Tee;

/// How often the upstream's name is looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// What the proxy counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) durations: Durations,
    pub(crate) aborted: Reasons,
    pub(crate) tunnel_up: Counter,
    pub(crate) tunnel_down: Counter,
}

impl Metrics {
    pub(crate) fn new(telemetry: &Arc<Telemetry>) -> Metrics {
        let tunnel = |direction| {
            telemetry.counter(
                "mirror_proxy_tunnel_bytes_total",
                "Bytes of upgraded connections, which are tunnelled and not mirrored.",
                ("direction", direction),
            )
        };
        Metrics {
            durations: telemetry.server_durations("proxy"),
            aborted: telemetry.aborted("proxy"),
            tunnel_up: tunnel("up"),
            tunnel_down: tunnel("down"),
        }
    }
}

/// The application that pingora runs: proxies to one upstream and offers what passes.
pub(crate) struct Service {
    tap: Tap,
    metrics: Metrics,
    upstream: String,
    resolver: Resolver,
    /// A peer with all options set; each request's has its own address.
    peer: HttpPeer,
    forwarded: bool,
    keepalive: Duration,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Service {
    pub(crate) fn new(config: &ProxyConfig, upstream: &UpstreamAddress, tap: Tap, metrics: Metrics) -> Service {
        let mut peer = HttpPeer::new(SocketAddr::from(([127, 0, 0, 1], upstream.port())), false, String::new());
        peer.options.connection_timeout = Some(config.connect_timeout.0);
        peer.options.read_timeout = Some(config.read_timeout.0);
        peer.options.write_timeout = Some(config.write_timeout.0);
        peer.options.alpn = PLAIN.clone();
        peer.options.idle_timeout = Some(config.upstream_idle_timeout.0);
        Service {
            tap,
            metrics,
            upstream: upstream.to_string(),
            resolver: Resolver::new(upstream.host(), upstream.port(), RESOLVE_EVERY, config.connect_timeout.0),
            peer,
            forwarded: config.forwarded,
            keepalive: config.keepalive_timeout.0,
            connect_timeout: config.connect_timeout.0,
            read_timeout: config.read_timeout.0,
        }
    }
}

fn client(session: &Session) -> Option<SocketAddr> {
    let address = session.client_addr()?.as_inet()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Tee;

    fn new_ctx(&self) -> Tee {
        Tee::new()
    }

    async fn early_request_filter(&self, session: &mut Session, _: &mut Tee) -> Result<()> {
        let downstream = session.as_downstream_mut();
        // A client may close its sending side and still wait for its answer.
        downstream.set_abort_on_close(false);
        // Otherwise a second request in the same segment is dropped without a word.
        downstream.set_pipelining_enabled(true);
        if downstream.as_http1().is_some_and(|http1| http1.will_keepalive()) {
            downstream.set_keepalive(Some(self.keepalive.as_secs().max(1)));
        }
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, tee: &mut Tee) -> Result<bool> {
        if !self.tap.has_sinks() {
            return Ok(false);
        }
        let origin = Origin { source: "proxy", client: client(session) };
        let bodiless = session.as_mut().is_body_empty();
        if let Some(http1) = session.as_downstream().as_http1() {
            tee.begin(self.tap.begin(http1.get_headers_raw_bytes(), origin));
        }
        if let (true, Some(writer)) = (bodiless, tee.writer()) {
            writer.request_end(None);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, _: &mut Session, tee: &mut Tee) -> Result<Box<HttpPeer>> {
        let attempt = tee.attempt();
        let addresses = self.resolver.addresses().await.map_err(|error| {
            let mut failed =
                Error::because(ErrorType::HTTPStatus(502), format!("{} cannot be resolved", self.upstream), error);
            failed.as_up();
            failed
        })?;
        let mut peer = Box::new(self.peer.clone());
        peer._address = addresses[attempt % addresses.len()].into();
        Ok(peer)
    }

    async fn connected_to_upstream(
        &self,
        _: &mut Session,
        _: bool,
        peer: &HttpPeer,
        _: std::os::fd::RawFd,
        _: Option<&Digest>,
        tee: &mut Tee,
    ) -> Result<()> {
        if let (Some(writer), Some(address)) = (tee.writer(), peer.address().as_inet()) {
            writer.upstream(*address);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _: &mut Tee,
    ) -> Result<()> {
        hop::one_length(request)?;
        if self.forwarded {
            if let Some(client) = client(session) {
                let before = request.headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok());
                let all: Vec<_> = before.map(str::to_owned).chain([client.ip().to_string()]).collect();
                request.insert_header("X-Forwarded-For", all.join(", "))?;
            }
            request.insert_header("X-Forwarded-Proto", "http")?;
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        tee: &mut Tee,
    ) -> Result<()> {
        tee.request_data(body.as_ref(), end_of_stream, &self.metrics);
        Ok(())
    }

    async fn upstream_response_filter(&self, _: &mut Session, head: &mut ResponseHeader, tee: &mut Tee) -> Result<()> {
        tee.response_head(head);
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, head: &mut ResponseHeader, _: &mut Tee) -> Result<()> {
        if hop::answer(head, session.req_header().version) {
            session.set_keepalive(None);
        }
        if let (Some(date), Some(http1)) = (head.headers.get(DATE), session.as_downstream().as_http1())
            && let Some(downstream) = http1.stream().as_any().downcast_ref::<Stream>()
        {
            downstream.keep_date(date.as_bytes());
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _: bool,
        tee: &mut Tee,
    ) -> Result<Option<Duration>> {
        tee.response_data(body.as_ref(), &self.metrics);
        Ok(None)
    }

    /// A name's next address is tried when one cannot be reached.
    fn fail_to_connect(&self, _: &mut Session, _: &HttpPeer, tee: &mut Tee, mut error: Box<Error>) -> Box<Error> {
        error.set_retry(tee.attempts < self.resolver.known());
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, tee: &mut Tee) -> FailToProxy {
        let told = failure(error, &self.upstream, self.connect_timeout, self.read_timeout);
        match told.fault {
            Abort::Downstream => tracing::debug!(fault = %told.fault, reason = told.reason, "exchange aborted"),
            _ => {
                let request = session.req_header();
                tracing::warn!(
                    fault = %told.fault,
                    reason = told.reason,
                    status = told.status,
                    method = %request.method,
                    path = self.tap.redacted(request.uri.path()),
                    error = kind(error),
                    "exchange failed"
                );
            }
        }
        let answerable = session.response_written().is_none_or(|head| head.status.is_informational());
        let status = told.status.filter(|_| answerable);
        if let Some(status) = status {
            tee.status = Some(status);
            let body = Bytes::from(format!("mirror: {}\n", told.reason));
            if let Err(error) = respond(session, status, body).await {
                tracing::debug!(%error, "the client left before it could be told of the failure");
            }
        }
        FailToProxy { error_code: status.unwrap_or(0), can_reuse_downstream: false }
    }

    /// Failures are told once, by `fail_to_proxy`, with whose fault they are.
    fn suppress_error_log(&self, _: &Session, _: &Tee, _: &Error) -> bool {
        true
    }

    async fn logging(&self, _: &mut Session, error: Option<&Error>, tee: &mut Tee) {
        let abort = error.map(|error| failure(error, &self.upstream, self.connect_timeout, self.read_timeout).fault);
        if let Some(abort) = abort {
            self.metrics.aborted.inc(abort as usize);
        }
        if let Some(status) = tee.status {
            self.metrics.durations.observe(status, tee.started.elapsed());
        }
        tee.end(abort);
    }
}

async fn respond(session: &mut Session, status: u16, body: Bytes) -> Result<()> {
    let mut head = ResponseHeader::build(status, Some(2))?;
    head.insert_header("Content-Type", "text/plain; charset=utf-8")?;
    head.insert_header("Content-Length", body.len().to_string())?;
    session.set_keepalive(None);
    session.write_response_header(Box::new(head), false).await?;
    session.write_response_body(Some(body), true).await
}
