//! An API server that breaks off, stalls or refuses, at each stage of an answer: what the client gets is right or no answer, an
//! app gets no POST twice, and the next request works.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};

use crate::harness::{Plugin, Served, web};
use support::fake::FakeApiServer;
use support::fake::faults::Fault;
use support::fake::status::Status;
use support::{Backend, eventually, http as client, matches_pattern};

/// Octets of the answer that is broken off.
const SIZE: u64 = 100_000;

struct Stage {
    fake: FakeApiServer,
    backend: Backend,
    served: Served,
}

impl Stage {
    async fn set() -> Self {
        let fake = FakeApiServer::start().await;
        let backend = web(&fake).await;
        let served = Plugin::new(&fake).args(["web", "--via=service-proxy"]).serve().await;
        Self { fake, backend, served }
    }

    /// The head of the answer, and as much of the body as came; whether that was all.
    async fn get(&self, path: &str) -> (StatusCode, Bytes, bool) {
        let url = format!("{}{path}", self.served.proxy_url());
        let (head, mut body) = client::stream(&url, Request::new(Empty::<Bytes>::new())).await.into_parts();
        let mut came = Vec::new();
        loop {
            match body.frame().await {
                Some(Ok(frame)) => came.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                end => return (head.status, came.into(), end.is_none()),
            }
        }
    }

    async fn is_well(&self, after: &str) {
        self.fake.forget_faults();
        let (status, body, is_whole) = self.get(&format!("bytes/{SIZE}")).await;
        assert!(status == 200 && is_whole && body.len() as u64 == SIZE && matches_pattern(0, &body), "after {after}");
    }

    fn posts(&self) -> usize {
        self.backend.requests().iter().filter(|request| request["method"] == "POST").count()
    }
}

#[tokio::test]
async fn cut_after_any_number_of_octets() {
    let stage = Stage::set().await;
    for octets in [0, 1, 20, 100, 1_000, 40_000, 99_000] {
        // The second time, too.
        stage.fake.fault("/proxy/bytes/", 2, Fault::Cut(octets));
        let (status, body, is_whole) = stage.get(&format!("bytes/{SIZE}")).await;
        let is_explained = status == StatusCode::BAD_GATEWAY && is_whole;
        let is_broken_off = status == StatusCode::OK && !is_whole && matches_pattern(0, &body);
        assert!(is_explained || is_broken_off, "{octets}: {status}, {} octets", body.len());
        stage.is_well(&format!("a cut after {octets} octets")).await;
    }
}

#[tokio::test]
async fn an_answer_that_stalls_holds_up_nobody_else() {
    let stage = Stage::set().await;
    for octets in [500, 40_000] {
        stage.fake.fault("/proxy/bytes/", 1, Fault::Hold(octets));
        let url = format!("{}bytes/{SIZE}", stage.served.proxy_url());
        let mut stalled = client::stream(&url, Request::new(Empty::<Bytes>::new())).await;
        assert!(stalled.body_mut().frame().await.is_some());
        stage.is_well(&format!("a stall after {octets} octets")).await;
        drop(stalled);
        stage.is_well("the end of that client").await;
    }
}

/// The API server's own view of the endpoints is older than the one that it shows.
#[tokio::test]
async fn an_api_server_that_sees_endpoints_late_is_asked_until_it_does() {
    const TIMES: usize = 5;
    let stage = Stage::set().await;
    stage.fake.change("pods", "default", "web-0", |pod| pod["status"]["ready"] = false.into());
    stage.served.until_stderr("has no ready endpoint").await;
    stage.fake.change("pods", "default", "web-0", |pod| pod["status"]["ready"] = true.into());
    stage.served.until_stderr("a ready endpoint again").await;
    for accepted in ["text/html", "text/event-stream"] {
        let late = Fault::Answer(Status::unavailable("no endpoints available for service \"web\""));
        stage.fake.fault("/proxy/bytes/", TIMES, late);
        let url = format!("{}bytes/5", stage.served.proxy_url());
        let answer = client::send(&url, Request::builder().header("accept", accepted)).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 5), "{accepted}: {answer:?}");
    }
}

/// An API server that starts has not read yet who may do what.
#[tokio::test]
async fn a_refusal_in_between_ends_no_watch() {
    const LIST: &str = "resourceVersion=0";
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    // Of the Service and of its slices: read, refused when they are read again, and read at last.
    fake.fault(LIST, 2, Fault::Await("/services"));
    fake.fault("watch=1", 2, Fault::Answer(Status::unavailable("etcd is gone")));
    fake.fault(LIST, 2, Fault::Answer(Status::new(403, "Forbidden", "forbidden: no role")));
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let watched = || fake.requests().iter().filter(|request| request.target.contains("watch=1")).count();
    eventually("watches", async || (watched() >= 4).then_some(())).await;
    fake.delete("services", "default", "web");
    served.until_stderr("has been deleted").await;
    served.signal(rustix::process::Signal::TERM);
    assert_eq!(served.end().await.code(), 0);
}

#[tokio::test]
async fn no_post_reaches_an_app_twice() {
    let stage = Stage::set().await;
    let url = format!("{}post", stage.served.proxy_url());
    for fault in [
        Fault::Break,
        Fault::Cut(0),
        Fault::Cut(20),
        Fault::Page(429, "later"),
        Fault::Page(502, "bad gateway"),
        Fault::Page(503, "away"),
        Fault::Answer(Status::unavailable("etcd is gone")),
        Fault::Answer(Status::unavailable("error trying to reach service: EOF")),
    ] {
        let name = format!("{fault:?}");
        let before = stage.posts();
        stage.fake.fault("/proxy/post", 1, fault);
        let answer = client::send_body(&url, Request::builder().method(Method::POST), "once").await;
        assert!(answer.status.is_server_error() || answer.status == 429, "{name}: {answer:?}");
        assert!(stage.posts() <= before + 1, "{name}");
        let answer = client::send_body(&url, Request::builder().method(Method::POST), "again").await;
        assert_eq!(answer.status, StatusCode::OK, "after {name}");
    }
}
