//! An app that does what service proxies get wrong, and writes its answers octet by octet.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Not readable by the API server, which has to read HTML; nobody here unpacks it.
pub(super) const BROTLI: &[u8] = b"\x1b\x0f\x00\xf8\x25\xb4";
/// The two halves of a page that is long in coming.
pub(super) const HALVES: [&str; 2] = ["<p>first</p>", "<p>second</p>"];

/// A running app. It answers:
///
/// - `/auth`: 401, and 200 to the user `a` with the password `b`;
/// - `/stream.html`: one half of a page, and the other after [`App::go_on`];
/// - `/page.br`: HTML in brotli, whatever was asked for;
/// - `/trailers`: a trailer `x-sum`;
/// - `/until-close`: a body that ends with the connection;
/// - `/body`: the body of the request, chunks and trailers and all;
/// - `/hang`: nothing;
/// - anything else: the head of the request, as it came.
pub(super) struct App {
    ip: Ipv4Addr,
    go_on: Arc<Notify>,
    asked: Arc<Notify>,
    server: tokio::task::JoinHandle<()>,
}

impl App {
    /// Listens on `ip`, port 8080.
    pub(super) async fn start(ip: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((ip, 8080)).await.unwrap();
        let (go_on, asked) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let server = tokio::spawn(accept(listener, go_on.clone(), asked.clone()));
        Self { ip, go_on, asked, server }
    }

    /// Its address, which is its Pod's.
    pub(super) fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// Lets one `/stream.html` send its second half.
    pub(super) fn go_on(&self) {
        self.go_on.notify_one();
    }

    /// Waits until `/hang` was asked for.
    pub(super) async fn until_hanging(&self) {
        self.asked.notified().await;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, go_on: Arc<Notify>, asked: Arc<Notify>) {
    // Its connections end with the server.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (go_on, asked) = (go_on.clone(), asked.clone());
        connections.spawn(async move {
            let _ = serve(stream, &go_on, &asked).await; // a peer may go at any time
        });
    }
}

async fn serve(mut stream: TcpStream, go_on: &Notify, asked: &Notify) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(head) = read_head(&mut stream).await? {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let wants_body = !head.starts_with("HEAD ");
        match path {
            "/auth" if head.contains("uthorization: Basic YTpi") => send(&mut stream, "200 OK", "", b"come in").await?,
            "/auth" => {
                send(&mut stream, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"app\"\r\n", b"who?").await?;
            }
            "/stream.html" => stream_page(&mut stream, go_on).await?,
            "/page.br" => {
                let headers = "Content-Type: text/html\r\nContent-Encoding: br\r\n";
                send(&mut stream, "200 OK", headers, BROTLI).await?;
            }
            "/trailers" => {
                let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                              4\r\ndata\r\n0\r\nx-sum: 42\r\n\r\n";
                stream.write_all(answer.as_bytes()).await?;
            }
            "/until-close" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end").await?;
                return stream.shutdown().await;
            }
            "/body" => {
                let body = read_chunks(&mut stream).await?;
                send(&mut stream, "200 OK", "Content-Type: text/plain\r\n", &body).await?;
            }
            "/hang" => {
                asked.notify_one();
                std::future::pending::<()>().await;
            }
            _ => {
                send(
                    &mut stream,
                    "200 OK",
                    "Content-Type: text/plain\r\n",
                    if wants_body { head.as_bytes() } else { b"" },
                )
                .await?;
            }
        }
    }
    Ok(())
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(octet) => head.push(octet),
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// A chunked body to the end of its trailers; no chunk in it holds an empty line.
async fn read_chunks(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    while !body.ends_with(b"\r\n\r\n") {
        body.push(stream.read_u8().await?);
    }
    Ok(body)
}

async fn send(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await
}

async fn stream_page(stream: &mut TcpStream, go_on: &Notify) -> std::io::Result<()> {
    let [first, second] = HALVES.map(|half| format!("{:x}\r\n{half}\r\n", half.len()));
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}{first}").as_bytes()).await?;
    go_on.notified().await;
    stream.write_all(format!("{second}0\r\n\r\n").as_bytes()).await
}
