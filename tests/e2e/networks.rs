//! What happens to networks while Services are open: nobody waits longer than ten seconds, what may go again goes again, streams
//! end, and the terminal says it once. And what must not be taken for such a thing.

use std::convert::Infallible;
use std::time::Duration;

use ::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::Signal;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::harness::{RelayKind, Uplink, origin_of, plugin};
use support::cluster::{Cluster, Namespace, backend_in};
use support::http::get;
use support::{Backend, Peer, Serving, eventually, http, pattern};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        another_address,
        another_address_through_proxies,
        a_pulled_plug,
        packets_that_vanish,
        packets_that_vanish_on_the_way_to_a_proxy,
        a_relay_that_stands_still,
        a_laptop_that_wakes_up_elsewhere,
        whoever_takes_time_is_waited_for,
        a_slow_upload_arrives,
    ]
}

/// Longer nobody waits.
const LIMIT: Duration = Duration::from_secs(10);
/// Longer than any silence after which something is ended; what takes its time takes this.
const LONG: Duration = Duration::from_secs(20);

const TRANSPORTS: [&str; 2] = ["--via=service-proxy", "--via=port-forward"];

/// The plugin behind a cable, and an app behind the API server.
struct Stage {
    uplink: Uplink,
    _backend: Backend,
    namespace: Namespace,
    serving: Serving,
}

/// What was open when something happened.
struct OpenStreams {
    events: ::http::Response<Incoming>,
    socket: Peer,
}

impl Stage {
    async fn set(cluster: &'static Cluster, kind: RelayKind, via: &str) -> Self {
        let namespace = cluster.namespace().await;
        let backend = backend_in(cluster, &namespace).await;
        let uplink = Uplink::lay(kind).await;
        let flags: Vec<String> = uplink.flags().into_iter().chain([via.to_owned()]).collect();
        let arguments: Vec<&str> = ["app"].into_iter().chain(flags.iter().map(String::as_str)).collect();
        let serving = plugin(cluster, &namespace, &arguments).serve().await;
        Self { uplink, _backend: backend, namespace, serving }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.serving.proxy_url())
    }

    /// Connections that are kept, an event stream and a WebSocket.
    async fn open(&self) -> OpenStreams {
        let pages = join_all((0..3).map(|number| async move { get(&self.url(&format!("page/{number}"))).await })).await;
        assert!(pages.iter().all(|page| page.status == 200), "{pages:?}");
        let request = Request::new(Empty::<Bytes>::new());
        let mut events = http::stream(&self.url("events/1000"), request).await;
        events.body_mut().frame().await.unwrap().unwrap();
        let url = self.url("socket").replace("http://", "ws://");
        let mut socket = Peer::open(&url, &[("origin", &origin_of(&self.serving))]).await.unwrap();
        socket.exchange("hello".into()).await;
        OpenStreams { events, socket }
    }

    /// As many as a page has, all at once; nobody waits longer than the limit.
    async fn get_some(&self) -> Vec<StatusCode> {
        let answers = (0..4).map(|number| async move {
            let url = self.url(&format!("again/{number}"));
            let answer = timeout(LIMIT, get(&url)).await;
            answer.unwrap_or_else(|_| panic!("{url} is waited for too long: {}", self.serving.stderr())).status
        });
        join_all(answers).await
    }

    async fn is_well(&self) {
        assert_eq!(self.get_some().await, [StatusCode::OK; 4], "{}", self.serving.stderr());
    }

    /// How often the terminal was told something with `words`.
    fn told(&self, words: &str) -> usize {
        self.serving.stderr().lines().filter(|line| line.contains(words)).count()
    }
}

impl OpenStreams {
    /// Both end by themselves.
    async fn end(mut self, serving: &Serving) {
        let events = async {
            eventually("the event stream ends", async || match self.events.body_mut().frame().await {
                Some(Ok(_)) => None,
                _ => Some(()),
            })
            .await;
        };
        let both = async { tokio::join!(events, self.socket.until_cut()) };
        timeout(LIMIT * 2, both).await.unwrap_or_else(|_| panic!("streams do not end: {}", serving.stderr()));
    }
}

async fn another_address(cluster: &'static Cluster) {
    join_all(TRANSPORTS.map(|via| moved(cluster, RelayKind::Plain, via))).await;
}

async fn another_address_through_proxies(cluster: &'static Cluster) {
    join_all([RelayKind::Connect, RelayKind::Socks].map(|kind| moved(cluster, kind, TRANSPORTS[0]))).await;
}

async fn moved(cluster: &'static Cluster, kind: RelayKind, via: &str) {
    let stage = Stage::set(cluster, kind, via).await;
    let streams = stage.open().await;
    stage.uplink.move_to_another_address().await;
    stage.is_well().await;
    streams.end(&stage.serving).await;
    stage.is_well().await;
    let why = format!(
        "connections to the API server were lost and are made anew: this machine has lost its address {}",
        stage.uplink.address()
    );
    stage.serving.until_stderr(&why).await;
    assert_eq!((stage.told("lost"), stage.told("cannot be reached")), (1, 0), "{}", stage.serving.stderr());
}

async fn a_pulled_plug(cluster: &'static Cluster) {
    join_all(TRANSPORTS.map(|via| cut_off(cluster, RelayKind::Plain, via, Cut::Plug))).await;
}

async fn packets_that_vanish(cluster: &'static Cluster) {
    join_all(TRANSPORTS.map(|via| cut_off(cluster, RelayKind::Plain, via, Cut::Packets))).await;
}

async fn packets_that_vanish_on_the_way_to_a_proxy(cluster: &'static Cluster) {
    let kinds = [RelayKind::Connect, RelayKind::Socks];
    join_all(kinds.map(|kind| cut_off(cluster, kind, TRANSPORTS[1], Cut::Packets))).await;
}

