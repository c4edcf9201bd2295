//! What a machine can run out of: descriptors, memory, room on the disk. Whoever is served already goes on, whoever comes is
//! served as soon as there is room, and it is said once.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::harness::{Plugin, Served, web};
use support::fake::FakeApiServer;
use support::{Peer, http as client, matches_pattern};

/// Longer nobody waits.
const LIMIT: Duration = Duration::from_secs(20);

async fn served(fake: &FakeApiServer, limits: &str) -> Served {
    Plugin::new(fake).within(limits).args(["web", "--via=service-proxy"]).serve().await
}

async fn is_served(served: &Served) {
    let answer = timeout(LIMIT, client::get(&format!("{}bytes/1000", served.proxy_url()))).await;
    let answer = answer.unwrap_or_else(|_| panic!("a request hangs: {}", served.stderr()));
    assert!(answer.status == 200 && matches_pattern(0, &answer.body), "{answer:?} {}", served.stderr());
}

async fn socket(served: &Served) -> Peer {
    let origin = served.site_url().trim_end_matches('/').to_owned();
    let url = format!("{}/socket", origin.replace("http://", "ws://"));
    Peer::open(&url, &[("origin", &origin)]).await.unwrap()
}

#[tokio::test]
async fn few_descriptors() {
    const SAID: &str = "as many clients are connected as 40 open files are enough for";
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = served(&fake, "ulimit -n 40").await;
    let mut elder = socket(&served).await;
    let url = served.proxy_url().parse().unwrap();
    let idle = join_all((0..60).map(|_| client::tcp(&url))).await;
    for _ in 0..5 {
        is_served(&served).await;
    }
    elder.exchange("still there".into()).await;
    drop(idle);
    is_served(&served).await;
    assert_eq!(served.stderr().matches(SAID).count(), 1, "{}", served.stderr());
    assert_eq!(served.stderr().lines().count(), 2, "{}", served.stderr());
}

/// A connection that is kept.
async fn connect(served: &Served) -> SendRequest<Full<Bytes>> {
    let stream = client::tcp(&served.proxy_url().parse().unwrap()).await;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn five_thousand_connections() {
    const CONNECTIONS: usize = 5_000;
    const AT_ONCE: usize = 50;
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = served(&fake, ":").await;
    let path = format!("/{}", served.proxy_url().splitn(4, '/').nth(3).unwrap());
    let host = served.proxy_url().split('/').nth(2).unwrap().to_owned();
    let ask = async |mut sender: SendRequest<Full<Bytes>>| {
        let request = Request::get(format!("{path}bytes/100")).header("host", &host).body(Full::default()).unwrap();
        let answer = timeout(LIMIT, sender.send_request(request)).await.expect("it is answered").unwrap();
        assert_eq!(answer.status(), 200);
        assert!(matches_pattern(0, &answer.into_body().collect().await.unwrap().to_bytes()));
        sender
    };
    let opened = futures_util::stream::iter(0..CONNECTIONS).map(|_| async { ask(connect(&served).await).await });
    let opened: Vec<_> = opened.buffer_unordered(AT_ONCE).collect().await;
    let again = futures_util::stream::iter(opened).map(ask);
    assert_eq!(again.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.len(), CONNECTIONS);
    served.stop().await;
}

/// So much of the heap it may have; a transfer of each kind is larger.
const LITTLE_MEMORY: &str = "ulimit -d 98304";

#[tokio::test]
async fn little_memory() {
    const CLIENTS: usize = 60;
    const GIBIBYTE: u64 = 1 << 30;
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = served(&fake, LITTLE_MEMORY).await;
    let url = format!("{}bytes/{GIBIBYTE}", served.proxy_url());
    let unread = join_all((0..CLIENTS).map(|_| client::stream(&url, Request::new(Empty::<Bytes>::new())))).await;
    let slow = join_all((0..CLIENTS).map(|_| half_a_request(&served))).await;
    let mut sockets = join_all((0..CLIENTS).map(|_| socket(&served))).await;
    for _ in 0..20 {
        is_served(&served).await;
    }
    for socket in &mut sockets {
        socket.exchange("hello".into()).await;
    }
    drop((unread, slow, sockets));
    is_served(&served).await;
    served.stop().await;
}

/// A client that sends the head of an upload and a part of its body, and no more.
async fn half_a_request(served: &Served) -> tokio::net::TcpStream {
    let url = format!("{}sink", served.proxy_url()).parse::<http::Uri>().unwrap();
    let mut stream = client::tcp(&url).await;
    let host = url.authority().unwrap();
    let head = format!("POST {} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\nbegun", url.path());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// What a full disk answers to every write.
const FULL: &str = "/dev/full";

#[tokio::test]
async fn no_room_for_what_is_printed() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for arguments in ["--list", "--list -o json", "web --dry-run", "web --dry-run -o url", "--help", "--version"] {
        let plugin = Plugin::new(&fake).plain().within(&format!("exec >{FULL}")).args(arguments.split(' '));
        let finished = plugin.finish().await;
        let said = finished.stderr.lines().last().unwrap_or_default();
        let expected = "error: cannot write to stdout: no space left on device";
        assert_eq!((finished.code(), said), (1, expected), "{arguments}");
        assert_eq!(finished.stderr.matches("cannot write").count(), 1, "{arguments}");
    }
}
