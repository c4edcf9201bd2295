//! Where cases are played: a way into an API server, the Services the cases need, and the Pod behind them, which answers what
//! the case says.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use flate2::read::GzDecoder;
use futures_util::FutureExt as _;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::script::{Case, Expected, Who};

/// The `Host` that is sent, which is no name of the API server.
const HOST: &str = "api.example:6443";

/// Longer than any exchange takes.
const DEADLINE: Duration = Duration::from_secs(10);

/// A Service of the stage.
pub struct Service {
    pub name: &'static str,
    /// Names and numbers of its ports; no name is "".
    ports: &'static [(&'static str, u16)],
    /// The Pod behind it, called `NAME-0` and labelled `app: NAME`.
    pub pod: Pod,
}

/// Whether and how a Pod stands behind a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pod {
    /// Ready, and it is the scripted one.
    Scripted,
    /// Ready, but nobody listens on its port.
    Deaf,
    /// The scripted one, not ready.
    Unready,
    /// Nobody.
    None,
}

/// All of them.
pub const SERVICES: [Service; 6] = [
    Service { name: "named", ports: &[("http", 80)], pod: Pod::Scripted },
    Service { name: "plain", ports: &[("", 80)], pod: Pod::Scripted },
    Service { name: "two", ports: &[("http", 80), ("admin", 8080)], pod: Pod::Scripted },
    Service { name: "deaf", ports: &[("http", 80)], pod: Pod::Deaf },
    Service { name: "unready", ports: &[("http", 80)], pod: Pod::Unready },
    Service { name: "empty", ports: &[("http", 80)], pod: Pod::None },
];

/// `spec.ports` of a Service whose Pod listens on `target`.
pub fn ports_of(service: &Service, target: u16) -> Value {
    let target = if service.pod == Pod::Deaf { 1 } else { target };
    let port = |(name, number): &(&str, u16)| json!({"name": name, "port": number, "targetPort": target});
    service.ports.iter().map(port).collect()
}

/// The RBAC rule of `Who::Narrow`.
pub fn narrow_rules() -> Value {
    json!([{
        "apiGroups": [""], "resources": ["services/proxy"], "resourceNames": ["named:http"], "verbs": ["get", "create"],
    }])
}

/// A way into an API server.
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    /// In DER, who signed its certificate.
    pub authority: Vec<u8>,
    /// The token of somebody who may do everything.
    pub admin_token: String,
    /// The token of `Who::Narrow`.
    pub narrow_token: String,
    /// The name of `Who::Narrow`.
    pub narrow_user: String,
    /// Where [`SERVICES`] are.
    pub namespace: String,
}

/// Everything a case needs.
pub struct Stage {
    door: Door,
    tls: TlsConnector,
    pod: TcpListener,
    client_ip: IpAddr,
}

/// A message as it arrived.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    first: String,
    informational: Vec<u16>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

