//! Services and their endpoints, as an API server tells them.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::server::Server;
use crate::cluster::api::endpoint_slices::ready;
use crate::cluster::{AccessRule, ApiError, Cluster, ConnectFlags, ProcessEnvironment, ReadinessInOrder, Scope};
use crate::error::Error;
use crate::message::body::Body;
use crate::service::{PortRef, Protocol, Readiness, Service, ServiceType};

fn answer(status: u16, json: &Value) -> Response<Body> {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(Body::full(json.to_string())).unwrap()
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code, "metadata": {}})
}

fn service(namespace: &str, name: &str) -> Value {
    json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"ports": [{"port": 80}]}})
}

/// Answers each target with what stands for it in the table.
async fn answering(table: Vec<(&'static str, u16, Value)>) -> Server {
    Server::https(move |request: Request<Incoming>| {
        let target = request.uri().to_string();
        let found = table.iter().find(|(key, ..)| *key == target);
        let found = found.map_or_else(|| panic!("{target}"), |(_, code, json)| answer(*code, json));
        async move { found }
    })
    .await
}

async fn listed(cluster: &Cluster, scope: Scope, selector: Option<&str>) -> Result<Vec<Vec<String>>, ApiError> {
    let names = |page: Vec<Service>| page.into_iter().map(|service| service.name).collect();
    cluster.services(&scope, selector).map_ok(names).try_collect().await
}

#[tokio::test]
async fn a_service_with_everything() {
    let full = json!({
        "metadata": {
            "namespace": "web", "name": "shop", "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {"svcproxy.dev/path": "/ui/", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.9", "selector": {"app": "shop"}, "sessionAffinity": "ClientIP",
            "ports": [
                {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "appProtocol": "http", "protocol": "TCP"},
                {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
            ],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.example"}]}},
    });
    let server = answering(vec![
        ("/api/v1/namespaces/web/services/shop", 200, full),
        ("/api/v1/namespaces/web/services/least", 200, json!({"metadata": {"namespace": "web", "name": "least"}})),
        ("/api/v1/namespaces/web/services/none", 404, status(404, "NotFound", "services \"none\" not found")),
        ("/api/v1/namespaces/web/services/..%2F%3F", 404, status(404, "NotFound", "")),
    ])
    .await;
    let cluster = server.cluster().await;
    let shop = cluster.service("web", "shop").await.unwrap().unwrap();
    assert_eq!(
        (shop.namespace.as_str(), shop.kind, shop.cluster_ip.as_deref()),
        ("web", ServiceType::LoadBalancer, Some("10.96.0.9"))
    );
    assert_eq!(shop.annotations.into_iter().collect::<Vec<_>>(), [("svcproxy.dev/path".to_owned(), "/ui/".to_owned())]);
    assert_eq!(shop.load_balancer, ["192.0.2.1", "lb.example"]);
    assert_eq!(
        (shop.created, shop.session_affinity, shop.selector["app"].as_str()),
        (Some(1_767_323_045), true, "shop")
    );
    let ports: Vec<_> =
        shop.ports.iter().map(|port| (port.number, port.protocol, port.target_port.clone(), port.node_port)).collect();
    let expected = [
        (80, Protocol::Tcp, Some(PortRef::Name("web".to_owned())), Some(30080)),
        (53, Protocol::Udp, Some(PortRef::Number(5353)), None),
    ];
    assert_eq!(ports, expected);
    let least = cluster.service("web", "least").await.unwrap().unwrap();
    assert_eq!((least.kind, least.ports.len(), least.cluster_ip), (ServiceType::ClusterIp, 0, None));
    assert_eq!(cluster.service("web", "none").await.unwrap(), None);
    assert_eq!(cluster.service("web", "../?").await.unwrap(), None);
    assert!(server.notes.last().header("user-agent").unwrap().starts_with("kubectl-svcproxy/"));
}

#[tokio::test]
async fn pages_follow_each_other() {
    let server = answering(vec![
        (
            "/api/v1/services",
            200,
            json!({"metadata": {"continue": "a+b="}, "items": [service("a", "one"), service("a", "two")]}),
        ),
        (
            "/api/v1/services?continue=a%2Bb%3D",
            200,
            json!({"metadata": {"continue": ""}, "items": [service("b", "three")]}),
        ),
        (
            "/api/v1/namespaces/none/services?labelSelector=app%20in%20%28a%2Cb%29",
            200,
            json!({"metadata": {}, "items": null}),
        ),
    ])
    .await;
    let cluster = server.cluster().await;
    let pages = listed(&cluster, Scope::All, None).await.unwrap();
    assert_eq!(pages, [vec!["one", "two"], vec!["three"]]);
    let none = Scope::Namespace("none".to_owned());
    assert_eq!(listed(&cluster, none, Some("app in (a,b)")).await.unwrap(), [Vec::<String>::new()]);
}

#[tokio::test]
async fn a_list_that_nobody_reads_on_is_taken_from_the_wire_all_the_same() {
    const COUNT: usize = 700;
    let sent = Arc::new(Notify::new());
    let told = sent.clone();
    let server = Server::https(move |_| {
        let item = |number| {
            let mut item = service("a", &format!("s-{number:03}"));
            item["metadata"]["annotations"] = json!({"large": "x".repeat(64 * 1024)});
            format!("{}{item}", if number == 0 { "" } else { "," })
        };
        let items = stream::iter(0..COUNT).map(item);
        let told = told.clone();
        let end = stream::once(async move {
            told.notify_one();
            "]}".to_owned()
        });
        let text = stream::iter(["{\"metadata\":{},\"items\":[".to_owned()]).chain(items).chain(end);
        let body = StreamBody::new(text.map(|text| Ok(Frame::data(Bytes::from(text)))));
        async move { Response::new(Body::boxed(body)) }
    })
    .await;
    let cluster = server.cluster().await;
    let mut portions = pin!(cluster.services(&Scope::All, None));
    let first = portions.next().await.unwrap().unwrap().len();
    assert!(first < COUNT);
    timeout(Duration::from_secs(60), sent.notified()).await.expect("the API server may send it all");
    let rest: Vec<Vec<Service>> = portions.try_collect().await.unwrap();
    assert_eq!(first + rest.iter().map(Vec::len).sum::<usize>(), COUNT);
}

#[tokio::test]
async fn lists_come_compressed() {
    let server = Server::https(|request: Request<Incoming>| async move {
        let list = json!({"metadata": {}, "items": [service("a", "one")]}).to_string();
        let wanted = request.headers().get("accept-encoding").is_some_and(|encoding| encoding == "gzip");
        if !wanted {
            return Response::new(Body::full(list));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(list.as_bytes()).unwrap();
        Response::builder().header("content-encoding", "gzip").body(Body::full(encoder.finish().unwrap())).unwrap()
    })
    .await;
    let kubeconfig = server.kubeconfig("{token: secret}");
    let plain = ConnectFlags { disable_compression: true, ..kubeconfig.flags() };
    for (flags, encoding) in [(kubeconfig.flags(), Some("gzip")), (plain, None)] {
        let cluster = Cluster::load(&flags, &ProcessEnvironment::default()).await.unwrap();
        assert_eq!(listed(&cluster, Scope::All, None).await.unwrap(), [["one"]]);
        assert_eq!(server.notes.last().header("accept-encoding"), encoding);
    }
}

fn slice(service: &str, kind: &str, ready: &[Option<bool>]) -> Value {
    let endpoint = |ready: &Option<bool>| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": "p"}});
    json!({
        "metadata": {"namespace": "web", "name": format!("{service}-{kind}"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": kind,
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": ready.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

#[tokio::test]
async fn readiness_counts_each_endpoint_once() {
    let shop = [
        slice("shop", "IPv4", &[Some(true), Some(false), None]),
        slice("shop", "IPv6", &[Some(true), Some(false), None]),
    ];
    let items = json!([shop[0], shop[1], slice("db", "IPv4", &[Some(false)]), slice("db", "IPv4", &[Some(true)])]);
    let server = answering(vec![
        ("/apis/discovery.k8s.io/v1/endpointslices", 200, json!({"metadata": {}, "items": items})),
        (
            "/apis/discovery.k8s.io/v1/namespaces/web/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dshop",
            200,
            json!({"metadata": {}, "items": shop}),
        ),
    ])
    .await;
    let cluster = server.cluster().await;
    let unnamed = PortRef::Name(String::new());
    let table = cluster.readiness(&[Scope::All]).await.unwrap();
    assert_eq!(table.get("web", "shop", Some(&unnamed)), Readiness { ready: 2, total: 3 });
    assert_eq!(table.get("web", "db", None), Readiness { ready: 1, total: 2 });
    assert_eq!(table.get("other", "shop", None), Readiness { ready: 0, total: 0 });
    let slices = cluster.endpoints("web", "shop").await.unwrap();
    assert_eq!(ready(&slices, &unnamed), Readiness { ready: 2, total: 3 });
    assert_eq!((slices[0].ports[0].number, slices[0].endpoints[0].pod.as_deref()), (Some(8080), Some("p")));
}

/// A page with a slice for each Service of the same name as its namespace.
fn slices_of(namespaces: &[&str], next: &str) -> Value {
    let slice = |namespace: &&str| {
        let mut slice = slice(namespace, "IPv4", &[Some(true)]);
        slice["metadata"]["namespace"] = json!(namespace);
        slice
    };
    json!({"metadata": {"continue": next}, "items": namespaces.iter().map(slice).collect::<Vec<_>>()})
}

async fn of(readiness: &mut ReadinessInOrder, namespace: &str, service: &str) -> Option<Readiness> {
    readiness.get(namespace, service).await.unwrap().map(|service| service.behind(None))
}

#[tokio::test]
async fn readiness_is_read_as_far_as_it_is_asked_for() {
    let server = answering(vec![
        ("/apis/discovery.k8s.io/v1/endpointslices", 200, slices_of(&["a-b", "a", "a", "c"], "more")),
        ("/apis/discovery.k8s.io/v1/endpointslices?continue=more", 200, slices_of(&["c", "d"], "most")),
        ("/apis/discovery.k8s.io/v1/endpointslices?continue=most", 200, slices_of(&["e"], "")),
    ])
    .await;
    let mut readiness = server.cluster().await.readiness_in_order(&Scope::All);
    let ready = |count| Some(Readiness { ready: count, total: count });
    for (namespace, expect) in [("a-b", ready(1)), ("a", ready(2)), ("b", ready(0)), ("c", ready(2)), ("c", ready(2))] {
        assert_eq!(of(&mut readiness, namespace, namespace).await, expect, "{namespace}");
    }
    assert_eq!(of(&mut readiness, "c", "another").await, ready(0));
    for (namespace, expect) in [("e", ready(1)), ("f", ready(0)), ("g", ready(0))] {
        assert_eq!(of(&mut readiness, namespace, namespace).await, expect, "{namespace}");
    }
}

#[tokio::test]
async fn readiness_is_not_guessed_where_the_order_is_another_one() {
    let cases: [(&[&str], &[&str]); 3] =
        [(&["b", "a"], &["a", "b"]), (&["a", "b", "a"], &["a", "b", "c"]), (&["a", "b"], &["b", "a"])];
    for (slices, asked) in cases {
        let list = slices_of(slices, "");
        let server = answering(vec![("/apis/discovery.k8s.io/v1/endpointslices", 200, list)]).await;
        let mut readiness = server.cluster().await.readiness_in_order(&Scope::All);
        for namespace in &asked[..asked.len() - 1] {
            readiness.get(namespace, namespace).await.unwrap();
        }
        let last = asked.last().unwrap();
        assert_eq!(of(&mut readiness, last, last).await, None, "{slices:?} {asked:?}");
    }
}

#[tokio::test]
async fn rights_are_asked_for() {
    let server = Server::https(|request: Request<Incoming>| async move {
        let review = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
        let review: Value = serde_json::from_slice(&review).unwrap();
        let expected =
            json!({"namespace": "web", "verb": "create", "group": "", "resource": "pods", "subresource": "portforward", "name": ""});
        let allowed = review["spec"]["resourceAttributes"] == expected;
        answer(201, &json!({"kind": "SelfSubjectAccessReview", "status": {"allowed": allowed}}))
    })
    .await;
    let cluster = server.cluster().await;
    assert!(cluster.allows(&AccessRule::new("create", "pods/portforward", Some("web"))).await.unwrap());
    assert!(!cluster.allows(&AccessRule::new("get", "pods", Some("web"))).await.unwrap());
}

#[tokio::test]
async fn failures_in_the_users_words() {
    let forbidden =
        "services is forbidden: User \"jane\" cannot list resource \"services\" in API group \"\" at the cluster scope";
    let cases = [
        (
            403,
            status(403, "Forbidden", forbidden),
            "you may not list services in all namespaces",
            "ask for the rule {apiGroups: [\"\"], resources: [\"services\"], verbs: [\"list\"]}: \
             kubectl create clusterrole svcproxy --verb=list --resource=services",
        ),
        (
            401,
            status(401, "Unauthorized", "Unauthorized"),
            "the API server does not accept these credentials; they may have expired",
            "log in again; `kubectl auth whoami` shows whether that worked. If it never does, something between here and \
             the API server may drop the Authorization header",
        ),
        (500, status(500, "InternalError", "etcd is gone"), "the API server answered 500: etcd is gone", ""),
        (502, json!("<html>"), "the API server answered 502 Bad Gateway", ""),
        (400, json!("Something else"), "the API server answered 400 Bad Request", ""),
        (
            200,
            json!({"items": "hunter2"}),
            "the answer to /api/v1/services is not the Kubernetes API's: unexpected content after 9 bytes",
            "",
        ),
    ];
    for (code, body, message, hint) in cases {
        let server = answering(vec![("/api/v1/services", code, body)]).await;
        let error = listed(&server.cluster().await, Scope::All, None).await.unwrap_err();
        let error = Error::from(error);
        assert_eq!((error.message(), error.hint_text().unwrap_or_default()), (message, hint));
    }
}

#[tokio::test]
async fn who_shows_no_credentials_is_told_so() {
    let forbidden = |user: &str| {
        let words = format!(
            "services is forbidden: User {user:?} cannot list resource \"services\" in API group \"\" at the cluster scope"
        );
        (403, status(403, "Forbidden", &words))
    };
    let check = async |user: &str, (code, body): (u16, Value), message: &str, hint: &str| {
        let server = answering(vec![("/api/v1/services", code, body)]).await;
        let kubeconfig = server.kubeconfig(if user.is_empty() { "{}" } else { user });
        let flags = kubeconfig.flags();
        if user.is_empty() {
            let text = std::fs::read_to_string(kubeconfig.path()).unwrap().replace(", user: u,", ",");
            std::fs::write(kubeconfig.path(), text).unwrap();
        }
        let cluster = Cluster::load(&flags, &ProcessEnvironment::default()).await.unwrap();
        let error = Error::from(listed(&cluster, Scope::All, None).await.unwrap_err());
        assert_eq!(error.message(), message);
        assert!(error.hint_text().unwrap_or_default().starts_with(hint), "{error:?}");
    };
    let nobody = "no credentials were sent, so you are system:anonymous, who may not list services";
    let wanted = "no credentials were sent, and the API server wants some";
    let none = "context \"x\" names no user; choose one with --user NAME, or give --token";
    let of_user = "the kubeconfig has no credentials of user \"u\"; choose one with --user NAME, or give --token";
    let unauthorized = || (401, status(401, "Unauthorized", "Unauthorized"));
    check("", forbidden("system:anonymous"), nobody, none).await;
    check("", unauthorized(), wanted, none).await;
    check("{}", forbidden("system:anonymous"), nobody, of_user).await;
    check("{}", unauthorized(), wanted, of_user).await;
    check("", forbidden("jane"), "you may not list services in all namespaces", "ask for the rule").await;
    check(
        "{token: secret}",
        unauthorized(),
        "the API server does not accept these credentials; they may have expired",
        "",
    )
    .await;
    let unseen = "the API server did not see your credentials and took you for system:anonymous";
    check("{token: secret}", forbidden("system:anonymous"), unseen, "something between").await;
}

#[tokio::test]
async fn calls_have_a_limit_and_proxied_requests_have_none() {
    let server = Server::https(|request: Request<Incoming>| async move {
        if request.headers().contains_key("x-slow") {
            tokio::time::sleep(Duration::from_millis(300)).await;
            return Response::new(Body::Empty);
        }
        std::future::pending().await
    })
    .await;
    let kubeconfig = server.kubeconfig("{}");
    let flags = ConnectFlags { request_timeout: Some(Duration::from_millis(100)), ..kubeconfig.flags() };
    let cluster = Cluster::load(&flags, &ProcessEnvironment::default()).await.unwrap();
    let error = Error::from(cluster.service("web", "shop").await.unwrap_err());
    assert_eq!(error.message(), "no answer within 0.1 seconds");
    cluster.api().send(Request::get("/").header("x-slow", "1").body(Body::Empty).unwrap()).await.unwrap();
}

/// What the test says to a watch.
enum Say {
    Line(Value),
    Hangup,
}

/// A server whose watches say what the test says.
async fn watched(list: Value) -> (Server, mpsc::UnboundedSender<Say>) {
    let (say, said) = mpsc::unbounded_channel();
    let said = Arc::new(tokio::sync::Mutex::new(said));
    let server = Server::https(move |request: Request<Incoming>| {
        let answer = match request.uri().query().unwrap().contains("watch=1") {
            true => Response::new(lines(said.clone())),
            false => answer(200, &list),
        };
        async move { answer }
    })
    .await;
    (server, say)
}

/// What is said while this watch is open; what comes when it has ended is for the next one.
fn lines(said: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Say>>>) -> Body {
    let lines = stream::unfold(said, |said| async move {
        let say = said.lock().await.recv().await;
        match say {
            Some(Say::Line(line)) => Some((Ok(Frame::data(Bytes::from(format!("{line}\n")))), said)),
            Some(Say::Hangup) | None => None,
        }
    });
    Body::boxed(StreamBody::new(lines))
}

async fn names(
    watch: &mut (impl Stream<Item = Result<Vec<Service>, ApiError>> + Unpin),
) -> Result<Vec<String>, ApiError> {
    let next = timeout(Duration::from_secs(10), watch.next()).await.expect("something happens").unwrap();
    next.map(|services| {
        services.into_iter().map(|service| format!("{}:{}", service.name, service.ports[0].number)).collect()
    })
}

fn versioned(port: u16, version: &str) -> Value {
    json!({"metadata": {"namespace": "web", "name": "shop", "resourceVersion": version}, "spec": {"ports": [{"port": port}]}})
}

#[tokio::test]
async fn a_watch_tells_what_changes() {
    let list = json!({"metadata": {"resourceVersion": "10"}, "items": [versioned(80, "9")]});
    let (server, say) = watched(list).await;
    let cluster = server.cluster().await;
    let mut watch = pin!(cluster.watch_service("web", "shop"));
    assert_eq!(names(&mut watch).await.unwrap(), ["shop:80"]);

    let event = |kind: &str, object: Value| say.send(Say::Line(json!({"type": kind, "object": object}))).unwrap();
    event("MODIFIED", versioned(80, "11"));
    event("MODIFIED", versioned(81, "12"));
    assert_eq!(names(&mut watch).await.unwrap(), ["shop:81"]);
    event("BOOKMARK", json!({"kind": "Service", "metadata": {"resourceVersion": "20", "creationTimestamp": null}}));
    say.send(Say::Hangup).unwrap();
    event("DELETED", versioned(81, "21"));
    assert!(names(&mut watch).await.unwrap().is_empty());
    let asked = server.notes.last().uri.to_string();
    assert!(asked.contains("&resourceVersion=20&fieldSelector=metadata.name%3Dshop"), "{asked}");

    event("ERROR", status(410, "Expired", "too old"));
    assert_eq!(names(&mut watch).await.unwrap(), ["shop:80"]);
    event("ERROR", status(500, "InternalError", "etcd is gone"));
    assert_eq!(names(&mut watch).await.unwrap_err().to_string(), "etcd is gone");
    assert_eq!(names(&mut watch).await.unwrap(), ["shop:80"]);
}

#[tokio::test]
async fn a_watch_without_the_right_ends() {
    let server = Server::https(|_| async { answer(403, &status(403, "Forbidden", "no")) }).await;
    let cluster = server.cluster().await;
    let mut watch = pin!(cluster.watch_endpoints("web", "shop"));
    assert!(matches!(watch.next().await, Some(Err(ApiError::Forbidden { .. }))));
    assert!(watch.next().await.is_none());
}

/// 2 GiB of blanks are 2 MiB of gzip.
#[tokio::test]
async fn an_answer_that_swells_is_not_taken_in() {
    let server = Server::https(|_| async {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..80 {
            encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
        let answer = Response::builder().header("content-type", "application/json").header("content-encoding", "gzip");
        answer.body(Body::full(encoder.finish().unwrap())).unwrap()
    })
    .await;
    let cluster = server.cluster().await;
    let error = cluster.service("web", "shop").await.unwrap_err();
    assert!(error.to_string().contains("it is longer than 64 MiB"), "{error}");
}
