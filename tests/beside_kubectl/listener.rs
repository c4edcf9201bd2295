//! An API server and proxies that take note of who asks them. One listener is each of them: the first octets of a connection
//! tell what it is taken for.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::seen::SeenRequest;
use support::stream::{read_until, send};

/// A JSON Web Token that is good until the year 2096; the provider behind the API server's address issues no other.
pub(crate) const VALID_TOKEN: &str = "e30.eyJleHAiOjQwMDAwMDAwMDB9.c2ln";

/// What arrived, for all listeners of one place.
pub(crate) type Notes = Arc<Mutex<Vec<SeenRequest>>>;

/// A running listener; it ends when dropped.
pub(crate) struct NotingListener {
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

/// What it is.
#[derive(Clone)]
pub(crate) enum Role {
    /// An API server with the Service `web` in every namespace.
    ApiServer,
    /// A proxy of that name, from which every way leads to that address.
    Proxy(&'static str, SocketAddr),
}

/// A connection from its other end on.
#[derive(Clone)]
struct Way {
    role: Role,
    tls: TlsAcceptor,
    notes: Notes,
    /// By which proxy, and over what, it came: of the local port of the proxy's connection.
    known: Arc<Mutex<Vec<(u16, String)>>>,
}

trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// The ways of one place.
#[derive(Clone, Default)]
pub(crate) struct Ways(Arc<Mutex<Vec<(u16, String)>>>);

impl NotingListener {
    pub(crate) async fn start(role: Role, tls: TlsAcceptor, notes: Notes, ways: &Ways) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = Way { role, tls, notes, known: ways.0.clone() };
        Self { address, server: tokio::spawn(accept(listener, way)) }
    }
}

impl Drop for NotingListener {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, way: Way) {
    let mut connections = JoinSet::new();
    while let Ok((stream, from)) = listener.accept().await {
        connections.spawn(take(stream, from, way.clone()));
    }
}

async fn take(stream: TcpStream, from: SocketAddr, way: Way) {
    let proxy = way.known.lock().unwrap().iter().find(|(port, _)| *port == from.port()).map(|(_, proxy)| proxy.clone());
    let mut seen = SeenRequest { proxy, ..SeenRequest::default() };
    let mut first = [0];
    if stream.peek(&mut first).await.is_err() {
        return;
    }
    let is_tls = first[0] == 0x16;
    let stream: Box<dyn ByteStream> = if is_tls {
        let Ok(stream) = way.tls.accept(stream).await else { return };
        let session = stream.get_ref().1;
        seen.sni = session.server_name().map(str::to_owned);
        seen.certificate =
            session.peer_certificates().and_then(|chain| chain.first()).map(|certificate| common_name(certificate));
        Box::new(stream)
    } else {
        Box::new(stream)
    };
    match way.role.clone() {
        Role::ApiServer => answer(stream, seen, &way).await,
        Role::Proxy(name, to) if first[0] == 5 => socks(stream, name, to, &way).await,
        Role::Proxy(name, to) => {
            let scheme = if is_tls { "https" } else { "http" };
            pass_on(stream, name, scheme, to, &way).await;
        }
    }
}

/// An octet string that stands in each certificate of these tests: its owner's name, at the end of the subject.
fn common_name(certificate: &[u8]) -> String {
    let names = ["alice", "bob", "carol"];
    let is_in = |name: &&str| certificate.windows(name.len()).any(|window| window == name.as_bytes());
    names.into_iter().find(is_in).unwrap_or("somebody").to_owned()
}

async fn answer(mut stream: Box<dyn ByteStream>, connection: SeenRequest, way: &Way) {
    while let Ok(head) = read_until(&mut stream, "\r\n\r\n").await {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        // A proxy is asked for a whole URL, and so is who is taken for one.
        let path = path.split_once("://").map_or(path, |(_, rest)| &rest[rest.find('/').unwrap_or(rest.len())..]);
        if path.ends_with("/services/web") {
            way.notes.lock().unwrap().push(SeenRequest {
                path: path.to_owned(),
                host: field(&head, "host").unwrap_or_default(),
                identity: identity(&head),
                ..connection.clone()
            });
        }
        let (status, body) = match path.strip_prefix("/oidc/") {
            Some(path) => provided(path, &field(&head, "host").unwrap_or_default()),
            None => body(path),
        };
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        if send(&mut stream, answer).await.is_err() {
            return;
        }
    }
}

/// What an OpenID Connect provider says that is at `host`, below `/oidc`.
fn provided(path: &str, host: &str) -> (&'static str, String) {
    let issuer = format!("https://{host}/oidc");
    let text = match path {
        "token" => {
            format!(r#"{{"access_token":"a","token_type":"Bearer","id_token":"{VALID_TOKEN}","refresh_token":"next"}}"#)
        }
        ".well-known/openid-configuration" => format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#),
        _ => return ("400 Bad Request", r#"{"error":"invalid_grant"}"#.to_owned()),
    };
    ("200 OK", text)
}

/// Discovery as kubectl needs it, and the Service.
fn body(path: &str) -> (&'static str, String) {
    let Some(at) = path.find("/api") else { return ("404 Not Found", String::from("{}")) };
    let text = match &path[at..] {
        "/api" => r#"{"kind":"APIVersions","versions":["v1"]}"#.to_owned(),
        "/apis" => r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[]}"#.to_owned(),
        "/api/v1" => r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"services","singularName":"service","namespaced":true,"kind":"Service","verbs":["get","list"],"shortNames":["svc"]}]}"#.to_owned(),
        other if other.ends_with("/services/web") => {
            let namespace = other.trim_start_matches("/api/v1/namespaces/").split('/').next().unwrap_or_default();
            format!(
                r#"{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"web","namespace":"{namespace}"}},"spec":{{"type":"ClusterIP","clusterIP":"10.0.0.1","selector":{{"app":"web"}},"ports":[{{"name":"http","port":80,"protocol":"TCP"}}]}}}}"#
            )
        }
        _ => return ("404 Not Found", r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"not here"}"#.to_owned()),
    };
    ("200 OK", text)
}

