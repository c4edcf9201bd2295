//! What a client of HTTP/2 can do that keeps to nothing: frames without end, heads that unpack without end, streams that nobody
//! reads, and requests that are two once they are HTTP/1.1. Each must end, if it costs anything, with its own connection: the
//! program lives, others get their answers, the app sees no more than it should, and memory stays below a bound.

use std::iter::repeat_n;

use crate::https::ByTls;
use support::eventually;
use support::fake::FakeApiServer;
use support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameConnection, HEADERS, INITIAL_WINDOW_SIZE, PING, PRIORITY,
    RST_STREAM, SETTINGS, StreamFate, WINDOW_UPDATE, frame, literals, remembered, settings,
};

/// KiB that the program may have come to hold at the most while it was attacked; idle it holds some 15 MiB.
const MAX_MEMORY: u64 = 64 * 1024;
/// And for each request that reached the app: a connection of its own to the API server, with what is under way on it.
const MAX_MEMORY_OF_A_REQUEST: u64 = 384;

/// Error codes (RFC 9113 section 7).
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The largest window, and so too large a step for every one that is open.
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The program, and what it stands before.
struct HttpTwoStage {
    run: ByTls,
    fake: FakeApiServer,
}

impl HttpTwoStage {
    async fn new() -> Self {
        let fake = FakeApiServer::start().await;
        Self { run: ByTls::start(&fake, &[]).await, fake }
    }

    async fn attacker(&self) -> FrameConnection {
        self.attacker_saying(&[]).await
    }

    async fn attacker_saying(&self, settings: &[(u16, u32)]) -> FrameConnection {
        FrameConnection::open(&self.run.client, &self.run.site(), settings).await
    }

    async fn attacker_that_never_reads(&self, settings: &[(u16, u32)]) -> FrameConnection {
        FrameConnection::open_unread(&self.run.client, &self.run.site(), settings).await
    }

    /// The site's host and port.
    fn authority(&self) -> String {
        self.run.site().trim_start_matches("https://").trim_end_matches('/').to_owned()
    }

    /// The head of a request for `path`, and further `fields`.
    fn head(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let authority = self.authority();
        let pseudo = [(":method", method), (":scheme", "https"), (":authority", &authority), (":path", path)];
        literals(&[&pseudo, fields].concat())
    }

    fn get(&self, stream: u32, path: &str) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, self.head("GET", path, &[]))
    }

    /// What comes of a whole request with this head on a connection of its own.
    async fn fate_of(&self, head: &[u8]) -> StreamFate {
        let mut attacker = self.attacker().await;
        attacker.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, head)).await;
        attacker.fate(1).await
    }

    /// The targets that the app was asked for.
    fn seen(&self) -> Vec<String> {
        self.run.backend.requests().iter().map(|request| request["target"].as_str().unwrap().to_owned()).collect()
    }

    /// Somebody else is served, by either protocol.
    async fn others_are_served(&self) {
        let url = format!("{}beside", self.run.site());
        assert_eq!(self.run.client.get(&url).await.json()["target"], "/beside");
        let mut http2 = self.run.client.http2(&url).await;
        let request = http::Request::get(&url).body(http_body_util::Full::default()).unwrap();
        assert_eq!(http2.send_request(request).await.unwrap().status(), 200);
    }

    /// Nobody heard of it, neither the app nor the API server.
    fn is_untouched(&self, what: &str) {
        let targets = self.fake.requests().into_iter().map(|request| request.target);
        let proxied: Vec<String> = targets.filter(|target| target.contains("/proxy")).collect();
        assert_eq!((self.seen(), proxied), (Vec::new(), Vec::new()), "{what}");
    }

    /// The end: whoever has attacked is gone.
    async fn judge(self, most_requests: usize) {
        let requests = self.seen().iter().filter(|target| *target != "/beside").count();
        assert!(requests <= most_requests, "{requests} requests reached the app");
        self.others_are_served().await;
        let (_, highest) = self.run.served.memory();
        let allowed = MAX_MEMORY + MAX_MEMORY_OF_A_REQUEST * u64::try_from(most_requests).unwrap();
        assert!(highest <= allowed, "{highest} KiB");
        self.run.served.stop().await;
    }
}

