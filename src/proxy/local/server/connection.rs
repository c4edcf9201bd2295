//! One client's connection: who is at its other end, and what it is as a byte stream.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::client_places::ClientPlace;
use super::first_line::FirstLine;
#[cfg(target_os = "linux")]
use super::socket_owner::{self, ConnectionEnds};
use super::unread_request::{FirstAnswer, RequestSeen};
use crate::message::byte_stream::ByteStream;
use crate::message::capped_reads::CappedReads;
use crate::message::scheme::Scheme;
use crate::proxy::local::guard::admit::ClientPeer;

/// How long an answer may be silent once the client has closed its sending side. Who only half-closed it still waits
/// for the answer; who is gone looks the same, and must not hold a long poll open for ever.
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection as the system gives it.
pub(crate) enum ClientSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What of a connection counts for each of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientChannel {
    /// Who is at the other end.
    pub(crate) peer: ClientPeer,
    /// What is spoken: https is TLS that ends here.
    pub(crate) scheme: Scheme,
}

impl ClientSocket {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> ClientPeer {
        match self {
            Self::Tcp(socket) => match (socket.local_addr(), socket.peer_addr()) {
                (Ok(local), Ok(remote)) => peer_at(local, remote),
                _ => ClientPeer::Unknown,
            },
            #[cfg(unix)]
            Self::Unix(socket) => {
                socket.peer_cred().map_or(ClientPeer::Unknown, |credentials| peer_of_user(credentials.uid()))
            }
        }
    }

    pub(super) fn into_stream(self) -> ByteStream {
        match self {
            Self::Tcp(socket) => Box::new(socket),
            #[cfg(unix)]
            Self::Unix(socket) => Box::new(socket),
        }
    }
}

/// Who sent what arrives over the TCP connection between these ends: on Linux the kernel knows which user a socket on
/// this machine belongs to. Connections to a loopback address come from this machine whatever address they come from;
/// to another address, those whose other end this machine does not have come from elsewhere, which the user asked for
/// by listening there.
#[cfg(target_os = "linux")]
fn peer_at(local: SocketAddr, remote: SocketAddr) -> ClientPeer {
    match socket_owner::find(ConnectionEnds { local, remote }) {
        Some(owner) => peer_of_user(owner),
        None if local.ip().to_canonical().is_loopback() => ClientPeer::Unknown,
        None => ClientPeer::Trusted,
    }
}

/// Other systems do not say whose connection it is.
#[cfg(not(target_os = "linux"))]
fn peer_at(_: SocketAddr, _: SocketAddr) -> ClientPeer {
    ClientPeer::Trusted
}

/// Root may do as it likes anyway.
#[cfg(unix)]
fn peer_of_user(user: u32) -> ClientPeer {
    let own = rustix::process::geteuid().as_raw();
    if user == own || user == 0 { ClientPeer::Trusted } else { ClientPeer::OtherUser(user) }
}

/// One request of a connection that is not answered to the end, until dropped.
pub(crate) type RunningAnswer = TaskTrackerToken;

/// The connection as the HTTP server sees it: the end of the client's stream shows only when no answer is under way
/// any more, or the one under way has been silent for [`HALF_CLOSED_TIMEOUT`].
pub(crate) struct ClientStream {
    socket: CappedReads<ByteStream>,
    first_line: FirstLine,
    first_answer: FirstAnswer,
    /// Has a [`RunningAnswer`] for each request that is not answered to the end.
    unanswered: TaskTracker,
    /// For as long as the connection lasts, whatever becomes of it.
    _place: ClientPlace,
    silence: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// `seen` is set once a request was read.
    pub(crate) fn new(stream: ByteStream, place: ClientPlace, seen: RequestSeen) -> Self {
        Self {
            socket: CappedReads::new(stream),
            first_line: FirstLine::default(),
            first_answer: FirstAnswer::new(seen),
            unanswered: place.unanswered(),
            _place: place,
            silence: None,
        }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unanswered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(HALF_CLOSED_TIMEOUT)));
        silence.as_mut().poll(context).map(Ok)
    }

    fn note_written(&mut self) {
        if let Some(silence) = &mut self.silence {
            silence.as_mut().reset(Instant::now() + HALF_CLOSED_TIMEOUT);
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.silence.is_some() {
            return this.poll_end(context);
        }
        let before = buffer.filled().len();
        ready!(this.first_line.poll_read(&mut this.socket, context, buffer))?;
        if buffer.filled().len() > before { Poll::Ready(Ok(())) } else { this.poll_end(context) }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(this.first_answer.poll_write(&mut this.socket, context, bytes))?;
        this.note_written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.first_answer.is_over() {
            let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &slice[..]);
            return self.poll_write(context, first);
        }
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write_vectored(context, slices))?;
        this.note_written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.first_answer.poll_shutdown(&mut this.socket, context)
    }
}
