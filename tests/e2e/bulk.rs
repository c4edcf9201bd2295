//! Much data, little memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Frame, SizeHint};

use crate::harness::{nginx_in, plugin};
use support::cluster::{Cluster, Nginx};
use support::{Serving, http, matches_pattern, pattern};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![a_gibibyte_down_and_up]
}

const GIBIBYTE: u64 = 1 << 30;

/// Resident memory at its highest, in KiB. The program that users get needs less: this one is not optimised for size.
const PEAK: u64 = 40 * 1024;

/// Through nginx, over http and https, with every byte looked at.
async fn a_gibibyte_down_and_up(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx: Nginx = nginx_in(cluster, &namespace).await;
    let serving = plugin(cluster, &namespace, &["nginx:http", "https:nginx:443"]).serve_targets(2).await;
    for target in 0..2 {
        let url = serving.ready_target(target)["proxyUrl"].as_str().unwrap().to_owned();
        download(&url).await;
        assert_small(&serving, &format!("download from {url}"));
        upload(&url).await;
        assert_small(&serving, &format!("upload to {url}"));
    }
}

async fn download(url: &str) {
    let url = format!("{url}app/bytes/{GIBIBYTE}");
    let answer = http::stream(&url, ::http::Request::new(Empty::<Bytes>::new())).await;
    assert_eq!(answer.headers()["content-length"], GIBIBYTE.to_string());
    let mut body = answer.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.unwrap().into_data() else { continue };
        assert!(matches_pattern(length, &data), "another byte after {length}");
        length += data.len() as u64;
    }
    assert_eq!(length, GIBIBYTE);
}

async fn upload(url: &str) {
    let request = ::http::Request::builder().method("PUT").body(Pattern { sent: 0 }).unwrap();
    let answer = http::stream(&format!("{url}app/sink"), request).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, format!("{{\"length\":{GIBIBYTE}}}"));
}

fn assert_small(serving: &Serving, after: &str) {
    let (now, peak) = serving.memory();
    assert!(peak < PEAK, "after the {after}: {now} KiB, at most {peak} KiB");
}

/// A gibibyte of the pattern, made while it is sent.
struct Pattern {
    sent: u64,
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        const PIECE: u64 = 32 * 1024;
        let length = PIECE.min(GIBIBYTE - self.sent);
        if length == 0 {
            return Poll::Ready(None);
        }
        let data = pattern(self.sent, usize::try_from(length).expect("a piece is small"));
        self.sent += length;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(GIBIBYTE - self.sent)
    }
}