fn is_refused(fate: StreamFate) -> bool {
    matches!(fate, StreamFate::Reset(PROTOCOL_ERROR) | StreamFate::Gone(Some(PROTOCOL_ERROR)))
}

/// The word is lost where the program has closed the connection with octets of the attack unread.
fn is_told_to_calm_down(fate: StreamFate) -> bool {
    matches!(fate, StreamFate::Gone(None | Some(ENHANCE_YOUR_CALM)))
}

/// The head of a stream in as many frames as it needs.
fn in_frames(head: &[u8]) -> Vec<u8> {
    const PIECE: usize = 16_000;
    let count = head.len().div_ceil(PIECE);
    let pieces = head.chunks(PIECE).enumerate().map(|(at, piece)| {
        let (kind, flag) = if at == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
        frame(kind, if at + 1 == count { flag | END_HEADERS } else { flag }, 1, piece)
    });
    pieces.collect::<Vec<_>>().concat()
}

/// Sends one piece after the other until the program takes no more.
async fn flood(attacker: &mut FrameConnection, pieces: impl IntoIterator<Item: AsRef<[u8]>>) {
    for piece in pieces {
        if !attacker.send(piece).await {
            return;
        }
    }
}

/// Numbers of streams that clients may open.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| number * 2 + 1)
}

/// CVE-2023-44487: what is asked for and taken back at once costs the client nothing.
#[tokio::test]
async fn rapid_resets() {
    let stage = HttpTwoStage::new().await;
    let mut attacker = stage.attacker().await;
    let pair = |stream| [stage.get(stream, "/events/5"), frame(RST_STREAM, 0, stream, 8_u32.to_be_bytes())].concat();
    let pairs: Vec<Vec<u8>> = streams(5_000).map(pair).collect();
    flood(&mut attacker, pairs.chunks(50).map(<[_]>::concat)).await;
    let fate = attacker.fate(0).await;
    assert!(is_told_to_calm_down(fate), "{fate:?}");
    stage.judge(100).await;
}

/// CVE-2025-8671: the same, but it is the server who is made to end each stream.
#[tokio::test]
async fn resets_that_the_server_is_made_to_send() {
    let stage = HttpTwoStage::new().await;
    let mut attacker = stage.attacker().await;
    let overflow = |stream| frame(WINDOW_UPDATE, 0, stream, MAX_WINDOW.to_be_bytes());
    let pair = |stream| [stage.get(stream, "/events/5"), overflow(stream)].concat();
    flood(&mut attacker, streams(5_000).map(pair)).await;
    let fate = attacker.fate(0).await;
    assert!(is_told_to_calm_down(fate), "{fate:?}");
    stage.judge(100).await;
}

/// CVE-2024-27316: a head that never ends, in pieces of any size.
#[tokio::test]
async fn heads_without_end() {
    let stage = HttpTwoStage::new().await;
    let large = literals(&[("x", &"y".repeat(16_000))]);
    for piece in [Vec::new(), literals(&[("x", "y")]), large, vec![0]] {
        let mut attacker = stage.attacker().await;
        attacker.send(frame(HEADERS, END_STREAM, 1, stage.head("GET", "/endless", &[]))).await;
        flood(&mut attacker, repeat_n(&frame(CONTINUATION, 0, 1, &piece), 2_000)).await;
        let fate = attacker.fate(1).await;
        assert!(is_told_to_calm_down(fate), "pieces of {}: {fate:?}", piece.len());
    }
    stage.is_untouched("a head without end");
    stage.judge(0).await;
}

/// Each wants an answer, which is read or not.
#[tokio::test]
async fn settings_and_pings_without_end() {
    let stage = HttpTwoStage::new().await;
    for (kind, one) in [(SETTINGS, settings(&[])), (PING, frame(PING, 0, 0, [7; 8]))] {
        let many = one.repeat(1_000);
        let mut attacker = stage.attacker().await;
        for _ in 0..50 {
            assert!(attacker.send(&many).await);
        }
        attacker.until_came(kind, 50_000).await;
        let mut unread = stage.attacker_that_never_reads(&[]).await;
        unread.send_until_stuck(5_000, &many).await;
        stage.others_are_served().await;
    }
    stage.judge(0).await;
}

