//! An API server that is killed and started again, at each stage of what a user does: what was under way ends with an error or
//! a cut and never with something wrong, nobody hangs, an app gets no POST twice, and afterwards all works again.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::harness::{Plugin, Served, web};
use support::fake::FakeApiServer;
use support::fake::faults::Fault;
use support::{Backend, Peer, Relay, eventually, http as client, pattern};

/// Longer nobody waits for an answer.
const LIMIT: Duration = Duration::from_secs(10);
/// More than all buffers on the way hold.
const BIG: u64 = 64 * 1024 * 1024;
const TRANSPORTS: [&str; 2] = ["--via=service-proxy", "--via=port-forward"];

struct Stage {
    _fake: FakeApiServer,
    relay: Relay,
    backend: Backend,
    served: Served,
}

/// What a request came to.
#[derive(Debug)]
enum Outcome {
    /// A whole answer, with so many octets of the pattern, or of something else.
    Answered(StatusCode, u64),
    /// Its beginning, which was right.
    BrokenOff(StatusCode),
    /// The connection ended.
    Unanswered,
}

impl Stage {
    async fn set(via: &str) -> Self {
        let fake = FakeApiServer::start().await;
        let backend = web(&fake).await;
        let relay = Relay::before(fake.address()).await;
        let server = format!("--server=https://{}", relay.address());
        let served = Plugin::new(&fake).args(["web", via, &server]).serve().await;
        Self { _fake: fake, relay, backend, served }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.served.proxy_url())
    }

    async fn get(&self, path: &str) -> Outcome {
        let request = Request::new(Empty::<Bytes>::new());
        let asked = timeout(LIMIT, client::try_stream(&self.url(path), request)).await;
        match asked.unwrap_or_else(|_| panic!("{path} hangs: {}", self.served.stderr())) {
            Ok(answer) => outcome(answer).await,
            Err(_) => Outcome::Unanswered,
        }
    }

    /// Off and on again.
    async fn kill(&self) {
        self.relay.off().await;
        self.relay.on().await;
    }

    async fn web_socket(&self) -> Peer {
        let origin = self.served.site_url().trim_end_matches('/').to_owned();
        let socket = format!("{}/socket", origin.replace("http://", "ws://"));
        Peer::open(&socket, &[("origin", &origin)]).await.unwrap()
    }

    /// At once, or after the short while in which it is known that nobody is there.
    async fn is_well(&self, after: &str) {
        eventually(&format!("an answer after {after}: {}", self.served.stderr()), async || {
            matches!(self.get("bytes/100000").await, Outcome::Answered(StatusCode::OK, 100_000)).then_some(())
        })
        .await;
    }

    async fn post(&self, number: usize) -> Option<StatusCode> {
        let request = Request::post("/").body(Full::new(Bytes::from(number.to_string()))).unwrap();
        let asked = timeout(LIMIT, client::try_stream(&self.url(&format!("post/{number}")), request)).await;
        asked.unwrap_or_else(|_| panic!("POST {number} hangs")).ok().map(|answer| answer.status())
    }

    /// How often the app got a request for `path`.
    fn count(&self, path: &str) -> usize {
        self.backend.requests().iter().filter(|request| request["target"] == path).count()
    }
}

async fn outcome(answer: http::Response<Incoming>) -> Outcome {
    let status = answer.status();
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(frame) = timeout(LIMIT, body.frame()).await.expect("an answer goes on, or ends") {
        let Ok(frame) = frame else { return Outcome::BrokenOff(status) };
        let Ok(mut data) = frame.into_data() else { continue };
        while status == StatusCode::OK && !data.is_empty() {
            let expected = pattern(length, data.len());
            assert!(data.split_to(expected.len()) == expected, "another octet after {length}");
            length += expected.len() as u64;
        }
    }
    Outcome::Answered(status, length)
}

#[tokio::test]
async fn while_the_service_is_read() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let relay = Relay::before(fake.address()).await;
    fake.fault("/services/web", 9, Fault::Await("/never"));
    let server = format!("--server=https://{}", relay.address());
    let running = tokio::spawn(Plugin::new(&fake).args(["web", &server]).finish());
    eventually("the Service is asked for", async || {
        fake.requests().iter().any(|request| request.target.contains("/services/web")).then_some(())
    })
    .await;
    relay.off().await;
    let finished = running.await.unwrap();
    let expected = "error: the connection to the API server broke: Connection reset by peer\n\
                    hint: try again; `kubectl cluster-info` goes the same way\n";
    assert_eq!((finished.code(), finished.stdout.as_str(), finished.stderr.as_str()), (1, "", expected));
}

#[tokio::test]
async fn while_nothing_is_asked() {
    for via in TRANSPORTS {
        let stage = Stage::set(via).await;
        stage.is_well("the start").await;
        stage.relay.off().await;
        let unreachable = stage.get("bytes/1").await;
        assert!(matches!(unreachable, Outcome::Answered(StatusCode::BAD_GATEWAY, _)), "{via}: {unreachable:?}");
        stage.served.until_stderr("the API server cannot be reached").await;
        stage.relay.on().await;
        stage.is_well(via).await;
        stage.served.until_stderr("the API server is reached again").await;
    }
}

