//! How connections come in: what is made of one before anything of it is proxied.
//!
//! ```text
//!  accepted ─▶ where was it going? ─▶ PROXY header? ─▶ what does it speak? ─▶ HTTP/1: pingora
//!                   │                   │                       └───────────▶ all else: a tunnel
//!                   └─────── no ────────┴──▶ refused, with the reason
//! ```
//!
//! A plain proxy asks none of these: what it accepts goes straight to pingora.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mirror::config::{Config, ProxyProtocolVersion, Transparent};
use mirror::resolve::{OwnAddresses, Resolver};
use mirror::telemetry::{Reasons, Telemetry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::detect::Protocol;
use crate::dial::{Dial, Noted};
use crate::handover;
use crate::proxy_protocol::{self, Ends};
use crate::route::{Refused, Route, plain};
use crate::service::Metrics;
use crate::stream::Arrived;
use crate::tunnel;

/// How long one that is refused may take to read why.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// How long a client may stop within what may be a request line. Then it is tunnelled: it may be a word of another protocol that is all there. A
/// second is several times what TCP takes to send a lost segment again.
const HALF_LINE: Duration = Duration::from_secs(1);

/// Refusals are logged as warnings once in so long: whoever looks for open ports is not to fill the log.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// What all connections pass.
pub(crate) struct Door {
    transparent: Option<Transparent>,
    /// Whether connections begin with a PROXY header.
    headed: bool,
    /// How the application is told who a client is.
    announce: Option<ProxyProtocolVersion>,
    listening: Vec<SocketAddr>,
    own: OwnAddresses,
    upstream: Option<Resolver>,
    dial: Dial,
    detect_timeout: Duration,
    connect_timeout: Duration,
    /// How long a connection may be silent on both sides before it is left to itself.
    silence: Duration,
    /// While it drains: how long one that has not said what it is may still do so.
    drain_idle: Duration,
    refused: Reasons,
    warned: Mutex<Option<Instant>>,
    tunnels: Reasons,
    unopened: Reasons,
    metrics: Metrics,
}

impl Door {
    pub(crate) fn new(
        config: &Config,
        listening: Vec<SocketAddr>,
        upstream: Option<Resolver>,
        dial: Dial,
        metrics: Metrics,
        telemetry: &Telemetry,
    ) -> Door {
        let by_protocol = |name, help| {
            telemetry.reasons(name, help, "protocol", Protocol::TUNNELLED.iter().map(|protocol| protocol.label()))
        };
        Door {
            transparent: config.proxy.transparent,
            headed: config.proxy.proxy_protocol.accept,
            announce: config.proxy.proxy_protocol.send,
            listening,
            own: OwnAddresses::default(),
            upstream,
            dial,
            detect_timeout: config.proxy.detect_timeout.0,
            connect_timeout: config.proxy.connect_timeout.0,
            silence: config.proxy.keepalive_timeout.0,
            drain_idle: match config.proxy.reuse_port {
                true => config.proxy.drain_idle.0.max(handover::JUST_TAKEN),
                false => config.proxy.drain_idle.0,
            },
            refused: telemetry.reasons(
                "mirror_proxy_refused_total",
                "Connections that were not taken, by reason.",
                "reason",
                Refused::ALL.iter().map(|reason| reason.label()),
            ),
            warned: Mutex::default(),
            tunnels: by_protocol(
                "mirror_proxy_tunnels_total",
                "Redirected connections that were tunnelled and not mirrored, by what they speak.",
            ),
            unopened: by_protocol(
                "mirror_proxy_tunnels_unopened_total",
                "Redirected connections that were to be tunnelled and where they were going could not be reached, by what they speak.",
            ),
            metrics,
        }
    }

    /// Takes a connection that is to be proxied. None where it is not; then it has been seen to its end.
    pub(crate) async fn admit(&self, mut socket: TcpStream, mut stopping: watch::Receiver<bool>) -> Option<Arrived> {
        if self.transparent.is_none() && !self.headed && self.announce.is_none() {
            return Some(Arrived { socket, route: None, read: BytesMut::new(), noted: Noted::nothing() });
        }
        let mut read = BytesMut::new();
        let seen = tokio::select! {
            seen = self.look(&mut socket, &mut read) => seen,
            () = self.drained(&mut stopping) => return None,
        };
        match seen {
            Ok(Ok((route, noted, Seen::Http1))) => Some(Arrived { socket, route: Some(route), read, noted }),
            Ok(Ok((route, _noted, Seen::Tunnel(protocol, server)))) => {
                self.tunnel(socket, &route, read, protocol, server).await;
                None
            }
            Ok(Err(refused)) => {
                self.refuse(socket, read, refused).await;
                None
            }
            Err(error) => {
                tracing::debug!(%error, "a connection ended before it said what it is");
                None
            }
        }
    }

    /// Where a connection is from, where it goes, and what it speaks.
    async fn look(
        &self,
        socket: &mut TcpStream,
        read: &mut BytesMut,
    ) -> io::Result<Result<(Route, Noted, Seen), Refused>> {
        let (route, noted) = match self.route(socket, read).await? {
            Ok(routed) => routed,
            Err(refused) => return Ok(Err(refused)),
        };
        let seen = match self.transparent {
            Some(_) => self.see(socket, &route, read).await?,
            None => Seen::Http1,
        };
        Ok(Ok((route, noted, seen)))
    }

    /// Resolves when a connection of which nothing is known yet is to be given up.
    async fn drained(&self, stopping: &mut watch::Receiver<bool>) {
        // An error is a proxy that is gone.
        let _ = stopping.wait_for(|stop| *stop).await;
        tokio::time::sleep(self.drain_idle).await;
    }

    /// Where a connection is from and where it goes.
    async fn route(&self, socket: &mut TcpStream, read: &mut BytesMut) -> io::Result<Result<(Route, Noted), Refused>> {
        let mut route = Route::of(socket)?;
        if let Some(how) = self.transparent {
            route = match route.redirected(socket, how, &self.listening, &self.own) {
                Ok(route) => route,
                // As any proxy does.
                Err((Refused::NotRedirected, route)) if self.upstream.is_some() => route,
                Err((refused, _)) => return Ok(Err(refused)),
            };
        }
        let Some(noted) = self.dial.arrived(&route) else { return Ok(Err(Refused::Loop)) };
        // The application's own calls have nobody before them who would write one.
        if self.headed && !route.egress {
            match proxy_protocol::read(socket, read).await {
                Ok(Some(Ends { client, server })) => (route.client, route.server) = (plain(client), plain(server)),
                Ok(None) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::TimedOut) => {
                    return Ok(Err(Refused::ProxyHeader));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ok((route, noted)))
    }

    /// What is spoken on a connection. Where its client says nothing at first it is connected, to hear whether the server does.
    async fn see(&self, socket: &mut TcpStream, route: &Route, read: &mut BytesMut) -> io::Result<Seen> {
        let is_silent = read.is_empty() && timeout(self.detect_timeout, socket.readable()).await.is_err();
        // Where that fails, who speaks HTTP is told by pingora, and others find it out.
        let server = if is_silent { self.connect(route).await.ok() } else { None };
        let mut unclear = Protocol::ServerFirst;
        loop {
            match Protocol::of(read) {
                Some(Protocol::Http1) => return Ok(Seen::Http1),
                Some(protocol) => return Ok(Seen::Tunnel(protocol, server)),
                None if read.is_empty() => {}
                None => unclear = Protocol::Other,
            }
            let patience = if read.is_empty() { self.silence } else { HALF_LINE };
            let spoke = async {
                match &server {
                    Some((server, _)) => server.readable().await,
                    None => std::future::pending().await,
                }
            };
            let came = tokio::select! {
                came = more(socket, read) => came?,
                spoke = spoke => {
                    spoke?;
                    0
                }
                () = tokio::time::sleep(patience) => 0,
            };
            if came == 0 {
                return Ok(Seen::Tunnel(unclear, server));
            }
        }
    }

    /// Connects to where a connection goes, and tells there who the client is.
    async fn connect(&self, route: &Route) -> io::Result<(TcpStream, Noted)> {
        let addresses = match &self.upstream {
            Some(upstream) if !route.goes_on() => upstream.addresses().await?,
            _ => [route.destination].into(),
        };
        let mut refused = io::Error::from(io::ErrorKind::NotFound);
        for to in addresses.iter() {
            let connecting = timeout(self.connect_timeout, self.dial.connect(*to, route.seen_from(&self.dial)));
            match connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok((mut server, noted)) => {
                    if let Some(preamble) = proxy_protocol::preamble(self.announce, route) {
                        server.write_all(&preamble).await?;
                    }
                    return Ok((server, noted));
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    async fn tunnel(
        &self,
        mut socket: TcpStream,
        route: &Route,
        read: BytesMut,
        protocol: Protocol,
        server: Option<(TcpStream, Noted)>,
    ) {
        let server = match server {
            Some(server) => Ok(server),
            None => self.connect(route).await,
        };
        let (mut server, _noted) = match server {
            Ok(server) => server,
            Err(error) => {
                self.unopened.inc(protocol.tunnelled());
                tracing::debug!(server = %route.destination, %error, "a tunnel cannot be opened");
                return tunnel::reset(&socket);
            }
        };
        self.tunnels.inc(protocol.tunnelled());
        tracing::debug!(client = %route.client, server = %route.destination, %protocol, "tunnelled");
        let counters = [&self.metrics.tunnel_up, &self.metrics.tunnel_down];
        if let Err(error) = tunnel::pass(&mut socket, &mut server, read, counters).await {
            tracing::debug!(server = %route.destination, %error, "a tunnel broke");
        }
    }

    /// Closes a connection that is not taken, and says why: to whoever reads metrics and the log, and to a client that speaks HTTP.
    async fn refuse(&self, mut socket: TcpStream, mut read: BytesMut, refused: Refused) {
        self.refused.inc(refused as usize);
        self.log_refused(socket.peer_addr().ok(), refused);
        let told = async {
            while Protocol::of(&read).is_none() && more(&mut socket, &mut read).await? > 0 {}
            if Protocol::of(&read) != Some(Protocol::Http1) {
                tunnel::reset(&socket);
                return Ok(());
            }
            let (status, why) = refused.told();
            let body = format!("mirror: {why}\n");
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await?;
            socket.shutdown().await?;
            // What is not read when a connection is closed resets it, and the answer with it.
            while more(&mut socket, &mut read).await? > 0 {
                read.clear();
            }
            io::Result::Ok(())
        };
        let _ = timeout(TOLD_WITHIN, told).await;
    }
}

impl Door {
    fn log_refused(&self, client: Option<SocketAddr>, refused: Refused) {
        let mut warned = self.warned.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (client, reason) = (client.map(tracing::field::display), refused.label());
        if warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            *warned = Some(Instant::now());
            tracing::warn!(client, reason, "a connection is refused");
        } else {
            tracing::debug!(client, reason, "another connection is refused");
        }
    }
}

/// What is made of a connection.
enum Seen {
    Http1,
    /// With the connection to its server, where there is one already.
    Tunnel(Protocol, Option<(TcpStream, Noted)>),
}

/// The first read is of a whole request, mostly.
const READ: usize = 4096;

/// Reads more; 0 at the end.
async fn more(socket: &mut TcpStream, read: &mut BytesMut) -> io::Result<usize> {
    read.reserve(READ);
    socket.read_buf(read).await
}
