//! The requests of the rows: what browsers, their pages, curl and WebSockets send.

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;

use support::http as client;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// A browser that goes to a page.
    Navigation,
    /// A page's script.
    Fetch,
    /// Somebody at a terminal.
    Curl,
    /// A page's script that opens a WebSocket.
    WebSocket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Nothing,
    Octets(usize),
    /// As many, without saying beforehand how many.
    Chunks(usize),
    /// A few, and a field behind them.
    Trailers,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    asker: Asker,
    method: &'static str,
    target: String,
    body: Sent,
    below_proxy_path: bool,
    fields: Vec<(&'static str, &'static str)>,
}

/// Where a Service is served, each without a slash at its end.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// `http://HOST:PORT`.
    pub(super) site: String,
    pub(super) proxy_url: String,
}

/// What came back.
pub(super) struct Got {
    pub(super) status: u16,
    /// Which of this program's own explanations it is, "" if it is none.
    pub(super) explained: String,
    pub(super) is_whole: bool,
}

/// A browser goes to a page.
pub(super) fn navigation(line: &'static str) -> Ask {
    Ask::new(Asker::Navigation, line)
}

/// A page's script fetches something of the same site.
pub(super) fn fetch(line: &'static str) -> Ask {
    Ask::new(Asker::Fetch, line)
}

/// curl at a terminal.
pub(super) fn curl(line: &'static str) -> Ask {
    Ask::new(Asker::Curl, line)
}

/// A page opens a WebSocket.
pub(super) fn web_socket(target: &'static str) -> Ask {
    Ask { target: target.to_owned(), ..Ask::new(Asker::WebSocket, "GET /") }
}

impl Ask {
    /// `line` is a method and a target.
    fn new(asker: Asker, line: &'static str) -> Self {
        let (method, target) = line.split_once(' ').unwrap();
        Self {
            asker,
            method,
            target: target.to_owned(),
            body: Sent::Nothing,
            below_proxy_path: false,
            fields: Vec::new(),
        }
    }

    /// With a body of so many octets.
    pub(super) fn body(self, length: usize) -> Self {
        Self { body: Sent::Octets(length), ..self }
    }

    /// With a body of so many octets whose length is not said.
    pub(super) fn chunks(self, length: usize) -> Self {
        Self { body: Sent::Chunks(length), ..self }
    }

    /// With a body and a field behind it.
    pub(super) fn trailers(self) -> Self {
        Self { body: Sent::Trailers, ..self }.field("trailer", "x-sum")
    }

    /// With a header field.
    pub(super) fn field(mut self, name: &'static str, value: &'static str) -> Self {
        self.fields.push((name, value));
        self
    }

    /// At the computed proxy URL, not at the Service's own site.
    pub(super) fn at_the_proxy_url(self) -> Self {
        Self { below_proxy_path: true, ..self }
    }

    /// Asks whether it is still the same as before.
    pub(super) fn conditional(self) -> Self {
        self.field("if-none-match", "\"1\"")
    }

    /// With this status instead of `CODE` in the target.
    pub(super) fn with_code(&self, code: u16) -> Self {
        Self { target: self.target.replace("CODE", &code.to_string()), ..self.clone() }
    }

    /// The target without its query.
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Sends it to one of `places`, and takes in the whole answer.
    pub(super) async fn send(&self, places: &Places) -> Got {
        let mut request = Request::builder().method(self.method).body(self.content()).unwrap();
        *request.headers_mut() = self.headers(&places.site);
        let base = if self.below_proxy_path { &places.proxy_url } else { &places.site };
        let answer = client::stream(&format!("{base}{}", self.target), request).await;
        let (head, body) = answer.into_parts();
        let explained = head.headers.get("svcproxy-error").and_then(|word| word.to_str().ok()).unwrap_or_default();
        let is_whole = head.status == 101 || body.collect().await.is_ok();
        Got { status: head.status.as_u16(), explained: explained.to_owned(), is_whole }
    }

    fn headers(&self, site: &str) -> HeaderMap {
        const BROWSER: (&str, &str) = ("accept-encoding", "gzip, deflate, br, zstd");
        const NAVIGATION: &[(&str, &str)] = &[
            ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            BROWSER,
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        const FETCH: &[(&str, &str)] = &[
            ("accept", "*/*"),
            BROWSER,
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            ("sec-fetch-dest", "empty"),
        ];
        const HANDSHAKE: &[(&str, &str)] = &[
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let usual = match self.asker {
            Asker::Navigation => NAVIGATION,
            Asker::Fetch => FETCH,
            Asker::Curl => &[("accept", "*/*"), ("user-agent", "curl/8.5.0")],
            Asker::WebSocket => HANDSHAKE,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in usual.iter().chain(&self.fields) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let is_safe = ["GET", "HEAD"].contains(&self.method) && self.asker != Asker::WebSocket;
        if self.asker != Asker::Curl && !is_safe {
            headers.insert("origin", site.parse().unwrap());
        }
        headers
    }

    fn content(&self) -> UnsyncBoxBody<Bytes, Infallible> {
        let frames = |frames: Vec<Frame<Bytes>>| {
            StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok))).boxed_unsync()
        };
        match self.body {
            Sent::Nothing => Empty::new().boxed_unsync(),
            Sent::Octets(length) => Full::from(vec![b'x'; length]).boxed_unsync(),
            Sent::Chunks(length) => frames(vec![Frame::data(Bytes::from(vec![b'x'; length]))]),
            Sent::Trailers => {
                let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))]);
                frames(vec![Frame::data(Bytes::from("text")), Frame::trailers(trailers)])
            }
        }
    }
}

/// `POST /a by fetch, body of 5 octets, if-none-match`.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.asker {
            Asker::Navigation => "by navigation",
            Asker::Fetch => "by fetch",
            Asker::Curl => "by curl",
            Asker::WebSocket => "for a WebSocket",
        };
        write!(f, "{} {} {by}", self.method, self.target)?;
        if self.below_proxy_path {
            f.write_str(" at the proxy URL")?;
        }
        match self.body {
            Sent::Nothing => {}
            Sent::Octets(length) => write!(f, ", body of {length} octets")?,
            Sent::Chunks(length) => write!(f, ", body of {length} octets in chunks")?,
            Sent::Trailers => f.write_str(", body with trailers")?,
        }
        self.fields.iter().filter(|(name, _)| *name != "trailer").try_for_each(|(name, _)| write!(f, ", {name}"))
    }
}
