//! The local side as a whole, over real sockets, with an upstream made for the test.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::oneshot;

use super::*;
use crate::upstream::Body;

/// An upstream that is a closure.
struct Answering<F>(F);

impl<F, R> Upstream for Answering<F>
where
    F: Fn(Request<Body>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        Box::pin((self.0)(request))
    }
}

const PROXY_PATH: &str = "/api/v1/namespaces/default/services/nginx/proxy/";

fn site<F, R>(label: &str, path: &str, answer: F) -> Site
where
    F: Fn(Request<Body>) -> R + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    Site {
        label: label.to_owned(),
        title: format!("{label} in default"),
        paths: vec![path.to_owned()],
        landing: "/".to_owned(),
        upstream: Arc::new(Answering(answer)),
    }
}

fn local(sites: Vec<Site>) -> Local {
    Local {
        sites,
        presentation: Presentation::Site,
        policy: GuardPolicy::default(),
        log: RequestLog::off(),
        activity: Activity::default(),
    }
}

/// A running local side.
struct Serving {
    addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<ServeSummary>,
}

impl Serving {
    async fn start(local: Local) -> Self {
        let listener = Listener::bind(&Listen::Loopback(Port::Any)).await.unwrap();
        let addresses = listener.local_addrs().to_vec();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let done = tokio::spawn(serve(listener, local, shutdown, Duration::from_secs(5)));
        Self { addresses, stop, done }
    }

    fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    async fn stop(self) -> ServeSummary {
        drop(self.stop);
        self.done.await.unwrap()
    }
}

/// Sends `request` as it is and reads to the end of the connection.
async fn exchange(address: SocketAddr, request: String) -> String {
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn answers_on_every_loopback_address() {
    let echo = |request: Request<Body>| async move { Response::new(Body::full(request.uri().to_string())) };
    let serving = Serving::start(local(vec![site("nginx", PROXY_PATH, echo)])).await;
    for address in serving.addresses.clone() {
        let head = format!("Host: nginx.localhost:{}\r\nConnection: close", serving.port());
        let answer = exchange(address, format!("GET /a?b=c HTTP/1.1\r\n{head}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n/a?b=c"), "{answer}");
    }
    let asked = serving.addresses.len() as u64;
    assert_eq!(serving.stop().await.requests, asked);
}