async fn a_relay_that_stands_still(cluster: &'static Cluster) {
    join_all(TRANSPORTS.map(|via| cut_off(cluster, RelayKind::Plain, via, Cut::Relay))).await;
}

/// How the way is cut.
#[derive(Clone, Copy)]
enum Cut {
    Plug,
    Packets,
    Relay,
}

async fn cut_off(cluster: &'static Cluster, kind: RelayKind, via: &str, cut: Cut) {
    let stage = Stage::set(cluster, kind, via).await;
    let streams = stage.open().await;
    match cut {
        Cut::Plug => stage.uplink.pull().await,
        Cut::Packets => stage.uplink.swallow().await,
        Cut::Relay => stage.uplink.stop(),
    }
    let statuses = stage.get_some().await;
    assert!(statuses.iter().all(StatusCode::is_server_error), "{statuses:?}");
    streams.end(&stage.serving).await;
    stage.serving.until_stderr("the API server cannot be reached: ").await;
    match cut {
        Cut::Plug => stage.uplink.plug_in().await,
        Cut::Packets => stage.uplink.pass().await,
        Cut::Relay => stage.uplink.go_on(),
    }
    stage.serving.until_stderr("the API server is reached again, after ").await;
    stage.is_well().await;
    assert_eq!((stage.told("cannot be reached"), stage.told("reached again")), (1, 1), "{}", stage.serving.stderr());
    drop(stage.namespace);
}

/// The whole network side stands still, and when it goes on it is somewhere else.
async fn a_laptop_that_wakes_up_elsewhere(cluster: &'static Cluster) {
    let stages = TRANSPORTS.map(|via| async move {
        let stage = Stage::set(cluster, RelayKind::Plain, via).await;
        let streams = stage.open().await;
        stage.serving.signal(Signal::STOP);
        stage.uplink.stop();
        stage.uplink.move_to_another_address().await;
        sleep(LONG).await;
        stage.uplink.go_on();
        stage.serving.signal(Signal::CONT);
        stage.is_well().await;
        streams.end(&stage.serving).await;
    });
    join_all(stages).await;
}

/// An app that takes its time, one that does not read for a while, and a client that does not read for a while.
async fn whoever_takes_time_is_waited_for(cluster: &'static Cluster) {
    join_all(TRANSPORTS.map(|via| unhurried(cluster, via))).await;
}

async fn unhurried(cluster: &'static Cluster, via: &str) {
    const SIZE: u64 = 32 << 20;
    let stage = Stage::set(cluster, RelayKind::Plain, via).await;
    let app = SlowApp::start(cluster).await;
    stage.namespace.expose("slow", app.ip, json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
    let flags = stage.uplink.flags();
    let arguments: Vec<&str> = ["slow", via].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let slow = plugin(cluster, &stage.namespace, &arguments).serve().await;
    let answered_late = async {
        let answer = get(&format!("{}answers-late", slow.proxy_url())).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "0"));
    };
    let read_late = async {
        let request = Request::post("/").header("content-length", SIZE).body(upload(SIZE)).unwrap();
        let answer = http::stream(&format!("{}reads-late", slow.proxy_url()), request).await;
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), SIZE.to_string());
    };
    let paused = async {
        let request = Request::new(Empty::<Bytes>::new());
        let mut answer = http::stream(&stage.url(&format!("bytes/{SIZE}")), request).await;
        sleep(LONG).await;
        assert_eq!(answer.body_mut().collect().await.unwrap().to_bytes().len() as u64, SIZE);
    };
    tokio::join!(answered_late, read_late, paused);
    for stderr in [slow.stderr(), stage.serving.stderr()] {
        assert!(!stderr.contains("lost") && !stderr.contains("cannot be reached"), "{stderr}");
    }
}

async fn a_slow_upload_arrives(cluster: &'static Cluster) {
    let uploads = TRANSPORTS.map(|via| async move {
        const SIZE: u64 = 2 << 20;
        let stage = Stage::set(cluster, RelayKind::Plain, via).await;
        stage.uplink.slow_down().await;
        let request = Request::post("/").header("content-length", SIZE).body(upload(SIZE)).unwrap();
        let answer = http::stream(&stage.url("sink"), request).await;
        assert_eq!(answer.status(), 200);
        let said: serde_json::Value =
            serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(said["length"], SIZE);
        assert_eq!(stage.told("lost"), 0, "{}", stage.serving.stderr());
    });
    join_all(uploads).await;
}

fn upload(size: u64) -> impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static {
    let pieces = futures_util::stream::iter(
        (0..size / 32768).map(|number| Ok::<_, Infallible>(Frame::data(pattern(number * 32768, 32768)))),
    );
    StreamBody::new(pieces)
}

/// An app that is in no hurry: `/answers-late` says nothing for long, `/reads-late` takes no octet of the body for long; then it
/// says how many octets there were.
struct SlowApp {
    ip: std::net::Ipv4Addr,
    server: JoinHandle<()>,
}

impl SlowApp {
    async fn start(cluster: &Cluster) -> Self {
        let ip = cluster.pod_address();
        let listener = TcpListener::bind((ip, 8080)).await.unwrap();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut settings = hyper::server::conn::http1::Builder::new();
                settings.half_close(true);
                tokio::spawn(settings.serve_connection(TokioIo::new(stream), service_fn(take_time)));
            }
        });
        Self { ip, server }
    }
}

impl Drop for SlowApp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take_time(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path().ends_with("late") {
        sleep(LONG).await;
    }
    let length = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
    let answer = Response::builder().header(header::CONTENT_TYPE, "text/plain").body(length.to_string().into());
    Ok(answer.unwrap())
}
