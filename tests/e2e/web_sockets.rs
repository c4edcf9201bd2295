//! WebSockets through the real API server, by both transports: nothing of the handshake or of the octets after it changes.

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{plugin, serve};
use support::cluster::{Cluster, backend_in};
use support::stream::{read_until, send};
use support::{Backend, Peer, RawBackend, Serving, http, matches_pattern, pattern};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        a_handshake_arrives_whole,
        octets_pass_as_they_are,
        an_end_passes_after_all_before_it,
        messages_pings_and_a_close,
        many_at_once_by_service_proxy,
        many_at_once_by_port_forward,
    ]
}

const TRANSPORTS: [&str; 2] = ["service-proxy", "port-forward"];

/// The example of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What a page offers, and what an app that agrees answers.
const OFFERED: [&str; 4] = [
    "sec-websocket-protocol: chat.v2, chat",
    "sec-websocket-extensions: permessage-deflate; client_max_window_bits, x-own; a=\"b, c\"",
    "cookie: session=1; theme=dark",
    "user-agent: a browser/1.0",
];
const AGREED: [&str; 3] = [
    "sec-websocket-protocol: chat.v2",
    "sec-websocket-extensions: permessage-deflate; server_no_context_takeover",
    "set-cookie: seen=1; Path=/",
];

/// An app that a test plays by hand, and the plugin in front of it.
struct ByHand {
    backend: RawBackend,
    serving: Serving,
}

/// Both ends of an open WebSocket as plain connections, and the heads with which it began.
struct Ends {
    page: TcpStream,
    app: TcpStream,
    request: String,
    answer: String,
}

impl ByHand {
    async fn new(cluster: &'static Cluster, via: &str) -> Self {
        let namespace = cluster.namespace().await;
        let ip = cluster.pod_address();
        let backend = RawBackend::listen(ip, 8080).await;
        namespace.expose("app", ip, json!([{"name": "http", "port": 80, "targetPort": 8080}])).await;
        let serving = serve(cluster, &namespace, &["app", "--via", via]).await;
        Self { backend, serving }
    }

    /// Host and port of the site.
    fn host(&self) -> String {
        self.serving.site_url().trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    async fn open(&self) -> Ends {
        let host = self.host();
        let request = format!(
            "GET /socket HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\nconnection: keep-alive, Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{}\r\n\r\n",
            OFFERED.join("\r\n")
        );
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {}\r\n{}\r\n\r\n",
            derive_accept_key(KEY.as_bytes()),
            AGREED.join("\r\n")
        );
        let mut page = http::tcp(&self.serving.site_url().parse().unwrap()).await;
        send(&mut page, request).await.unwrap();
        let (mut app, request) = self.backend.accept().await;
        send(&mut app, answer).await.unwrap();
        let answer = read_until(&mut page, "\r\n\r\n").await.unwrap();
        Ends { page, app, request, answer }
    }
}

/// Whether a head holds a line, whatever the case of its field's name.
fn has(head: &str, line: &str) -> bool {
    let (name, value) = line.split_once(": ").expect("it is a header line");
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.any(|(own, said)| own.eq_ignore_ascii_case(name) && said == value)
}

async fn a_handshake_arrives_whole(cluster: &'static Cluster) {
    for via in TRANSPORTS {
        let by_hand = ByHand::new(cluster, via).await;
        let ends = by_hand.open().await;
        assert!(ends.request.starts_with("GET /socket HTTP/1.1\r\n"), "{via}: {}", ends.request);
        let host = by_hand.host();
        // Apps compare the one with the other.
        for line in [format!("host: {host}"), format!("origin: http://{host}"), format!("sec-websocket-key: {KEY}")] {
            assert!(has(&ends.request, &line), "{via}: {line} in {}", ends.request);
        }
        for line in OFFERED {
            assert!(has(&ends.request, line), "{via}: {line} in {}", ends.request);
        }
        assert!(!ends.request.to_ascii_lowercase().contains("authorization"), "{via}: {}", ends.request);
        assert!(ends.answer.starts_with("HTTP/1.1 101 "), "{via}: {}", ends.answer);
        for line in AGREED {
            assert!(has(&ends.answer, line), "{via}: {line} in {}", ends.answer);
        }
    }
}

/// Frames with bits that only the agreed extension understands, control frames between them, and what is no frame at all.
async fn octets_pass_as_they_are(cluster: &'static Cluster) {
    let frames: [&[u8]; 6] = [
        b"\xc1\x87\x01\x02\x03\x04compres",  // masked, compressed
        b"\x42\x03\x00\xff\x0a",             // the first part of a compressed binary message
        b"\x89\x04ping",                     // a ping in the middle of it
        b"\x80\x00",                         // its empty last part
        b"\x88\x06\x10\xe1done",             // a close with code 4321
        b"\xff\xff\xff\xff\x00\x00\r\n\r\n", // what nobody on the way may try to understand
    ];
    for via in TRANSPORTS {
        let by_hand = ByHand::new(cluster, via).await;
        let Ends { mut page, mut app, .. } = by_hand.open().await;
        for frame in frames {
            send(&mut page, frame).await.unwrap();
            assert_eq!(arriving(&mut app, frame.len()).await, frame, "{via}, to the app");
            send(&mut app, frame).await.unwrap();
            assert_eq!(arriving(&mut page, frame.len()).await, frame, "{via}, to the page");
        }
    }
}

