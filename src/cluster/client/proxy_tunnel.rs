//! A byte stream through a proxy: `CONNECT` (RFC 9110 section 9.3.6) or SOCKS version 5 (RFC 1928).

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::cluster::config::environment_proxy::{OutboundProxy, ProxyLogin, ProxyProtocol};
use crate::message::basic_auth::basic;
use crate::message::byte_stream::ByteStream;
use crate::message::host_port::join;

/// Asks `proxy`, which is at the other end of `stream`, for a stream to `host` and `port`. Errors are the cause alone.
pub(crate) async fn open_proxy_tunnel(
    stream: ByteStream,
    proxy: &OutboundProxy,
    host: &str,
    port: u16,
) -> Result<ByteStream, String> {
    let authority = join(host, port);
    match proxy.protocol {
        ProxyProtocol::Http | ProxyProtocol::Https => connect(stream, proxy.login.as_ref(), &authority).await,
        ProxyProtocol::Socks5 => socks(stream, proxy.login.as_ref(), &authority).await,
    }
}

async fn connect(stream: ByteStream, login: Option<&ProxyLogin>, authority: &str) -> Result<ByteStream, String> {
    let mut request = Request::connect(authority).header(HOST, authority);
    if let Some(login) = login {
        request = request.header(PROXY_AUTHORIZATION, basic(&login.user, &login.password));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let broken = |error: hyper::Error| format!("it does not answer as a HTTP proxy ({error})");
    let (mut sender, connection) =
        http1::Builder::new().title_case_headers(true).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await.map_err(broken)?;
    match answer.status() {
        status if status.is_success() => {}
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err("it wants a user and a password".to_owned()),
        status => return Err(format!("it answers {status}")),
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(broken)?;
    let parts = upgraded.downcast::<TokioIo<ByteStream>>().expect("the connection is over this very stream");
    Ok(parts.io.into_inner())
}

async fn socks(stream: ByteStream, login: Option<&ProxyLogin>, authority: &str) -> Result<ByteStream, String> {
    let target = Uri::builder().scheme("https").authority(authority).path_and_query("/").build();
    let target = target.map_err(|error| error.to_string())?;
    let mut client = SocksV5::new(Uri::from_static("socks5://proxy"), EstablishedConnector(Some(stream)));
    if let Some(ProxyLogin { user, password }) = login {
        client = client.with_auth(user.clone(), password.clone());
    }
    client.call(target).await.map(TokioIo::into_inner).map_err(|error| error.to_string())
}

/// A connector for a connection that is there already.
struct EstablishedConnector(Option<ByteStream>);

impl Service<Uri> for EstablishedConnector {
    type Response = TokioIo<ByteStream>;
    type Error = std::io::Error;
    type Future = Ready<Result<TokioIo<ByteStream>, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.take().ok_or_else(|| std::io::ErrorKind::NotConnected.into());
        ready(stream.map(TokioIo::new))
    }
}
