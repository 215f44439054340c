//! pingora's hooks, in the order they run: once a request, then for each attempt, then at the end.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::DATE;
use mirror::config::{Config, ProxyProtocolVersion};
use mirror::exchange::Origin;
use mirror::outcome::Abort;
use mirror::resolve::Resolver;
use mirror::source::Tap;
use mirror::telemetry::{Counter, Durations, Reasons, Telemetry};
use pingora::connectors::l4::BindTo;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType, Result};

use crate::connector::{PLAIN, PREAMBLE};
use crate::dial::Dial;
use crate::failure::{Failure, failure, kind};
use crate::hop;
use crate::proxy_protocol;
use crate::route::{Route, plain};
use crate::stream::Stream;
use crate::tee::Tee;

/// What the proxy counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) tunnel_up: Counter,
    pub(crate) tunnel_down: Counter,
}

impl Metrics {
    pub(crate) fn new(telemetry: &Arc<Telemetry>) -> Metrics {
        let tunnel = |direction| {
            telemetry.counter(
                "mirror_proxy_tunnel_bytes_total",
                "Bytes of connections that are tunnelled and not mirrored: upgraded ones, and redirected ones that are not HTTP/1.",
                ("direction", direction),
            )
        };
        Metrics { tunnel_up: tunnel("up"), tunnel_down: tunnel("down") }
    }
}

/// What is offered, and counted, of what passes one way.
#[derive(Clone)]
pub(crate) struct Way {
    source: &'static str,
    tap: Tap,
    durations: Durations,
    aborted: Reasons,
}

impl Way {
    pub(crate) fn new(source: &'static str, tap: Tap, telemetry: &Arc<Telemetry>) -> Way {
        Way { source, tap, durations: telemetry.server_durations(source), aborted: telemetry.aborted(source) }
    }
}

/// The application that pingora runs: proxies to one upstream, or to where connections were going, and offers what passes.
pub(crate) struct Service {
    /// To the application.
    ingress: Way,
    /// From the application to others, where its calls are redirected here too.
    egress: Option<Way>,
    metrics: Metrics,
    upstream: Option<(String, Resolver)>,
    dial: Dial,
    announce: Option<ProxyProtocolVersion>,
    /// A peer with all options set; each request's has its own address.
    peer: HttpPeer,
    forwarded: bool,
    keepalive: Duration,
    connect_timeout: Duration,
    read_timeout: Duration,
}

impl Service {
    pub(crate) fn new(
        config: &Config,
        ingress: Way,
        egress: Option<Way>,
        upstream: Option<Resolver>,
        dial: Dial,
        metrics: Metrics,
    ) -> Service {
        let name = config.upstream.as_ref().map(ToString::to_string).unwrap_or_default();
        let config = &config.proxy;
        let mut peer = HttpPeer::new(SocketAddr::from(([127, 0, 0, 1], 0)), false, String::new());
        peer.options.connection_timeout = Some(config.connect_timeout.0);
        peer.options.read_timeout = Some(config.read_timeout.0);
        peer.options.write_timeout = Some(config.write_timeout.0);
        peer.options.alpn = PLAIN.clone();
        peer.options.idle_timeout = Some(config.upstream_idle_timeout.0);
        Service {
            ingress,
            egress,
            metrics,
            upstream: upstream.map(|resolver| (name, resolver)),
            dial,
            announce: config.proxy_protocol.send,
            peer,
            forwarded: config.forwarded,
            keepalive: config.keepalive_timeout.0,
            connect_timeout: config.connect_timeout.0,
            read_timeout: config.read_timeout.0,
        }
    }
}

/// What is known of a client's connection beside what its socket tells.
fn route(session: &Session) -> Option<&Route> {
    stream(session)?.route()
}

fn stream(session: &Session) -> Option<&Stream> {
    session.as_downstream().as_http1()?.stream().as_any().downcast_ref::<Stream>()
}

impl Service {
    fn way(&self, session: &Session) -> &Way {
        match &self.egress {
            Some(egress) if route(session).is_some_and(|route| route.egress) => egress,
            _ => &self.ingress,
        }
    }