fn field(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
}

fn identity(head: &str) -> Vec<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut found: Vec<String> = lines
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .filter(|(name, _)| name == "authorization" || name.starts_with("impersonate-"))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    found.sort();
    found
}

/// As an HTTP proxy: a tunnel for CONNECT, else the request as it is.
async fn pass_on(mut client: Box<dyn ByteStream>, name: &str, scheme: &str, to: SocketAddr, way: &Way) {
    let Ok(head) = read_until(&mut client, "\r\n\r\n").await else { return };
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let what = if method == "CONNECT" { target.to_owned() } else { "a request".to_owned() };
    let proof = field(&head, "proxy-authorization").map(|proof| format!(" as {proof}")).unwrap_or_default();
    let Some(mut server) = connect(to, format!("{scheme} {name}: {what}{proof}"), way).await else { return };
    let begun = match method {
        "CONNECT" => send(&mut client, "HTTP/1.1 200 Connection established\r\n\r\n").await,
        _ => send(&mut server, &head).await,
    };
    if begun.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await; // either may go at any time
    }
}

/// As a SOCKS 5 proxy (RFC 1928, RFC 1929).
async fn socks(mut client: Box<dyn ByteStream>, name: &str, to: SocketAddr, way: &Way) {
    let Some((what, proof)) = ask_socks(&mut client).await else { return };
    let Some(mut server) = connect(to, format!("socks5 {name}: {what}{proof}"), way).await else { return };
    if send(&mut client, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.is_ok() {
        let _ = copy_bidirectional(&mut client, &mut server).await; // either may go at any time
    }
}

async fn ask_socks(client: &mut Box<dyn ByteStream>) -> Option<(String, String)> {
    let [_, methods] = octets(client).await?;
    let mut offered = vec![0; methods.into()];
    client.read_exact(&mut offered).await.ok()?;
    let mut proof = String::new();
    if offered.contains(&2) {
        client.write_all(&[5, 2]).await.ok()?;
        let [_] = octets(client).await?;
        let (user, password) = (counted(client).await?, counted(client).await?);
        proof = format!(" as {user}:{password}");
        client.write_all(&[1, 0]).await.ok()?;
    } else {
        client.write_all(&[5, 0]).await.ok()?;
    }
    let [_, _, _, kind] = octets(client).await?;
    let host = match kind {
        1 => Ipv4Addr::from(octets::<4>(client).await?).to_string(),
        3 => counted(client).await?,
        _ => return None,
    };
    let port = u16::from_be_bytes(octets(client).await?);
    Some((format!("{host}:{port}"), proof))
}

async fn octets<const N: usize>(client: &mut Box<dyn ByteStream>) -> Option<[u8; N]> {
    let mut read = [0; N];
    client.read_exact(&mut read).await.ok().map(|_| read)
}

async fn counted(client: &mut Box<dyn ByteStream>) -> Option<String> {
    let [length] = octets(client).await?;
    let mut text = vec![0; length.into()];
    client.read_exact(&mut text).await.ok()?;
    String::from_utf8(text).ok()
}

/// Connects, and has the other end know by whom.
async fn connect(to: SocketAddr, by: String, way: &Way) -> Option<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4().ok()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).ok()?;
    way.known.lock().unwrap().push((socket.local_addr().ok()?.port(), by));
    socket.connect(to).await.ok()
}
