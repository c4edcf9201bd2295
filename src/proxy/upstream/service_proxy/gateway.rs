//! Gateways in front of API servers that choose by `Host` whom a request goes to.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use crate::cluster::{ApiServer, SendError};
use crate::message::body::Body;
use crate::message::forwarded_fields::X_FORWARDED_HOST;
use crate::message::host_port::unbracketed;
use crate::proxy::upstream::host;
use crate::proxy::upstream::unprefix::HostPair;
use crate::service::Scheme;

/// A host that no gateway serves.
const LOCAL: HeaderValue = HeaderValue::from_static("localhost");
/// More of an answer than this is not compared.
const LIMIT: usize = 64 * 1024;

/// An answer, as far as two are compared.
#[derive(PartialEq, Eq)]
struct ProbeAnswer {
    status: StatusCode,
    kind: Option<HeaderValue>,
    body: Vec<u8>,
}

/// Whether there is no name for a gateway to choose by.
pub(super) fn has_no_name(authority: &Authority) -> bool {
    let host = unbracketed(authority.host());
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok()
}

/// Whether requests must name the API server in `Host` to reach it; an API server itself does not look at `Host`.
pub(super) async fn probe(api: &ApiServer) -> Result<bool, SendError> {
    let local = version(api, Some(LOCAL)).await?;
    if local.is_of_an_api_server() {
        return Ok(false);
    }
    Ok(version(api, None).await? != local)
}

async fn version(api: &ApiServer, host: Option<HeaderValue>) -> Result<ProbeAnswer, SendError> {
    let mut request = Request::new(Body::Empty);
    *request.uri_mut() = http::Uri::from_static("/version");
    request.headers_mut().extend(host.map(|host| (HOST, host)));
    let answer = api.send(request).await?;
    api.gateway_cookies.learn(answer.headers());
    ProbeAnswer::read(answer).await
}

impl ProbeAnswer {
    async fn read(answer: Response<Body>) -> Result<Self, SendError> {
        let (head, body) = answer.into_parts();
        let interrupted = |error| SendError::Interrupted { cause: format!("{error}") };
        let body = Limited::new(body, LIMIT).collect().await.map_err(interrupted)?;
        Ok(Self { status: head.status, kind: head.headers.get(CONTENT_TYPE).cloned(), body: body.to_bytes().to_vec() })
    }

    /// Its version, or a `Status` that says why not.
    fn is_of_an_api_server(&self) -> bool {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(&self.body) else { return false };
        match self.status {
            StatusCode::OK => body["gitVersion"].is_string(),
            _ => body["kind"] == "Status" && body["apiVersion"] == "v1",
        }
    }
}

/// Names the API server in `Host`, and lets what the browser says of its own origin agree with it. Where nothing has to
/// agree, the app is told its real host.
pub(super) fn show_api_host(headers: &mut HeaderMap, scheme: Scheme, hosts: &HostPair) {
    host::set_app_host(headers, scheme, hosts);
    if !headers.contains_key(ORIGIN) {
        headers.insert(X_FORWARDED_HOST, hosts.local.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: u16, body: &str) -> ProbeAnswer {
        ProbeAnswer { status: StatusCode::from_u16(status).unwrap(), kind: None, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn answers_of_an_api_server() {
        assert!(seen(200, r#"{"major":"1","gitVersion":"v1.37.2"}"#).is_of_an_api_server());
        assert!(seen(403, r#"{"kind":"Status","apiVersion":"v1","code":403}"#).is_of_an_api_server());
        assert!(!seen(404, "default backend - 404").is_of_an_api_server());
        assert!(!seen(200, r#"{"version":"of something else"}"#).is_of_an_api_server());
        assert!(!seen(421, r#"{"kind":"Error"}"#).is_of_an_api_server());
        assert!(!seen(200, "<html>").is_of_an_api_server());
    }

    #[test]
    fn an_address_needs_no_probe() {
        for (authority, expect) in [
            ("10.0.0.1:6443", true),
            ("[::1]:6443", true),
            ("localhost:6443", true),
            ("api.example:6443", false),
            ("10.0.0.1.example", false),
        ] {
            assert_eq!(has_no_name(&authority.parse().unwrap()), expect, "{authority}");
        }
    }

    #[test]
    fn forwarded_only_where_no_origin_is_compared() {
        let hosts = HostPair {
            sent: HeaderValue::from_static("api.example:6443"),
            local: HeaderValue::from_static("l:1"),
            browser: Scheme::Http,
        };
        let local = || hosts.local.clone();
        let mut plain = HeaderMap::from_iter([(HOST, local()), (X_FORWARDED_HOST, local())]);
        let mut posted = plain.clone();
        posted.insert(ORIGIN, HeaderValue::from_static("http://l:1"));
        show_api_host(&mut plain, Scheme::Http, &hosts);
        show_api_host(&mut posted, Scheme::Http, &hosts);
        assert_eq!((&plain["host"], &plain["x-forwarded-host"]), (&hosts.sent, &hosts.local));
        assert_eq!(posted["origin"], "http://api.example:6443");
        assert_eq!(posted.get("x-forwarded-host"), None);
    }
}
