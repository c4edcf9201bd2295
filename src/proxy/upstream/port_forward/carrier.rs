//! What carries the protocol of a port-forward: messages of a WebSocket, or the bare connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::codec::{BytesCodec, Framed};

/// Pieces both ways over one upgraded connection.
pub(super) enum StreamCarrier<S> {
    /// Each piece is a message.
    WebSocket(Box<WebSocketStream<S>>),
    /// Pieces as they come.
    Bare(Box<Framed<S, BytesCodec>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> StreamCarrier<S> {
    /// A WebSocket over `connection`, whose handshake is done. About `buffer` octets are held each way.
    pub(super) async fn web_socket(connection: S, buffer: usize) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(buffer).write_buffer_size(buffer);
        Self::WebSocket(Box::new(WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await))
    }

    /// Nothing but `connection`. About `buffer` octets are held each way.
    pub(super) fn bare(connection: S, buffer: usize) -> Self {
        let mut framed = Framed::with_capacity(connection, BytesCodec::new(), buffer);
        framed.set_backpressure_boundary(buffer);
        Self::Bare(Box::new(framed))
    }

    /// Shows life, where that is the carrier's to do. Whatever goes wrong shows when something is read.
    pub(super) fn ping(&mut self) {
        if let Self::WebSocket(socket) = self {
            let _ = Pin::new(socket).start_send(Message::Ping(Bytes::new()));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for StreamCarrier<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self.get_mut() {
            Self::Bare(framed) => Pin::new(framed).poll_next(context).map_ok(Into::into),
            Self::WebSocket(socket) => loop {
                return Poll::Ready(match ready!(Pin::new(&mut *socket).poll_next(context)) {
                    Some(Ok(Message::Binary(message))) => Some(Ok(message)),
                    Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => None,
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => Some(Err(io_error(error))),
                });
            },
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<Bytes> for StreamCarrier<S> {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::WebSocket(socket) => Pin::new(socket).poll_ready(context).map_err(io_error),
            Self::Bare(framed) => Sink::<Bytes>::poll_ready(Pin::new(framed), context),
        }
    }

    fn start_send(self: Pin<&mut Self>, piece: Bytes) -> io::Result<()> {
        match self.get_mut() {
            Self::WebSocket(socket) => Pin::new(socket).start_send(Message::Binary(piece)).map_err(io_error),
            Self::Bare(framed) => Pin::new(framed).start_send(piece),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::WebSocket(socket) => Pin::new(socket).poll_flush(context).map_err(io_error),
            Self::Bare(framed) => Sink::<Bytes>::poll_flush(Pin::new(framed), context),
        }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::WebSocket(socket) => Pin::new(socket).poll_close(context).map_err(io_error),
            Self::Bare(framed) => Sink::<Bytes>::poll_close(Pin::new(framed), context),
        }
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Protocol(_) => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        error => io::Error::other(error),
    }
}
