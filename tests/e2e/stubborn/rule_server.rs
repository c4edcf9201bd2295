//! A web server that answers by a rule, in plain HTTP and TLS on one port.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use support::{Authority, acceptor};

/// One request, as the server saw it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Over TLS.
    pub(super) is_tls: bool,
    head: String,
    body: String,
}

impl Asked {
    pub(super) fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    pub(super) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The first value of a field; empty if there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// Everything before the body, as it came.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// Its body, where `Content-Length` told of one.
    pub(super) fn body(&self) -> &str {
        &self.body
    }

    pub(super) fn host(&self) -> &str {
        self.field("host")
    }
}

/// What it answers: a status, fields, a body. Nothing at all for `None`.
pub(super) type Answer = Option<(u16, Vec<(&'static str, String)>, String)>;

/// A page.
#[allow(clippy::unnecessary_wraps, reason = "a rule gives an Answer")]
pub(super) fn page(text: impl Into<String>) -> Answer {
    Some((200, vec![("Content-Type", "text/html".to_owned())], text.into()))
}

/// A plain answer with this status.
#[allow(clippy::unnecessary_wraps, reason = "a rule gives an Answer")]
pub(super) fn status(code: u16) -> Answer {
    Some((code, Vec::new(), format!("answer {code}")))
}

/// A redirect.
#[allow(clippy::unnecessary_wraps, reason = "a rule gives an Answer")]
pub(super) fn redirect(location: impl Into<String>) -> Answer {
    Some((307, vec![("Location", location.into())], String::new()))
}

type Rule = Arc<dyn Fn(&Asked) -> Answer + Send + Sync>;

/// A running server, which ends when dropped.
pub(super) struct RuleServer {
    ip: Ipv4Addr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

impl RuleServer {
    /// Listens on `ip` at each of `ports`, for both plain HTTP and TLS.
    pub(super) async fn start(
        ip: Ipv4Addr,
        ports: &[u16],
        authority: &Authority,
        rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let (asked, rule): (Arc<Mutex<Vec<Asked>>>, Rule) = (Arc::default(), Arc::new(rule));
        let tls = acceptor(authority, ip);
        let mut server = JoinSet::new();
        for port in ports {
            let listener = TcpListener::bind((ip, *port)).await.unwrap();
            server.spawn(accept(listener, tls.clone(), rule.clone(), asked.clone()));
        }
        Self { ip, asked, _server: server }
    }

    pub(super) fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// Every request so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, rule: Rule, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, rule, asked) = (tls.clone(), rule.clone(), asked.clone());
        connections.spawn(async move {
            let _ = greet(stream, &tls, &rule, &asked).await; // a peer may go at any time
        });
    }
}

async fn greet(stream: TcpStream, tls: &TlsAcceptor, rule: &Rule, asked: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    const TLS_HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    stream.peek(&mut first).await?;
    match first[0] == TLS_HANDSHAKE {
        true => serve(tls.accept(stream).await?, true, rule, asked).await,
        false => serve(stream, false, rule, asked).await,
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    is_tls: bool,
    rule: &Rule,
    asked: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let mut stream = BufStream::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let mut request = Asked { is_tls, head: String::from_utf8_lossy(&head).into_owned(), body: String::new() };
        let mut body = vec![0; request.field("content-length").parse().unwrap_or_default()];
        stream.read_exact(&mut body).await?;
        request.body = String::from_utf8_lossy(&body).into_owned();
        let answer = rule(&request);
        let is_head = request.method() == "HEAD";
        asked.lock().unwrap().push(request);
        let Some((code, fields, body)) = answer else { return Ok(()) };
        let mut text = format!("HTTP/1.1 {code} Said\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in fields {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        text.push_str("\r\n");
        text.push_str(if is_head { "" } else { &body });
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await?;
    }
}
