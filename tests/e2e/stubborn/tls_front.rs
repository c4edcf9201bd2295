//! A front that ends TLS before the plugin, as tunnels and editors have it.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use support::stream::{read_until, send};
use support::{Authority, acceptor};

/// A running front, which ends when dropped.
pub(super) struct TlsFront {
    port: u16,
    _front: JoinSet<()>,
}

impl TlsFront {
    /// In front of `upstream`, a port of this machine.
    pub(super) async fn start(authority: &Authority, upstream: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = acceptor(authority, Ipv4Addr::LOCALHOST);
        let mut front = JoinSet::new();
        front.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let tls = tls.clone();
                connections.spawn(async move {
                    let _ = pass_one(stream, &tls, upstream).await; // a browser may go at any time
                });
            }
        });
        Self { port, _front: front }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// One request for each connection.
async fn pass_one(stream: TcpStream, tls: &TlsAcceptor, upstream: u16) -> Result<(), String> {
    let mut browser = tls.accept(stream).await.map_err(|error| error.to_string())?;
    let read = read_until(&mut browser, "\r\n\r\n").await?;
    let (head, body) = read.split_once("\r\n\r\n").expect("it was read so far");
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    };
    let missing = field("content-length").parse().unwrap_or(0_usize) - body.len();
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: Vec<&str> = kept.collect();
    let told = format!("X-Forwarded-Host: {}\r\nX-Forwarded-Proto: https\r\nConnection: close", field("host"));
    let mut plugin = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream)).await.map_err(|error| error.to_string())?;
    send(&mut plugin, format!("{}\r\n{told}\r\n\r\n{body}", kept.join("\r\n"))).await?;
    let mut rest = vec![0; missing];
    browser.read_exact(&mut rest).await.map_err(|error| error.to_string())?;
    send(&mut plugin, rest).await?;
    copy(&mut plugin, &mut browser).await.map_err(|error| error.to_string())?;
    browser.shutdown().await.map_err(|error| error.to_string())
}
