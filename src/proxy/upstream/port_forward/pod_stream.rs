//! One connection into a Pod as a byte stream, whichever protocol of `pods/portforward` carries it.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::carrier::StreamCarrier;
use super::channels::ChannelProtocol;
use super::framing::{FramingEvent, PodFraming};
use super::spdy::SpdyProtocol;

/// Octets of data in one message, and buffered per direction.
const CHUNK: usize = 64 * 1024;
/// Load balancers drop connections that say nothing, many after 60 seconds.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// What a handshake led to: what both sides speak on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgreedProtocol {
    /// Channels, in messages of a WebSocket.
    Channels,
    /// SPDY/3.1, in messages of a WebSocket.
    TunnelledSpdy,
    /// SPDY/3.1 with nothing around it.
    Spdy,
}

impl AgreedProtocol {
    fn framing(self) -> Box<dyn PodFraming> {
        match self {
            Self::Channels => Box::new(ChannelProtocol::default()),
            Self::TunnelledSpdy | Self::Spdy => Box::new(SpdyProtocol::default()),
        }
    }

    async fn carrier<S: AsyncRead + AsyncWrite + Unpin>(self, connection: S) -> StreamCarrier<S> {
        match self {
            Self::Channels | Self::TunnelledSpdy => StreamCarrier::web_socket(connection, CHUNK).await,
            Self::Spdy => StreamCarrier::bare(connection, CHUNK),
        }
    }
}

/// A connection to one port of a Pod.
pub struct PodStream<S: AsyncRead + AsyncWrite + Unpin> {
    carrier: StreamCarrier<S>,
    framing: Box<dyn PodFraming>,
    /// What came and was not taken apart yet.
    piece: Bytes,
    /// Data that came and was not read yet.
    unread: Bytes,
    /// Whether the next octet is the first, and must not be one of TLS.
    wary: bool,
    /// Whether this side ended its direction.
    ended: bool,
    ping: Interval,
}

/// What the far side said instead of connecting to the port: the kubelet's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct RemoteError(pub(super) String);

/// A port that was spoken to in plain text answered with TLS.
#[derive(Debug, thiserror::Error)]
#[error("the port speaks TLS")]
pub(super) struct SpeaksTls;

impl<S: AsyncRead + AsyncWrite + Unpin> PodStream<S> {
    /// Speaks `protocol` to `port` over `connection`, where nothing was said yet. With `plain` the Pod must not answer with
    /// TLS.
    ///
    /// # Errors
    /// When the connection broke.
    pub async fn open(connection: S, protocol: AgreedProtocol, port: u16, plain: bool) -> io::Result<Self> {
        let (mut carrier, framing) = (protocol.carrier(connection).await, protocol.framing());
        if let Some(opening) = framing.opening(port) {
            carrier.send(opening).await?;
        }
        let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (piece, unread) = (Bytes::new(), Bytes::new());
        Ok(Self { carrier, framing, piece, unread, wary: plain, ended: false, ping })
    }

