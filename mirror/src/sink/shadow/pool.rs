//! Keeps idle connections to a target and opens new ones. The connection used last is used first, so that the others grow old
//! and are closed when the load falls.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::net::TcpStream;

use super::connection::Connection;
use crate::config::ShadowConfig;
use crate::outcome::FailReason;
use crate::resolve::Resolver;
use crate::telemetry::{Observed, Several, Telemetry};

/// In boxes: each goes out and comes back with each copy.
type Idle = Vec<Box<Connection>>;

/// A target's connections and addresses.
pub(super) struct Pool {
    resolver: Resolver,
    connect_timeout: Duration,
    idle_timeout: Duration,
    /// Those used last are last.
    idle: Mutex<Idle>,
    /// So many are kept for the sessions that had them; beyond it another session gets the one that was used least lately.
    kept: usize,
    next_address: AtomicUsize,
    open: Arc<AtomicU64>,
    opened: IntCounter,
    _observed: Observed,
}

impl Pool {
    pub(super) fn new(config: &ShadowConfig, name: &str, telemetry: &Telemetry) -> Pool {
        let open = Arc::new(AtomicU64::new(0));
        let gauge = open.clone();
        let observed = telemetry.gauge_while(
            "mirror_shadow_connections",
            "Connections open to a target.",
            ("sink", name),
            Several::Sum,
            Box::new(move || gauge.load(Relaxed)),
        );
        Pool {
            resolver: Resolver::new(
                config.target.host(),
                config.target.port(),
                config.resolve_every.0,
                config.connect_timeout.0,
            ),
            connect_timeout: config.connect_timeout.0,
            idle_timeout: config.idle_timeout.0,
            idle: Mutex::default(),
            kept: config.concurrency.get(),
            next_address: AtomicUsize::new(0),
            open,
            opened: telemetry.counter(
                "mirror_shadow_connections_opened_total",
                "Connections opened to a target.",
                ("sink", name),
            ),
            _observed: observed,
        }
    }

    /// An idle connection that is still good, or a new one: for a session the one that it had before, and no other's as long as there is room.
    pub(super) async fn get(&self, session: Option<u64>) -> Result<Box<Connection>, FailReason> {
        let known = self.resolver.addresses().await.map_err(|_| FailReason::Resolve)?;
        while let Some(mut connection) = self.pop(session) {
            connection.session = session;
            let fresh = connection.idle_since.elapsed() < self.idle_timeout;
            // A name that has moved takes its connections with it.
            if fresh && known.contains(&connection.peer) && !connection.is_stale() {
                return Ok(connection);
            }
        }
        let mut connection = self.connect(&known).await?;
        connection.session = session;
        Ok(connection)
    }

    /// Gives a connection back at a message boundary.
    pub(super) fn put(&self, connection: Box<Connection>) {
        self.idle().push(connection);
    }

    fn pop(&self, session: Option<u64>) -> Option<Box<Connection>> {
        let mut idle = self.idle();
        if session.is_none() {
            return idle.pop();
        }
        let before = idle.iter().rposition(|connection| connection.session == session);
        let at = before.or_else(|| (idle.len() >= self.kept).then_some(0))?;
        Some(idle.remove(at))
    }

    /// Closes what has been idle for too long, for ever.
    pub(super) async fn close_idle(self: Arc<Self>) {
        let every = (self.idle_timeout / 2).max(Duration::from_millis(10));
        loop {
            tokio::time::sleep(every).await;
            self.idle()
                .retain(|connection| connection.idle_since.elapsed() < self.idle_timeout && !connection.is_stale());
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Tries each address once, beginning with another one each time.
    async fn connect(&self, known: &[SocketAddr]) -> Result<Box<Connection>, FailReason> {
        let first = self.next_address.fetch_add(1, Relaxed);
        let mut failure = FailReason::Resolve;
        for i in 0..known.len() {
            let address = known[(first + i) % known.len()];
            match tokio::time::timeout(self.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    self.opened.inc();
                    return Ok(Box::new(Connection::new(stream, address, self.open.clone())));
                }
                Ok(Err(_)) => failure = FailReason::Connect,
                Err(_) => failure = FailReason::ConnectTimeout,
            }
        }
        Err(failure)
    }
}