/// One entry of the table, named again and again, before the client has agreed to any limit.
#[tokio::test]
async fn heads_that_unpack_without_end() {
    let stage = HttpTwoStage::new().await;
    let entry = remembered("x", &"y".repeat(4_000));
    let bomb = |names: usize| [stage.head("GET", "/bomb", &[]), entry.clone(), [0x80 | 62].repeat(names)].concat();
    let lines = [("x", "y")].repeat(1_000);
    let larger_table = [vec![0x3f, 0xe1, 0xff, 0x03], stage.head("GET", "/table", &[])].concat();
    for (what, head, expect) in [
        ("400 KB", bomb(100), StreamFate::Status(431)),
        ("60 MB", bomb(15_000), StreamFate::Gone(Some(ENHANCE_YOUR_CALM))),
        ("more lines than HTTP/1.1 has", stage.head("GET", "/lines", &lines), StreamFate::Status(431)),
        ("a table larger than was agreed", larger_table, StreamFate::Gone(Some(PROTOCOL_ERROR))),
    ] {
        let mut attacker = stage.attacker().await;
        attacker.send(in_frames(&head)).await;
        assert_eq!(attacker.fate(1).await, expect, "{what}");
    }
    stage.is_untouched("a bomb");
    stage.judge(0).await;
}

/// The guard judges by `:authority`, or by `Host` where there is none; two that differ are none.
#[tokio::test]
async fn t1_hosts_that_disagree() {
    let stage = HttpTwoStage::new().await;
    let (own, evil) = (stage.authority(), "evil.example");
    let [spaced, below, listed, as_user] =
        [" evil.example", "/evil", ",evil.example", "@evil.example"].map(|end| format!("{own}{end}"));
    let (own, refused) = (own.as_str(), StreamFate::Reset(PROTOCOL_ERROR));
    for (fields, expect) in [
        (&[(":authority", own), ("host", evil)][..], StreamFate::Status(400)),
        (&[(":authority", evil), ("host", own)], StreamFate::Status(400)),
        (&[(":authority", own), ("host", own), ("host", evil)], StreamFate::Status(400)),
        (&[(":authority", own), ("host", "")], StreamFate::Status(400)),
        (&[("host", own), ("host", evil)], StreamFate::Status(400)),
        (&[("host", own), ("host", own)], StreamFate::Status(400)),
        (&[], StreamFate::Status(400)),
        (&[(":authority", evil)], StreamFate::Status(421)),
        (&[("host", evil)], StreamFate::Status(421)),
        (&[(":authority", &listed)], StreamFate::Status(421)),
        (&[(":authority", &as_user)], StreamFate::Status(421)),
        (&[(":authority", own), (":authority", evil)], refused),
        (&[(":authority", &spaced)], refused),
        (&[(":authority", &below)], refused),
        (&[(":authority", ""), ("host", own)], refused),
    ] {
        let head = literals(&[&[(":method", "GET"), (":scheme", "https"), (":path", "/")], fields].concat());
        assert_eq!(stage.fate_of(&head).await, expect, "{fields:?}");
    }
    stage.is_untouched("another host");
    for fields in [&[("host", own)][..], &[(":authority", own), ("host", own)]] {
        let head = literals(&[&[(":method", "GET"), (":scheme", "https"), (":path", "/")], fields].concat());
        assert_eq!(stage.fate_of(&head).await, StreamFate::Status(200), "{fields:?}");
    }
    stage.judge(2).await;
}

