//! A page in pieces of any size, plain and compressed: always the same comes out, and all of it where no link is ours.
#![no_main]

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use libfuzzer_sys::fuzz_target;
use svcproxy::message::body::Body;
use svcproxy::message::body::BoxError;
use svcproxy::proxy::upstream::unprefix::{HostPair, ServiceNames, Unprefix};
use svcproxy::service::{Scheme, Target};

const PREFIX: &str = "/api/v1/namespaces/ns/services/web/proxy";

fuzz_target!(|data: &[u8]| {
    let Some((&size, text)) = data.split_first() else { return };
    let page = replaced(text, "§".as_bytes(), PREFIX.as_bytes());
    let size = usize::from(size) + 1;
    let whole = passed(&page, page.len().max(1), false).expect("a plain page passes");
    assert_eq!(passed(&page, size, false).expect("a plain page passes"), whole);
    assert_eq!(passed(&zipped(&page), size, true).expect("a whole page passes"), whole);
    if !contains(&page, PREFIX.as_bytes()) && !contains(&page.to_ascii_lowercase(), b"l:1") {
        assert_eq!(whole, page);
    }
    // What is no gzip ends in an error or not, but it ends.
    let _ = passed(&page, size, true);
});

fn passed(page: &[u8], size: usize, is_zipped: bool) -> Option<Vec<u8>> {
    let pieces: Vec<_> =
        page.chunks(size).map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::copy_from_slice(piece)))).collect();
    let mut answer = Response::new(Body::boxed(StreamBody::new(futures_util::stream::iter(pieces))));
    answer.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
    if is_zipped {
        answer.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    }
    let unprefix = Unprefix::new("", &[format!("{PREFIX}/")], "api:6443", names());
    let hosts = HostPair {
        sent: HeaderValue::from_static("l:1"),
        local: HeaderValue::from_static("l:1"),
        browser: Scheme::Http,
    };
    let answer = Arc::new(unprefix).answer(hosts, answer);
    let body = answer.into_body().collect().now_or_never().expect("nothing is waited for");
    body.ok().map(|body| body.to_bytes().to_vec())
}

fn zipped(page: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(page).and_then(|()| encoder.finish()).unwrap()
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
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