#[tokio::test]
async fn in_the_middle_of_an_answer() {
    for via in TRANSPORTS {
        let stage = Stage::set(via).await;
        let request = Request::new(Empty::<Bytes>::new());
        let answer = client::stream(&stage.url(&format!("bytes/{BIG}")), request).await;
        // Nobody reads, so most of it is still to come.
        stage.kill().await;
        let outcome = outcome(answer).await;
        assert!(matches!(outcome, Outcome::BrokenOff(StatusCode::OK)), "{via}: {outcome:?}");
        stage.is_well(via).await;
    }
}

#[tokio::test]
async fn in_the_middle_of_an_upload() {
    for via in TRANSPORTS {
        let stage = Stage::set(via).await;
        let (pieces, body) = mpsc::channel::<Bytes>(1);
        let body = futures_util::stream::unfold(body, |mut body| async move {
            let piece = body.recv().await?;
            Some((Ok::<_, io::Error>(Frame::data(piece)), body))
        });
        let request = Request::builder().method(Method::POST).body(StreamBody::new(Box::pin(body))).unwrap();
        let url = stage.url("sink");
        let answer = tokio::spawn(async move { client::try_stream(&url, request).await });
        let mut sent = 0;
        while stage.count("/sink") == 0 || sent < BIG / 64 {
            let piece = pattern(sent, 10_000);
            sent += piece.len() as u64;
            pieces.send(piece).await.unwrap();
        }
        stage.kill().await;
        let answer = timeout(LIMIT, answer).await.expect("an upload ends").unwrap();
        assert!(answer.as_ref().is_ok_and(|answer| answer.status() == 502) || answer.is_err(), "{via}: {answer:?}");
        stage.is_well(via).await;
        assert_eq!(stage.count("/sink"), 1, "{via}");
    }
}

#[tokio::test]
async fn under_streams_that_are_open() {
    for via in TRANSPORTS {
        let stage = Stage::set(via).await;
        let request = Request::new(Empty::<Bytes>::new());
        let mut events = client::stream(&stage.url("events/9"), request).await.into_body();
        assert!(events.frame().await.unwrap().is_ok());
        let socket = stage.web_socket().await;
        stage.kill().await;
        let end = timeout(LIMIT, async { while let Some(Ok(_)) = events.frame().await {} }).await;
        assert!(end.is_ok(), "{via}: the events go on");
        timeout(LIMIT, socket.until_cut()).await.expect("a WebSocket ends");
        stage.is_well(via).await;
    }
}

/// What ages alike and is cut by a gateway has met a limit; what is cut with the API server has not.
#[tokio::test]
async fn under_web_sockets_of_the_same_age() {
    /// More than what ends a page that is left.
    const AGE: Duration = Duration::from_secs(6);
    let stage = Stage::set("--via=service-proxy").await;
    for kills in 1..=3 {
        let socket = stage.web_socket().await;
        tokio::time::sleep(AGE).await;
        stage.relay.off().await;
        timeout(LIMIT, socket.until_cut()).await.expect("a WebSocket ends");
        let is_told =
            async || (stage.served.stderr().matches("the API server cannot be reached").count() == kills).then_some(());
        eventually("it is told that nobody is there", is_told).await;
        stage.relay.on().await;
        stage.is_well("a kill").await;
    }
    let said = stage.served.stderr();
    assert!(!said.contains("WebSockets are cut"), "{said}");
}

#[tokio::test]
async fn again_and_again_under_load() {
    const POSTS: usize = 60;
    for via in TRANSPORTS {
        let stage = Stage::set(via).await;
        let posts = async {
            let mut statuses = Vec::new();
            for number in 0..POSTS {
                statuses.push(stage.post(number).await);
                if number % 6 == 0 {
                    stage.kill().await;
                }
            }
            statuses
        };
        let gets = (0..4).map(|_| async {
            for _ in 0..30 {
                let outcome = stage.get("bytes/200000").await;
                let whole = matches!(outcome, Outcome::Answered(StatusCode::OK, 200_000));
                let failed = matches!(outcome, Outcome::Answered(status, _) if status.is_server_error());
                assert!(whole || failed || !matches!(outcome, Outcome::Answered(..)), "{via}: {outcome:?}");
            }
        });
        let (statuses, _) = tokio::join!(posts, join_all(gets));
        for (number, status) in statuses.into_iter().enumerate() {
            let count = stage.count(&format!("/post/{number}"));
            assert!(count <= 1, "{via}: POST {number} arrived {count} times");
            assert!(
                count == 1 || status != Some(StatusCode::OK),
                "{via}: POST {number} is answered, and never arrived"
            );
        }
        stage.is_well(via).await;
        stage.served.signal(Signal::TERM);
        assert_eq!(stage.served.end().await.code(), 0, "{via}");
    }
}
