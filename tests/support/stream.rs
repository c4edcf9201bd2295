//! Bytes over a connection, one piece at a time.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// Longer than any piece takes.
const DEADLINE: Duration = Duration::from_secs(10);

/// Reads until `text` has arrived; what arrived until then.
pub async fn read_until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> Result<String, String> {
    let mut arrived = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&arrived).contains(text) {
            if stream.read_buf(&mut arrived).await.is_ok_and(|length| length > 0) {
                continue;
            }
            return Err(format!("ended before {text:?}"));
        }
        Ok(())
    };
    let read = timeout(DEADLINE, reading).await.unwrap_or_else(|_| Err(format!("{text:?} did not come")));
    let arrived = String::from_utf8_lossy(&arrived).into_owned();
    read.map(|()| arrived.clone()).map_err(|why| format!("{why}: {arrived:?}"))
}

/// Writes and sends.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: impl AsRef<[u8]>) -> Result<(), String> {
    stream.write_all(bytes.as_ref()).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())
}
