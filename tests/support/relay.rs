//! The way to a server, or the server itself, as whoever goes there sees it fail: connections are reset, nothing comes for a
//! while, nobody listens until it is started again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::eventually;

const PIECE: usize = 64 * 1024;

/// Passes connections on to a server. When dropped, it is off.
pub struct Relay {
    address: SocketAddr,
    to: SocketAddr,
    cut: Arc<Notify>,
    stands_still: watch::Sender<bool>,
    running: Mutex<Option<AbortHandle>>,
}

impl Relay {
    /// On, on a free port, and leads `to` there.
    pub async fn before(to: SocketAddr) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), to).await
    }

    /// The same at the address `at`.
    pub async fn start(at: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, stands_still) = (Arc::default(), watch::Sender::new(false));
        let relay = Self { address, to, cut, stands_still, running: Mutex::default() };
        relay.accept_on(listener);
        relay
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection, with a reset.
    pub fn cut(&self) {
        self.cut.notify_one();
    }

    /// Carries nothing for so long; then what has come meanwhile.
    pub async fn stand_still(&self, time: Duration) {
        self.stands_still.send_replace(true);
        tokio::time::sleep(time).await;
        self.stands_still.send_replace(false);
    }

    /// Ends every connection, and nobody listens any more: the server is killed.
    pub async fn off(&self) {
        self.stop();
        let is_refused = async || TcpStream::connect(self.address).await.is_err().then_some(());
        eventually("nobody listens", is_refused).await;
    }

    /// The server is started again, at the same address.
    pub async fn on(&self) {
        self.accept_on(TcpListener::bind(self.address).await.unwrap());
    }

    fn accept_on(&self, listener: TcpListener) {
        let passing = pass_on(listener, self.to, Arc::clone(&self.cut), self.stands_still.subscribe());
        *self.running.lock().unwrap() = Some(tokio::spawn(passing).abort_handle());
    }

    fn stop(&self) {
        if let Some(running) = self.running.lock().unwrap().take() {
            running.abort();
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Until it is aborted, which takes its connections along.
async fn pass_on(listener: TcpListener, to: SocketAddr, cut: Arc<Notify>, stands_still: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((near, _)) = listener.accept() => {
                connections.spawn(carry(near, to, stands_still.clone()));
            }
            Some(_) = connections.join_next() => {}
            () = cut.notified() => connections.abort_all(),
        }
    }
}

async fn carry(mut near: TcpStream, to: SocketAddr, stands_still: watch::Receiver<bool>) -> io::Result<()> {
    let mut far = TcpStream::connect(to).await?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
        // What has not been sent when it ends is lost, as with a process that is killed.
        stream.set_zero_linger()?;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.split(), far.split());
    let (up, down) = (copy(near_read, far_write, stands_still.clone()), copy(far_read, near_write, stands_still));
    tokio::try_join!(up, down).map(drop)
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut stands_still: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        stands_still.wait_for(|stands_still| !stands_still).await.map_err(io::Error::other)?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
    }
}
