//! What all test programs are written with: web applications in Pods, clients, certificates, and running the plugin.

mod authority;
mod backend;
mod connect_proxy;
pub(crate) mod http;
mod nginx;
mod process;
mod raw;
pub(crate) mod stream;
pub(crate) mod terminal;
mod websocket;

use std::time::{Duration, Instant};

pub(crate) use authority::Authority;
pub(crate) use backend::{Backend, Canned, acceptor, matches_pattern, pattern};
pub(crate) use connect_proxy::ConnectProxy;
pub(crate) use nginx::nginx;
pub(crate) use process::{Finished, Running, Serving};
pub(crate) use raw::RawBackend;
pub(crate) use websocket::{Peer, refusal};

/// Between two looks at a condition.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Polls until `look` finds something; panics after 30 seconds, naming `what` was waited for.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited 30 seconds in vain: {what}");
        tokio::time::sleep(POLL).await;
    }
}
