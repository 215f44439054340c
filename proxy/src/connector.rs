//! Connections to the upstream, as [`Stream`]s.
//!
//! pingora makes connections of its own type, which flushes each write. It takes others from a connector for protocols of its user's, and
//! where such a connector answers with a plain connection it speaks HTTP/1 over it, pools it and retries on it as it does with its own.

use std::mem::ManuallyDrop;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::http::custom::{Connection, Connector};
use pingora::protocols::l4::ext::connect;
use pingora::protocols::tls::CustomALPN;
use pingora::protocols::{ALPN, l4::socket::SocketAddr};
use pingora::proxy::{HttpProxy, ProxyServiceBuilder};
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::Peer;
use pingora::{Error, ErrorType, OrErr, Result};

use crate::service::Service;
use crate::stream::Stream;

/// The protocol that sends pingora to its user's connector. It is not spoken, nor negotiated: there is no TLS.
pub(crate) static PLAIN: LazyLock<ALPN> = LazyLock::new(|| ALPN::Custom(CustomALPN::new(b"plain".to_vec())));

/// pingora's proxy with our connections on both sides.
pub(crate) type Proxy = HttpProxy<Service, Upstream>;

/// Makes connections.
pub(crate) struct Upstream;

#[async_trait]
impl Connector for Upstream {
    type Session = ();

    async fn get_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<(Connection<()>, bool)> {
        let SocketAddr::Inet(address) = peer.address() else {
            return Error::e_explain(ErrorType::InternalError, "the upstream is no TCP address");
        };
        let limit = peer.connection_timeout().unwrap_or(Duration::MAX);
        let socket = tokio::time::timeout(limit, connect(address, None))
            .await
            .or_err(ErrorType::ConnectTimedout, "while connecting to the upstream")??;
        socket.set_nodelay(true).or_err(ErrorType::ConnectError, "the new connection is gone")?;
        Ok((Connection::Stream(Box::new(Stream::new(socket))), false))
    }

    async fn reused_http_session<P: Peer + Send + Sync + 'static>(&self, _: &P) -> Option<()> {
        None
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(&self, _: (), _: &P, _: Option<Duration>) {}
}

/// pingora's proxy of `service`.
pub(crate) fn proxy(service: Service) -> Arc<Proxy> {
    // The default conf's pool of 128 upstream connections is meant a thread, as here.
    let conf = Arc::new(ServerConf::default());
    let built = ProxyServiceBuilder::new(&conf, service).custom(Upstream, Arc::new(|_, _, _| Box::pin(async { None })));
    let built = ManuallyDrop::new(built.build());
    let proxy = built.app_logic().expect("a service that was just built holds its application");
    // SAFETY: the proxy is moved out of the service, which is neither used nor dropped afterwards. pingora gives out a proxy with a
    // connector only within a service, which owns it and would run its own accept loop; what else is in it (a name, no listeners) is leaked
    // once a thread.
    Arc::new(unsafe { std::ptr::read(proxy) })
}