impl Stage {
    /// `pod` listens where the Pod of the Services is.
    pub async fn new(door: Door, pod: TcpListener) -> Self {
        let client = TcpStream::connect(door.address).await.unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(door.authority.clone().into()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { door, tls: TlsConnector::from(Arc::new(config)), pod, client_ip: client.local_addr().unwrap().ip() }
    }

    /// Plays a case; the error says what was different.
    pub(crate) async fn run(&self, case: &Case) -> Result<(), String> {
        let request = case.request.bytes(&self.proxy_path(case.id), HOST, self.token(case.who));
        let client = async {
            let mut stream = self.connect().await;
            stream.write_all(&request).await.map_err(|error| error.to_string())?;
            read_answer(&mut stream, case.request.is_head()).await
        };
        let both = async {
            let pod = self.play_pod(case);
            let (got, seen) = tokio::join!(client, pod);
            (got, seen)
        };
        let (got, seen) = timeout(DEADLINE, both).await.map_err(|_| "it took too long".to_owned())?;
        if let (Some(expected), Some(seen)) = (&case.sees, &seen) {
            self.compare("the Pod saw", expected, seen, case.id)?;
        }
        if case.sees.is_none() && self.pod.accept().now_or_never().is_some() {
            return Err("the Pod was reached".to_owned());
        }
        match (&case.gets, got) {
            (Some(expected), Ok(got)) => self.compare("the client got", expected, &got, case.id),
            (None, Err(_)) => Ok(()),
            (Some(_), Err(error)) => Err(format!("no whole answer: {error}")),
            (None, Ok(got)) => Err(format!("a whole answer: {got:?}")),
        }
    }

    async fn play_pod(&self, case: &Case) -> Option<Arrived> {
        case.sees.as_ref()?;
        let mut stream = self.accept().await;
        // What comes over TLS is no request to a Pod that speaks http, and has no end that it would know.
        let seen = if case.id.starts_with("https:") {
            stream.read_buf(&mut Vec::new()).await.map(|_| Arrived::default()).map_err(|error| error.to_string())
        } else {
            read_request(&mut stream).await
        };
        // The API server may have enough before the end.
        let _ = stream.write_all(&self.filled_bytes(&case.answer, case.id)).await;
        let _ = stream.shutdown().await;
        seen.ok()
    }

    /// The next connection to the Pod.
    pub(crate) async fn accept(&self) -> TcpStream {
        self.pod.accept().await.unwrap().0
    }

    /// A new connection to the API server.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.door.address).await.unwrap();
        let name = ServerName::IpAddress(self.door.address.ip().into());
        self.tls.connect(name, stream).await.unwrap()
    }

    /// The bytes of a case's request.
    pub(crate) fn request(&self, case: &Case) -> Vec<u8> {
        case.request.bytes(&self.proxy_path(case.id), HOST, self.token(case.who))
    }

    fn token(&self, who: Who) -> Option<&str> {
        match who {
            Who::Admin => Some(&self.door.admin_token),
            Who::Narrow => Some(&self.door.narrow_token),
            Who::Nobody => None,
        }
    }

    fn proxy_path(&self, id: &str) -> String {
        format!("/api/v1/namespaces/{}/services/{id}/proxy", self.door.namespace)
    }

    fn filled(&self, text: &str, id: &str) -> String {
        String::from_utf8(self.filled_bytes(text.as_bytes(), id)).expect("texts in a text")
    }

    fn filled_bytes(&self, bytes: &[u8], id: &str) -> Vec<u8> {
        let pod = self.pod.local_addr().unwrap();
        let values = [
            ("{P}", self.proxy_path(id)),
            ("{NS}", self.door.namespace.clone()),
            ("{POD}", pod.to_string()),
            ("{DEAF}", format!("{}:1", pod.ip())),
            ("{CLIENT}", self.client_ip.to_string()),
            ("{HOST}", HOST.to_owned()),
            ("{USER}", self.door.narrow_user.clone()),
        ];
        let filled = values.iter().fold(bytes.to_vec(), |bytes, (name, value)| replace(&bytes, name, value));
        let length =
            position(&filled, b"{LENGTH}").and_then(|at| position(&filled[at..], b"\r\n\r\n").map(|end| at + end + 4));
        length.map_or(filled.clone(), |body| replace(&filled, "{LENGTH}", &(filled.len() - body).to_string()))
    }

    fn compare(&self, who: &str, expected: &Expected, arrived: &Arrived, id: &str) -> Result<(), String> {
        let differs = |what: &str, got: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
            Err(format!("{who} {what} {got:?} instead of {wanted:?}"))
        };
        let first = self.filled(&expected.first, id);
        if !first.is_empty() && first != arrived.first {
            return differs("", &format!("{} {}", arrived.first, String::from_utf8_lossy(&arrived.body)), &first);
        }
        if expected.informational != arrived.informational {
            return differs("informational answers", &arrived.informational, &expected.informational);
        }
        for (name, wanted) in &expected.headers {
            let got = values(&arrived.headers, name);
            let wanted = wanted.as_ref().map(|wanted| wanted.iter().map(|value| self.filled(value, id)).collect());
            if wanted.as_ref().map_or(got.is_empty(), |wanted: &Vec<String>| got != *wanted) {
                return differs(name, &got, &wanted);
            }
        }
        for (name, wanted) in &expected.trailers {
            let got = values(&arrived.trailers, name);
            if got != *wanted {
                return differs(&format!("trailer {name}"), &got, wanted);
            }
        }
        let Some(body) = &expected.body else { return Ok(()) };
        let wanted = String::from_utf8_lossy(&self.filled_bytes(body, id)).into_owned();
        let got = String::from_utf8_lossy(&unzipped(arrived)).into_owned();
        if got == wanted { Ok(()) } else { differs("the body", &got, &wanted) }
    }
}

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn replace(bytes: &[u8], name: &str, value: &str) -> Vec<u8> {
    match position(bytes, name.as_bytes()) {
        Some(at) => [&bytes[..at], value.as_bytes(), &replace(&bytes[at + name.len()..], name, value)].concat(),
        None => bytes.to_vec(),
    }
}

