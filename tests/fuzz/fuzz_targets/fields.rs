//! Header fields of an answer, one `name: value` a line: no path becomes a host, and what does not name the prefix stays.
#![no_main]

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use libfuzzer_sys::fuzz_target;
use svcproxy::message::body::Body;
use svcproxy::proxy::upstream::unprefix::{HostPair, ServiceNames, Unprefix};
use svcproxy::service::{Scheme, Target};

const PREFIX: &str = "/api/v1/namespaces/ns/services/web/proxy";
const NAMES: [&str; 5] = ["location", "content-location", "refresh", "link", "set-cookie"];

fuzz_target!(|data: &[u8]| {
    let mut answer = Response::new(Body::Empty);
    for line in data.split(|&byte| byte == b'\n').take(8) {
        let Some((&first, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(first) % NAMES.len()]);
        // `§` keeps the fuzzer from having to find the prefix.
        let value = replaced(value, "§".as_bytes(), PREFIX.as_bytes());
        let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
        answer.headers_mut().append(name, value);
    }
    let said = answer.headers().clone();
    for sent in ["l:1", "app.example"] {
        let mut answer = Response::new(Body::Empty);
        *answer.headers_mut() = said.clone();
        let unprefix = Unprefix::new("", &[format!("{PREFIX}/")], "api:6443", names());
        let hosts = HostPair {
            sent: HeaderValue::from_static(sent),
            local: HeaderValue::from_static("l:1"),
            browser: Scheme::Http,
        };
        check(&said, Arc::new(unprefix).answer(hosts, answer).headers());
    }
});

fn check(said: &HeaderMap, got: &HeaderMap) {
    for name in NAMES {
        assert_eq!(said.get_all(name).iter().count(), got.get_all(name).iter().count());
    }
    for name in ["location", "content-location"] {
        for (said, got) in said.get_all(name).iter().zip(got.get_all(name)) {
            let (said, got) = (said.as_bytes(), got.as_bytes());
            let leads_to_host = got.len() > 1 && got[0] == b'/' && b"/\\\t".contains(&got[1]);
            assert!(!leads_to_host || got.len() >= said.len() || said.starts_with(b"//"), "{said:?} {got:?}");
            assert!(said == got || names_us(said), "{said:?} {got:?}");
        }
    }
}

fn names_us(url: &[u8]) -> bool {
    let text = String::from_utf8_lossy(url).to_ascii_lowercase();
    [PREFIX, "//l", "@l", "app.example", "//web", "@web"].iter().any(|name| text.contains(name))
}

fn names() -> ServiceNames {
    ServiceNames::of(&Target::unread("ns", "web".parse().expect("a name"), None), None)
}

fn replaced(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    match bytes.windows(what.len()).position(|window| window == what) {
        Some(at) => [&bytes[..at], with, &replaced(&bytes[at + what.len()..], what, with)].concat(),
        None => bytes.to_vec(),
    }
}
