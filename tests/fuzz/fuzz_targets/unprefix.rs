//! A page that an app sent, as the API server rewrites it, comes back: each link that a browser sees is what the app meant,
//! in Go's spelling of URLs, and everything else is what the API server made of it.
#![no_main]

#[path = "../../support/fake/rewriting/mod.rs"]
#[allow(dead_code, reason = "the rest is for the fake API server, whose crate brings a client of Kubernetes along")]
mod rewriting;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use libfuzzer_sys::fuzz_target;
use rewriting::url::Url;
use rewriting::{Rewriting, html};
use svcproxy::cluster::{AddressType, Endpoint, EndpointPort, EndpointSlice};
use svcproxy::message::body::Body;
use svcproxy::message::html_links;
use svcproxy::proxy::upstream::unprefix::{HostPair, ServiceNames, Unprefix};
use svcproxy::service::{Protocol, Scheme, Target};

const PREFIX: &str = "/api/v1/namespaces/ns/services/web/proxy";
const POD: &str = "10.1.0.1:8080";
/// What the browser calls the Service.
const LOCAL: &str = "web.localhost:8001";
/// The API server's own name.
const API: &str = "api.example:6443";

/// What stands for what in a page, so that the fuzzer need not find it.
const SPELLINGS: [(&str, &str); 5] = [
    ("§", PREFIX),
    ("¶", "<a href=\""),
    ("¤", "http://10.1.0.1:8080"),
    ("¢", "//web.localhost:8001"),
    ("¥", "//app.example"),
];

fuzz_target!(|data: &[u8]| {
    let Some((&first, text)) = data.split_first() else { return };
    let sent = if first & 1 == 0 { LOCAL } else { "app.example" };
    let page =
        SPELLINGS.iter().fold(text.to_vec(), |page, (short, long)| replaced(&page, short.as_bytes(), long.as_bytes()));
    let rewriting = Rewriting { prefix: PREFIX.as_bytes(), backend: POD, host: sent };
    let (rewritten, expected) = (rewriting.page(&page), html::rewrite(&page, |link| meant(link, &rewriting)));
    let came_back = unprefixed(&rewritten, sent);
    let [mut got, mut wanted] = [&came_back, &expected].map(|page| links_for_browsers(page));
    if links_for_go(&rewritten) != only_ascii(links_for_browsers(&rewritten)) {
        // In a script that only one of the two takes for one, the API server puts nothing on, or it stays and is no link.
        for link in got.iter_mut().chain(&mut wanted) {
            *link = undone_to_the_end(std::mem::take(link), sent);
        }
    }
    assert_eq!(got, wanted, "{}", String::from_utf8_lossy(&page));
    assert_eq!(without_links(&came_back), without_links(&expected), "{}", String::from_utf8_lossy(&page));
});

/// All but what either of the two takes for a link.
fn without_links(page: &[u8]) -> Vec<u8> {
    let page = html::rewrite(page, |_| Some(Vec::new()));
    read(html_links::rewrite(answer(&page), |_| Some(String::new())))
}

/// What the app meant by a link: what the API server put in front of its path is gone, and so is a host that browsers do
/// not know it by.
fn meant(link: &[u8], rewriting: &Rewriting<'_>) -> Option<Vec<u8>> {
    let sent = rewriting.host;
    let Ok(printed) = rewriting.link(link) else { return Some(left_alone(link, sent)) };
    let url = Url::parse(link).expect("it was read before");
    let is_own = ["", POD, sent].iter().any(|host| host.as_bytes() == url.host());
    let is_prefixed = is_own && url.path().starts_with(b"/") && !url.path().starts_with(PREFIX.as_bytes());
    let path = path_of(&printed);
    // `/..` leads out of the proxy path, and nobody knows from where.
    let Some(rest) = path.strip_prefix(PREFIX.as_bytes()).filter(|_| is_prefixed) else {
        return Some(left_alone(&printed, sent));
    };
    let keeps_host = url.host() == sent.as_bytes()
        && match printed.split(|byte| *byte == b'/').next() {
            Some(b"https:") => false,
            Some(b"" | b"http:") => sent == LOCAL,
            _ => true,
        };
    let host = if keeps_host { &printed[..printed.len() - path.len()] } else { b"" };
    let slash: &[u8] = if rest.starts_with(b"/") { b"" } else { b"/" };
    Some([host, &with_placeholders(&[slash, rest].concat(), sent)].concat())
}

/// A path with the placeholders that the API server has encoded: as they come back where nothing is taken off.
fn with_placeholders(path: &[u8], sent: &str) -> Vec<u8> {
    const ELSEWHERE: &[u8] = b"/x";
    if !contains(path, b"%7B%7B") {
        return path.to_vec();
    }
    undone(&[ELSEWHERE, path].concat(), sent)[ELSEWHERE.len()..].to_vec()
}

