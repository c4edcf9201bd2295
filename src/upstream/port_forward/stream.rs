//! One connection into a Pod as a byte stream: the channel protocol `v4.channel.k8s.io` on a WebSocket, as the kubelet
//! speaks it (cri-streaming `pkg/streaming/portforward/websocket.go`).
//!
//! Channel 0 carries data, channel 1 a sentence if the port cannot be reached; the first message of each is the port
//! number. The protocol cannot say that one direction ended, so ending the writing side ends the connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Octets of data in one message, and buffered per direction.
const CHUNK: usize = 64 * 1024;
/// Load balancers drop connections that say nothing, many after 60 seconds.
const PING: Duration = Duration::from_secs(30);

const DATA: usize = 0;
const ERROR: usize = 1;

/// A connection to one port of a Pod.
pub(super) struct PodStream<S> {
    socket: WebSocketStream<S>,
    /// Data that came and was not read yet.
    unread: Bytes,
    /// Which channels have said their port number.
    opened: [bool; 2],
    /// Whether the next octet is the first, and must not be one of TLS.
    wary: bool,
    /// Whether this side ended the connection.
    closed: bool,
    ping: Interval,
}

/// What the far side said instead of connecting to the port: the kubelet's own words.
#[derive(Debug)]
pub(super) struct RemoteError(pub(super) String);

/// A port that was spoken to in plain text answered with TLS.
#[derive(Debug)]
pub(super) struct SpeaksTls;

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpeaksTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the port speaks TLS")
    }
}

impl std::error::Error for RemoteError {}
impl std::error::Error for SpeaksTls {}

impl<S: AsyncRead + AsyncWrite + Unpin> PodStream<S> {
    /// Speaks over `socket`, whose handshake is done. With `plain` the Pod must not answer with TLS.
    pub(super) async fn new(socket: S, plain: bool) -> Self {
        let config = WebSocketConfig::default().read_buffer_size(CHUNK).write_buffer_size(CHUNK);
        let mut ping = interval_at(Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket: WebSocketStream::from_raw_socket(socket, Role::Client, Some(config)).await,
            unread: Bytes::new(),
            opened: [false; 2],
            wary: plain,
            closed: false,
            ping,
        }
    }

    /// The next piece of data; `None` at the end.
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Poll::Ready(message) = Pin::new(&mut self.socket).poll_next(context) else {
                self.show_life(context);
                return Poll::Pending;
            };
            let data = match message {
                Some(Ok(Message::Binary(message))) => self.data_of(message)?,
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(None)),
                Some(Ok(_)) => None,
                Some(Err(error)) => return Poll::Ready(self.end_of(error).map(|()| None)),
            };
            if data.is_some() {
                return Poll::Ready(Ok(data));
            }
        }
    }

    /// The data that `message` carries, if any.
    fn data_of(&mut self, mut message: Bytes) -> io::Result<Option<Bytes>> {
        if message.is_empty() {
            return Ok(None);
        }
        let channel = usize::from(message.split_to(1)[0]);
        let Some(opened) = self.opened.get_mut(channel) else { return Ok(None) };
        if !mem::replace(opened, true) || message.is_empty() {
            return Ok(None);
        }
        if channel == ERROR {
            return Err(io::Error::other(RemoteError(String::from_utf8_lossy(&message).into_owned())));
        }
        // An alert or a handshake: no answer in plain text begins so.
        if mem::take(&mut self.wary) && matches!(message[0], 0x15 | 0x16) {
            return Err(io::Error::other(SpeaksTls));
        }
        Ok(Some(message))
    }

    /// Whether the end that `error` tells of is a proper one.
    fn end_of(&self, error: Error) -> io::Result<()> {
        match error {
            Error::ConnectionClosed | Error::AlreadyClosed => Ok(()),
            _ if self.closed => Ok(()),
            error => Err(io_error(error)),
        }
    }

    /// Whatever goes wrong here shows when something is read.
    fn show_life(&mut self, context: &mut Context<'_>) {
        while self.ping.poll_tick(context).is_ready() {
            if !self.closed {
                let _ = Pin::new(&mut self.socket).start_send(Message::Ping(Bytes::new()));
                let _ = Pin::new(&mut self.socket).poll_flush(context);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for PodStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread.is_empty() {
            match ready!(this.poll_data(context))? {
                Some(data) => this.unread = data,
                None => return Poll::Ready(Ok(())),
            }
        }
        let now = this.unread.split_to(this.unread.len().min(buffer.remaining()));
        buffer.put_slice(&now);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for PodStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(octets)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>().min(CHUNK);
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(context)).map_err(io_error)?;
        socket.start_send(data_message(slices, length)).map_err(io_error)?;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        Pin::new(&mut self.socket).poll_close(context).map_err(io_error)
    }
}

