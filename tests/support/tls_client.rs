//! A client that speaks TLS, HTTP/1.1 and HTTP/2, and trusts one certificate authority.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http::{Answer, tcp};

/// Whom it trusts.
pub struct TlsClient(RootCertStore);

impl TlsClient {
    /// Trusts the authority of this PEM text.
    pub fn trusting(pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        Self(roots)
    }

    /// A connection to the host of `url` on which `protocol` was agreed, or nothing if it is empty.
    ///
    /// # Errors
    /// When there is no agreement.
    pub async fn connect(&self, url: &str, protocol: &str) -> io::Result<TlsStream<TcpStream>> {
        let url: Uri = url.parse().unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(self.0.clone()).with_no_client_auth();
        config.alpn_protocols = if protocol.is_empty() { Vec::new() } else { vec![protocol.as_bytes().to_vec()] };
        let name = ServerName::try_from(url.host().unwrap().to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp(&url).await).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), (!protocol.is_empty()).then_some(protocol.as_bytes()));
        Ok(stream)
    }

    /// A connection of HTTP/2 to the host of `url`.
    pub async fn http2(&self, url: &str) -> http2::SendRequest<Full<Bytes>> {
        let stream = TokioIo::new(self.connect(url, "h2").await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// GET by HTTP/1.1, following no redirect.
    pub async fn get(&self, url: &str) -> Answer {
        let stream = TokioIo::new(self.connect(url, "http/1.1").await.unwrap());
        let (mut sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let parsed: Uri = url.parse().unwrap();
        let request = Request::get(parsed.path_and_query().unwrap().as_str());
        let request = request.header("host", parsed.authority().unwrap().as_str());
        let answer = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        whole(answer).await
    }
}

/// All of an answer.
pub async fn whole(answer: http::Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}