/// What HTTP/1.1 would not even begin to read.
#[tokio::test]
async fn t5_paths_that_are_none() {
    let stage = HttpTwoStage::new().await;
    let absolute = format!("https://{}/", stage.authority());
    let smuggled = "/ HTTP/1.1\r\nHost: x\r\n\r\nGET /evil";
    for path in ["", "x", ".", "../x", "\\x", ":80/", "@evil.example/", "http://evil.example/", &absolute, "\u{e9}"] {
        for method in ["GET", "OPTIONS"] {
            let fate = stage.fate_of(&stage.head(method, path, &[])).await;
            assert!(is_refused(fate), "{method} {path}: {fate:?}");
        }
    }
    for path in ["/a b", "/a\tb", "/a\r\nX: 1", "/a\nb", "/a\0b", "/a\x7fb", "/<\"`>", smuggled] {
        let fate = stage.fate_of(&stage.head("GET", path, &[])).await;
        assert!(is_refused(fate), "{path:?}: {fate:?}");
    }
    for path in ["*", "#a", "/../x", "/%2e%2e/x", "/..%2fx?a"] {
        let fate = stage.fate_of(&stage.head("OPTIONS", path, &[])).await;
        assert_eq!(fate, StreamFate::Status(400), "{path}");
    }
    stage.is_untouched("no path");
    // A query has the path `/`, and is none.
    let query = "?/../../../../other:http/proxy/x";
    assert_eq!(stage.fate_of(&stage.head("GET", query, &[])).await, StreamFate::Status(200));
    assert_eq!(stage.seen(), [format!("/{query}")]);
    stage.judge(1).await;
}

