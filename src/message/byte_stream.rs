//! What is below HTTP: any connection that carries bytes both ways.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection that carries bytes both ways.
pub trait DuplexBytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> DuplexBytes for S {}

/// Any of them.
pub type ByteStream = Box<dyn DuplexBytes>;
