//! A relay that makes what is near far: each octet takes half a round trip, and the first of a connection one more, as if TCP
//! had to shake hands over the distance too. The kernel of most test machines has no netem.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Pieces on their way in one direction: more than any window that is measured here.
const MOST_ON_THE_WAY: usize = 4096;
const PIECE: usize = 64 * 1024;

/// A running relay; it ends when dropped, and its connections with it.
pub(crate) struct Relay(JoinHandle<()>);

impl Relay {
    /// Listens at `at`; what connects there is connected to `to`, `round_trip` away.
    pub(crate) async fn start(at: SocketAddr, to: SocketAddr, round_trip: Duration) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        Self(tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, to, round_trip));
            }
        }))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn carry(near: TcpStream, to: SocketAddr, round_trip: Duration) {
    let first = Instant::now() + round_trip;
    let Ok(far) = TcpStream::connect(to).await else { return };
    let nodelay = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
    if nodelay.is_err() {
        return;
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(delay(near_in, far_out, round_trip / 2, first), delay(far_in, near_out, round_trip / 2, first));
}

/// Carries octets, each for as long as `by`, none of them away before `first`. The end of the stream takes as long.
async fn delay(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, by: Duration, first: Instant) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(MOST_ON_THE_WAY);
    let reading = async move {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let read = from.read_buf(&mut piece).await.unwrap_or(0);
            let due = Instant::now().max(first) + by;
            if sender.send((due, piece)).await.is_err() || read == 0 {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, piece)) = receiver.recv().await {
            sleep_until(due).await;
            let written = if piece.is_empty() { to.shutdown().await } else { to.write_all(&piece).await };
            if written.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}
