//! Whatever a client says over HTTP/2: what it hears is whole frames, what reaches the Service could have come by HTTP/1.1
//! and is for it, and the connection ends when the client's side does.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, Request, Response, Version};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use svcproxy::message::body::Body;
use svcproxy::proxy::local::{
    GuardPolicy, ListenOn, LocalListener, LocalProxy, Origin, ReadyCount, ShownRun, ShownService, Site, TrafficStats,
    serve_http2_client,
};
use svcproxy::proxy::upstream::Upstream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

/// On a clock that runs ahead whenever everybody waits.
const END_TIMEOUT: Duration = Duration::from_secs(3600);
const LABEL: &str = "web--ns--abc123";
const PROXY_PATH: &str = "/api/v1/namespaces/ns/services/web/proxy/";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What agrees to the handshake that is made of an extended CONNECT (RFC 6455 section 4.2.2).
const AGREEMENT: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-accept: YihpkLSS25+4C1FHqifUjYbINsg=\r\n\r\n";

/// Types of frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const LAST_KNOWN_TYPE: u8 = 9;
const END_HEADERS: u8 = 4;

const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "CONNECT", "PUT", "OPTIONS", "DELETE", "PROPFIND"];
const NAMES: [&str; 24] = [
    ":authority",
    ":path",
    ":method",
    ":scheme",
    ":protocol",
    ":status",
    "host",
    "cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "expect",
    "origin",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "x-forwarded-host",
    "keep-alive",
    "Upper-Case",
    "x-body",
];

#[derive(Arbitrary, Debug)]
struct ClientSide<'a> {
    /// Not many clients begin with anything else.
    beginning: Option<&'a [u8]>,
    acts: Vec<ClientAct<'a>>,
    is_abrupt: bool,
}

#[derive(Arbitrary, Debug)]
enum ClientAct<'a> {
    /// A head, with what every request has unless `left_out` says otherwise.
    Request {
        stream: u8,
        flags: u8,
        method: u8,
        path: &'a str,
        left_out: u8,
        fields: Vec<(u8, &'a [u8])>,
    },
    /// The handshake of a WebSocket.
    Handshake {
        stream: u8,
        path: &'a str,
    },
    Data {
        stream: u8,
        flags: u8,
        octets: &'a [u8],
    },
    ManyData {
        stream: u8,
        length: u16,
    },
    Frame {
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &'a [u8],
    },
    Octets(&'a [u8]),
    /// The server has time to answer.
    Pause,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());
static LISTENER: LazyLock<LocalListener> = LazyLock::new(|| {
    let anywhere = ListenOn::Tcp { addresses: vec![[127, 0, 0, 1].into()], port: Some(0) };
    RUNTIME.block_on(LocalListener::bind(&anywhere, &[])).expect("some port is free")
});
static AUTHORITY: LazyLock<String> =
    LazyLock::new(|| format!("{LABEL}.localhost:{}", LISTENER.local_addrs()[0].port()));

fuzz_target!(|client: ClientSide<'_>| {
    LazyLock::force(&AUTHORITY);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (ours, theirs) = duplex(64 * 1024);
    let heard = runtime.block_on(async {
        let serving = serve_http2_client(served(), &LISTENER, Box::new(ours));
        let both = futures_util::future::join(serving, speak(theirs, &client));
        timeout(END_TIMEOUT, both).await.expect("it ends").1
    });
    if !client.is_abrupt {
        check_frames(&heard);
    }
});

async fn speak(connection: DuplexStream, client: &ClientSide<'_>) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(connection);
    let speaking = async {
        match client.beginning {
            Some(octets) => drop(writer.write_all(octets).await),
            None => drop(writer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await),
        }
        for act in &client.acts {
            match octets(act) {
                Some(octets) => drop(writer.write_all(&octets).await),
                None => sleep(Duration::from_millis(1)).await,
            }
        }
        let _ = writer.shutdown().await;
    };
    let mut heard = Vec::new();
    let listening = reader.read_to_end(&mut heard);
    if client.is_abrupt {
        tokio::select! {
            () = speaking => {}
            _ = listening => {}
        }
    } else {
        let _ = futures_util::future::join(speaking, listening).await;
    }
    heard
}

/// What the client sends; nothing while it waits.
fn octets(act: &ClientAct<'_>) -> Option<Vec<u8>> {
    Some(match act {
        ClientAct::Request { stream, flags, method, path, left_out, fields } => {
            let usual = [
                (":method", METHODS[usize::from(*method) % METHODS.len()].to_owned()),
                (":scheme", "https".to_owned()),
                (":authority", AUTHORITY.clone()),
                (":path", format!("/{path}")),
            ];
            let usual = usual.into_iter().enumerate().filter(|(index, _)| left_out >> index & 1 == 0);
            let mut block: Vec<u8> = usual.flat_map(|(_, (name, value))| field(name, value.as_bytes())).collect();
            for (name, value) in fields {
                // `§` keeps the fuzzer from having to find our name.
                let value = String::from_utf8_lossy(value).replace('§', &AUTHORITY);
                block.extend(field(NAMES[usize::from(*name) % NAMES.len()], value.as_bytes()));
            }
            frame(HEADERS, flags ^ END_HEADERS, id(*stream), &block)
        }
        ClientAct::Handshake { stream, path } => {
            let origin = format!("https://{}", *AUTHORITY);
            let fields = [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "https"),
                (":authority", &AUTHORITY),
                (":path", &format!("/{path}")),
                ("origin", &origin),
            ];
            let block: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value.as_bytes())).collect();
            frame(HEADERS, END_HEADERS, id(*stream), &block)
        }
        ClientAct::Data { stream, flags, octets } => frame(DATA, *flags, id(*stream), octets),
        ClientAct::ManyData { stream, length } => frame(DATA, 0, id(*stream), &vec![b'x'; usize::from(*length) / 4]),
        ClientAct::Frame { kind, flags, stream, payload } => frame(*kind, *flags, *stream, payload),
        ClientAct::Octets(octets) => octets.to_vec(),
        ClientAct::Pause => return None,
    })
}

