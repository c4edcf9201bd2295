//! What the app answers.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, UPGRADE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::Barrier;

use super::app::{Heard, host_of};

pub(super) type AppBody = UnsyncBoxBody<Bytes, io::Error>;

/// What the app does with one request.
pub(super) enum Reaction {
    Answers(Response<AppBody>),
    /// The head of this answer, and no whole body.
    EndsWithin(Response<AppBody>),
    EndsConnection,
    /// It never answers.
    Waits,
    /// It answers 200 once as many requests are there.
    Meets(Arc<Barrier>),
    /// It agrees to a WebSocket.
    Switches,
    /// It agrees to one that nobody asked for.
    Misunderstands,
}

impl fmt::Display for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers(response) => write!(f, "app {}", response.status().as_u16()),
            Self::EndsWithin(response) => write!(f, "app {}, broken off", response.status().as_u16()),
            Self::EndsConnection => f.write_str("app ends the connection"),
            Self::Waits | Self::Meets(_) => f.write_str("app waits"),
            Self::Switches | Self::Misunderstands => f.write_str("app 101"),
        }
    }
}

type React = Arc<dyn Fn(&Heard) -> Reaction + Send + Sync>;

/// How the app answers while a row is played, and how a row's title says it.
#[derive(Clone)]
pub(super) struct Answer {
    words: String,
    react: React,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Answer {
    fn new(words: impl Into<String>, react: impl Fn(&Heard) -> Reaction + Send + Sync + 'static) -> Self {
        Self { words: words.into(), react: Arc::new(react) }
    }

    pub(super) fn react(&self, heard: &Heard) -> Reaction {
        (self.react)(heard)
    }

    /// Plain text with this status.
    pub(super) fn status(code: u16) -> Self {
        Self::new(format!("app {code}"), move |_| plain(code))
    }

    /// The same, but the body is of this kind.
    pub(super) fn of_kind(code: u16, kind: &'static str) -> Self {
        Self::new(format!("app {code} in {kind}"), move |_| with(code, &[(CONTENT_TYPE, kind)], b"{}"))
    }

    /// A redirect.
    pub(super) fn redirect(code: u16, location: &'static str) -> Self {
        Self::new(format!("app {code} to {location}"), move |_| with(code, &[(LOCATION, location)], b""))
    }

    /// 200 to whoever comes under one of `hosts`, of which one may be `localhost` at any port; `code` to others.
    pub(super) fn only_under(hosts: &'static [&'static str], code: u16) -> Self {
        let known = if hosts.is_empty() { "any Host".to_owned() } else { format!("Hosts but {}", hosts.join(", ")) };
        Self::under(format!("app {code} to {known}"), hosts, 200, code)
    }

