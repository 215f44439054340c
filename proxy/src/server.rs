//! The proxy's threads: accepting, serving and draining.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mirror::config::Config;
use mirror::resolve::Resolver;
use mirror::source::Tap;
use mirror::telemetry::Telemetry;
use pingora::apps::HttpServerApp;
use pingora::services::listening::Service as ListeningService;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::connector;
use crate::dial::Dial;
use crate::door::Door;
use crate::handover;
use crate::listener::{Listeners, nonblocking};
use crate::service::{Metrics, Service, Way};
use crate::stream;

/// How long accepting rests when the system has no descriptors or memory for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often the drain looks whether the last connection has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(5);

/// How often the upstream's name is looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// A timer that is always set. Tokio wakes its own driver, by a write to an event descriptor, for each timer that is set while no earlier
/// one is: without this one, that is each request's time-out.
const STANDING_TIMER: Duration = Duration::from_millis(500);

/// The way in, as recordings and metrics call it.
pub const INGRESS: &str = "proxy";

/// The way in of the application's own calls, where they are redirected to the proxy.
pub const EGRESS: &str = "egress";

type App = Arc<connector::Proxy>;

/// Why the proxy cannot start.
#[derive(Debug)]
pub enum ProxyError {
    /// The configuration names no upstream.
    NoUpstream,
    /// The system gives no thread.
    System(std::io::Error),
}

