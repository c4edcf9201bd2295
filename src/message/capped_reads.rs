//! How long a message's head may be, and reads that stay small, so that a buffer which may grow for a long head does not
//! grow for a long body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf, Take};

/// Octets of a message's head at most, on either side: what Go takes (`net/http` `DefaultMaxHeaderBytes`).
pub(crate) const MAX_HEAD_SIZE: usize = 1024 * 1024;
/// Lines of a message's head at most, on either side. Go has no limit but that of the octets.
pub(crate) const MAX_HEAD_LINES: usize = 1000;
/// Octets of one read at most. hyper doubles its buffer when a read has filled it, up to the longest head that it takes; so
/// this is a little less than what is worth reading at once.
const MAX_READ: u64 = 64 * 1024 - 1;

/// A connection of which not more than [`MAX_READ`] octets are read at once.
pub(crate) struct CappedReads<S>(Take<S>);

impl<S: AsyncRead> CappedReads<S> {
    /// The same connection.
    pub(crate) fn new(stream: S) -> Self {
        Self(stream.take(MAX_READ))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CappedReads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.set_limit(MAX_READ);
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for CappedReads<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_of_it_in_pieces() {
        let whole = vec![7; 200_000];
        let mut reads = CappedReads::new(io::Cursor::new(whole.clone()));
        let mut buffer = vec![0; 128 * 1024];
        let first = reads.read(&mut buffer).await.unwrap();
        assert_eq!(first as u64, MAX_READ);
        let mut rest = Vec::new();
        reads.read_to_end(&mut rest).await.unwrap();
        assert_eq!([&buffer[..first], &rest].concat(), whole);
    }
}
