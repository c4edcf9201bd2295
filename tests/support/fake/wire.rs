//! A connection whose bytes a test can tamper with.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What happens to the bytes that go to the client.
#[derive(Clone, Default)]
pub(crate) struct Tampering(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    /// Bytes that go out before what the server writes next.
    first: Vec<u8>,
    /// How many bytes may still go out, and what happens then.
    left: Option<(usize, Then)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Break,
    Wait,
}

impl Tampering {
    /// Sends `bytes` before whatever the server writes next.
    pub(crate) fn send_first(&self, bytes: &[u8]) {
        self.0.lock().unwrap().first.extend_from_slice(bytes);
    }

    /// Breaks the connection once `length` more bytes have gone out.
    pub(crate) fn cut_after(&self, length: usize) {
        self.0.lock().unwrap().left = Some((length, Then::Break));
    }

    /// Sends nothing once `length` more bytes have gone out.
    pub(crate) fn hold_after(&self, length: usize) {
        self.0.lock().unwrap().left = Some((length, Then::Wait));
    }
}

/// A stream that is tampered with.
pub(crate) struct Wire<S> {
    stream: S,
    tampering: Tampering,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, tampering: Tampering) -> Self {
        Self { stream, tampering }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_send_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut plan = self.tampering.0.lock().unwrap();
        while !plan.first.is_empty() {
            let length = ready!(pin!(&mut self.stream).poll_write(context, &plan.first))?;
            plan.first.drain(..length);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send_first(context))?;
        let left = self.tampering.0.lock().unwrap().left;
        let allowed = left.map_or(bytes.len(), |(left, _)| left.min(bytes.len()));
        if allowed == 0 && !bytes.is_empty() {
            ready!(pin!(&mut self.stream).poll_flush(context))?;
            let is_over = left.is_some_and(|(_, then)| then == Then::Break);
            return if is_over { Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) } else { Poll::Pending };
        }
        let length = ready!(pin!(&mut self.stream).poll_write(context, &bytes[..allowed]))?;
        self.tampering.0.lock().unwrap().left = left.map(|(left, then)| (left - length, then));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_first(context))?;
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}
