//! The API server as a client of Pods.

use std::error::Error as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body as HttpBody, Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::service_proxy::Location;
use super::wire::Tampering;
use super::{Body, BoxError};

/// Why there is no answer, in Go's words.
pub(crate) struct Failure(pub String);

/// What becomes of informational answers.
pub(crate) struct Informational {
    tampering: Tampering,
    /// What the API server had put into the answer's headers by then.
    headers: HeaderMap,
    happened: AtomicBool,
}

/// Passes them on to the client at once.
pub(crate) fn pass_informational(tampering: &Tampering, headers: HeaderMap) -> Arc<Informational> {
    Arc::new(Informational { tampering: tampering.clone(), headers, happened: AtomicBool::new(false) })
}

impl Informational {
    /// Whether there were any.
    pub(crate) fn happened(&self) -> bool {
        self.happened.load(Ordering::Relaxed)
    }

    fn pass(&self, status: StatusCode, headers: &HeaderMap) {
        let is_first = !self.happened.swap(true, Ordering::Relaxed);
        let mut text = format!("HTTP/1.1 {status}\r\n").into_bytes();
        let own = self.headers.iter().filter(|_| is_first);
        for (name, value) in own.chain(headers) {
            text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        text.extend(b"\r\n");
        self.tampering.send_first(&text);
    }
}

/// Sends a request on a connection of its own.
pub(crate) async fn send<B>(
    location: &Location,
    mut request: Request<B>,
    informational: Option<Arc<Informational>>,
) -> Result<Response<Incoming>, Failure>
where
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    if let Some(informational) = informational {
        hyper::ext::on_informational(&mut request, move |answer| informational.pass(answer.status(), answer.headers()));
    }
    let address = location.address;
    let stream = TcpStream::connect(address).await.map_err(|error| not_connected(address, &error))?;
    let _ = stream.set_nodelay(true);
    if !location.tls {
        return exchange(stream, request, address).await;
    }
    let name = ServerName::IpAddress(address.ip().into());
    let stream = unverified().connect(name, stream).await.map_err(|error| no_handshake(&error))?;
    exchange(stream, request, address).await
}

async fn exchange<S, B>(stream: S, request: Request<B>, address: SocketAddr) -> Result<Response<Incoming>, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let first_line = FirstLine::default();
    let stream = Heard { stream, first_line: first_line.clone() };
    let mut dialect = http1::Builder::new();
    dialect.title_case_headers(true).max_headers(10_000).max_buf_size(4 << 20); // Go's limits are as far away
    let handshake = dialect.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| no_answer(address, &error, &first_line))?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(|error| no_answer(address, &error, &first_line))
}

/// What a Pod said first, up to the end of its line: Go's errors quote it.
#[derive(Clone, Default)]
struct FirstLine(Arc<Mutex<Vec<u8>>>);

impl FirstLine {
    const LIMIT: usize = 64;

    fn note(&self, octets: &[u8]) {
        let mut line = self.0.lock().unwrap();
        let room = Self::LIMIT - line.len();
        line.extend_from_slice(&octets[..octets.len().min(room)]);
    }

    /// As Go's `%q` writes it.
    fn quoted(&self) -> String {
        let line = self.0.lock().unwrap();
        let octets = line.split(|octet| b"\r\n".contains(octet)).next().unwrap_or_default();
        let escaped: String = octets.iter().map(|octet| octet.escape_ascii().to_string()).collect();
        format!("\"{escaped}\"")
    }
}

/// A connection to a Pod whose first line is kept.
struct Heard<S> {
    stream: S,
    first_line: FirstLine,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = pin!(&mut self.stream).poll_read(context, buffer);
        self.first_line.note(&buffer.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}

fn not_connected(address: SocketAddr, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::HostUnreachable => "no route to host",
        _ => "network is unreachable",
    };
    Failure(format!("dial tcp {address}: connect: {reason}"))
}

fn no_handshake(error: &io::Error) -> Failure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    Failure(match cause {
        Some(rustls::Error::InvalidMessage(_)) => "tls: first record does not look like a TLS handshake".to_owned(),
        Some(_) => "remote error: tls: handshake failure".to_owned(),
        None => "EOF".to_owned(),
    })
}

fn no_answer(address: SocketAddr, error: &hyper::Error, first_line: &FirstLine) -> Failure {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    Failure(match cause {
        Some(io::ErrorKind::ConnectionReset) => {
            format!("read tcp 127.0.0.1:0->{address}: read: connection reset by peer")
        }
        _ if error.is_parse() => {
            let said = first_line.quoted();
            format!("net/http: HTTP/1.x transport connection broken: malformed HTTP response {said}")
        }
        _ => "EOF".to_owned(),
    })
}

/// The answer's body, decompressed while it streams.
pub(crate) fn unzipped(body: Incoming) -> Body {
    let decoder = MultiGzDecoder::new(Vec::new());
    let frames = futures_util::stream::unfold(Some((body, decoder)), |state| async move {
        let (mut body, mut decoder) = state?;
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let unzipped = decoder.write_all(&data).map(|()| Bytes::from(std::mem::take(decoder.get_mut())));
                    Some((unzipped.map(Frame::data).map_err(BoxError::from), Some((body, decoder))))
                }
                Err(trailers) => Some((Ok(trailers), Some((body, decoder)))),
            },
            Some(Err(error)) => Some((Err(error.into()), None)),
            None => {
                let rest = decoder.finish().map(Bytes::from).map(Frame::data).map_err(BoxError::from);
                Some((rest, None))
            }
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The API server trusts every certificate of a Pod.
fn unverified() -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
