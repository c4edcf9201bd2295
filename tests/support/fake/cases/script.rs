//! How a case is written down.

use std::fmt::Write as _;

/// One exchange through the service proxy.
///
/// Texts may hold `{P}` (the proxy path of the case's ID, without a slash at its end), `{NS}` (the namespace), `{POD}`
/// (address and port of the Pod), `{DEAF}` (the same of one where nobody listens), `{CLIENT}` (the client's address), `{HOST}` (the `Host` that is sent) `{USER}` (the name of the user with narrow rights)
/// and `{LENGTH}` (of an answer's body).
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub name: String,
    /// What stands between `services/` and `/proxy`.
    pub(crate) id: &'static str,
    pub(crate) who: Who,
    pub(crate) request: Message,
    /// What the Pod answers, as it goes over the wire.
    pub(crate) answer: Vec<u8>,
    /// What the Pod must see; `None`: it must not be reached.
    pub(crate) sees: Option<Expected>,
    /// What the client must get; `None`: the connection ends without a whole answer.
    pub(crate) gets: Option<Expected>,
}

/// Who sends the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// May do everything.
    Admin,
    /// May only `get` and `create` on `services/proxy` of `named:http`.
    Narrow,
    /// Says nothing about itself, or what the request's own headers say.
    Nobody,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Method, and the path and query that follow `{P}`.
    line: (&'static str, String),
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// What must arrive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    /// `METHOD target` of a request, the status code of an answer.
    pub(crate) first: String,
    /// Statuses of informational answers before it.
    pub(crate) informational: Vec<u16>,
    /// All lines of a header, in their order; `None`: it must be there, whatever it says.
    pub headers: Vec<(&'static str, Option<Vec<String>>)>,
    /// After decompression; `None`: not looked at.
    pub body: Option<Vec<u8>>,
    pub(crate) trailers: Vec<(&'static str, Vec<String>)>,
}

impl Case {
    /// `line` is a method and the path and query that follow the proxy path. The Pod answers 200 with "ok"; nothing is
    /// expected yet but that both sides are reached.
    pub(crate) fn new(name: impl Into<String>, line: &str) -> Self {
        let (method, target) = line.split_once(' ').unwrap_or((line, ""));
        let method = METHODS.iter().find(|known| **known == method).expect("a method of the list");
        Self {
            name: name.into(),
            id: "named:http",
            who: Who::Admin,
            request: Message { line: (method, target.to_owned()), headers: Vec::new(), body: Vec::new() },
            answer: answer("200 OK", &[], "ok"),
            sees: Some(Expected::default()),
            gets: Some(Expected { first: "200".to_owned(), ..Expected::default() }),
        }
    }

    /// Another ID than `named:http`.
    pub(crate) fn id(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    /// Somebody else than the administrator.
    pub(crate) fn by(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// A header of the request; a name may come more than once.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers.push((name, value.to_owned()));
        self
    }

    /// The request's body, with its length.
    pub(crate) fn body(mut self, body: &str) -> Self {
        self.request.body = body.as_bytes().to_vec();
        self.header("Content-Length", &body.len().to_string())
    }

    /// The request's body as it goes over the wire, with its own framing.
    pub(crate) fn raw_body(mut self, body: &str) -> Self {
        self.request.body = body.as_bytes().to_vec();
        self
    }

    /// What the Pod answers.
    pub(crate) fn answer(mut self, answer: impl Into<Vec<u8>>) -> Self {
        self.answer = answer.into();
        self
    }

    /// The Pod sees this request line.
    pub(crate) fn sees(mut self, line: &str) -> Self {
        self.seen().first = line.to_owned();
        self
    }

    /// The Pod sees exactly these lines of a header; none: it is absent.
    pub(crate) fn sees_header(mut self, name: &'static str, values: &[&str]) -> Self {
        self.seen().headers.push((name, Some(owned(values))));
        self
    }

    /// The Pod sees this body, after chunking.
    pub(crate) fn sees_body(mut self, body: &str) -> Self {
        self.seen().body = Some(body.as_bytes().to_vec());
        self
    }

    fn seen(&mut self) -> &mut Expected {
        self.sees.as_mut().expect("the Pod is reached")
    }

    /// The Pod is not reached.
    pub(crate) fn sees_nothing(mut self) -> Self {
        self.sees = None;
        self
    }

    /// The client gets this status.
    pub(crate) fn gets(mut self, status: u16) -> Self {
        self.got().first = status.to_string();
        self
    }

    /// The client gets this informational answer first.
    pub(crate) fn gets_informational(mut self, status: u16) -> Self {
        self.got().informational.push(status);
        self
    }

    /// The client gets exactly these lines of a header; none: it is absent.
    pub(crate) fn gets_header(mut self, name: &'static str, values: &[&str]) -> Self {
        self.got().headers.push((name, Some(owned(values))));
        self
    }

    /// The client gets a header, whatever it says.
    pub(crate) fn gets_some(mut self, name: &'static str) -> Self {
        self.got().headers.push((name, None));
        self
    }

    /// The client gets this body.
    pub(crate) fn gets_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.got().body = Some(body.into());
        self
    }

    /// The client gets this trailer.
    pub(crate) fn gets_trailer(mut self, name: &'static str, values: &[&str]) -> Self {
        self.got().trailers.push((name, owned(values)));
        self
    }

    /// The client gets an error of the API server's own: its JSON, on one line.
    pub(crate) fn gets_status(self, code: u16, reason: &str, message: &str) -> Self {
        self.gets_status_with(code, reason, message, "")
    }

    /// The same, with `details` as JSON.
    pub(crate) fn gets_status_with(self, code: u16, reason: &str, message: &str, details: &str) -> Self {
        let body = status(code, reason, message, details) + "\n";
        self.gets(code).gets_header("content-type", &["application/json"]).gets_body(body)
    }

    fn got(&mut self) -> &mut Expected {
        self.gets.as_mut().expect("there is an answer")
    }

    /// The client gets no whole answer.
    pub(crate) fn gets_broken(mut self) -> Self {
        self.gets = None;
        self
    }
}

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"];

impl Message {
    /// As it goes over the wire, to `proxy_path`. What the case does not say itself is added: `Host` and the user's token.
    pub(crate) fn bytes(&self, proxy_path: &str, host: &str, token: Option<&str>) -> Vec<u8> {
        let (method, target) = &self.line;
        let mut head = format!("{method} {proxy_path}{target} HTTP/1.1\r\n");
        let says = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !says("host") {
            writeln!(head, "Host: {host}\r").expect("a String takes everything");
        }
        if let Some(token) = token {
            writeln!(head, "Authorization: Bearer {token}\r").expect("a String takes everything");
        }
        for (name, value) in &self.headers {
            writeln!(head, "{name}: {value}\r").expect("a String takes everything");
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    /// Whether an answer to it has no body, whatever its headers say.
    pub(crate) fn is_head(&self) -> bool {
        self.line.0 == "HEAD"
    }
}

/// An answer with a length. `headers` are lines.
pub(crate) fn answer(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    unframed(status, &[headers, &["Content-Length: {LENGTH}"]].concat(), body)
}

/// An answer that only says how long it is if `headers` do.
pub(crate) fn unframed(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\n{lines}Connection: close\r\n\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

/// A page.
pub(crate) fn html(headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", &[&["Content-Type: text/html; charset=utf-8"], headers].concat(), body)
}

/// The JSON of a `Status`, without a line end.
pub(crate) fn status(code: u16, reason: &str, message: &str, details: &str) -> String {
    let message = serde_json::to_string(message).expect("a text has JSON").replace('&', "\\u0026");
    let mut text =
        format!(r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":{message}"#);
    if !reason.is_empty() {
        write!(text, r#","reason":"{reason}""#).expect("a String takes everything");
    }
    if !details.is_empty() {
        write!(text, r#","details":{details}"#).expect("a String takes everything");
    }
    write!(text, r#","code":{code}}}"#).expect("a String takes everything");
    text
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}
