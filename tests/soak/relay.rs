//! The way from the plugin to the API server, which can be cut, and can stand still.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PIECE: usize = 64 * 1024;

/// What connections are told.
#[derive(Clone, Copy, Default, PartialEq)]
struct RelayState {
    /// Connections that are older end.
    cuts: u64,
    stands_still: bool,
}

/// Passes connections on.
pub(crate) struct Relay(Arc<watch::Sender<RelayState>>);

impl Relay {
    /// Listens at `at`, and leads to `to`.
    pub(crate) async fn start(at: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let state = Arc::new(watch::Sender::new(RelayState::default()));
        let told = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let told = told.subscribe();
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(to).await {
                        carry(near, far, told).await;
                    }
                });
            }
        });
        Self(state)
    }

    /// Ends every connection at once, with a reset.
    pub(crate) fn cut(&self) {
        self.0.send_modify(|state| state.cuts += 1);
    }

    /// Carries nothing for so long; then what has come meanwhile.
    pub(crate) async fn stand_still(&self, time: Duration) {
        self.0.send_modify(|state| state.stands_still = true);
        tokio::time::sleep(time).await;
        self.0.send_modify(|state| state.stands_still = false);
    }
}

async fn carry(near: TcpStream, far: TcpStream, mut told: watch::Receiver<RelayState>) {
    for stream in [&near, &far] {
        // Octets on their way are lost with it.
        let _ = stream.set_nodelay(true).and_then(|()| stream.set_zero_linger());
    }
    let cuts = told.borrow().cuts;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let (up, down) = (copy(near_read, far_write, told.clone()), copy(far_read, near_write, told.clone()));
    tokio::select! {
        _ = told.wait_for(|state| state.cuts != cuts) => {}
        _ = async { tokio::join!(up, down) } => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut told: watch::Receiver<RelayState>) {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await.unwrap_or(0);
        if told.wait_for(|state| !state.stands_still).await.is_err() {
            return;
        }
        if length == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