fn values(headers: &[(String, String)], name: &str) -> Vec<String> {
    headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone()).collect()
}

fn unzipped(arrived: &Arrived) -> Vec<u8> {
    if values(&arrived.headers, "content-encoding") != ["gzip"] {
        return arrived.body.clone();
    }
    let mut body = Vec::new();
    GzDecoder::new(&arrived.body[..]).read_to_end(&mut body).map_or_else(|_| arrived.body.clone(), |_| body)
}

/// Reads a request to its end; one without framing has no body.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<Arrived, String> {
    let mut reader = Reader { stream, buffer: Vec::new() };
    let mut arrived = reader.head().await?;
    let line = arrived.first.clone();
    arrived.first = line.rsplit_once(' ').map_or(line.clone(), |(line, _)| line.to_owned());
    if is_framed(&arrived) {
        reader.body(&mut arrived).await?;
    }
    Ok(arrived)
}

/// Reads an answer to its end, informational ones before it included.
pub(crate) async fn read_answer(stream: &mut (impl AsyncRead + Unpin), is_head: bool) -> Result<Arrived, String> {
    let mut reader = Reader { stream, buffer: Vec::new() };
    let mut informational = Vec::new();
    let mut arrived = loop {
        let mut arrived = reader.head().await?;
        arrived.first = arrived.first.split(' ').nth(1).unwrap_or_default().to_owned();
        match arrived.first.parse() {
            Ok(status @ 100..200) if status != 101 => informational.push(status),
            _ => break arrived,
        }
    };
    arrived.informational = informational;
    let is_empty = is_head || ["101", "204", "304"].contains(&&arrived.first[..]);
    if !is_empty {
        reader.body(&mut arrived).await?;
    }
    Ok(arrived)
}

fn is_framed(arrived: &Arrived) -> bool {
    ["content-length", "transfer-encoding"].iter().any(|name| !values(&arrived.headers, name).is_empty())
}

/// HTTP/1.1, as little of it as the cases need.
struct Reader<'a, S> {
    stream: &'a mut S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Reader<'_, S> {
    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the connection ended".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn head(&mut self) -> Result<Arrived, String> {
        let first = self.line().await?;
        Ok(Arrived { first, headers: self.fields().await?, ..Arrived::default() })
    }

    async fn fields(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Ok(fields) };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    async fn body(&mut self, arrived: &mut Arrived) -> Result<(), String> {
        if values(&arrived.headers, "transfer-encoding") == ["chunked"] {
            return self.chunks(arrived).await;
        }
        match values(&arrived.headers, "content-length").first() {
            Some(length) => {
                let length = length.parse().map_err(|_| "a length that is none".to_owned())?;
                arrived.body = self.exactly(length).await?;
            }
            None => {
                while self.more().await.is_ok() {}
                arrived.body = std::mem::take(&mut self.buffer);
            }
        }
        Ok(())
    }

    async fn chunks(&mut self, arrived: &mut Arrived) -> Result<(), String> {
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| format!("a chunk size {size:?}"))?;
            if size == 0 {
                arrived.trailers = self.fields().await?;
                return Ok(());
            }
            arrived.body.extend(self.exactly(size).await?);
            self.line().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }
}
