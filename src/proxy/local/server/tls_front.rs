//! Which of the two a client speaks on the one port: TLS, which begins with a record of type 22, or plain HTTP, which begins with
//! a letter (RFC 8446 section 5.1, RFC 9112 section 2.1).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection::ClientSocket;
use crate::message::byte_stream::ByteStream;
use crate::message::scheme::Scheme;

/// The type of the record that a TLS client begins with: a handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// A fatal alert: handshake_failure (RFC 8446 section 6).
const HANDSHAKE_FAILURE: [u8; 7] = [21, 3, 1, 0, 2, 2, 40];
/// So much of what a client says is read before it is left.
const MAX_HELLO_SIZE: u64 = 64 * 1024;
/// And for so long.
const LINGERING_TIMEOUT: Duration = Duration::from_secs(2);

/// What is spoken on a connection, below HTTP.
pub(super) enum SpokenProtocol {
    /// HTTP/1.1, in the clear or by TLS.
    Http1(Scheme, ByteStream),
    /// HTTP/2 by TLS, as agreed by ALPN.
    Http2(ByteStream),
    /// TLS, and there are no certificates to speak it with.
    Unexpected,
}

/// Finds out what is spoken on `socket`, and takes TLS off by `config`.
///
/// # Errors
/// When the client goes, or there is no agreement with it.
pub(super) async fn listen_in(socket: ClientSocket, config: Option<&Arc<ServerConfig>>) -> io::Result<SpokenProtocol> {
    let socket = match socket {
        ClientSocket::Tcp(socket) => socket,
        #[cfg(unix)]
        unix @ ClientSocket::Unix(_) => return Ok(SpokenProtocol::Http1(Scheme::Http, unix.into_stream())),
    };
    let mut first = [0];
    // Nothing at all is the end of the stream, which HTTP deals with.
    let is_tls = socket.peek(&mut first).await? == 1 && first[0] == HANDSHAKE_RECORD;
    match config {
        Some(config) if is_tls => take_off(socket, config).await,
        None if is_tls => turn_away(socket).await.map(|()| SpokenProtocol::Unexpected),
        _ => Ok(SpokenProtocol::Http1(Scheme::Http, Box::new(socket))),
    }
}

/// Says in the client's own words that there is no agreement. A connection that is closed with octets unread is reset, and
/// the words are lost, so what the client has said is read.
async fn turn_away(mut socket: TcpStream) -> io::Result<()> {
    socket.write_all(&HANDSHAKE_FAILURE).await?;
    socket.shutdown().await?;
    let (mut unread, mut nowhere) = (socket.take(MAX_HELLO_SIZE), tokio::io::sink());
    let lingering = timeout(LINGERING_TIMEOUT, tokio::io::copy(&mut unread, &mut nowhere));
    lingering.await.map_or(Ok(()), |read| read.map(drop))
}

async fn take_off(socket: TcpStream, config: &Arc<ServerConfig>) -> io::Result<SpokenProtocol> {
    let stream = TlsAcceptor::from(Arc::clone(config)).accept(socket).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream: ByteStream = Box::new(stream);
    Ok(if is_http2 { SpokenProtocol::Http2(stream) } else { SpokenProtocol::Http1(Scheme::Https, stream) })
}