/// What becomes of a link that the API server put nothing on: it changes only if it names the Service anyway, or holds a
/// placeholder that the API server has encoded.
fn left_alone(link: &[u8], sent: &str) -> Vec<u8> {
    let undone = undone(link, sent);
    let path = path_of(link);
    let is_told = path
        .strip_prefix(PREFIX.as_bytes())
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'/' | b'?' | b'#')));
    let host = &link[..link.len() - path.len()].to_ascii_lowercase();
    let is_named = [sent, POD].iter().any(|name| contains(host, name.as_bytes()) || contains(path, name.as_bytes()));
    let is_template = contains(&link.to_ascii_uppercase(), b"%7B%7B");
    assert!(undone == link || is_told || is_named || is_template, "{}", String::from_utf8_lossy(link));
    undone
}

/// Path, query and fragment of a URL as Go prints it.
fn path_of(printed: &[u8]) -> &[u8] {
    let has_authority = !printed.starts_with(b"/") || printed.starts_with(b"//");
    let authority = printed.windows(2).position(|two| two == b"//").filter(|_| has_authority);
    let start =
        authority.and_then(|at| printed[at + 2..].iter().position(|byte| *byte == b'/').map(|end| at + 2 + end));
    &printed[start.unwrap_or(0)..]
}

/// What becomes of a link that stands alone on its page.
fn undone(link: &[u8], sent: &str) -> Vec<u8> {
    let page = html::rewrite(b"<a href=''>", |_| Some(link.to_vec()));
    let found = RefCell::default();
    html::rewrite(&unprefixed(&page, sent), |link| {
        found.replace(link.to_vec());
        None
    });
    found.into_inner()
}

/// With `~`, which means as little in a URL, for what is not ASCII.
fn undone_to_the_end(link: String, sent: &str) -> String {
    let link = link.replace(|letter: char| !letter.is_ascii(), "~");
    let page = format!("<a href=\"{link}\">");
    let next = links_for_browsers(&unprefixed(page.as_bytes(), sent)).pop().unwrap_or_default();
    if next == link { link } else { undone_to_the_end(next, sent) }
}

fn unprefixed(page: &[u8], sent: &str) -> Vec<u8> {
    let names = ServiceNames::of(&Target::unread("ns", "web".parse().expect("a name"), None), None);
    let unprefix = Unprefix::new("", &[format!("{PREFIX}/")], API, names).with_endpoints(&[slice()]);
    let hosts = HostPair {
        sent: HeaderValue::from_str(sent).expect("a host"),
        local: HeaderValue::from_static(LOCAL),
        browser: Scheme::Http,
    };
    read(Arc::new(unprefix).answer(hosts, answer(page)))
}

fn slice() -> EndpointSlice {
    let endpoint = Endpoint {
        addresses: vec!["10.1.0.1".to_owned()],
        ready: true,
        serving: true,
        terminating: false,
        pod: Some("web-0".to_owned()),
    };
    EndpointSlice {
        namespace: "ns".to_owned(),
        service: "web".to_owned(),
        addresses: AddressType::Ipv4,
        ports: vec![EndpointPort { name: String::new(), number: Some(8080), protocol: Protocol::Tcp }],
        endpoints: vec![endpoint],
    }
}

/// The links of a page as they stand in it, as far as browsers take them for links; but for the two spellings of `'`.
fn links_for_browsers(page: &[u8]) -> Vec<String> {
    let links = Arc::new(Mutex::new(Vec::new()));
    let seen = links.clone();
    let collect = move |link: &str| {
        seen.lock().unwrap().push(link.replace("&#39;", "'"));
        None
    };
    read(html_links::rewrite(answer(page), collect));
    std::mem::take(&mut links.lock().unwrap())
}

/// The same as the API server sees them, in any order, of what it has printed.
fn links_for_go(page: &[u8]) -> Vec<String> {
    let links = RefCell::new(Vec::new());
    html::rewrite(page, |link| {
        let page = html::rewrite(b"<a href=''>", |_| Some(link.to_vec()));
        links.borrow_mut().push(String::from_utf8_lossy(&page[9..page.len() - 2]).replace("&#39;", "'"));
        None
    });
    only_ascii(links.into_inner())
}

fn only_ascii(mut links: Vec<String>) -> Vec<String> {
    for link in &mut links {
        link.retain(|letter| letter.is_ascii());
    }
    links.sort();
    links
}

fn answer(page: &[u8]) -> Response<Body> {
    let mut answer = Response::new(Body::full(page.to_vec()));
    answer.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
    answer
}

fn read(answer: Response<Body>) -> Vec<u8> {
    let body = answer.into_body().collect().now_or_never().expect("nothing is waited for");
    body.expect("a plain page passes").to_bytes().to_vec()
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    match bytes.windows(what.len()).position(|window| window == what) {
        Some(at) => [&bytes[..at], with, &replaced(&bytes[at + what.len()..], what, with)].concat(),
        None => bytes.to_vec(),
    }
}