/// The first `length` octets of `slices` on the data channel.
fn data_message(slices: &[IoSlice<'_>], length: usize) -> Message {
    let mut message = BytesMut::with_capacity(1 + length);
    message.put_u8(u8::try_from(DATA).expect("channels are small numbers"));
    for slice in slices {
        let room = 1 + length - message.len();
        message.put_slice(&slice[..slice.len().min(room)]);
    }
    Message::Binary(message.freeze())
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Protocol(_) => io::Error::new(io::ErrorKind::UnexpectedEof, error),
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    type Kubelet = WebSocketStream<DuplexStream>;

    async fn pair(plain: bool) -> (PodStream<DuplexStream>, Kubelet) {
        let (ours, theirs) = duplex(1 << 20);
        let mut kubelet = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        for channel in [0, 1] {
            say(&mut kubelet, channel, &8080u16.to_le_bytes()).await;
        }
        (PodStream::new(ours, plain).await, kubelet)
    }

    async fn say(kubelet: &mut Kubelet, channel: u8, data: &[u8]) {
        kubelet.send(Message::Binary([&[channel], data].concat().into())).await.unwrap();
    }

    async fn read_all(stream: &mut PodStream<DuplexStream>) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map(|_| all)
    }

    #[tokio::test]
    async fn data_comes_without_port_numbers_and_ends_with_the_socket() {
        let (mut stream, mut kubelet) = pair(true).await;
        say(&mut kubelet, 0, b"one ").await;
        say(&mut kubelet, 0, b"").await;
        say(&mut kubelet, 7, b"no such channel").await;
        say(&mut kubelet, 0, b"two").await;
        kubelet.close(None).await.unwrap();
        assert_eq!(read_all(&mut stream).await.unwrap(), b"one two");
    }

    #[tokio::test]
    async fn a_broken_socket_is_no_end() {
        let (mut stream, mut kubelet) = pair(true).await;
        say(&mut kubelet, 0, b"half").await;
        drop(kubelet);
        assert_eq!(read_all(&mut stream).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn the_far_side_says_why() {
        let (mut stream, mut kubelet) = pair(true).await;
        say(&mut kubelet, 1, b"connection refused").await;
        let error = read_all(&mut stream).await.unwrap_err();
        assert_eq!(error.get_ref().unwrap().downcast_ref::<RemoteError>().unwrap().0, "connection refused");
    }

    #[tokio::test]
    async fn tls_is_noticed_where_plain_text_is_expected() {
        let (mut stream, mut kubelet) = pair(true).await;
        say(&mut kubelet, 0, b"\x15\x03\x01\x00\x02\x02\x46").await;
        assert!(read_all(&mut stream).await.unwrap_err().get_ref().unwrap().is::<SpeaksTls>());
        let (mut stream, mut kubelet) = pair(false).await;
        say(&mut kubelet, 0, b"\x16\x03").await;
        assert_eq!(stream.read_u8().await.unwrap(), 0x16);
    }

    #[tokio::test]
    async fn what_is_written_arrives_in_order_and_whole() {
        let (mut stream, mut kubelet) = pair(true).await;
        let sent: Vec<u8> = (0..3 * CHUNK + 5).map(|n| n as u8).collect();
        let slices = [IoSlice::new(b"head"), IoSlice::new(&sent)];
        let written = stream.write_vectored(&slices).await.unwrap();
        assert_eq!(written, CHUNK, "one message");
        stream.write_all(&sent[CHUNK - 4..]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut arrived = Vec::new();
        while let Some(Ok(message)) = kubelet.next().await {
            match message {
                Message::Binary(data) => {
                    assert_eq!(data[0], 0);
                    arrived.extend_from_slice(&data[1..]);
                }
                Message::Close(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(arrived, [b"head", &sent[..]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn shows_life_while_it_waits() {
        let (mut stream, mut kubelet) = pair(true).await;
        let reading = tokio::spawn(async move { read_all(&mut stream).await });
        assert!(matches!(kubelet.next().await, Some(Ok(Message::Ping(_)))));
        assert!(matches!(kubelet.next().await, Some(Ok(Message::Ping(_)))));
        kubelet.close(None).await.unwrap();
        reading.await.unwrap().unwrap();
    }
}