    /// The next piece of data; `None` at the end.
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            while let Some(event) = self.framing.next(&mut self.piece)? {
                match event {
                    FramingEvent::Data(data) => return Poll::Ready(self.look_at(data).map(Some)),
                    FramingEvent::End => return Poll::Ready(Ok(None)),
                    FramingEvent::Failed(words) => return Poll::Ready(Err(io::Error::other(RemoteError(words)))),
                    FramingEvent::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                    FramingEvent::Answer(piece) => self.say(piece, context),
                }
            }
            let Poll::Ready(piece) = Pin::new(&mut self.carrier).poll_next(context) else {
                self.show_life(context);
                return Poll::Pending;
            };
            match piece {
                Some(Ok(piece)) => self.piece = piece,
                None if self.framing.ends_with_carrier() => return Poll::Ready(Ok(None)),
                Some(Err(_)) if self.framing.ends_with_carrier() && self.ended => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Some(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Refuses `data` that begins with an alert or a handshake of TLS: no answer in plain text begins so.
    fn look_at(&mut self, data: Bytes) -> io::Result<Bytes> {
        match mem::take(&mut self.wary) && matches!(data.first(), Some(0x15 | 0x16)) {
            true => Err(io::Error::other(SpeaksTls)),
            false => Ok(data),
        }
    }

    fn show_life(&mut self, context: &mut Context<'_>) {
        while self.ping.poll_tick(context).is_ready() {
            match self.framing.ping() {
                Some(piece) => self.say(piece, context),
                None if !self.ended => {
                    self.carrier.ping();
                    let _ = Pin::new(&mut self.carrier).poll_flush(context);
                }
                None => {}
            }
        }
    }

    /// Sends `piece` out of turn. Whatever goes wrong here shows when something is read.
    fn say(&mut self, piece: Bytes, context: &mut Context<'_>) {
        let _ = Pin::new(&mut self.carrier).start_send(piece);
        let _ = Pin::new(&mut self.carrier).poll_flush(context);
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
        ready!(Pin::new(&mut self.carrier).poll_ready(context))?;
        let data = self.framing.data(slices, length);
        Pin::new(&mut self.carrier).start_send(data)?;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(end) = self.framing.end() else {
            self.ended = true;
            return Pin::new(&mut self.carrier).poll_close(context);
        };
        if !self.ended {
            ready!(Pin::new(&mut self.carrier).poll_ready(context))?;
            Pin::new(&mut self.carrier).start_send(end)?;
            self.ended = true;
        }
        Pin::new(&mut self.carrier).poll_flush(context)
    }
}

/// Without a goodbye the API server logs an error for each connection.
impl<S: AsyncRead + AsyncWrite + Unpin> Drop for PodStream<S> {
    fn drop(&mut self) {
        let _ = Pin::new(&mut self.carrier).poll_close(&mut Context::from_waker(Waker::noop()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::upstream::port_forward::spdy;
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    /// The far side of a WebSocket.
    type Socket = WebSocketStream<DuplexStream>;

    async fn by_channels(plain: bool) -> (PodStream<DuplexStream>, Socket) {
        let (ours, mut kubelet) = over_web_socket(AgreedProtocol::Channels, plain).await;
        for channel in [0, 1] {
            say(&mut kubelet, &[channel, 0x90, 0x1f]).await;
        }
        (ours, kubelet)
    }

    async fn by_tunnelled_spdy(plain: bool) -> (PodStream<DuplexStream>, Socket) {
        let (ours, mut api) = over_web_socket(AgreedProtocol::TunnelledSpdy, plain).await;
        assert_eq!(api.next().await.unwrap().unwrap(), Message::Binary(spdy::tests::opening(8080)));
        (ours, api)
    }

    async fn over_web_socket(protocol: AgreedProtocol, plain: bool) -> (PodStream<DuplexStream>, Socket) {
        let (ours, theirs) = duplex(1 << 20);
        let far = WebSocketStream::from_raw_socket(theirs, Role::Server, None).await;
        (PodStream::open(ours, protocol, 8080, plain).await.unwrap(), far)
    }

    async fn by_spdy() -> (PodStream<DuplexStream>, DuplexStream) {
        let (ours, mut theirs) = duplex(1 << 20);
        let ours = PodStream::open(ours, AgreedProtocol::Spdy, 8080, true).await.unwrap();
        let mut opening = vec![0; spdy::tests::opening(8080).len()];
        theirs.read_exact(&mut opening).await.unwrap();
        assert_eq!(opening, spdy::tests::opening(8080));
        (ours, theirs)
    }

    async fn say(far: &mut Socket, message: &[u8]) {
        far.send(Message::Binary(Bytes::copy_from_slice(message))).await.unwrap();
    }

    async fn read_all(stream: &mut PodStream<DuplexStream>) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map(|_| all)
    }

    fn remote_error(error: &io::Error) -> &str {
        &error.get_ref().unwrap().downcast_ref::<RemoteError>().unwrap().0
    }

    #[tokio::test]
    async fn channels_end_with_the_socket() {
        let (mut stream, mut kubelet) = by_channels(true).await;
        say(&mut kubelet, b"\0one ").await;
        say(&mut kubelet, b"\0two").await;
        kubelet.close(None).await.unwrap();
        assert_eq!(read_all(&mut stream).await.unwrap(), b"one two");
    }

    #[tokio::test]
    async fn streams_end_by_themselves() {
        let (mut stream, mut api) = by_tunnelled_spdy(true).await;
        say(&mut api, &[spdy::tests::data(3, 0, b"one "), spdy::tests::data(3, 1, b"two")].concat()).await;
        assert_eq!(read_all(&mut stream).await.unwrap(), b"one two");
        assert_eq!(read_all(&mut stream).await.unwrap(), b"", "it stays at its end");
    }

    #[tokio::test]
    async fn a_broken_socket_is_no_end() {
        let eof = io::ErrorKind::UnexpectedEof;
        let (mut stream, mut kubelet) = by_channels(true).await;
        say(&mut kubelet, b"\0half").await;
        drop(kubelet);
        assert_eq!(read_all(&mut stream).await.unwrap_err().kind(), eof);

        let (mut stream, mut api) = by_tunnelled_spdy(true).await;
        say(&mut api, &spdy::tests::data(3, 0, b"half")).await;
        stream.shutdown().await.unwrap();
        api.close(None).await.unwrap();
        assert_eq!(read_all(&mut stream).await.unwrap_err().kind(), eof, "nor is one that says goodbye");

        let (mut stream, mut api) = by_spdy().await;
        api.write_all(&spdy::tests::data(3, 0, b"half")[..10]).await.unwrap();
        drop(api);
        assert_eq!(read_all(&mut stream).await.unwrap_err().kind(), eof);
    }

    #[tokio::test]
    async fn the_far_side_says_why() {
        let (mut stream, mut kubelet) = by_channels(true).await;
        say(&mut kubelet, b"\x01connection refused").await;
        assert_eq!(remote_error(&read_all(&mut stream).await.unwrap_err()), "connection refused");

        let (mut stream, mut api) = by_spdy().await;
        api.write_all(&spdy::tests::data(1, 0, b"connection refused")).await.unwrap();
        assert_eq!(remote_error(&read_all(&mut stream).await.unwrap_err()), "connection refused");

        let (mut stream, mut api) = by_spdy().await;
        api.write_all(&spdy::tests::reset(3)).await.unwrap();
        assert_eq!(read_all(&mut stream).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn tls_is_noticed_where_plain_text_is_expected() {
        let (mut stream, mut kubelet) = by_channels(true).await;
        say(&mut kubelet, b"\0\x15\x03\x01\x00\x02\x02\x46").await;
        assert!(read_all(&mut stream).await.unwrap_err().get_ref().unwrap().is::<SpeaksTls>());
        let (mut stream, mut kubelet) = by_channels(false).await;
        say(&mut kubelet, b"\0\x16\x03").await;
        assert_eq!(stream.read_u8().await.unwrap(), 0x16);
    }

    /// Sends more than one piece, and ends.
    async fn write(stream: &mut PodStream<DuplexStream>) -> Vec<u8> {
        let sent: Vec<u8> = (0..3 * CHUNK + 5).map(|n| n as u8).collect();
        let slices = [IoSlice::new(b"head"), IoSlice::new(&sent)];
        assert_eq!(stream.write_vectored(&slices).await.unwrap(), CHUNK, "one piece");
        stream.write_all(&sent[CHUNK - 4..]).await.unwrap();
        stream.shutdown().await.unwrap();
        [b"head", &sent[..]].concat()
    }

    #[tokio::test]
    async fn what_is_written_to_a_channel_arrives_in_order_and_whole() {
        let (mut stream, mut kubelet) = by_channels(true).await;
        let sent = write(&mut stream).await;
        let mut arrived = Vec::new();
        while let Message::Binary(data) = kubelet.next().await.unwrap().unwrap() {
            assert_eq!(data[0], 0);
            arrived.extend_from_slice(&data[1..]);
        }
        assert_eq!(arrived, sent);
    }

    #[tokio::test]
    async fn what_is_written_to_a_stream_arrives_in_order_and_whole_and_an_answer_may_follow() {
        let (mut stream, mut api) = by_spdy().await;
        let sent = write(&mut stream).await;
        let mut arrived = Vec::new();
        loop {
            let mut head = [0; 8];
            api.read_exact(&mut head).await.unwrap();
            assert_eq!(&head[..4], [0, 0, 0, 3]);
            let mut data = vec![0; u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize];
            api.read_exact(&mut data).await.unwrap();
            arrived.extend(data);
            if head[4] == 1 {
                break;
            }
        }
        assert_eq!(arrived, sent);
        api.write_all(&spdy::tests::data(3, 1, b"thanks")).await.unwrap();
        assert_eq!(read_all(&mut stream).await.unwrap(), b"thanks");
    }

    #[tokio::test(start_paused = true)]
    async fn shows_life_while_it_waits() {
        let (mut stream, mut kubelet) = by_channels(true).await;
        let reading = tokio::spawn(async move { read_all(&mut stream).await });
        for _ in 0..2 {
            assert!(matches!(kubelet.next().await, Some(Ok(Message::Ping(_)))));
        }
        kubelet.close(None).await.unwrap();
        reading.await.unwrap().unwrap();

        let (mut stream, mut api) = by_tunnelled_spdy(true).await;
        let reading = tokio::spawn(async move { read_all(&mut stream).await });
        for _ in 0..2 {
            assert_eq!(api.next().await.unwrap().unwrap(), Message::Binary(SpdyProtocol::default().ping().unwrap()));
        }
        say(&mut api, &spdy::tests::data(3, 1, b"")).await;
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn says_goodbye() {
        let (stream, mut api) = by_tunnelled_spdy(true).await;
        drop(stream);
        assert!(matches!(api.next().await, Some(Ok(Message::Close(_)))));
    }
}