    /// 401 under one of `hosts`, and 403 to others.
    pub(super) fn login_under(hosts: &'static [&'static str]) -> Self {
        Self::under(format!("app 401 under {}, 403 to others", hosts.join(", ")), hosts, 401, 403)
    }

    fn under(words: String, hosts: &'static [&'static str], known: u16, other: u16) -> Self {
        Self::new(words, move |heard| {
            let asked = host_of(&heard.headers);
            let is_known = hosts.iter().any(|host| asked == *host || (*host == "localhost" && is_localhost(&asked)));
            plain(if is_known { known } else { other })
        })
    }

    /// 200 to navigations, 403 to what pages fetch, whatever the Host.
    pub(super) fn forbidden_to_fetches() -> Self {
        Self::new("app 403 to fetches", |heard| plain(if heard.header("sec-fetch-mode") == "cors" { 403 } else { 200 }))
    }

    /// 200 to navigations, and to fetches only under `localhost`.
    pub(super) fn forbidden_to_fetches_but_under_localhost() -> Self {
        Self::new("app 403 to fetches of Hosts but localhost", |heard| {
            let is_fetch = heard.header("sec-fetch-mode") == "cors";
            plain(if is_fetch && !is_localhost(&host_of(&heard.headers)) { 403 } else { 200 })
        })
    }

    /// A page in gzip with an `ETag`; a 304 that still names both to who has it, nothing but its head to HEAD.
    pub(super) fn gzip_page() -> Self {
        Self::new("app's page in gzip with an ETag", |heard| {
            let fields = [(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip"), (ETAG, "\"1\"")];
            match heard.headers.get(IF_NONE_MATCH) {
                Some(known) if known == "\"1\"" => with(304, &fields, b""),
                _ if heard.method == "HEAD" => with(200, &fields, b""),
                _ => with(200, &fields, &gzip(b"<p>page")),
            }
        })
    }

    /// Plain text with an `ETag`, and a 304 to who has it.
    pub(super) fn text_with_etag() -> Self {
        Self::new("app's text with an ETag", |heard| match heard.headers.contains_key(IF_NONE_MATCH) {
            true => with(304, &[(ETAG, "\"1\"")], b""),
            false => with(200, &[(ETAG, "\"1\""), (CONTENT_TYPE, "text/plain")], b"text"),
        })
    }

    /// A page in an encoding that the API server cannot read.
    pub(super) fn page_in(encoding: &'static str) -> Self {
        Self::new(format!("app's page in {encoding}"), move |_| {
            let body = if encoding == "deflate" { zlib(b"<p>page") } else { b"\x0b\x03\x80<p>page\x03".to_vec() };
            with(200, &[(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, encoding)], &body)
        })
    }

    /// 101 to WebSocket handshakes, 200 to everything else.
    pub(super) fn web_socket() -> Self {
        Self::new("app 101", |heard| match heard.headers.contains_key(UPGRADE) {
            true => Reaction::Switches,
            false => plain(200),
        })
    }

    /// 101 to a handshake with another key.
    pub(super) fn other_web_socket() -> Self {
        Self::new("app 101 to another key", |_| Reaction::Misunderstands)
    }

    /// No answer.
    pub(super) fn ends_connection() -> Self {
        Self::new("app ends the connection", |_| Reaction::EndsConnection)
    }

    /// No answer on a connection that had brought one, 200 on others.
    pub(super) fn ends_kept_connection() -> Self {
        Self::new("app ends the connection if it was kept", |heard| match heard.earlier {
            0 => plain(200),
            _ => Reaction::EndsConnection,
        })
    }

    /// 200 with half of a body.
    pub(super) fn ends_within(kind: &'static str) -> Self {
        Self::new(format!("app 200 in {kind}, broken off"), move |_| {
            match with(200, &[(CONTENT_TYPE, kind), (CONTENT_LENGTH, "1000")], b"") {
                Reaction::Answers(response) => Reaction::EndsWithin(response),
                other => other,
            }
        })
    }

    /// Nothing.
    pub(super) fn waits() -> Self {
        Self::new("app waits", |_| Reaction::Waits)
    }

    /// 200 to so many requests at a time.
    pub(super) fn together(count: usize) -> Self {
        let barrier = Arc::new(Barrier::new(count));
        Self::new("app waits for others", move |_| Reaction::Meets(Arc::clone(&barrier)))
    }

    /// 400 with a server's complaint about plain text.
    pub(super) fn wants_tls(words: &'static str) -> Self {
        Self::new("app 400", |_| with(400, &[(CONTENT_TYPE, "text/plain")], words.as_bytes()))
    }
}

fn is_localhost(host: &str) -> bool {
    host.split(':').next() == Some("localhost")
}

/// 200 with this body.
pub(super) fn text(body: &'static str) -> Response<AppBody> {
    Response::new(Full::from(body).map_err(never).boxed_unsync())
}

fn never(never: Infallible) -> io::Error {
    match never {}
}

/// The beginning of a body, and once that was sent an error.
pub(super) fn broken_body() -> AppBody {
    let begin = stream::iter([Ok(Frame::data(Bytes::from("half")))]);
    let end = stream::once(async {
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    StreamBody::new(begin.chain(end)).boxed_unsync()
}

fn plain(code: u16) -> Reaction {
    with(code, &[(CONTENT_TYPE, "text/plain")], b"text")
}

fn with(code: u16, fields: &[(HeaderName, &'static str)], body: &[u8]) -> Reaction {
    let mut response = text("").map(|_| Full::from(body.to_vec()).map_err(never).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    for (name, value) in fields {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Reaction::Answers(response)
}

fn gzip(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(page).unwrap();
    encoder.finish().unwrap()
}

fn zlib(page: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(page).unwrap();
    encoder.finish().unwrap()
}
