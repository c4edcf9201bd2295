//! The local side as a whole, over real sockets, with upstreams made for the test.

mod bind;
mod life;
mod messages;
mod sites;
mod smuggling;
mod websocket;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::error::Error;
use crate::message::body::Body;
use crate::proxy::upstream::Upstream;

/// When a test gives up waiting.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
const LABEL: &str = "nginx--default--abc123";
const PROXY_PATH: &str = "/api/v1/namespaces/default/services/nginx/proxy/";

/// Waits for what must come.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(TEST_TIMEOUT, future).await.expect("it takes too long")
}

/// An upstream that is a closure.
struct Answering<F>(F);

impl<F, R> Upstream for Answering<F>
where
    F: Fn(Request<Body>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        Box::pin((self.0)(request))
    }
}

fn site(label: &str, path: &str, upstream: impl Upstream) -> Site {
    Site {
        label: label.to_owned(),
        shown: ShownService {
            name: label.split("--").next().unwrap().to_owned(),
            namespace: "default".to_owned(),
            port: None,
            ready: ReadyCount::new(|| Some(2)),
        },
        paths: vec![path.to_owned()],
        landing: "/".to_owned(),
        upstream: Arc::new(upstream),
    }
}

fn local(sites: Vec<Site>) -> LocalProxy {
    LocalProxy {
        sites,
        shown: ShownRun {
            context: Some("dev".to_owned()),
            server: "https://cluster.example".to_owned(),
            others: vec![("what there is".to_owned(), "kubectl svcproxy --list".to_owned())],
            closed_site: Arc::new(closed_site),
        },
        presentation: Origin::Site,
        policy: GuardPolicy::default(),
        token: None,
        tls: None,
        log: None,
        activity: TrafficStats::default(),
    }
}

/// As if every name with `--` in it were a site's.
fn closed_site(label: &str) -> Option<ClosedSite> {
    let (name, namespace) = label.split_once("--")?;
    Some(ClosedSite {
        service: Some((namespace.to_owned(), name.to_owned())),
        command: format!("kubectl svcproxy {name}"),
        is_old: false,
    })
}

/// One site whose Service is `answer`.
fn answering<F, R>(answer: F) -> LocalProxy
where
    F: Fn(Request<Body>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    local(vec![site(LABEL, PROXY_PATH, Answering(answer))])
}

/// One site whose Service says what it was asked: the request line and headers, sorted, without those of every request.
fn echoing() -> LocalProxy {
    answering(|request| async move { Response::new(Body::full(description(&request))) })
}

fn description(request: &Request<Body>) -> String {
    let mut lines: Vec<String> =
        request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines.retain(|line| !line.starts_with("host: ") && !line.starts_with("x-forwarded-"));
    lines.insert(0, format!("{} {}", request.method(), request.uri()));
    lines.join("\n")
}

/// Both loopback addresses, or the one that there is, on whatever port is free.
fn anywhere() -> ListenOn {
    ListenOn::Tcp { addresses: Vec::new(), port: Some(0) }
}

