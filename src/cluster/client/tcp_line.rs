//! One TCP connection towards the API server: what shows that somebody is at its other end, and an end that can be put to
//! it from outside.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::line_verdict::LineLoss;

/// What a connection and whoever looks after it share. Reads and writes cost a few plain stores.
pub(super) struct TcpLine {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Reads that brought something, and writes that had to wait for room and got it.
    signs: AtomicU64,
    writes: AtomicU64,
    /// How many writes there had been at the last read.
    writes_heard: AtomicU64,
    /// Whether it came to be: a proxy or a listening kernel alone shows nothing.
    is_open: AtomicBool,
    loss: OnceLock<LineLoss>,
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// Told when somebody begins to wait for an answer.
    asked: Arc<Notify>,
}

/// The connection was lost on the way: an error of its stream.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LostLine(LineLoss);

impl LostLine {
    /// The one in `error`, or in what led to it.
    pub(crate) fn within(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(lost) = error.downcast_ref::<Self>() {
                return Some(*lost);
            }
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
        }
        None
    }
}

impl TcpLine {
    /// How often there was a sign of life.
    pub(super) fn signs(&self) -> u64 {
        self.signs.load(Ordering::Relaxed)
    }

    /// How often something was written.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Whether something was written since the last read.
    pub(super) fn is_waiting(&self) -> bool {
        self.writes() != self.writes_heard.load(Ordering::Relaxed)
    }

    /// Whether it came to be.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// It came to be. The last octets of a handshake have no answer that anybody would wait for.
    pub(super) fn opened(&self) {
        self.writes_heard.store(self.writes(), Ordering::Relaxed);
        self.is_open.store(true, Ordering::Relaxed);
    }

    /// Ends it: whoever reads or writes gets an error.
    pub(super) fn lose(&self, loss: LineLoss) {
        if self.loss.set(loss).is_ok() {
            self.reader.wake();
            self.writer.wake();
        }
    }

    fn lost(&self) -> io::Result<()> {
        match self.loss.get() {
            None => Ok(()),
            Some(loss) => Err(io::Error::new(io::ErrorKind::TimedOut, LostLine(*loss))),
        }
    }

    fn wrote(&self) {
        let was_waiting = self.is_waiting();
        self.writes.fetch_add(1, Ordering::Relaxed);
        if !was_waiting {
            self.asked.notify_one();
        }
    }

    fn heard(&self) {
        self.writes_heard.store(self.writes(), Ordering::Relaxed);
        self.signs.fetch_add(1, Ordering::Relaxed);
    }
}

/// The connection itself.
pub(super) struct TcpLineStream {
    stream: TcpStream,
    line: Arc<TcpLine>,
    /// Whether the last write had to wait for room.
    is_blocked: bool,
}

impl TcpLineStream {
    /// Over `stream`. `asked` is told when somebody begins to wait for an answer.
    ///
    /// # Errors
    /// When the connection has ended already.
    pub(super) fn new(stream: TcpStream, asked: Arc<Notify>) -> io::Result<Self> {
        let line = Arc::new(TcpLine {
            local: stream.local_addr()?,
            remote: stream.peer_addr()?,
            signs: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            writes_heard: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            loss: OnceLock::new(),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            asked,
        });
        Ok(Self { stream, line, is_blocked: false })
    }

    /// What is shared with whoever looks after it.
    pub(super) fn line(&self) -> &Arc<TcpLine> {
        &self.line
    }

    fn write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.line.lost()?;
        let written = write(Pin::new(&mut self.stream), context);
        match &written {
            Poll::Pending => {
                self.is_blocked = true;
                self.line.writer.register(context.waker());
                self.line.lost()?;
            }
            Poll::Ready(_) => {
                self.line.signs.fetch_add(u64::from(std::mem::take(&mut self.is_blocked)), Ordering::Relaxed);
                self.line.wrote();
            }
        }
        written
    }
}

impl AsyncRead for TcpLineStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.line.lost()?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_pending() {
            this.line.reader.register(context.waker());
            this.line.lost()?;
        } else if buffer.filled().len() > before {
            this.line.heard();
        }
        read
    }
}

impl AsyncWrite for TcpLineStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write_with(context, |stream, context| stream.poll_write(context, octets))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write_with(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nobody_waits_on_a_connection_that_only_came_to_be() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = TcpLineStream::new(stream, Arc::default()).unwrap();
        let line = stream.line().clone();
        stream.write_all(b"the end of a handshake").await.unwrap();
        assert!(line.is_waiting());
        line.opened();
        assert!(!line.is_waiting());
        stream.write_all(b"a request").await.unwrap();
        assert!(line.is_waiting());
    }
}