impl std::fmt::Display for ProxyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ProxyError::NoUpstream => f.write_str("upstream: missing: the proxy needs an application to stand before"),
            ProxyError::System(e) => write!(f, "the proxy cannot start: {e}"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// A running proxy.
pub struct Proxy {
    threads: Vec<Thread>,
    stop: watch::Sender<bool>,
    connections: Arc<AtomicU64>,
    /// Held by what accepts.
    accepting: Arc<()>,
    /// Whether the port may be another process's too.
    shared: bool,
    drain_idle: Duration,
}

struct Thread {
    runtime: tokio::runtime::Handle,
    app: App,
    ended: std::sync::mpsc::Receiver<()>,
}

/// Counts a connection as long as it is open.
struct Open(Arc<AtomicU64>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Proxy {
    /// Starts serving what `listeners` accept. Exchanges are offered to `ingress`, those of the application's own calls, where they are redirected
    /// here, to `egress`.
    ///
    /// # Errors
    /// When the configuration names no upstream and connections are not redirected, or the system gives no thread.
    pub fn start(
        config: &Config,
        listeners: Listeners,
        ingress: Tap,
        egress: Option<Tap>,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Proxy, ProxyError> {
        if config.upstream.is_none() && config.proxy.transparent.is_none() {
            return Err(ProxyError::NoUpstream);
        }
        // One a thread: its lock is not for all.
        let resolver = || {
            let upstream = config.upstream.as_ref()?;
            Some(Resolver::new(upstream.host(), upstream.port(), RESOLVE_EVERY, config.proxy.connect_timeout.0))
        };
        let metrics = Metrics::new(telemetry);
        let dial = Dial::new(config);
        let door =
            Arc::new(Door::new(config, listeners.addresses(), resolver(), dial.clone(), metrics.clone(), telemetry));
        let ingress = Way::new(INGRESS, ingress, telemetry);
        let egress = egress.map(|tap| Way::new(EGRESS, tap, telemetry));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = config.proxy.threads.map_or(cores, usize::from);
        let (stop, stopping) = watch::channel(false);
        let connections = Arc::new(AtomicU64::new(0));
        let open = connections.clone();
        telemetry.gauge(
            "mirror_proxy_connections",
            "Downstream connections open now.",
            Box::new(move || open.load(Relaxed)),
        );

        let mut threads = Vec::with_capacity(count);
        for i in 0..count {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProxyError::System)?;
            let service =
                Service::new(config, ingress.clone(), egress.clone(), resolver(), dial.clone(), metrics.clone());
            let app = connector::proxy(service, dial.clone());
            threads.push(Thread::start(i, runtime, app, stopping.clone()).map_err(ProxyError::System)?);
        }
        let (shared, drain_idle) = (config.proxy.reuse_port, config.proxy.drain_idle.0);
        let proxy = Proxy { threads, stop, connections, accepting: Arc::new(()), shared, drain_idle };
        for listener in listeners.0 {
            proxy.accept(listener, &door, stopping.clone()).map_err(ProxyError::System)?;
        }
        Ok(proxy)
    }

    /// Accepts on the first thread and hands connections to all in turn.
    fn accept(
        &self,
        listener: std::net::TcpListener,
        door: &Arc<Door>,
        mut stopping: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let door = door.clone();
        let first = self.threads[0].runtime.clone();
        let threads: Vec<_> = self.threads.iter().map(|t| (t.runtime.clone(), t.app.clone())).collect();
        let connections = self.connections.clone();
        let shutdown = stopping.clone();
        let listener = {
            let _on = first.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let mut turn = 0;
        let mut take = move |socket: tokio::net::TcpStream| {
            let socket = socket.into_std()?;
            let (runtime, app) = &threads[turn % threads.len()];
            turn += 1;
            connections.fetch_add(1, Relaxed);
            let open = Open(connections.clone());
            runtime.spawn(serve(socket, door.clone(), app.clone(), shutdown.clone(), open));
            std::io::Result::Ok(())
        };
        let shared = self.shared;
        let accepting = self.accepting.clone();
        first.spawn(async move {
            let _accepting = accepting;
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted.and_then(|(socket, _)| take(socket)),
                    _ = stopping.wait_for(|stop| *stop) => break,
                };
                if let Err(error) = accepted {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            if shared {
                // One that is gone already is nobody's loss.
                handover::leave(&listener, |socket| drop(take(socket))).await;
            }
        });
        Ok(())
    }

    /// Stops accepting, closes idle connections, and lets running exchanges finish within `limit`. Gives whether all did.
    pub fn drain(self, limit: Duration) -> bool {
        let began = Instant::now();
        let until = began + limit;
        let _ = self.stop.send(true);
        let (mut in_time, mut left) = (true, None);
        let accepts = |proxy: &Proxy| Arc::strong_count(&proxy.accepting) > 1;
        while self.connections.load(Relaxed) > 0 || accepts(&self) {
            if Instant::now() >= until {
                in_time = false;
                break;
            }
            if !accepts(&self) {
                left.get_or_insert_with(Instant::now);
            }
            // What was taken last has not said anything yet.
            let heard = !self.shared || left.is_some_and(|left| left.elapsed() >= handover::JUST_TAKEN);
            if heard && began.elapsed() >= self.drain_idle {
                // Again and again: a connection may have become idle just now.
                for thread in &self.threads {
                    let app = thread.app.clone();
                    thread.runtime.spawn(async move { app.http_cleanup().await });
                }
            }
            std::thread::sleep(DRAIN_LOOK);
        }
        if !in_time {
            tracing::warn!(connections = self.connections.load(Relaxed), "drain timeout: connections are cut");
        }
        // The accept loops and connections hold nothing of `stop`: its fall ends the threads.
        let Proxy { threads, stop, .. } = self;
        drop(stop);
        for thread in threads {
            let _ = thread.ended.recv_timeout(Duration::from_secs(1));
        }
        in_time
    }
}

impl Thread {
    fn start(i: usize, runtime: Runtime, app: App, mut stopping: watch::Receiver<bool>) -> std::io::Result<Thread> {
        let handle = runtime.handle().clone();
        let (end, ended) = std::sync::mpsc::channel();
        std::thread::Builder::new().name(format!("mirror-proxy-{i}")).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(async {
                    loop {
                        tokio::time::sleep(STANDING_TIMER).await;
                    }
                });
                // Until the proxy itself is gone: an error is what `changed` gives then.
                while stopping.changed().await.is_ok() {}
            });
            // Cuts what still runs: each exchange's writer is dropped, and the exchange ends as aborted.
            drop(runtime);
            let _ = end.send(());
        })?;
        Ok(Thread { runtime: handle, app, ended })
    }
}

async fn serve(socket: TcpStream, door: Arc<Door>, app: App, shutdown: watch::Receiver<bool>, _open: Open) {
    match nonblocking(socket) {
        Ok(socket) => {
            if let Some(arrived) = door.admit(socket, shutdown.clone()).await {
                stream::serve(arrived, |stream| ListeningService::handle_event(stream, app, shutdown)).await;
            }
        }
        Err(error) => tracing::debug!(%error, "a connection was gone before it was served"),
    }
}