async fn arriving(from: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    from.read_exact(&mut octets).await.unwrap();
    octets
}

/// Whichever side ends its half: the other one gets all that was sent before, and then the end.
async fn an_end_passes_after_all_before_it(cluster: &'static Cluster) {
    const LENGTH: usize = 1_000_000;
    for via in TRANSPORTS {
        for page_ends in [true, false] {
            let by_hand = ByHand::new(cluster, via).await;
            let Ends { page, app, .. } = by_hand.open().await;
            let (mut near, mut far) = if page_ends { (page, app) } else { (app, page) };
            let sending = async {
                for offset in (0..LENGTH).step_by(10_000) {
                    near.write_all(&pattern(offset as u64, 10_000)).await.unwrap();
                }
                near.shutdown().await.unwrap();
            };
            let mut arrived = Vec::new();
            let ((), read) = tokio::join!(sending, far.read_to_end(&mut arrived));
            assert_eq!(read.unwrap(), LENGTH, "{via}, the page ends: {page_ends}");
            assert!(matches_pattern(0, &arrived), "{via}, the page ends: {page_ends}");
        }
    }
}

async fn messages_pings_and_a_close(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    for via in TRANSPORTS {
        let serving = serve(cluster, &namespace, &["app", "--via", via]).await;
        let mut peer = open(&serving).await;
        for message in [Message::text("é"), Message::binary(vec![0, 255, 10]), Message::binary(vec![7; 3_000_000])] {
            assert!(peer.exchange(message.clone()).await == message, "{via}");
        }
        assert_eq!(peer.exchange(Message::Ping("?".into())).await, Message::Pong("?".into()), "{via}");
        let goodbye = Message::Close(Some(CloseFrame { code: CloseCode::Library(4321), reason: "enough".into() }));
        assert_eq!(peer.exchange(goodbye.clone()).await, goodbye, "{via}");
        assert!(peer.next().await.is_none(), "{via}");
        serving.stop().await;
    }
}

async fn many_at_once_by_service_proxy(cluster: &'static Cluster) {
    many_at_once(cluster, "service-proxy", 1000).await;
}

/// Each is a connection of its own through the node.
async fn many_at_once_by_port_forward(cluster: &'static Cluster) {
    many_at_once(cluster, "port-forward", 200).await;
}

/// As many WebSockets at once, beside bulk traffic, and one that was open before all of them and outlives them; though the
/// system allows few open files at first.
async fn many_at_once(cluster: &'static Cluster, via: &str, count: usize) {
    let namespace = cluster.namespace().await;
    let _backend: Backend = backend_in(cluster, &namespace).await;
    let serving = plugin(cluster, &namespace, &["app", "--via", via]).open_files(256).serve().await;
    let mut elder = open(&serving).await;
    let (before, _) = serving.memory();
    let ((), ()) = tokio::join!(open_and_use(&serving, count), bulk(&serving));
    let (after, peak) = serving.memory();
    println!("{count} WebSockets by {via}: {before} KiB before, {peak} KiB at most, {after} KiB after them");
    echoes(&mut elder, "still there").await;
    elder.close().await;
    serving.stop().await;
}

async fn open_and_use(serving: &Serving, count: usize) {
    const OPENING_AT_ONCE: usize = 50;
    let opening = stream::iter(0..count).map(|_| open(serving)).buffer_unordered(OPENING_AT_ONCE);
    let mut peers: Vec<Peer> = opening.collect().await;
    for round in 0..3 {
        let each = peers.iter_mut().enumerate().map(|(number, peer)| async move {
            echoes(peer, &format!("{number} in round {round}")).await;
        });
        each.collect::<FuturesUnordered<_>>().collect::<Vec<()>>().await;
    }
    let (now, _) = serving.memory();
    println!("{count} WebSockets are open: {now} KiB");
    let closing = peers.into_iter().map(Peer::close);
    closing.collect::<FuturesUnordered<_>>().collect::<Vec<()>>().await;
}

async fn bulk(serving: &Serving) {
    const LENGTH: usize = 100_000_000;
    let answer = http::get(&format!("{}bytes/{LENGTH}", serving.site_url())).await;
    assert_eq!(answer.body.len(), LENGTH);
    assert!(matches_pattern(0, &answer.body));
}

async fn open(serving: &Serving) -> Peer {
    let origin = serving.site_url().trim_end_matches('/').to_owned();
    let url = format!("{}/socket", origin.replacen("http", "ws", 1));
    Peer::open(&url, &[("origin", &origin)]).await.unwrap_or_else(|answer| panic!("{answer:?}; {}", serving.stderr()))
}

async fn echoes(peer: &mut Peer, text: &str) {
    assert_eq!(peer.exchange(Message::text(text)).await, Message::text(text));
}
