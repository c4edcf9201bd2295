//! Logins that belong to a connection, as NTLM's do: who is sent a challenge must answer it where it came, and whoever sends on
//! a connection that is logged in is that user.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http as client;
use crate::stream::{read_until, send};

/// The key and its answer in RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A server that logs connections in, in three steps. It ends when dropped.
pub struct LoginServer {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl LoginServer {
    /// Listens there; port 0 is any.
    pub async fn start(ip: Ipv4Addr, port: u16) -> Self {
        let listener = TcpListener::bind((ip, port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(AtomicUsize::new(0));
        let count = open.clone();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let count = count.clone();
                connections.spawn(async move {
                    serve(stream, number).await;
                    count.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { address, open, _server: server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

async fn serve(mut stream: TcpStream, number: usize) {
    let mut user = None;
    while let Ok(head) = read_until(&mut stream, "\r\n\r\n").await {
        let said = head.lines().find_map(|line| line.strip_prefix("Authorization: NTLM ")).unwrap_or_default();
        match said.split_once(' ') {
            Some((challenge, name)) if challenge == number.to_string() => user = Some(name.to_owned()),
            _ => {}
        }
        let answer = match &user {
            None if said.starts_with("hello ") => refusal(&format!("NTLM {number}")),
            None => refusal("NTLM"),
            Some(name) if head.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n") => agreement(name),
            Some(name) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nhello {name}?", name.len() + 7),
        };
        if send(&mut stream, answer).await.is_err() {
            return;
        }
    }
}

fn refusal(challenge: &str) -> String {
    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 4\r\n\r\nwho?")
}

fn agreement(name: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\nhello {name}?"
    )
}

/// One connection of a browser to the site that shows such a server.
pub struct LoginVisitor {
    stream: TcpStream,
    host: String,
    name: &'static str,
    /// Fields of each request.
    asks_for: String,
}

impl LoginVisitor {
    /// Of `name`, who is not logged in yet.
    pub async fn new(site_url: &str, name: &'static str) -> Self {
        let host = site_url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let stream = client::tcp(&site_url.parse().unwrap()).await;
        Self { stream, host, name, asks_for: String::new() }
    }

    /// Asks for a WebSocket each time.
    #[must_use]
    pub fn with_handshakes(mut self) -> Self {
        self.asks_for = format!(
            "Origin: http://{}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n",
            self.host
        );
        self
    }

    async fn ask(&mut self, authorization: &str) -> String {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n{}{authorization}\r\n", self.host, self.asks_for);
        send(&mut self.stream, request).await.unwrap();
        read_until(&mut self.stream, "?").await.unwrap()
    }

    /// The three steps, all on this connection.
    pub async fn log_in(&mut self) {
        self.assert_is_refused().await;
        let challenge = self.ask(&format!("Authorization: NTLM hello {}\r\n", self.name)).await;
        let (_, number) = challenge.split_once("NTLM ").unwrap_or_else(|| panic!("no challenge: {challenge}"));
        let number = number.lines().next().unwrap();
        let welcome = self.ask(&format!("Authorization: NTLM {number} {}\r\n", self.name)).await;
        let status = if self.asks_for.is_empty() { "HTTP/1.1 200 " } else { "HTTP/1.1 101 " };
        let greeting = format!("hello {}?", self.name);
        assert!(welcome.starts_with(status) && welcome.ends_with(&greeting), "{welcome}");
    }

    /// That it is this user, every time.
    pub async fn assert_is_known(&mut self) {
        for _ in 0..5 {
            let answer = self.ask("").await;
            assert!(answer.ends_with(&format!("hello {}?", self.name)), "{}: {answer}", self.name);
        }
    }

    /// That it is nobody, every time.
    pub async fn assert_is_unknown(&mut self) {
        for _ in 0..5 {
            self.assert_is_refused().await;
        }
    }

    async fn assert_is_refused(&mut self) {
        let answer = self.ask("").await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{}: {answer}", self.name);
    }
}
