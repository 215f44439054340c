//! Connections to the upstream, as [`Stream`]s.
//!
//! pingora makes connections of its own type, which flushes each write. It takes others from a connector for protocols of its user's, and
//! where such a connector answers with a plain connection it speaks HTTP/1 over it, pools it and retries on it as it does with its own.

use std::io;
use std::mem::ManuallyDrop;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::http::custom::{Connection, Connector};
use pingora::protocols::tls::CustomALPN;
use pingora::protocols::{ALPN, l4::socket::SocketAddr};
use pingora::proxy::{HttpProxy, ProxyServiceBuilder};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::Peer;
use pingora::{Error, ErrorType, OrErr, Result};

use tokio::io::AsyncWriteExt;

use crate::dial::Dial;
use crate::service::Service;
use crate::stream::Stream;

/// The protocol that sends pingora to its user's connector. It is not spoken, nor negotiated: there is no TLS.
pub(crate) static PLAIN: LazyLock<ALPN> = LazyLock::new(|| ALPN::Custom(CustomALPN::new(b"plain".to_vec())));

/// pingora's proxy with our connections on both sides.
pub(crate) type Proxy = HttpProxy<Service, Upstream>;

/// Makes connections.
pub(crate) struct Upstream(Dial);

/// Where pingora carries what a connection is to begin with from [`Service`] to here: it has no place of its own for it, and does not read this one
/// without a `CONNECT` proxy.
pub(crate) const PREAMBLE: &str = "preamble";

#[async_trait]
impl Connector for Upstream {
    type Session = ();

    async fn get_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<(Connection<()>, bool)> {
        let SocketAddr::Inet(address) = peer.address() else {
            return Error::e_explain(ErrorType::InternalError, "the upstream is no TCP address");
        };
        let limit = peer.connection_timeout().unwrap_or(Duration::MAX);
        let from = peer.bind_to().and_then(|bind| bind.addr);
        let preamble = peer.get_peer_options().and_then(|options| options.extra_proxy_headers.get(PREAMBLE));
        let connecting = async {
            let (mut socket, noted) = self.0.connect(*address, from).await.map_err(|error| refused(error, address))?;
            if let Some(preamble) = preamble {
                socket.write_all(preamble).await.or_err(ErrorType::ConnectError, "the new connection is gone")?;
            }
            Result::<_, Box<Error>>::Ok((socket, noted))
        };
        let (socket, noted) = tokio::time::timeout(limit, connecting)
            .await
            .or_err(ErrorType::ConnectTimedout, "while connecting to the upstream")??;
        Ok((Connection::Stream(Box::new(Stream::to_upstream(socket, noted))), false))
    }

    async fn reused_http_session<P: Peer + Send + Sync + 'static>(&self, _: &P) -> Option<()> {
        None
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(&self, _: (), _: &P, _: Option<Duration>) {}
}

/// What the system says of a connection, as pingora calls it.
fn refused(error: io::Error, address: &std::net::SocketAddr) -> Box<Error> {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
        io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied => ErrorType::BindError,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => ErrorType::ConnectNoRoute,
        io::ErrorKind::ConnectionAborted => LOOP,
        _ => ErrorType::ConnectError,
    };
    Error::because(kind, format!("while connecting to {address}"), error)
}

/// The connection led back to this proxy.
pub(crate) const LOOP: ErrorType = ErrorType::Custom("ConnectLoop");

/// pingora's proxy of `service`, which makes connections so.
pub(crate) fn proxy(service: Service, dial: Dial) -> Arc<Proxy> {
    // The default conf's pool of 128 upstream connections is meant a thread, as here.
    let conf = Arc::new(ServerConf::default());
    let built =
        ProxyServiceBuilder::new(&conf, service).custom(Upstream(dial), Arc::new(|_, _, _| Box::pin(async { None })));
    let built = ManuallyDrop::new(built.build());
    let proxy = built.app_logic().expect("a service that was just built holds its application");
    // SAFETY: the proxy is moved out of the service, which is neither used nor dropped afterwards. pingora gives out a proxy with a
    // connector only within a service, which owns it and would run its own accept loop; what else is in it (a name, no listeners) is leaked
    // once a thread.
    Arc::new(unsafe { std::ptr::read(proxy) })
}
