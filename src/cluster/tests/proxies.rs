//! The ways through proxies, for requests and for upgrades.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::certificates::Authority;
use super::requests::echo;
use super::server::{Kubeconfig, Server, get, hello};
use crate::cluster::{Cluster, ProcessEnvironment, ProxyVariables, SendError};
use crate::message::body::Body;

trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Octets for T {}

/// What a proxy was asked for: the head of the request, or the address for SOCKS.
type Asked = Arc<Mutex<Vec<String>>>;

/// A proxy that answers `CONNECT` with `answer`, and speaks TLS itself if it has an acceptor.
async fn http_proxy(answer: &'static str, tls: Option<TlsAcceptor>) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let noting = asked.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (tls, asked) = (tls.clone(), noting.clone());
            tokio::spawn(async move {
                let stream: Box<dyn Octets> = match tls {
                    Some(tls) => Box::new(tls.accept(tcp).await.unwrap()),
                    None => Box::new(tcp),
                };
                pass_on(stream, answer, &asked).await;
            });
        }
    });
    (address, asked)
}

async fn pass_on(mut stream: Box<dyn Octets>, answer: &str, asked: &Asked) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    asked.lock().unwrap().push(head.clone());
    let mut words = head.split([' ', '\r']);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    if method == "CONNECT" {
        stream.write_all(answer.as_bytes()).await.unwrap();
        if answer.contains("200") {
            let mut server = TcpStream::connect(target).await.unwrap();
            drop(copy_bidirectional(&mut stream, &mut server).await);
        }
    } else {
        let server = target.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        server.write_all(head.as_bytes()).await.unwrap();
        drop(copy_bidirectional(&mut stream, &mut server).await);
    }
}

/// A SOCKS 5 proxy that wants this user and password (RFC 1928, RFC 1929).
async fn socks_proxy() -> (SocketAddr, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let noting = asked.clone();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let asked = noting.clone();
            tokio::spawn(async move { drop(socks(tcp, &asked).await) });
        }
    });
    (address, asked)
}

async fn socks(mut client: TcpStream, asked: &Asked) -> std::io::Result<()> {
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    let _version = client.read_u8().await?;
    let methods = client.read_u8().await?;
    client.read_exact(&mut vec![0; methods.into()]).await?;
    client.write_all(&[5, 2]).await?;
    let _version = client.read_u8().await?;
    let mut login = Vec::new();
    for _ in 0..2 {
        let mut field = vec![0; client.read_u8().await?.into()];
        client.read_exact(&mut field).await?;
        login.push(text(field));
    }
    let accepted = login == ["me", "p@ss"];
    client.write_all(&[1, u8::from(!accepted)]).await?;
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => std::net::Ipv4Addr::from(client.read_u32().await?).to_string(),
        3 => {
            let mut name = vec![0; client.read_u8().await?.into()];
            client.read_exact(&mut name).await?;
            text(name)
        }
        other => panic!("{other}"),
    };
    let port = client.read_u16().await?;
    asked.lock().unwrap().push(format!("{host}:{port}"));
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// `server` behind a proxy that the kubeconfig names.
async fn behind(server: &Server, host: &str, ca: &str, proxy_url: &str) -> Cluster {
    let url = server.url().replace("127.0.0.1", host);
    Kubeconfig::new(&format!("{url}', proxy-url: '{proxy_url}"), ca, "{token: secret}").load().await
}

async fn upgrade(cluster: &Cluster) {
    let request =
        Request::get("/").header("connection", "upgrade").header("upgrade", "echo").body(Body::Empty).unwrap();
    let answer = cluster.api().send(request).await.unwrap();
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
}

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[tokio::test]
async fn through_a_http_proxy() {
    let server = Server::https(hello).await;
    let (proxy, asked) = http_proxy(OPEN, None).await;
    let cluster = behind(&server, "localhost", &server.ca, &format!("http://me:p%40ss@{proxy}")).await;
    get(cluster.api(), "/one").await;
    get(cluster.api(), "/two").await;
    let port = server.address.port();
    let expected = format!(
        "CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n\r\n"
    );
    assert_eq!(*asked.lock().unwrap(), [expected]);
    assert_eq!(server.notes.last().header("proxy-authorization"), None);
}

