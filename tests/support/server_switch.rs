//! A server that is killed and started again, as whoever connects to it sees that: its connections are reset, then nobody
//! listens, then somebody does.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::eventually;

/// Stands in front of a server. When dropped, it is off.
pub struct ServerSwitch {
    address: SocketAddr,
    to: SocketAddr,
    running: Mutex<Option<AbortHandle>>,
}

impl ServerSwitch {
    /// On, on a free port.
    pub async fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let switch = Self { address: listener.local_addr().unwrap(), to, running: Mutex::default() };
        switch.accept_on(listener);
        switch
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the server: nothing that was under way goes on.
    pub async fn off(&self) {
        if let Some(running) = self.running.lock().unwrap().take() {
            running.abort();
        }
        let is_refused = async || TcpStream::connect(self.address).await.is_err().then_some(());
        eventually("nobody listens", is_refused).await;
    }

    /// Starts it again, at the same address.
    pub fn on(&self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.accept_on(socket.listen(1024).unwrap());
    }

    fn accept_on(&self, listener: TcpListener) {
        let running = tokio::spawn(pass_on(listener, self.to)).abort_handle();
        *self.running.lock().unwrap() = Some(running);
    }
}

impl Drop for ServerSwitch {
    fn drop(&mut self) {
        if let Some(running) = self.running.lock().unwrap().take() {
            running.abort();
        }
    }
}

/// Until it is aborted, which takes its connections along.
async fn pass_on(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        connections.spawn(async move {
            let mut far = TcpStream::connect(to).await?;
            // What has not been sent when it ends is lost, as with a process that is killed.
            near.set_zero_linger()?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            copy_bidirectional(&mut near, &mut far).await
        });
        while connections.try_join_next().is_some() {}
    }
}
