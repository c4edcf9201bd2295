//! Where it matters which Pod, or which connection to it, a request goes to.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Plugin, Served};
use support::fake::FakeApiServer;
use support::stream::{read_until, send};
use support::{Backend, eventually, http as client};

/// The Service `web` with two ready Pods.
async fn two_pods(fake: &FakeApiServer, affinity: &str) -> [Backend; 2] {
    let first = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    let second = Backend::start(Ipv4Addr::new(127, 0, 0, 2), first.address().port()).await;
    fake.expose("default", "web", json!({"name": "http", "port": 80}), first.address());
    fake.change("services", "default", "web", |service| service["spec"]["sessionAffinity"] = json!(affinity));
    fake.put(json!({
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "web-1", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app"}]},
        "status": {"phase": "Running", "podIP": "127.0.0.2", "ready": true},
    }));
    [first, second]
}

async fn ask_often(served: &Served) {
    let url = served.site_url();
    for answer in futures_util::future::join_all((0..12).map(|_| client::get(&url))).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test]
async fn one_pod_for_a_run_and_another_when_it_goes() {
    for (affinity, arguments) in [("ClientIP", &["web"][..]), ("None", &["web", "--sticky"])] {
        let fake = FakeApiServer::start().await;
        let pods = two_pods(&fake, affinity).await;
        let served = Plugin::new(&fake).args(arguments).serve().await;
        ask_often(&served).await;
        let asked = pods.each_ref().map(|pod| pod.requests().len());
        let kept = usize::from(asked[0] == 0);
        assert_eq!((asked[kept], asked[1 - kept]), (12, 0), "{arguments:?}");
        served.until_stderr("one Pod for the whole run goes by port-forward").await;

        fake.delete("pods", "default", &format!("web-{kept}"));
        let words = format!("its Pod web-{kept} is gone");
        eventually("another Pod takes its place", async || {
            ask_often(&served).await;
            served.stderr().contains(&words).then_some(())
        })
        .await;
        assert!(!pods[1 - kept].requests().is_empty(), "{arguments:?}");
        assert_eq!(served.stderr().matches("is gone, everything goes to").count(), 1, "{}", served.stderr());
    }
}

#[tokio::test]
async fn whoever_may_not_port_forward_is_told_that_pods_change() {
    let fake = FakeApiServer::start().await;
    let _pods = two_pods(&fake, "None").await;
    let served = Plugin::new(&fake).args(["web", "--sticky", "--via=service-proxy"]).serve().await;
    ask_often(&served).await;
    served.until_stderr("one Pod for the whole run goes by the service proxy, which will choose one").await;
}

/// A server that logs connections in, in three steps: whoever sends on one that is logged in is that user.
struct LoginServer {
    port: u16,
    open: Arc<AtomicUsize>,
}

impl LoginServer {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(AtomicUsize::new(0));
        let count = open.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let count = count.clone();
                tokio::spawn(async move {
                    serve_logins(stream, number).await;
                    count.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { port, open }
    }
}

async fn serve_logins(mut stream: TcpStream, number: usize) {
    let mut user = None;
    while let Ok(head) = read_until(&mut stream, "\r\n\r\n").await {
        let said = head.lines().find_map(|line| line.strip_prefix("Authorization: NTLM ")).unwrap_or_default();
        let answer = match said.split_once(' ') {
            Some(("hello", _)) => refusal(&format!("NTLM {number}")),
            Some((challenge, name)) if challenge == number.to_string() => {
                user = Some(name.to_owned());
                welcome(name)
            }
            _ => user.as_deref().map_or_else(|| refusal("NTLM"), welcome),
        };
        if send(&mut stream, answer).await.is_err() {
            return;
        }
    }
}

fn refusal(challenge: &str) -> String {
    format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 4\r\n\r\nwho?")
}

fn welcome(name: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\nhello {name}?", name.len() + 7)
}

/// One connection of a browser.
struct LoginClient {
    stream: TcpStream,
    host: String,
    name: &'static str,
}

impl LoginClient {
    async fn new(served: &Served, name: &'static str) -> Self {
        let url = served.site_url();
        let host = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { stream: client::tcp(&url.parse().unwrap()).await, host, name }
    }

    async fn ask(&mut self, authorization: &str) -> String {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n{authorization}\r\n", self.host);
        send(&mut self.stream, request).await.unwrap();
        read_until(&mut self.stream, "?").await.unwrap()
    }

    async fn log_in(&mut self) {
        assert!(self.ask("").await.contains(" 401 "));
        let challenge = self.ask(&format!("Authorization: NTLM hello {}\r\n", self.name)).await;
        let (_, number) = challenge.split_once("NTLM ").unwrap_or_else(|| panic!("no challenge: {challenge}"));
        let number = number.lines().next().unwrap();
        let welcome = self.ask(&format!("Authorization: NTLM {number} {}\r\n", self.name)).await;
        assert!(welcome.ends_with(&format!("hello {}?", self.name)), "{welcome}");
    }

    async fn assert_is_known(&mut self) {
        for _ in 0..5 {
            let answer = self.ask("").await;
            assert!(answer.ends_with(&format!("hello {}?", self.name)), "{}: {answer}", self.name);
        }
    }
}

#[tokio::test]
async fn a_login_that_belongs_to_a_connection_is_nobody_elses() {
    for via in ["--via=auto", "--via=port-forward"] {
        let fake = FakeApiServer::start().await;
        let server = LoginServer::start().await;
        fake.expose("default", "login", json!({"name": "http", "port": 80}), (Ipv4Addr::LOCALHOST, server.port).into());
        let served = Plugin::new(&fake).args(["login", via]).serve().await;
        let (mut ann, mut bob) = (LoginClient::new(&served, "ann").await, LoginClient::new(&served, "bob").await);
        tokio::join!(ann.log_in(), bob.log_in());
        tokio::join!(ann.assert_is_known(), bob.assert_is_known());
        let mut nobody = LoginClient::new(&served, "nobody").await;
        for _ in 0..5 {
            assert!(nobody.ask("").await.contains(" 401 "), "{via}");
        }
        let before = server.open.load(Ordering::Relaxed);
        drop((ann, bob));
        eventually("their connections to the Pod end", async || {
            (server.open.load(Ordering::Relaxed) + 2 <= before).then_some(())
        })
        .await;
        assert!(nobody.ask("").await.contains(" 401 "), "{via}");
    }
}
