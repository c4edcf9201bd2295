use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use http_body_util::BodyExt;

use super::*;
use crate::service::ServiceSpelling;

/// An app that accepts one host, and writes down what it was asked.
struct App {
    accepts: &'static str,
    refuses_with: u16,
    asked: StdMutex<Vec<String>>,
    /// `Origin`, as it came last.
    origin: StdMutex<Option<HeaderValue>>,
    /// Whether it is spoken to over TLS.
    tls: AtomicBool,
}

impl App {
    fn new(accepts: &'static str, refuses_with: u16) -> Arc<Self> {
        Arc::new(Self {
            accepts,
            refuses_with,
            asked: StdMutex::default(),
            origin: StdMutex::default(),
            tls: AtomicBool::new(false),
        })
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        let host = request.headers()[HOST].to_str().unwrap();
        *self.origin.lock().unwrap() = request.headers().get("origin").cloned();
        self.asked.lock().unwrap().push(format!("{} {host}", request.method()));
        let link =
            format!("<a href=\"{}://{host}/x\">", if self.tls.load(Ordering::Relaxed) { "https" } else { "http" });
        let mut answer = Response::new(Body::full(link));
        answer.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
        if host != self.accepts {
            *answer.status_mut() = StatusCode::from_u16(self.refuses_with).unwrap();
        }
        answer
    }
}

impl Upstream for Arc<App> {
    fn send(&self, request: Request<Body>) -> BoxFuture<'static, Response<Body>> {
        let answer = self.answer(&request);
        Box::pin(async { answer })
    }
}

impl SchemedUpstream for Arc<App> {
    fn scheme(&self) -> Scheme {
        if self.tls.load(Ordering::Relaxed) { Scheme::Https } else { Scheme::Http }
    }
}

/// One Ingress.
struct OneRoute;

impl IngressHosts for OneRoute {
    fn hosts(&self) -> BoxFuture<'static, Vec<String>> {
        Box::pin(async { vec!["app.example".to_owned()] })
    }
}

fn upstream(app: &Arc<App>, forced: Option<&'static str>) -> AppHost {
    let target = Target::unread("ns", ServiceSpelling::parse("web").unwrap().id, None);
    AppHost::new(
        Arc::new(Arc::clone(app)),
        &target,
        forced.map(Authority::from_static).as_ref(),
        Arc::new(OneRoute),
        Notices::new(|_| ()),
    )
}

fn request(method: Method, mode: &'static str) -> Request<Body> {
    let mut request = Request::new(Body::Empty);
    *request.method_mut() = method;
    request.headers_mut().insert(HOST, HeaderValue::from_static("web.localhost:8001"));
    request.headers_mut().insert("sec-fetch-mode", HeaderValue::from_static(mode));
    request
}

async fn get(upstream: &AppHost, mode: &'static str) -> (u16, String) {
    let answer = upstream.send(request(Method::GET, mode)).await;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

const ALL: [&str; 6] = [
    "GET web.localhost:8001",
    "GET localhost:8001",
    "GET web.ns.svc.cluster.local",
    "GET web.ns.svc",
    "GET web",
    "GET app.example",
];

#[tokio::test]
async fn the_local_host_is_kept_where_it_is_accepted() {
    let app = App::new("web.localhost:8001", 403);
    let upstream = upstream(&app, None);
    for _ in 0..2 {
        assert_eq!(get(&upstream, "navigate").await.0, 200);
        assert_eq!(app.asked(), ["GET web.localhost:8001"]);
    }
    assert_eq!(upstream.shared.settled.get(), Some(&AcceptedHost::Local));
}

#[tokio::test]
async fn another_is_found_and_kept() {
    for (accepts, tried) in [("localhost:8001", 2), ("web.ns.svc", 4), ("app.example", 6)] {
        for status in [400, 403, 421] {
            let app = App::new(accepts, status);
            let upstream = upstream(&app, None);
            assert_eq!(get(&upstream, "navigate").await, (200, "<a href=\"/x\">".to_owned()));
            assert_eq!(app.asked(), ALL[..tried]);
            let post = upstream.send(request(Method::POST, "cors")).await;
            assert_eq!(post.status(), StatusCode::OK);
            assert_eq!(app.asked(), [format!("POST {accepts}")]);
        }
    }
}

#[tokio::test]
async fn nothing_is_tried_twice() {
    let app = App::new("nobody", 403);
    let upstream = upstream(&app, None);
    assert_eq!(get(&upstream, "navigate").await, (403, "<a href=\"http://web.localhost:8001/x\">".to_owned()));
    assert_eq!(app.asked(), ALL);
    assert_eq!(get(&upstream, "navigate").await.0, 403);
    assert_eq!(app.asked(), ALL[..1]);
}

#[tokio::test]
async fn nothing_is_tried_for_what_may_have_effects_or_is_no_page() {
    let app = App::new("localhost:8001", 403);
    let upstream = upstream(&app, None);
    for (method, mode) in [(Method::POST, "navigate"), (Method::DELETE, "navigate"), (Method::GET, "cors")] {
        let answer = upstream.send(request(method.clone(), mode)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(app.asked(), [format!("{method} web.localhost:8001")]);
    }
    let mut with_body = request(Method::GET, "navigate");
    *with_body.body_mut() = Body::full("x");
    upstream.send(with_body).await;
    assert_eq!(app.asked().len(), 1);
    let other_error = App::new("localhost:8001", 404);
    assert_eq!(get(&self::upstream(&other_error, None), "navigate").await.0, 404);
    assert_eq!(other_error.asked().len(), 1);
}

#[tokio::test]
async fn requests_that_were_refused_together_try_once() {
    let app = App::new("app.example", 403);
    let upstream = upstream(&app, None);
    let (one, other) = tokio::join!(get(&upstream, "navigate"), get(&upstream, "navigate"));
    assert_eq!((one.0, other.0), (200, 200));
    let mut asked = app.asked();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), ALL.len());
}

#[tokio::test]
async fn a_forced_host_is_sent_whatever_the_app_says() {
    let app = App::new("nobody", 403);
    let upstream = upstream(&app, Some("app.example"));
    assert_eq!(get(&upstream, "navigate").await, (403, "<a href=\"/x\">".to_owned()));
    assert_eq!(app.asked(), ["GET app.example"]);
}

#[tokio::test]
async fn the_origin_is_of_the_scheme_that_is_spoken_now() {
    let app = App::new("web.localhost:8001", 403);
    let upstream = upstream(&app, None);
    for (tls, origin, link) in [
        (false, "http://web.localhost:8001", "<a href=\"http://web.localhost:8001/x\">"),
        (true, "https://web.localhost:8001", "<a href=\"/x\">"),
        (false, "http://web.localhost:8001", "<a href=\"http://web.localhost:8001/x\">"),
    ] {
        app.tls.store(tls, Ordering::Relaxed);
        let mut request = request(Method::GET, "navigate");
        request.headers_mut().insert("origin", HeaderValue::from_static("http://web.localhost:8001"));
        let answer = upstream.send(request).await.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(app.origin.lock().unwrap().as_ref().unwrap(), origin);
        assert_eq!(answer, link, "{origin}");
    }
}
