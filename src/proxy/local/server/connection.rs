//! One client's connection: what it is as a byte stream, and how it is served.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::{Instant, Sleep, sleep};

use super::peer::{self, ConnectionEnds};
use crate::proxy::local::guard::admit::ClientPeer;

/// How long an answer may be silent once the client has closed its sending side. Who only half-closed it still waits
/// for the answer; who is gone looks the same, and must not hold a long poll open for ever.
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection as the system gives it.
#[derive(Debug)]
pub(crate) enum ClientSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl ClientSocket {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> ClientPeer {
        match self {
            Self::Tcp(socket) => match (socket.local_addr(), socket.peer_addr()) {
                (Ok(local), Ok(remote)) => peer::of_tcp(ConnectionEnds { local, remote }),
                _ => ClientPeer::Unknown,
            },
            #[cfg(unix)]
            Self::Unix(socket) => {
                socket.peer_cred().map_or(ClientPeer::Unknown, |credentials| peer::of_user(credentials.uid()))
            }
        }
    }
}

/// How many requests of one connection are not answered to the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnansweredRequests(Arc<AtomicUsize>);

/// One of them, until dropped.
#[derive(Debug)]
pub(crate) struct RunningAnswer(UnansweredRequests);

impl UnansweredRequests {
    pub(crate) fn begin(&self) -> RunningAnswer {
        self.0.fetch_add(1, Ordering::Relaxed);
        RunningAnswer(self.clone())
    }

    fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for RunningAnswer {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connection as the HTTP server sees it: the end of the client's stream shows only when no answer is under way
/// any more, or the one under way has been silent for [`HALF_CLOSED_TIMEOUT`].
#[derive(Debug)]
pub(crate) struct ClientStream {
    socket: ClientSocket,
    unanswered: UnansweredRequests,
    silence: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    pub(crate) fn new(socket: ClientSocket, unanswered: UnansweredRequests) -> Self {
        Self { socket, unanswered, silence: None }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unanswered.any() {
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
        ready!(Pin::new(&mut this.socket).poll_read(context, buffer))?;
        if buffer.filled().len() > before { Poll::Ready(Ok(())) } else { this.poll_end(context) }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write(context, bytes))?;
        this.note_written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

/// The same call on whichever kind of socket it is.
macro_rules! each {
    ($socket:expr, $bound:ident => $call:expr) => {
        match $socket {
            ClientSocket::Tcp($bound) => $call,
            #[cfg(unix)]
            ClientSocket::Unix($bound) => $call,
        }
    };
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_read(context, buffer))
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, socket => socket.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(context))
    }
}