/// Few, so that frames meet; a client's are odd.
fn id(stream: u8) -> u32 {
    2 * u32::from(stream % 8) + 1
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal field that is not indexed, with a new name (RFC 7541 section 6.2.2).
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    [&[0][..], &string(name.as_bytes()), &string(value)].concat()
}

/// Section 5.2, without Huffman's code.
fn string(octets: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    match octets.len().checked_sub(127) {
        None => length.push(octets.len() as u8),
        Some(mut rest) => {
            length.push(127);
            while rest >= 128 {
                length.push((rest % 128 + 128) as u8);
                rest /= 128;
            }
            length.push(rest as u8);
        }
    }
    [&length, octets].concat()
}

fn check_frames(mut heard: &[u8]) {
    let mut is_first = true;
    while let Some((head, rest)) = heard.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        assert!(head[3] <= LAST_KNOWN_TYPE, "{head:?}");
        assert!(!is_first || head[3] == SETTINGS, "{head:?}");
        assert!(length <= rest.len(), "{head:?} announces more than {}", rest.len());
        heard = &rest[length..];
        is_first = false;
    }
    assert!(heard.is_empty(), "{heard:?}");
}

fn served() -> LocalProxy {
    let shown = ShownService {
        name: "web".to_owned(),
        namespace: "ns".to_owned(),
        port: None,
        ready: ReadyCount::new(|| Some(1)),
    };
    let site = Site {
        label: LABEL.to_owned(),
        shown,
        paths: vec![PROXY_PATH.to_owned()],
        landing: "/".to_owned(),
        upstream: Arc::new(FuzzedService),
    };
    LocalProxy {
        sites: vec![site],
        shown: ShownRun {
            context: None,
            server: "https://cluster.example".to_owned(),
            others: Vec::new(),
            closed_site: Arc::new(|_| None),
        },
        presentation: Origin::Site,
        policy: GuardPolicy::default(),
        token: None,
        tls: None,
        log: None,
        activity: TrafficStats::default(),
    }
}

/// Answers by what is asked: at once, after it has read the request, with what it has read, or with much.
struct FuzzedService;

impl Upstream for FuzzedService {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        check_request(&request);
        Box::pin(async move {
            if request.headers().contains_key(UPGRADE) {
                return agreed(request).await;
            }
            match request.uri().path().as_bytes().get(1) {
                Some(b'a') => Response::new(Body::Empty),
                Some(b'b') => Response::new(Body::full(vec![b'x'; 200_000])),
                Some(b'c') => request
                    .into_body()
                    .collect()
                    .await
                    .map_or_else(|_| Response::new(Body::Empty), |body| Response::new(Body::full(body.to_bytes()))),
                Some(b'd') => Response::builder().status(304).body(Body::Empty).unwrap(),
                _ => Response::new(request.into_body()),
            }
        })
    }
}

fn check_request(request: &Request<Body>) {
    let (uri, headers) = (request.uri(), request.headers());
    assert!(uri.authority().is_none() && uri.path().starts_with('/'), "{uri}");
    assert!(!uri.path().split('/').any(|segment| matches!(segment, "." | "..")), "{uri}");
    assert_eq!(request.version(), Version::HTTP_11);
    assert_ne!(request.method(), Method::CONNECT);
    let hosts: Vec<_> = headers.get_all(HOST).iter().collect();
    assert!(hosts.len() == 1, "{hosts:?}");
    let host = hosts[0].to_str().unwrap().to_ascii_lowercase();
    let (name, _) = host.rsplit_once(':').unwrap();
    assert!(name == format!("{LABEL}.localhost") || ["localhost", "127.0.0.1", "[::1]"].contains(&name), "{host}");
    let is_handshake = headers.contains_key(UPGRADE);
    assert_eq!(is_handshake, headers.contains_key(CONNECTION), "{headers:?}");
    for name in ["transfer-encoding", "keep-alive", "proxy-connection", "expect"] {
        assert!(!headers.contains_key(name), "{headers:?}");
    }
    for name in ["cookie", "content-length", "x-forwarded-host", "te"] {
        assert!(headers.get_all(name).iter().count() <= 1, "{headers:?}");
    }
}

/// The WebSocket of a Service that sends back what it gets.
async fn agreed(request: Request<Body>) -> Response<Body> {
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut far = BufReader::new(far);
        let mut line = String::new();
        while far.read_line(&mut line).await.is_ok_and(|length| length > 0) && line != "\r\n" {
            line.clear();
        }
        far.write_all(AGREEMENT.as_bytes()).await?;
        let (mut reader, mut writer) = tokio::io::split(far);
        tokio::io::copy(&mut reader, &mut writer).await
    });
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await else {
        return Response::new(Body::Empty);
    };
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await;
    answer.map_or_else(|_| Response::new(Body::Empty), |answer| answer.map(Body::Incoming))
}
