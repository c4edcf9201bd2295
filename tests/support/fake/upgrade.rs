//! Upgrades through the service proxy: a raw connection to the Pod, and bytes both ways. apimachinery
//! `pkg/util/proxy/upgradeaware.go`.

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, copy, split};

use super::backend::{self, Failure};
use super::server::{Call, Reply};
use super::service_proxy::{Location, append_forwarded_for, name_go, request_target};
use super::status::Status;
use super::whole;

/// Any `Connection` that contains the word will do, whatever `Upgrade` says.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let contains =
        |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().windows(7).any(|word| word == b"upgrade");
    headers.get_all(CONNECTION).iter().any(contains)
}

/// Passes the handshake on, without its query, and then bytes.
pub(crate) async fn serve(mut call: Call, location: Location) -> Reply {
    let client = hyper::upgrade::on(&mut call.request);
    let headers = call.request.headers().clone();
    let refuse = |message: String| Reply::Answer(Status::unknown(message).response(&headers, &call.query));
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = call.request.method().clone();
    *request.uri_mut() = request_target(&location, "").parse().expect("encoded by the rules of URLs");
    *request.headers_mut() = headers.clone();
    name_go(request.headers_mut());
    append_forwarded_for(request.headers_mut(), call.client);
    let response = match backend::send(&location, request, None).await {
        Ok(response) => response,
        Err(Failure(reason)) => return refuse(format!("error dialing backend: {reason}")),
    };
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => switch(client, response),
        status if status.as_u16() < 400 => refuse(format!("invalid upgrade response: status code {}", status.as_u16())),
        _ => {
            let (mut head, body) = response.into_parts();
            // The connection was taken from the server, which therefore cannot go on with it.
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
            Reply::Bare(Response::from_parts(head, body.map_err(Into::into).boxed_unsync()))
        }
    }
}

fn switch(client: OnUpgrade, mut response: Response<Incoming>) -> Reply {
    let service = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let (Ok(client), Ok(service)) = (client.await, service.await) else { return };
        tunnel(TokioIo::new(client), TokioIo::new(service)).await;
    });
    Reply::Bare(response.map(|_| whole("").into_body()))
}

/// As soon as one side ends, both do.
async fn tunnel<A, B>(client: A, service: B)
where
    A: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    B: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut from_client, mut to_client) = split(client);
    let (mut from_service, mut to_service) = split(service);
    tokio::select! {
        _ = copy(&mut from_client, &mut to_service) => {}
        _ = copy(&mut from_service, &mut to_client) => {}
    }
    let _ = to_client.shutdown().await;
    let _ = to_service.shutdown().await;
}
