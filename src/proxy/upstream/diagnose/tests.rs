use futures_util::FutureExt;
use http::Request;
use http_body_util::BodyExt;

use super::*;
use crate::cluster::{AddressType, Endpoint, EndpointPort, EndpointSlice};
use crate::service::{Protocol, Target, TargetPort};
use http::header::CONTENT_TYPE;

const NO_ENDPOINTS: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no endpoints available for service \"web:http\"","reason":"ServiceUnavailable","code":503}"#;

fn subject() -> FailingService {
    let port = TargetPort { name: Some("http".to_owned()), number: 80, target_port: None, has_siblings: true };
    let target = Target { port: Some(port), ..Target::unread("shop", "web:http".parse().unwrap(), None) };
    FailingService::new(&target, Some("prod eu"), "https://api.example:6443")
}

struct Seen(EndpointFacts);

impl ClusterView for Seen {
    fn unseen(&self, missing: &MissingRight) -> Option<CredentialsNotSeen> {
        (missing.user == "system:anonymous").then_some(CredentialsNotSeen::Header)
    }

    fn facts(&self) -> BoxFuture<'static, EndpointFacts> {
        futures_util::future::ready(self.0.clone()).boxed()
    }
}

fn asker(headers: &[(&str, &str)]) -> RequestingClient {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    RequestingClient::of(&request.body(()).unwrap())
}

fn browser() -> RequestingClient {
    asker(&[("sec-fetch-mode", "navigate"), ("accept", "text/html")])
}

fn answer(code: u16, kind: &str, body: &str) -> Response<Body> {
    Response::builder().status(code).header(CONTENT_TYPE, kind).body(Body::full(body.to_owned())).unwrap()
}

/// `total` endpoints, the first `ready` of them ready, the first `ready_pods` of those Pods; with the port of [`subject`]
/// or another.
fn slice(total: usize, ready: usize, ready_pods: usize, has_port: bool) -> EndpointSlice {
    let endpoint = |at: usize| Endpoint {
        addresses: vec![format!("10.0.0.{at}")],
        ready: at < ready,
        serving: true,
        terminating: false,
        pod: (at < ready_pods).then(|| format!("web-{at}")),
    };
    let name = if has_port { "http" } else { "a" };
    EndpointSlice {
        namespace: "shop".to_owned(),
        service: "web".to_owned(),
        addresses: AddressType::Ipv4,
        ports: vec![EndpointPort { name: name.to_owned(), number: Some(80), protocol: Protocol::Tcp }],
        endpoints: (0..total).map(endpoint).collect(),
    }
}

async fn examined(asker: RequestingClient, response: Response<Body>) -> (http::response::Parts, String) {
    let facts = EndpointFacts {
        is_gone: false,
        selector: Some("app=web".to_owned()),
        slices: Some(vec![slice(1, 0, 0, false)]),
        unready: vec![("web-1".to_owned(), "<CrashLoopBackOff>".to_owned())],
    };
    examined_with(facts, asker, response).await
}

