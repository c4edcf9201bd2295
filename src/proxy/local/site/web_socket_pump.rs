//! WebSockets: once both sides have agreed, bytes both ways until one side ends.

use std::io;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::message::byte_stream::ByteStream;
use crate::message::upgraded_stream::PendingStream;
use crate::proxy::local::server::exchange::Exchange;

/// Octets buffered per direction at first: a thousand idle tunnels must stay cheap.
const SMALL_BUFFER: usize = 4 * 1024;
/// Octets buffered per direction once there is much to carry.
const LARGE_BUFFER: usize = 64 * 1024;

/// Carries bytes between the two sides until both have ended, one of them breaks, or `end` comes.
pub(crate) async fn run(client: OnUpgrade, service: PendingStream, end: CancellationToken, exchange: Exchange) {
    let carrying = async {
        if let (Ok(client), Ok(service)) = (client.await, service.stream().await) {
            carry(client, service, &exchange).await;
        }
    };
    tokio::select! {
        () = carrying => {}
        () = end.cancelled() => {}
    }
}

async fn carry(client: Upgraded, service: ByteStream, exchange: &Exchange) {
    let (upward, downward) = (exchange.counter_of_client(), exchange.counter_of_service());
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_service, to_service) = tokio::io::split(service);
    let both = async {
        tokio::try_join!(
            copy(from_client, to_service, |octets| upward.count(octets)),
            copy(from_service, to_client, |octets| downward.count(octets)),
        )
    };
    if let Err(cause) = both.await {
        tracing::debug!(%cause, "a WebSocket broke");
    }
}

/// Copies until `from` ends, and then ends `to`: what is still under way in the other direction arrives.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: impl Fn(usize),
) -> io::Result<()> {
    let mut buffer = vec![0; SMALL_BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        count(read);
        if read == buffer.len() && read < LARGE_BUFFER {
            buffer.resize(read * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn an_end_is_passed_on_and_the_rest_still_arrives() {
        let (mut near, from) = tokio::io::duplex(64);
        let (to, mut far) = tokio::io::duplex(64);
        let count = AtomicU64::new(0);
        let add = |octets| {
            count.fetch_add(octets as u64, Ordering::Relaxed);
        };
        let long = vec![7; 200_000];
        let send = async {
            near.write_all(&long).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let mut arrived = Vec::new();
        let (copied, (), read) = tokio::join!(copy(from, to, add), send, far.read_to_end(&mut arrived));
        copied.unwrap();
        assert_eq!((read.unwrap(), arrived == long), (long.len(), true));
        assert_eq!(count.into_inner(), long.len() as u64);
    }
}
