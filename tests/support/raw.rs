//! A Pod that speaks only when and what the test says.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::stream::{read_until, send};

/// Listens, and leaves everything else to the test.
pub struct RawBackend(TcpListener);

impl RawBackend {
    /// On a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::listen(Ipv4Addr::LOCALHOST, 0).await
    }

    /// On `ip` and `port`; 0 is any free one.
    pub async fn listen(ip: Ipv4Addr, port: u16) -> Self {
        Self(TcpListener::bind((ip, port)).await.unwrap())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection, and the head of the request on it.
    pub async fn accept(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await.unwrap();
        (stream, head)
    }

    /// Answers whatever comes on the next connection with `bytes` and closes it.
    pub async fn answer_anything(&self, bytes: impl AsRef<[u8]>) {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let _ = stream.read_buf(&mut Vec::new()).await; // the bytes do not matter
        let _ = send(&mut stream, bytes).await; // nor who still listens
    }

    /// Answers the next request with `bytes` and closes the connection; the request's head.
    pub async fn answer(&self, bytes: impl AsRef<[u8]>) -> String {
        let (mut stream, head) = self.accept().await;
        send(&mut stream, bytes).await.unwrap();
        head
    }
}
