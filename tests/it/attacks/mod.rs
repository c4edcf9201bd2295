//! Attacks on what is served here, each named by its number in the list of threats; every one must come to nothing.
//!
//! - `pages`: other web pages, and other programs on this machine (T1 to T4, T13, T24)
//! - `requests`: what a request may carry (T5, T6, T8 to T11)
//! - `users`: what other users of this machine prepare (T4)
//! - `answers`: what a Service or an API server may answer (T7, T14 to T16, T20, T21, T23)
//! - `words`: what is shown, logged and opened (T12, T17 to T19)

mod answers;
mod pages;
mod requests;
mod users;
mod words;

use http::{Request, StatusCode};
use serde_json::Value;

use crate::harness::{Plugin, Served, web};
use support::fake::FakeApiServer;
use support::http::Answer;
use support::{Backend, http as client};

/// The proxy path of what is attacked, without its final slash.
const PREFIX: &str = "/api/v1/namespaces/default/services/web:http/proxy";

/// Both transports: what reaches a Pod's loopback must be guarded no less (T22).
const TRANSPORTS: [&str; 2] = ["service-proxy", "port-forward"];

/// The plugin in front of a Service, and everything that must not be reached.
struct Stage {
    fake: FakeApiServer,
    backend: Backend,
    served: Served,
}

impl Stage {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(arguments: &[&str]) -> Self {
        let fake = FakeApiServer::start().await;
        let backend = web(&fake).await;
        let served = Plugin::new(&fake).args(["web"]).args(arguments).serve().await;
        Self { fake, backend, served }
    }

    /// Host and port of the Service's own site.
    fn site(&self) -> String {
        let url = self.served.site_url();
        url.trim_start_matches("http://").trim_end_matches('/').to_owned()
    }

    fn port(&self) -> u16 {
        self.site().rsplit(':').next().and_then(|port| port.parse().ok()).expect("the site's URL has a port")
    }

    /// A request to the site; `lines` are `Name: value`.
    async fn send(&self, method: &str, path: &str, lines: &[&str]) -> Answer {
        let mut request = Request::builder().method(method);
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        client::send(&format!("http://{}{path}", self.site()), request).await
    }

    /// Exactly these octets on a connection; `HOST` stands for the site's `Host` line. Everything that comes back.
    async fn raw(&self, text: &str) -> String {
        let text = text.replace("HOST", &format!("Host: {}", self.site()));
        client::raw(&self.served.site_url(), text.as_bytes()).await
    }

    /// The targets below the Service's proxy path that were asked for at the API server.
    fn proxied(&self) -> Vec<String> {
        let requests = self.fake.requests().into_iter().map(|request| request.target);
        requests.filter(|target| target.contains("/services/")).filter(|target| target.contains("/proxy")).collect()
    }

    /// Asserts that `answer` refuses, and that nobody heard of the request.
    fn refused(&self, answer: &Answer, status: StatusCode, what: &str) {
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        self.untouched(what);
    }

    fn untouched(&self, what: &str) {
        assert_eq!(self.backend.requests(), Vec::<Value>::new(), "{what} reached the Service");
        assert_eq!(self.proxied(), Vec::<String>::new(), "{what} reached the API server");
    }
}

fn status_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// The values of a header of a request that a [`Backend`] describes.
fn values(request: &Value, name: &str) -> Vec<String> {
    let headers = request["headers"].as_array().unwrap();
    let found = headers.iter().filter(|pair| pair[0] == name);
    found.map(|pair| pair[1].as_str().unwrap().to_owned()).collect()
}
