//! Whether another run of this program serves a site on a port that is taken.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::ClientSocket;
use crate::proxy::local::guard::admit::ClientPeer;
use crate::proxy::page::ERROR_HEADER;

/// How long whoever listens there may take.
const ASKING_TIMEOUT: Duration = Duration::from_millis(300);
/// Octets of an answer that are looked at.
const ANSWER_LIMIT: u64 = 4096;

/// Whether a program of this user serves the site `label` on `port` of 127.0.0.1.
///
/// It is asked what the guard refuses before any app hears of it, and refuses for another reason where it does not serve
/// the site. Only Linux tells whose program it is, so elsewhere nothing is claimed.
pub async fn serves_site(port: u16, label: &str) -> bool {
    cfg!(target_os = "linux") && matches!(timeout(ASKING_TIMEOUT, ask(port, label)).await, Ok(Ok(true)))
}

async fn ask(port: u16, label: &str) -> std::io::Result<bool> {
    let mut socket = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    socket.write_all(question(port, label).as_bytes()).await?;
    let mut answer = Vec::new();
    let mut reader = (&mut socket).take(ANSWER_LIMIT);
    while !has_whole_head(&answer) && reader.read_buf(&mut answer).await? > 0 {}
    // As long as the connection is open it has an owner.
    Ok(is_refusal_of_a_site(&answer) && ClientSocket::Tcp(socket).peer() == ClientPeer::Trusted)
}

/// What another site's page would send.
fn question(port: u16, label: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {label}.localhost:{port}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\r\n"
    )
}

fn has_whole_head(answer: &[u8]) -> bool {
    answer.windows(4).any(|octets| octets == b"\r\n\r\n")
}

/// Under an unknown `Host` the word would be another one.
fn is_refusal_of_a_site(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let mut lines = text.split("\r\n");
    let is_forbidden = lines.next().is_some_and(|line| line.starts_with("HTTP/1.1 403 "));
    let fields = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let mut words = fields.filter(|(name, _)| name.eq_ignore_ascii_case(ERROR_HEADER.as_str()));
    is_forbidden && words.next().is_some_and(|(_, word)| word.trim() == "cross-site")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_listener_with_that_site_says() {
        let check =
            |answer: &str, expect: bool| assert_eq!(is_refusal_of_a_site(answer.as_bytes()), expect, "{answer}");
        check("HTTP/1.1 403 Forbidden\r\nsvcproxy-error: cross-site\r\n\r\n", true);
        check("HTTP/1.1 403 Forbidden\r\nDate: x\r\nSvcproxy-Error:cross-site\r\n\r\nbody", true);
        check("HTTP/1.1 421 Misdirected Request\r\nsvcproxy-error: host\r\n\r\n", false);
        check("HTTP/1.1 403 Forbidden\r\nsvcproxy-error: other-user\r\n\r\n", false);
        check("HTTP/1.1 200 OK\r\nsvcproxy-error: cross-site\r\n\r\n", false);
        check("HTTP/1.1 403 Forbidden\r\n\r\nsvcproxy-error: cross-site\r\n", false);
        check("SSH-2.0-OpenSSH\r\n", false);
        check("", false);
    }
}