/// Fields of HTTP/1.1 connections, names in capitals, and whatever would be another line there.
const FIELDS_THAT_ARE_NONE: [(&str, &str); 25] = [
    ("Upper", "x"),
    ("X-Forwarded-For", "x"),
    ("connection", "close"),
    ("connection", "x-mine"),
    ("transfer-encoding", "chunked"),
    ("transfer-encoding", "identity"),
    ("te", "gzip"),
    ("te", "trailers, gzip"),
    ("upgrade", "websocket"),
    ("upgrade", "h2c"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("x: y", "z"),
    ("x y", "z"),
    ("x:", "z"),
    ("x\r\nevil", "z"),
    ("", "z"),
    ("x", "a\r\nevil: b"),
    ("x", "a\nevil: b"),
    ("x", "a\rb"),
    ("x", "a\0b"),
    (":path", "/twice"),
    (":status", "200"),
    (":unknown", "x"),
    (":protocol", "websocket"),
];

#[tokio::test]
async fn t6_fields_that_http2_has_not() {
    let stage = HttpTwoStage::new().await;
    for field in FIELDS_THAT_ARE_NONE {
        let fate = stage.fate_of(&stage.head("GET", "/field", &[field])).await;
        assert!(is_refused(fate), "{field:?}: {fate:?}");
    }
    for method in ["GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", "get it", "", "GET\0"] {
        let fate = stage.fate_of(&stage.head(method, "/method", &[])).await;
        assert!(is_refused(fate), "{method:?}: {fate:?}");
    }
    let late = [literals(&[("x", "y")]), stage.head("GET", "/late", &[])].concat();
    let fate = stage.fate_of(&late).await;
    assert!(is_refused(fate), "a path behind a field: {fate:?}");
    stage.is_untouched("such a field");
    // What the client calls the scheme decides nothing: TLS is known to have ended here.
    let authority = stage.authority();
    let head = literals(&[(":method", "GET"), (":scheme", "http"), (":authority", &authority), (":path", "/scheme")]);
    assert_eq!(stage.fate_of(&head).await, StreamFate::Status(200));
    stage.judge(1).await;
}

/// Lengths that disagree with what comes, or mean nothing.
#[tokio::test]
async fn t6_two_requests_in_one() {
    let stage = HttpTwoStage::new().await;
    let smuggled = format!("0\r\n\r\nGET /evil HTTP/1.1\r\nHost: {}\r\n\r\n", stage.authority());
    let refused = [
        (&["5"][..], smuggled.as_str()),
        (&["0"], &smuggled),
        (&["9999"], &smuggled),
        (&["5"], ""),
        (&["5", "6"], "12345"),
        (&["5, 5"], "12345"),
        (&["5, 6"], "12345"),
        (&["+5"], "12345"),
        (&["-1"], "12345"),
        (&["0x5"], "12345"),
        (&["5 "], "12345"),
        (&[""], "12345"),
        (&["99999999999999999999999999"], "12345"),
    ];
    for (lengths, body) in refused {
        let fate = stage.post(lengths, body).await;
        assert!(is_refused(fate), "{lengths:?} {body:?}: {fate:?}");
    }
    assert_eq!(stage.seen(), Vec::<String>::new());
    for lengths in [&[][..], &["5"], &["5", "5"]] {
        assert_eq!(stage.post(lengths, "12345").await, StreamFate::Status(200), "{lengths:?}");
    }
    let seen = stage.run.backend.requests();
    let told = |request: &serde_json::Value| (request["target"].clone(), request["length"].clone());
    assert_eq!(seen.iter().map(told).collect::<Vec<_>>(), vec![("/first".into(), 5.into()); 3]);
    stage.judge(3).await;
}

impl HttpTwoStage {
    /// What comes of a POST of `body`, said to be so long.
    async fn post(&self, lengths: &[&str], body: &str) -> StreamFate {
        let fields: Vec<(&str, &str)> = lengths.iter().map(|length| ("content-length", *length)).collect();
        let mut attacker = self.attacker().await;
        let flags = if body.is_empty() { END_HEADERS | END_STREAM } else { END_HEADERS };
        let head = frame(HEADERS, flags, 1, self.head("POST", "/first", &fields));
        let data = if body.is_empty() { Vec::new() } else { frame(DATA, END_STREAM, 1, body) };
        attacker.send([head, data].concat()).await;
        attacker.fate(1).await
    }
}

/// Trees of dependencies cost nothing that builds none.
#[tokio::test]
async fn priorities_without_end() {
    let stage = HttpTwoStage::new().await;
    let on = |stream: u32, parent: u32| frame(PRIORITY, 0, stream, [&parent.to_be_bytes()[..], &[255]].concat());
    let mut attacker = stage.attacker().await;
    let storm: Vec<u8> = streams(50_000).flat_map(|stream| on(stream + 2, stream)).collect();
    assert!(attacker.send([storm, stage.get(1, "/storm")].concat()).await);
    assert_eq!(attacker.fate(1).await, StreamFate::Status(200));
    let mut unread = stage.attacker_that_never_reads(&[]).await;
    let on_itself: Vec<u8> = streams(1_000).flat_map(|stream| on(stream, stream)).collect();
    unread.send_until_stuck(1_000, &on_itself).await;
    drop((attacker, unread));
    stage.judge(1).await;
}

/// No window, or the largest one and nobody who reads: what the app says waits at the app.
#[tokio::test]
async fn streams_that_nobody_reads() {
    let stage = HttpTwoStage::new().await;
    let gets = |count| streams(count).flat_map(|stream| stage.get(stream, "/bytes/100000000")).collect::<Vec<u8>>();
    let mut closed = stage.attacker_saying(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    assert!(closed.send(gets(100)).await);
    closed.until_came(HEADERS, 100).await;
    stage.others_are_served().await;
    let mut unread = stage.attacker_that_never_reads(&[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]).await;
    let open = frame(WINDOW_UPDATE, 0, 0, (MAX_WINDOW - 65_535).to_be_bytes());
    assert!(unread.send([open, gets(500)].concat()).await);
    let asked = async || (stage.seen().len() >= 602).then_some(());
    eventually("all are asked for", asked).await;
    for _ in 0..20 {
        stage.others_are_served().await;
    }
    drop((closed, unread));
    stage.judge(600).await;
}

#[tokio::test]
async fn windows_beyond_their_limit() {
    let stage = HttpTwoStage::new().await;
    for (stream, expect) in
        [(0, StreamFate::Gone(Some(FLOW_CONTROL_ERROR))), (1, StreamFate::Reset(FLOW_CONTROL_ERROR))]
    {
        let mut attacker = stage.attacker().await;
        let overflow = frame(WINDOW_UPDATE, 0, stream, MAX_WINDOW.to_be_bytes());
        attacker.send([stage.get(1, "/events/5"), overflow].concat()).await;
        assert_eq!(attacker.fate(stream).await, expect, "of stream {stream}");
    }
    // Nothing, or next to nothing, again and again.
    for (length, count) in [(0, 10), (1, 1_000)] {
        let mut attacker = stage.attacker().await;
        attacker.send(frame(HEADERS, END_HEADERS, 1, stage.head("POST", "/sink", &[]))).await;
        flood(&mut attacker, repeat_n(&frame(DATA, 0, 1, vec![0; length]).repeat(100), count)).await;
        let fate = attacker.fate(0).await;
        assert!(is_told_to_calm_down(fate), "DATA of {length}: {fate:?}");
    }
    stage.judge(4).await;
}

#[tokio::test]
async fn more_streams_than_there_may_be() {
    let stage = HttpTwoStage::new().await;
    let mut attacker = stage.attacker().await;
    attacker.send(streams(600).flat_map(|stream| stage.get(stream, "/events/5")).collect::<Vec<u8>>()).await;
    for stream in streams(600).skip(500) {
        assert_eq!(attacker.fate(stream).await, StreamFate::Reset(REFUSED_STREAM), "{stream}");
    }
    stage.others_are_served().await;
    drop(attacker);
    stage.judge(500).await;
}

/// An extended CONNECT opens a WebSocket to the Service, by the guard's leave, and nothing else.
#[tokio::test]
async fn t14_tunnels_that_are_no_web_sockets() {
    let stage = HttpTwoStage::new().await;
    let own = stage.authority();
    let origin = format!("https://{own}");
    let plain = format!("http://{own}");
    let to =
        |scheme, path| [(":method", "CONNECT"), (":scheme", scheme), (":authority", own.as_str()), (":path", path)];
    let from = |origin| [(":protocol", "websocket"), ("origin", origin)];
    let by = |protocol| [(":protocol", protocol), ("origin", origin.as_str())];
    let site = to("https", "/ws");
    let socket = from(&origin);
    let refused = StreamFate::Reset(PROTOCOL_ERROR);
    for (what, fields, expect) in [
        ("UDP", [&site[..], &by("connect-udp")].concat(), StreamFate::Status(501)),
        ("capitals", [&site[..], &by("WebSocket")].concat(), StreamFate::Status(501)),
        ("no name", [&site[..], &by("")].concat(), StreamFate::Status(501)),
        ("two lines", [&site[..], &by("websocket\r\nx: y")].concat(), StreamFate::Status(501)),
        ("a plain one", vec![site[0], site[2]], StreamFate::Status(501)),
        ("one to elsewhere", vec![site[0], (":authority", "evil.example:443")], StreamFate::Status(501)),
        ("no protocol", site.to_vec(), refused),
        ("no path", [&site[..3], &socket].concat(), refused),
        ("no scheme", [&[site[0], site[2], site[3]][..], &socket].concat(), refused),
        ("no origin", [&site[..], &socket[..1]].concat(), StreamFate::Status(403)),
        ("another page", [&site[..], &from("https://evil.example")].concat(), StreamFate::Status(403)),
        ("its http page", [&to("http", "/ws")[..], &from(&plain)].concat(), StreamFate::Status(403)),
        ("a way out", [&to("https", "/../ws")[..], &socket].concat(), StreamFate::Status(400)),
    ] {
        let mut attacker = stage.attacker().await;
        attacker.send(frame(HEADERS, END_HEADERS, 1, literals(&fields))).await;
        assert_eq!(attacker.fate(1).await, expect, "{what}");
    }
    stage.is_untouched("such a tunnel");
    // An app that knows no WebSockets says 200 with a page, which would be a tunnel.
    for further in [("sec-websocket-version", "8"), ("content-length", "5")] {
        let mut attacker = stage.attacker().await;
        let fields = [&site[..], &socket, &[further]].concat();
        attacker.send(frame(HEADERS, END_HEADERS, 1, literals(&fields))).await;
        let fate = attacker.fate(1).await;
        assert!(matches!(fate, StreamFate::Status(502) | StreamFate::Gone(_)), "{further:?}: {fate:?}");
    }
    stage.judge(2).await;
}