#[tokio::test]
async fn upgrades_go_through_proxies_too() {
    let server = Server::https(echo).await;
    let (http, _) = http_proxy(OPEN, None).await;
    let (socks, _) = socks_proxy().await;
    upgrade(&behind(&server, "localhost", &server.ca, &format!("http://{http}")).await).await;
    upgrade(&behind(&server, "localhost", &server.ca, &format!("socks5://me:p%40ss@{socks}")).await).await;
}

#[tokio::test]
async fn through_a_https_proxy() {
    let authority = Authority::new("both");
    let server = Server::start(hello, Some(authority.server(&["127.0.0.1"]).config()), authority.pem()).await;
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(&["127.0.0.1"]).config()));
    let (proxy, asked) = http_proxy(OPEN, Some(acceptor)).await;
    let cluster = behind(&server, "127.0.0.1", &server.ca, &format!("https://{proxy}")).await;
    get(cluster.api(), "/").await;
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn through_a_socks_proxy() {
    let server = Server::https(hello).await;
    let (proxy, asked) = socks_proxy().await;
    let cluster = behind(&server, "localhost", &server.ca, &format!("socks5://me:p%40ss@{proxy}")).await;
    get(cluster.api(), "/").await;
    assert_eq!(*asked.lock().unwrap(), [format!("localhost:{}", server.address.port())]);

    let cluster = behind(&server, "localhost", &server.ca, &format!("socks5://me:wrong@{proxy}")).await;
    let error = cluster.api().warm().await.unwrap_err();
    let expected =
        format!("the proxy socks5://{proxy} gives no way to the API server: SOCKS error: credentials not accepted");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_http_server_is_asked_in_absolute_form() {
    let server = Server::http(hello).await;
    let (proxy, asked) = http_proxy(OPEN, None).await;
    let cluster = behind(&server, "127.0.0.1", "", &format!("http://me:p%40ss@{proxy}")).await;
    get(cluster.api(), "/a//b?c").await;
    let head = asked.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("GET {}/a//b?c HTTP/1.1\r\n", server.url())), "{head}");
    assert!(head.contains("proxy-authorization: Basic bWU6cEBzcw==\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses() {
    let server = Server::https(hello).await;
    let cases = [
        ("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n", "it wants a user and a password"),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", "it answers 403 Forbidden"),
    ];
    for (answer, words) in cases {
        let (proxy, _) = http_proxy(answer, None).await;
        let error = behind(&server, "localhost", &server.ca, &format!("http://{proxy}")).await.api().warm().await;
        let expected = format!("the proxy http://{proxy} gives no way to the API server: {words}");
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = behind(&server, "localhost", &server.ca, &format!("http://{nobody}")).await.api().warm().await;
    let expected = format!("the proxy http://{nobody} gives no way to the API server: connection refused at {nobody}");
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn trap_5_loopback_clusters_are_reached_directly() {
    let server = Server::https(hello).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxies = ProxyVariables { https: Some(format!("http://{nobody}")), ..ProxyVariables::default() };
    let environment = ProcessEnvironment { proxies, ..ProcessEnvironment::default() };
    let kubeconfig = server.kubeconfig("{}");
    get(Cluster::load(&kubeconfig.flags(), &environment).await.unwrap().api(), "/").await;

    let far = Kubeconfig::new("https://192.0.2.1:6443", "", "{}");
    let error = Cluster::load(&far.flags(), &environment).await.unwrap().api().warm().await.unwrap_err();
    assert!(matches!(error, SendError::Proxy { .. }), "{error}");
}
