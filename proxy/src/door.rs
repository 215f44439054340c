//! How connections come in: what is made of one before anything of it is proxied.
//!
//! ```text
//!  accepted ─▶ PROXY header? ─▶ where was it going? ─▶ what does it speak? ─▶ HTTP/1: pingora
//!                   │                   │                       └───────────▶ all else: a tunnel
//!                   └─────── no ────────┴──▶ refused, with the reason
//! ```
//!
//! A plain proxy asks none of these: what it accepts goes straight to pingora.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use mirror::config::{Config, Transparent};
use mirror::resolve::Resolver;
use mirror::telemetry::{Counter, Reasons, Telemetry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::detect::Protocol;
use crate::dial::{Dial, Noted};
use crate::proxy_protocol::{self, Ends};
use crate::route::{Refused, Route};
use crate::stream::Arrived;
use crate::tunnel;

/// How long one that is refused may take to read why.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// What all connections pass.
pub(crate) struct Door {
    transparent: Option<Transparent>,
    /// Whether connections begin with a PROXY header.
    headed: bool,
    /// Whether what is known of a client has to be told to the application.
    announces: bool,
    listening: Vec<SocketAddr>,
    upstream: Option<Resolver>,
    dial: Dial,
    detect_timeout: Duration,
    connect_timeout: Duration,
    refused: Reasons,
    tunnels: Reasons,
    up: Counter,
    down: Counter,
}

impl Door {
    pub(crate) fn new(
        config: &Config,
        listening: Vec<SocketAddr>,
        upstream: Option<Resolver>,
        dial: Dial,
        telemetry: &Telemetry,
    ) -> Door {
        let bytes = |direction| {
            telemetry.counter(
                "mirror_proxy_tunnel_bytes_total",
                "Bytes of upgraded connections, which are tunnelled and not mirrored.",
                ("direction", direction),
            )
        };
        let tunnelled = &Protocol::ALL[1..];
        Door {
            transparent: config.proxy.transparent,
            headed: config.proxy.proxy_protocol.accept,
            announces: config.proxy.proxy_protocol.send.is_some(),
            listening,
            upstream,
            dial,
            detect_timeout: config.proxy.detect_timeout.0,
            connect_timeout: config.proxy.connect_timeout.0,
            refused: telemetry.reasons(
                "mirror_proxy_refused_total",
                "Connections that were not taken, by reason.",
                "reason",
                Refused::ALL.iter().map(|reason| reason.label()),
            ),
            tunnels: telemetry.reasons(
                "mirror_proxy_tunnels_total",
                "Redirected connections that were tunnelled because they are not HTTP/1, by what they speak.",
                "protocol",
                tunnelled.iter().map(|protocol| protocol.label()),
            ),
            up: bytes("up"),
            down: bytes("down"),
        }
    }

    /// Takes a connection that is to be proxied. None where it is not; then it has been seen to its end.
    pub(crate) async fn admit(&self, mut socket: TcpStream) -> Option<Arrived> {
        if self.transparent.is_none() && !self.headed && !self.announces {
            return Some(Arrived { socket, route: None, read: BytesMut::new(), noted: Noted::nothing() });
        }
        let mut read = BytesMut::new();
        let admitted = self.route(&mut socket, &mut read).await;
        let (route, noted) = match admitted {
            Ok(Ok(admitted)) => admitted,
            Ok(Err(refused)) => {
                self.refuse(socket, read, refused).await;
                return None;
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was gone before it was served");
                return None;
            }
        };
        if self.transparent.is_none() {
            return Some(Arrived { socket, route: Some(route), read, noted });
        }
        match self.see(&mut socket, &route, &mut read).await {
            Ok(Seen::Http1) => Some(Arrived { socket, route: Some(route), read, noted }),
            Ok(Seen::Tunnel(protocol, server)) => {
                self.tunnel(socket, &route, read, protocol, server).await;
                None
            }
            Err(error) => {
                tracing::debug!(client = %route.client, %error, "a connection ended before it said what it is");
                None
            }
        }
    }

    /// Where a connection is from and where it goes.
    async fn route(&self, socket: &mut TcpStream, read: &mut BytesMut) -> io::Result<Result<(Route, Noted), Refused>> {
        let mut route = Route::of(socket)?;
        let Some(noted) = self.dial.arrived(route.client) else { return Ok(Err(Refused::Loop)) };
        if let Some(how) = self.transparent {
            route = match route.redirected(socket, how, &self.listening) {
                Ok(route) => route,
                // As any proxy does.
                Err((Refused::NotRedirected, route)) if self.upstream.is_some() => route,
                Err((refused, _)) => return Ok(Err(refused)),
            };
        }
        // The application's own calls have nobody before them who would write one.
        if self.headed && !route.egress {
            match proxy_protocol::read(socket, read).await {
                Ok(Some(Ends { client, .. })) => route.client = client,
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
        if let Ok(first) = timeout(self.detect_timeout, more(socket, read)).await
            && first? == 0
        {
            return Ok(Seen::Tunnel(Protocol::ServerFirst, None));
        }
        let mut server = if read.is_empty() { Some(self.connect(route).await?) } else { None };
        loop {
            match Protocol::of(read) {
                Some(Protocol::Http1) => return Ok(Seen::Http1),
                Some(protocol) => return Ok(Seen::Tunnel(protocol, server)),
                None => {}
            }
            let came = match &mut server {
                Some(server) if read.is_empty() => tokio::select! {
                    came = more(socket, read) => came?,
                    spoke = server.0.readable() => {
                        spoke?;
                        0
                    }
                },
                _ => more(socket, read).await?,
            };
            if came == 0 {
                let protocol = if read.is_empty() { Protocol::ServerFirst } else { Protocol::Other };
                return Ok(Seen::Tunnel(protocol, server));
            }
        }
    }

    async fn connect(&self, route: &Route) -> io::Result<(TcpStream, Noted)> {
        let (to, from) = self.destination(route).await?;
        timeout(self.connect_timeout, self.dial.connect(to, from)).await?
    }

    /// Where a connection goes, and from which address.
    async fn destination(&self, route: &Route) -> io::Result<(SocketAddr, Option<SocketAddr>)> {
        let to = match &self.upstream {
            Some(upstream) if !route.goes_on() => upstream.addresses().await?[0],
            _ => route.server,
        };
        Ok((to, route.seen_from(&self.dial)))
    }

    async fn tunnel(
        &self,
        mut socket: TcpStream,
        route: &Route,
        read: BytesMut,
        protocol: Protocol,
        server: Option<(TcpStream, Noted)>,
    ) {
        self.tunnels.inc(protocol as usize - 1);
        tracing::debug!(client = %route.client, server = %route.server, %protocol, "tunnelled");
        let server = match server {
            Some(server) => Ok(server),
            None => self.connect(route).await,
        };
        let (mut server, _noted) = match server {
            Ok(server) => server,
            Err(error) => {
                tracing::debug!(server = %route.server, %error, "a tunnel cannot be opened");
                return tunnel::reset(&socket);
            }
        };
        if let Err(error) = tunnel::pass(&mut socket, &mut server, read, [&self.up, &self.down]).await {
            tracing::debug!(server = %route.server, %error, "a tunnel broke");
        }
    }

    /// Closes a connection that is not taken, and says why: to whoever reads metrics and the log, and to a client that speaks HTTP.
    async fn refuse(&self, mut socket: TcpStream, mut read: BytesMut, refused: Refused) {
        self.refused.inc(refused as usize);
        let client = socket.peer_addr().ok();
        tracing::warn!(
            client = client.map(tracing::field::display),
            reason = refused.label(),
            "a connection is refused"
        );
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
