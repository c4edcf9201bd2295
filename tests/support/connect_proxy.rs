//! An HTTP proxy that connects everybody to one place: how a name without DNS is reached, and how proxying is watched.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use super::stream::{read_until, send};

/// A running proxy; it ends when dropped, and its connections with it.
pub struct ConnectProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl ConnectProxy {
    /// Whatever it is asked for, it connects to `to`.
    pub async fn start(to: SocketAddr) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), to).await
    }

    /// The same, but each connection takes so long to come to be.
    pub async fn start_far(to: SocketAddr, delay: Duration) -> Self {
        Self::listen((Ipv4Addr::LOCALHOST, 0).into(), to, delay).await
    }

    /// The same where another one was.
    pub async fn start_at(address: SocketAddr, to: SocketAddr) -> Self {
        Self::listen(address, to, Duration::ZERO).await
    }

    async fn listen(address: SocketAddr, to: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(accept(listener, to, delay, Arc::clone(&asked)));
        Self { address, asked, server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, delay: Duration, asked: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connect(client, to, delay, Arc::clone(&asked)));
    }
}

async fn connect(mut client: TcpStream, to: SocketAddr, delay: Duration, asked: Arc<Mutex<Vec<String>>>) {
    let Ok(head) = read_until(&mut client, "\r\n\r\n").await else { return };
    asked.lock().unwrap().push(head);
    sleep(delay).await;
    let Ok(mut server) = TcpStream::connect(to).await else { return };
    if send(&mut client, "HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await; // either may go at any time
    }
}