async fn examined_with(
    facts: EndpointFacts,
    asker: RequestingClient,
    response: Response<Body>,
) -> (http::response::Parts, String) {
    let diagnostics = Diagnostics::new(subject(), Some(Arc::new(Seen(facts))));
    let (parts, body) = diagnostics.examine(asker, response).await.into_parts();
    (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn a_browser_gets_a_page_that_looks_again() {
    let (parts, body) = examined(browser(), answer(503, "application/json", NO_ENDPOINTS)).await;
    assert_eq!(parts.status, 503);
    assert_eq!(parts.headers["content-type"], "text/html; charset=utf-8");
    assert!(body.contains(" data-look=\"2\">"), "{body}");
    assert_eq!(parts.headers["cache-control"], "no-store");
    assert_eq!(parts.extensions.get::<FailureCause>(), Some(&FailureCause::NoEndpoints));
    for part in [
        "<span class=\"about\">prod eu<span class=\"about\">shop/web<span class=\"code\">503</header>",
        "aria-label=\"waiting\"",
        "<h1>web-1 is not ready</h1>",
        "<p class=\"why\">&lt;CrashLoopBackOff&gt;</p>",
        "kubectl --context &#39;prod eu&#39; -n shop get pods -l app=web",
        "no endpoints available for service &quot;web:http&quot;",
    ] {
        assert!(body.replace("<span>", "").replace("</span>", "").contains(part), "{part} in {body}");
    }
}

/// A look of a page is no navigation, and what nobody may repeat is not looked after.
#[tokio::test]
async fn a_look_is_answered_like_the_page() {
    let look = asker(&[("sec-fetch-mode", "cors"), ("svcproxy-look", "0")]);
    let (parts, page) = examined(browser(), answer(503, "application/json", NO_ENDPOINTS)).await;
    let (looked, _) = examined(look, answer(503, "application/json", NO_ENDPOINTS)).await;
    assert_eq!(parts.headers["svcproxy-state"], looked.headers["svcproxy-state"]);
    let post = RequestingClient { may_repeat: false, ..browser() };
    let (_, posted) = examined(post, answer(503, "application/json", NO_ENDPOINTS)).await;
    assert!(page.contains("data-look") && page.contains("http-equiv=\"refresh\""), "{page}");
    assert!(!posted.contains(" data-look") && !posted.contains("http-equiv"), "{posted}");
}

#[tokio::test]
async fn no_endpoints_because_there_is_no_service() {
    let facts = EndpointFacts { is_gone: true, ..EndpointFacts::default() };
    let (parts, body) = examined_with(facts, asker(&[]), answer(503, "application/json", NO_ENDPOINTS)).await;
    assert_eq!((parts.status.as_u16(), &parts.headers["svcproxy-error"]), (503, &"no-such-service".parse().unwrap()));
    assert_eq!(parts.extensions.get::<FailureCause>(), Some(&FailureCause::NoService));
    assert!(body.starts_with("There is no Service web in shop."), "{body}");
}

#[tokio::test]
async fn a_terminal_gets_text() {
    let (parts, body) = examined(asker(&[("accept", "*/*")]), answer(503, "application/json", NO_ENDPOINTS)).await;
    assert_eq!(parts.status, 503);
    assert_eq!(parts.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(parts.headers["svcproxy-error"], "no-ready-endpoint");
    assert!(!parts.headers.contains_key("svcproxy-state"));
    assert!(body.starts_with("web-1 is not ready.\n<CrashLoopBackOff>\n"), "{body}");
}

#[tokio::test]
async fn a_program_keeps_its_json() {
    let json = asker(&[("accept", "application/json")]);
    let (parts, body) = examined(json, answer(503, "application/json", NO_ENDPOINTS)).await;
    assert_eq!((parts.status, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, NO_ENDPOINTS));
    assert_eq!(
        parts.extensions.get::<FailureCause>(),
        Some(&FailureCause::NoEndpoints),
        "told to whoever chooses the transport"
    );
}

#[tokio::test]
async fn nobody_without_rights_is_somebody_whom_the_api_server_did_not_see() {
    let refused = |user: &str| {
        let message =
            format!(r#"services \"web\" is forbidden: User \"{user}\" cannot get resource \"services/proxy\" in"#);
        let body = format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"{message}","reason":"Forbidden","code":403}}"#
        );
        answer(403, "application/json", &body)
    };
    for (user, word) in [("system:anonymous", "credentials-unseen"), ("ann", "forbidden")] {
        let (parts, body) = examined(asker(&[]), refused(user)).await;
        assert_eq!(
            (parts.status.as_u16(), parts.headers["svcproxy-error"].as_bytes()),
            (403, word.as_bytes()),
            "{body}"
        );
        assert_eq!(body.contains("create role"), user == "ann", "{body}");
    }
    let json = asker(&[("accept", "application/json")]);
    let (parts, _) = examined(json, refused("system:anonymous")).await;
    assert_eq!(parts.extensions.get::<FailureCause>(), Some(&FailureCause::Unseen(CredentialsNotSeen::Header)));
}

#[tokio::test]
async fn the_services_own_answers_pass() {
    let huge = format!(r#"{{"kind":"Status","padding":"{}"}}"#, "x".repeat(2 * api_status::LIMIT));
    for (code, kind, body) in [
        (200, "application/json", NO_ENDPOINTS),
        (502, "application/json", NO_ENDPOINTS),
        (503, "text/plain", NO_ENDPOINTS),
        (503, "application/json", r#"{"error":"no endpoints available for service \"web\""}"#),
        (503, "application/json", huge.as_str()),
        (503, "application/json", ""),
        (400, "text/html", "<h1>Bad Request</h1>"),
    ] {
        let (parts, seen) = examined(browser(), answer(code, kind, body)).await;
        assert_eq!((parts.status.as_u16(), seen.as_str()), (code, body));
        assert_eq!(parts.extensions.get::<FailureCause>(), None);
    }
}

#[tokio::test]
async fn a_server_that_wants_tls_is_noticed() {
    let complaint = "Client sent an HTTP request to an HTTPS server.\n";
    let (parts, body) = examined(browser(), answer(400, "text/plain; charset=utf-8", complaint)).await;
    assert_eq!(parts.extensions.get::<FailureCause>(), Some(&FailureCause::WrongScheme { right: Scheme::Https }));
    assert_eq!(body, complaint);
}

#[tokio::test]
async fn no_terminal_obeys_a_message() {
    let diagnostics = Diagnostics::new(subject(), None);
    let asker = asker(&[("accept", "*/*")]);
    let response = diagnostics.explain(asker, FailureCause::PodRefuses, StatusCode::BAD_GATEWAY, "a\u{1b}[31m").await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!body.contains(&0x1b), "{body:?}");
}

fn explained(cause: &FailureCause, way: WayTaken) -> Explanation {
    Explanation::new(cause, StatusCode::BAD_GATEWAY, "", &subject(), &EndpointFacts::default(), way)
}

/// Titles stand alone, so each names its thing; the words of the header are scripts' and must not change.
#[test]
fn every_cause_is_explained() {
    let missing = |resource: &str| MissingRight { user: "ann".into(), verb: "get".into(), resource: resource.into() };
    let check = |cause: FailureCause, word: &str, title: &str| {
        let explanation = explained(&cause, WayTaken::ServiceProxy);
        assert_eq!((explanation.word, explanation.title.as_str()), (word, title));
        assert!(!explanation.title.ends_with('.'), "{title}");
    };
    check(FailureCause::NoEndpoints, "no-ready-endpoint", "web has no ready endpoint");
    check(FailureCause::NoService, "no-such-service", "There is no Service web in shop");
    check(FailureCause::NoSuchPort, "no-such-port", "web has no port http (80)");
    check(FailureCause::InvalidId, "invalid-service-id", "The API server cannot read the Service ID web:http");
    check(
        FailureCause::WrongScheme { right: Scheme::Https },
        "wrong-scheme",
        "web speaks https on this port, not http",
    );
    check(FailureCause::PodUnreachable, "pod-unreachable", "The API server cannot reach the Pods of web");
    check(FailureCause::PodRefuses, "connection-refused", "Nothing listens on the port that web leads to");
    check(FailureCause::PodBreaksOff, "connection-closed", "web closed the connection without an answer");
    check(FailureCause::PodNotReached, "pod-not-reached", "The API server did not get through to web");
    check(FailureCause::NotHttp, "not-http", "web does not speak HTTP on this port");
    check(FailureCause::HeadTooLarge, "header-too-large", "The header of web's answer is too large");
    check(
        FailureCause::MalformedAnswer(AnswerFault::HeaderLine),
        "malformed-answer",
        "web's answer is malformed: it has a malformed header line",
    );
    check(FailureCause::InsistsOnHttps, "insists-on-https", "web leads every request to https, without end");
    check(FailureCause::RedirectsToItself, "redirect-loop", "web leads to the page that was asked for, without end");
    check(FailureCause::PodTls, "pod-tls", "No TLS connection to web");
    check(FailureCause::UpgradeRefused, "websocket-refused", "web did not accept the WebSocket");
    check(FailureCause::BadRedirect, "bad-redirect", "web redirects to something that is no URL");
    check(FailureCause::BadEncoding, "bad-encoding", "The API server could not read web's HTML");
    check(FailureCause::Unauthorized, "unauthorized", "The API server no longer accepts your credentials");
    check(FailureCause::Denied, "denied", "A policy of the cluster denied the request");
    check(
        FailureCause::Forbidden(missing("services/proxy")),
        "forbidden",
        "You may not open web through the API server",
    );
    check(FailureCause::Forbidden(missing("pods/portforward")), "forbidden", "You may not get pods/portforward");
    for (verb, resource) in [("impersonate", "users"), ("impersonate-on:user-info:get", "services/proxy")] {
        let missing = MissingRight { user: "ann".into(), verb: verb.into(), resource: resource.into() };
        check(FailureCause::Forbidden(missing), "forbidden", "You may not act as somebody else");
    }
    let unseen = |unseen: CredentialsNotSeen| FailureCause::Unseen(unseen);
    check(unseen(CredentialsNotSeen::Header), "credentials-unseen", "The API server did not see your credentials");
    check(unseen(CredentialsNotSeen::Certificate), "credentials-unseen", "The API server did not see your credentials");
    let jane = CredentialsNotSeen::Impersonation { as_user: "jane".into(), seen: "ann".into() };
    check(unseen(jane), "impersonation-unseen", "The API server did not see that you act as jane");
    check(
        FailureCause::MethodNotAllowed,
        "method-not-allowed",
        "The API server's service proxy does not carry this method",
    );
    check(FailureCause::DryRun, "dry-run", "The API server took dryRun in the query for its own");
    check(FailureCause::NotFaithful, "not-faithful", "This request cannot be carried without changing it");
    let only = FailureCause::OnlyByPortForward(NoPortForwardReason::Right);
    check(only, "only-by-port-forward", "The service proxy would change this request");
    check(FailureCause::NodeUnreachable, "node-unreachable", "The API server cannot reach the node of web's Pod");
    check(FailureCause::NoPortForward, "no-port-forward", "The API server offers no port-forward");
    check(
        FailureCause::UpgradeLost,
        "upgrade-lost",
        "Something on the way to the API server takes Upgrade out of requests",
    );
    check(
        FailureCause::ApiServer(ApiServerFailure::Unreachable),
        "api-server-unreachable",
        "No connection to the API server",
    );
    check(
        FailureCause::ApiServer(ApiServerFailure::Credentials),
        "no-credentials",
        "No credentials for the API server",
    );
    check(
        FailureCause::ApiServer(ApiServerFailure::BrokeOff),
        "broke-off",
        "The connection broke before the answer came",
    );
    check(
        FailureCause::ApiServer(ApiServerFailure::Lost),
        "connection-lost",
        "The connection to the API server was lost",
    );
}

#[test]
fn the_rule_to_ask_for_names_the_literal_id() {
    let missing = MissingRight { user: "ann".into(), verb: "get".into(), resource: "services/proxy".into() };
    let explanation = explained(&FailureCause::Forbidden(missing), WayTaken::ServiceProxy);
    let commands: Vec<_> = explanation.checks.iter().filter_map(|check| check.command.as_deref()).collect();
    assert_eq!(
        commands,
        [
            "kubectl -n shop create role svcproxy-web --verb=get,create,update,patch,delete \
             --resource=services/proxy --resource-name=web:http",
            "kubectl -n shop create rolebinding svcproxy-web --role=svcproxy-web --user=ann",
            "kubectl -n shop create role svcproxy-web-port-forward --verb=get,create \
             --resource=pods/portforward",
            "kubectl -n shop create rolebinding svcproxy-web-port-forward \
             --role=svcproxy-web-port-forward --user=ann",
        ]
    );
}

const WAY: WayTaken = WayTaken::ServiceProxy;

/// Nobody is advised to go the way that was gone.
#[test]
fn advice_knows_the_way_that_was_taken() {
    let said = |cause: &FailureCause, way: WayTaken| {
        let Explanation { title, text, checks, .. } = explained(cause, way);
        let checks = checks.into_iter().map(|check| format!("{}: {}", check.text, check.command.unwrap_or_default()));
        (title.clone(), [title, text].into_iter().chain(checks).collect::<Vec<_>>().join("\n"))
    };
    for cause in [
        FailureCause::PodUnreachable,
        FailureCause::PodNotReached,
        FailureCause::PodRefuses,
        FailureCause::MalformedAnswer(AnswerFault::Chunks),
    ] {
        assert!(said(&cause, WAY).1.contains("--via port-forward"), "{cause:?}");
        for way in [WayTaken::PortForward, WayTaken::BothInVain] {
            assert!(!said(&cause, way).1.contains("--via port-forward"), "{cause:?} {way:?}");
        }
    }
    let title = |cause: FailureCause, way: WayTaken| said(&cause, way).0;
    let both = "web is reached neither by the API server nor by the node";
    assert_eq!(title(FailureCause::PodUnreachable, WayTaken::BothInVain), both);
    assert_eq!(title(FailureCause::PodUnreachable, WayTaken::PortForward), "The node cannot reach the Pod of web");
    let neither = "The API server reaches neither the Pods of web nor their node";
    assert_eq!(title(FailureCause::NodeUnreachable, WayTaken::BothInVain), neither);
}

/// Each way tells the other what it met.
#[tokio::test]
async fn the_second_way_knows_of_the_first() {
    let diagnostics = Diagnostics::new(subject(), None);
    let forward = diagnostics.by(Transport::PortForward);
    let title = async |diagnostics: &Diagnostics| {
        let code = StatusCode::GATEWAY_TIMEOUT;
        let answer = diagnostics.explain(asker(&[]), FailureCause::PodUnreachable, code, "").await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8_lossy(&body).lines().next().unwrap().to_owned()
    };
    assert_eq!(title(&forward).await, "The node cannot reach the Pod of web.");
    assert_eq!(title(&diagnostics).await, "The API server cannot reach the Pods of web.");
    assert_eq!(title(&forward).await, "web is reached neither by the API server nor by the node.");
}

#[test]
fn what_is_no_http_is_reached_by_kubectl() {
    let command = |target: Target| {
        let subject = FailingService { target, ..subject() };
        let (cause, code) = (FailureCause::NotHttp, StatusCode::BAD_GATEWAY);
        let explanation = Explanation::new(&cause, code, "", &subject, &EndpointFacts::default(), WAY);
        explanation.checks.into_iter().next().and_then(|check| check.command).unwrap()
    };
    let unread = |id: &str| Target::unread("shop", id.parse().unwrap(), None);
    let start = "kubectl --context 'prod eu' -n shop port-forward svc/web";
    assert_eq!(command(subject().target), format!("{start} :80"));
    assert_eq!(command(unread("web:6379")), format!("{start} 6379"));
    assert_eq!(command(unread("web:redis")), format!("{start} :PORT"));
}

#[test]
fn why_there_is_no_endpoint() {
    let check = |facts: EndpointFacts, expect: &str| {
        let explanation =
            Explanation::new(&FailureCause::NoEndpoints, StatusCode::SERVICE_UNAVAILABLE, "", &subject(), &facts, WAY);
        assert_eq!(explanation.title, expect);
    };
    let endpoints = |total, ready, ready_pods, has_port| EndpointFacts {
        is_gone: false,
        selector: Some("app=web".to_owned()),
        slices: Some(vec![slice(total, ready, ready_pods, has_port)]),
        unready: Vec::new(),
    };
    check(EndpointFacts::default(), "web has no ready endpoint");
    check(endpoints(0, 0, 0, false), "web has no Pods");
    check(EndpointFacts { selector: Some(String::new()), ..endpoints(0, 0, 0, false) }, "web has no endpoints");
    check(endpoints(2, 0, 0, true), "No Pod of web is ready");
    check(endpoints(2, 1, 1, false), "No Pod of web has the port http (80)");
    check(endpoints(2, 1, 0, true), "web leads to addresses that are no Pods");
    check(endpoints(2, 1, 1, true), "web is ready now");
    let pending = ("web-1".to_owned(), "Pending".to_owned());
    let starting = ("web-2".to_owned(), "it is not ready".to_owned());
    check(EndpointFacts { unready: vec![pending.clone()], ..endpoints(0, 0, 0, false) }, "web-1 is not ready");
    let several = EndpointFacts { unready: vec![pending, starting], ..endpoints(2, 0, 0, true) };
    check(several, "None of the 2 Pods of web is ready");
}