/// What became of requests: counts what the log hears of.
#[derive(Clone, Default)]
struct LoggedRequests(Arc<Mutex<RequestCounts>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct RequestCounts {
    requests: usize,
    /// Not answered by a Service, and with an error.
    refused: usize,
    tunnels: usize,
}

impl LoggedRequests {
    fn log(&self) -> Option<RequestLog> {
        let counts = Arc::clone(&self.0);
        Some(RequestLog::new(true, move |record| {
            if record.is_open {
                return;
            }
            let mut counts = counts.lock().unwrap();
            counts.requests += 1;
            counts.refused += usize::from(record.site.is_none() && record.status.as_u16() >= 400);
            counts.tunnels += usize::from(record.status == StatusCode::SWITCHING_PROTOCOLS);
        }))
    }

    fn counts(&self) -> RequestCounts {
        *self.0.lock().unwrap()
    }
}

/// A running local side.
struct Serving {
    addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    done: JoinHandle<usize>,
}

impl Serving {
    async fn start(local: LocalProxy) -> Self {
        Self::with_grace(local, TEST_TIMEOUT).await
    }

    async fn with_grace(local: LocalProxy, grace: Duration) -> Self {
        let listener = LocalListener::bind(&anywhere(), &[]).await.unwrap();
        let addresses = listener.local_addrs().to_vec();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let done = tokio::spawn(serve(listener, local, shutdown, grace));
        Self { addresses, stop, done }
    }

    fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// The name of the only site.
    fn host(&self) -> String {
        format!("{LABEL}.localhost:{}", self.port())
    }

    async fn connect(&self) -> Wire {
        Wire::connect(self.addresses[0]).await
    }

    /// Sends one request to the only site, and reads its whole answer. `head` is a request line without the version,
    /// and header lines without `Host`.
    async fn ask(&self, head: &str) -> String {
        self.ask_at(&self.host(), head).await
    }

    async fn ask_at(&self, host: &str, head: &str) -> String {
        let mut wire = self.connect().await;
        wire.send(&request_text(host, head, "")).await;
        wire.rest().await
    }

    /// Ends it, and gives the number of connections that were cut.
    async fn stop(self) -> usize {
        drop(self.stop);
        soon(self.done).await.unwrap()
    }
}

/// A request that ends its connection.
fn request_text(host: &str, head: &str, body: &str) -> String {
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n{body}")
}

/// A client's connection, octet by octet.
struct Wire(BufReader<TcpStream>);

impl Wire {
    async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(soon(TcpStream::connect(address)).await.unwrap()))
    }

    async fn send(&mut self, text: &str) {
        soon(self.0.write_all(text.as_bytes())).await.unwrap();
    }

    /// To the end of the connection.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        soon(self.0.read_to_end(&mut rest)).await.unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// The head of an answer, with the empty line.
    async fn head(&mut self) -> String {
        read_head(&mut self.0).await
    }

    async fn exactly(&mut self, length: usize) -> String {
        let mut octets = vec![0; length];
        soon(self.0.read_exact(&mut octets)).await.unwrap();
        String::from_utf8(octets).unwrap()
    }

    /// Says that nothing more will be sent.
    async fn finish(&mut self) {
        soon(self.0.get_mut().shutdown()).await.unwrap();
    }
}

async fn read_head(from: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = soon(from.read_line(&mut head)).await.unwrap();
        assert!(read > 0, "the connection ended: {head:?}");
    }
    head
}

/// A Service that the test plays itself: for each request it gets a raw HTTP connection.
struct ByHand(mpsc::UnboundedSender<DuplexStream>);

type Hands = mpsc::UnboundedReceiver<DuplexStream>;

fn by_hand() -> (ByHand, Hands) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (ByHand(sender), receiver)
}

impl Upstream for ByHand {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let (near, far) = tokio::io::duplex(256 * 1024);
        self.0.send(far).unwrap();
        Box::pin(async move {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            match sender.send_request(request).await {
                Ok(response) => response.map(Body::Incoming),
                Err(cause) => Response::builder().status(599).body(Body::full(cause.to_string())).unwrap(),
            }
        })
    }
}

/// The next request by hand: its connection, and its head.
async fn next(hands: &mut Hands) -> (BufReader<DuplexStream>, String) {
    let mut connection = BufReader::new(soon(hands.recv()).await.unwrap());
    let head = read_head(&mut connection).await;
    (connection, head)
}

/// Whether nothing has been asked of the Service so far.
fn is_untouched(hands: &mut Hands) -> bool {
    matches!(hands.try_recv(), Err(mpsc::error::TryRecvError::Empty))
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"))
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}")).1
}

/// The only line of `answer`'s head called `name`.
fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let mut values = head.lines().filter_map(|line| line.split_once(": ")).filter(|(found, _)| *found == name);
    let value = values.next().map(|(_, value)| value);
    assert!(values.next().is_none(), "{name} stands twice: {answer}");
    value
}