    /// Where a redirected connection goes on to, where that is not the upstream.
    fn onward(&self, session: &Session) -> Option<SocketAddr> {
        let route = route(session)?;
        (route.goes_on() || self.upstream.is_none()).then_some(route.destination)
    }

    /// Whom a request goes to, in words.
    fn addressee(&self, session: &Session) -> Cow<'_, str> {
        match (self.onward(session), &self.upstream) {
            (Some(address), _) => address.to_string().into(),
            (None, Some((name, _))) => name.into(),
            (None, None) => "the upstream".into(),
        }
    }

    fn failure(&self, session: &Session, error: &Error) -> Failure {
        failure(error, &self.addressee(session), self.connect_timeout, self.read_timeout)
    }

    /// Has a connection show its client to the application, and be used for that client's requests alone.
    fn show_client(&self, route: &Route, peer: &mut HttpPeer) {
        if let Some(client) = route.seen_from(&self.dial) {
            let mut bind = BindTo::default();
            bind.addr = Some(client);
            peer.options.bind_to = Some(bind);
            peer.group_key = hash(&client.ip());
        }
        if let Some(preamble) = proxy_protocol::preamble(self.announce, route) {
            peer.group_key = hash(&(&preamble, route.client));
            peer.options.extra_proxy_headers.insert(PREAMBLE.to_owned(), preamble);
        }
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn client(session: &Session) -> Option<SocketAddr> {
    session.client_addr()?.as_inet().copied().map(plain)
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
        let Way { source, tap, .. } = self.way(session);
        if !tap.has_sinks() {
            return Ok(false);
        }
        let origin = Origin { source, client: client(session) };
        let bodiless = session.as_mut().is_body_empty();
        if let Some(http1) = session.as_downstream().as_http1() {
            tee.begin(tap.begin(http1.get_headers_raw_bytes(), origin));
        }
        if let (true, Some(writer)) = (bodiless, tee.writer()) {
            writer.request_end(None);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, session: &mut Session, tee: &mut Tee) -> Result<Box<HttpPeer>> {
        let attempt = tee.attempt();
        let mut peer = Box::new(self.peer.clone());
        let address = match (self.onward(session), &self.upstream) {
            (None, Some((name, resolver))) => {
                let addresses = resolver.addresses().await.map_err(|error| {
                    let mut failed =
                        Error::because(ErrorType::HTTPStatus(502), format!("{name} cannot be resolved"), error);
                    failed.as_up();
                    failed
                })?;
                addresses[attempt % addresses.len()]
            }
            (Some(onward), _) => onward,
            (None, None) => return Error::e_explain(ErrorType::InternalError, "a connection that leads nowhere"),
        };
        peer._address = address.into();
        if let Some(route) = route(session) {
            self.show_client(route, &mut peer);
        }
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
        hop::old(request, session.req_header().version);
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
        if let (Some(date), Some(downstream)) = (head.headers.get(DATE), stream(session)) {
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
    fn fail_to_connect(&self, session: &mut Session, _: &HttpPeer, tee: &mut Tee, mut error: Box<Error>) -> Box<Error> {
        let others = match (self.onward(session), &self.upstream) {
            (None, Some((_, resolver))) => resolver.known(),
            _ => 1,
        };
        error.set_retry(tee.attempts < others);
        error
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, tee: &mut Tee) -> FailToProxy {
        let told = self.failure(session, error);
        match told.fault {
            Abort::Downstream => tracing::debug!(fault = %told.fault, reason = told.reason, "exchange aborted"),
            _ => {
                let request = session.req_header();
                tracing::warn!(
                    fault = %told.fault,
                    reason = told.reason,
                    status = told.status,
                    method = %request.method,
                    path = self.ingress.tap.redacted(request.uri.path()),
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

    async fn logging(&self, session: &mut Session, error: Option<&Error>, tee: &mut Tee) {
        let way = self.way(session);
        let abort = error.map(|error| self.failure(session, error).fault);
        if let Some(abort) = abort {
            way.aborted.inc(abort as usize);
        }
        if let Some(status) = tee.status {
            way.durations.observe(status, tee.started.elapsed());
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
