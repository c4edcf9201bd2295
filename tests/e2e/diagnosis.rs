//! Why a Service gives no answer, as the API server itself says it, in the form that each reader reads best: a page for a
//! browser, text for curl, the API server's own JSON for a program, each with the API server's own status.
//!
//! Every page is looked at (`own_pages`).

use ::http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::browser::Browser;
use crate::harness::{Plugin, nginx_in, proxy_right, serve};
use crate::own_pages;
use support::cluster::{self, Cluster, Namespace, Pod, backend_in};
use support::fake::cases::Release;
use support::{Backend, ConnectProxy, Serving, eventually, http, pattern};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        no_pods_until_there_are,
        an_unready_pod_until_it_is_ready,
        no_pod_has_the_port,
        a_port_that_the_service_has_not,
        the_service_is_deleted,
        the_api_server_cannot_reach_the_pod,
        nobody_has_the_pods_address,
        packets_to_the_pod_vanish,
        nothing_listens,
        the_pod_hangs_up,
        no_http_is_spoken,
        plain_text_where_only_tls_will_do,
        a_wrong_scheme_is_no_reason_to_post_twice,
        the_other_scheme_is_another_right,
        a_right_is_missing,
        only_port_forward_would_do,
        the_credentials_are_withdrawn,
        the_api_server_is_gone,
    ]
}

/// What everybody is told.
struct Told<'a> {
    status: u16,
    /// In the header `svcproxy-error`.
    word: &'a str,
    /// The heading, and the first line of the text.
    title: &'a str,
    /// A part of the API server's own words; empty where it says nothing.
    original: &'a str,
    /// Further words that a person gets to read.
    words: &'a [&'a str],
    /// After how many seconds the page looks again by itself.
    looks: Option<&'static str>,
}

impl Told<'_> {
    /// Asks at `serving` as a browser, as curl and as a program do, and looks at the page.
    async fn check(&self, cluster: &Cluster, serving: &Serving) {
        self.check_answers(serving).await;
        own_pages::look_at(cluster, &serving.site_url(), self.title).await;
    }

    async fn check_answers(&self, serving: &Serving) {
        let url = serving.site_url();
        let json = Request::builder().header("accept", "application/json");
        let (page, text, json) = tokio::join!(http::send(&url, navigation()), http::get(&url), http::send(&url, json));
        self.check_page(&page);
        self.check_text(&text);
        self.check_json(&json);
    }

    fn check_page(&self, page: &http::Answer) {
        let text = self.check_head(page, "text/html; charset=utf-8").replace("<span>", "").replace("</span>", "");
        assert!(text.contains(&format!("<h1>{}</h1>", html(self.title))), "{text}");
        let looks = text.split_once(" data-look=\"").and_then(|(_, rest)| rest.split('"').next());
        assert_eq!(looks, self.looks, "{text}");
        assert_eq!(text.contains("<details>"), !self.original.is_empty(), "{text}");
        for words in self.words.iter().chain([&self.original]) {
            assert!(text.contains(&html(words)), "no {words:?} in {text}");
        }
    }

    fn check_text(&self, answer: &http::Answer) {
        let text = self.check_head(answer, "text/plain; charset=utf-8");
        assert!(text.starts_with(&format!("{}.\n", self.title)), "{text}");
        assert_eq!(answer.header("svcproxy-state"), "");
        for words in self.words.iter().chain([&self.original]) {
            assert!(text.contains(words), "no {words:?} in {text}");
        }
    }

    fn check_json(&self, answer: &http::Answer) {
        assert_eq!(answer.header("content-type"), "application/json");
        let status = answer.json();
        assert_eq!((answer.status.as_u16(), &status["kind"]), (self.status, &json!("Status")), "{status}");
        assert_eq!(status["code"], self.status, "{status}");
        let said = if self.original.is_empty() { self.title } else { self.original };
        assert!(status["message"].as_str().unwrap().contains(said), "{status}");
    }

    fn check_head(&self, answer: &http::Answer, kind: &str) -> String {
        let text = answer.text();
        let seen = (answer.status.as_u16(), answer.header("svcproxy-error"), answer.header("content-type"));
        assert_eq!(seen, (self.status, self.word, kind), "{text}");
        text
    }
}

/// As Chromium asks for a page.
fn navigation() -> ::http::request::Builder {
    let fields = [
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("sec-fetch-site", "none"),
    ];
    fields.into_iter().fold(Request::builder(), |request, (name, value)| request.header(name, value))
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Where the cluster may mend itself, and where somebody has to log in or to grant a right.
const SOON: Option<&str> = Some("2");
const SLOWLY: Option<&str> = Some("10");

const HTTP: &str = "http";

fn ports(target: impl Into<Value>) -> Value {
    json!([{"name": HTTP, "port": 80, "targetPort": target.into()}])
}

async fn no_pods_until_there_are(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("app", ports(8080)).await;
    namespace.until_endpoints("app", 0).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let told = Told {
        status: 503,
        word: "no-ready-endpoint",
        title: "app has no Pods",
        original: "no endpoints available for service",
        words: &["the labels that the Service selects: app=app", "get pods -l app=app"],
        looks: SOON,
    };
    told.check(cluster, &serving).await;

    // Nobody touches the browser: its page looks again.
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(&serving.site_url()).await.unwrap();
    browser.until_text("h1", told.title).await.unwrap();
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    let (labels, ports) = (json!({"app": "app"}), json!([]));
    namespace.pod(Pod { name: "app-0", ip: backend.ip(), labels, ports, ready: true }).await;
    browser.until_text("body", "\"target\":\"/\"").await.unwrap();
    browser.close().await;
}

async fn an_unready_pod_until_it_is_ready(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    namespace.set_ready("app-0", false).await;
    namespace.until_endpoints("app", 0).await;
    let told = Told {
        status: 503,
        word: "no-ready-endpoint",
        title: "app-0 is not ready",
        original: "no endpoints available for service",
        words: &["get pods -l app=app"],
        looks: SOON,
    };
    told.check(cluster, &serving).await;
    namespace.set_ready("app-0", true).await;
    namespace.until_endpoints("app", 1).await;
    // The API server's own view of the endpoints may come a moment later.
    let is_shown = async || (http::get(&serving.proxy_url()).await.status.as_u16() == 200).then_some(());
    eventually("the app is shown", is_shown).await;
}

async fn no_pod_has_the_port(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.service("app", ports("web")).await;
    let (labels, ports) = (json!({"app": "app"}), json!([{"name": "other", "containerPort": 8080}]));
    namespace.pod(Pod { name: "app-0", ip: cluster.pod_address(), labels, ports, ready: true }).await;
    let slices = format!("{}?labelSelector=kubernetes.io/service-name=app", namespace.path("EndpointSlice"));
    eventually("an endpoint without a port", async || {
        let slices = cluster.api().get(&slices).await?;
        slices["items"][0]["endpoints"][0]["addresses"][0].as_str().map(drop)
    })
    .await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let told = Told {
        status: 503,
        word: "no-ready-endpoint",
        title: "No Pod of app has the port http (80)",
        original: "no endpoints available for service",
        words: &["The Service leads to a port named web"],
        looks: SOON,
    };
    told.check(cluster, &serving).await;
}

/// Whoever may read the Service hears of it before anything is served.
async fn a_port_that_the_service_has_not(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.grant(&user, proxy_right("nginx:81", &["get"])).await;
    let serving = Plugin::new(cluster, &user.kubeconfig(namespace.name())).args(["nginx:81"]).serve().await;
    let told = Told {
        status: 503,
        word: "no-such-port",
        title: "nginx has no port 81",
        original: "no service port 81 found for service",
        words: &["get service nginx"],
        looks: None,
    };
    told.check(cluster, &serving).await;
}

async fn the_service_is_deleted(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    assert_eq!(http::get(&serving.proxy_url()).await.status.as_u16(), 200);
    cluster.api().delete(&format!("{}/app", namespace.path("Service"))).await;
    serving.until_stderr("has been deleted").await;
    let title = format!("There is no Service app in {}", namespace.name());
    let version = cluster.api().get("/version").await.unwrap();
    let (status, original) = match Release::of(&version) {
        Release::V1_36 => (404, "services \"app\" not found"),
        Release::V1_37 => (503, "no endpoints available for service \"app\""),
    };
    let told = Told {
        status,
        word: "no-such-service",
        title: &title,
        original,
        words: &["It was deleted", "get services"],
        looks: SOON,
    };
    told.check(cluster, &serving).await;
}

/// No network leads to this address (RFC 5737): the API server's packets cannot be sent.
const NOWHERE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(192, 0, 2, 1);

fn unreachable(original: &str) -> Told<'_> {
    Told {
        status: 503,
        word: "pod-unreachable",
        title: "The API server cannot reach the Pods of app",
        original,
        words: &["a firewall between control plane and nodes", "--via port-forward", "get networkpolicies"],
        looks: None,
    }
}

async fn the_api_server_cannot_reach_the_pod(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    namespace.expose("app", NOWHERE, ports(8080)).await;
    let serving = serve(cluster, &namespace, &["app", "--via=service-proxy"]).await;
    unreachable("connect: network is unreachable").check(cluster, &serving).await;
}

async fn nobody_has_the_pods_address(cluster: &'static Cluster) {
    let (silent, _) = cluster::SILENT;
    let namespace = cluster.namespace().await;
    namespace.expose("app", silent, ports(8080)).await;
    let serving = serve(cluster, &namespace, &["app", "--via=service-proxy"]).await;
    let words = format!("dial tcp {silent}:8080: connect: no route to host");
    unreachable(&words).check_answers(&serving).await;
}

/// The API server waits for 30 seconds.
async fn packets_to_the_pod_vanish(cluster: &'static Cluster) {
    let (vanishing, _) = cluster::VANISHING;
    let namespace = cluster.namespace().await;
    namespace.expose("app", vanishing, ports(8080)).await;
    let serving = serve(cluster, &namespace, &["app", "--via=service-proxy"]).await;
    let words = format!("dial tcp {vanishing}:8080: i/o timeout");
    unreachable(&words).check_answers(&serving).await;
}

async fn nothing_listens(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let nobody = cluster.pod_address();
    namespace.expose("app", nobody, ports(8080)).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let refused = format!("dial tcp {nobody}:8080: connect: connection refused");
    let told = Told {
        status: 503,
        word: "connection-refused",
        title: "Nothing listens on the port that app leads to",
        original: &refused,
        words: &["only on the Pod's own loopback address", "get pods"],
        looks: SOON,
    };
    told.check(cluster, &serving).await;
}

/// A Pod that does the same to everybody who connects.
async fn pod_that_says(cluster: &Cluster, namespace: &Namespace, words: &'static str) -> JoinHandle<()> {
    let ip = cluster.pod_address();
    let listener = TcpListener::bind((ip, 8080)).await.unwrap();
    namespace.expose("app", ip, ports(8080)).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = support::stream::read_until(&mut stream, "\r\n\r\n").await;
                let _ = support::stream::send(&mut stream, words).await; // a peer may go at any time
            });
        }
    })
}

async fn the_pod_hangs_up(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _pod = pod_that_says(cluster, &namespace, "").await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let told = Told {
        status: 503,
        word: "connection-closed",
        title: "app closed the connection without an answer",
        original: "error trying to reach service: EOF",
        words: &["a service mesh with strict mutual TLS"],
        looks: None,
    };
    told.check(cluster, &serving).await;
}

async fn no_http_is_spoken(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _pod = pod_that_says(cluster, &namespace, "-ERR unknown command\r\n").await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let told = Told {
        status: 503,
        word: "not-http",
        title: "app does not speak HTTP on this port",
        original: "malformed HTTP",
        words: &["Databases and message brokers", "port-forward svc/app :80"],
        looks: None,
    };
    told.check(cluster, &serving).await;
}

/// Who asked for certificates to be verified is not led to plain text.
async fn plain_text_where_only_tls_will_do(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["https:nginx:80", "--via=port-forward", "--verify-tls"]).await;
    let told = Told {
        status: 502,
        word: "wrong-scheme",
        title: "nginx speaks http on this port, not https",
        original: "the port does not speak TLS",
        words: &["--scheme http"],
        looks: None,
    };
    told.check(cluster, &serving).await;
    assert!(!serving.stderr().contains("from now on"), "{}", serving.stderr());
}

/// What may have had an effect is not sent again, but what comes next is right.
async fn a_wrong_scheme_is_no_reason_to_post_twice(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let post = |url: String| async move { http::send_body(&url, Request::post("/"), pattern(0, 1)).await };

    let serving = serve(cluster, &namespace, &["https:nginx:80"]).await;
    let answer = post(serving.site_url()).await;
    let seen = (answer.status.as_u16(), answer.header("svcproxy-error"));
    assert_eq!(seen, (503, "wrong-scheme"), "{}", answer.text());
    assert!(answer.text().contains("nginx speaks http on this port, not https"), "{}", answer.text());
    let again = post(format!("{}app/sink", serving.site_url())).await;
    assert_eq!(again.json(), json!({"length": 1}), "in the right scheme");

    // nginx says so itself, and that is what is shown.
    let serving = serve(cluster, &namespace, &["http:nginx:443"]).await;
    let answer = post(serving.site_url()).await;
    assert_eq!((answer.status.as_u16(), answer.header("svcproxy-error")), (400, ""), "{}", answer.text());
    assert!(answer.text().contains("The plain HTTP request was sent to HTTPS port"), "{}", answer.text());
    let again = post(format!("{}app/sink", serving.site_url())).await;
    assert_eq!(again.json(), json!({"length": 1}), "in the right scheme");
    serving.until_stderr("nginx speaks https, not http").await;
}

async fn the_other_scheme_is_another_right(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _nginx = nginx_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.grant(&user, proxy_right("https:nginx:80", &["get"])).await;
    let serving = Plugin::new(cluster, &user.kubeconfig(namespace.name())).args(["https:nginx:80"]).serve().await;
    let words = format!("{} lacks the verb get on services/proxy", user.name());
    let told = Told {
        status: 403,
        word: "forbidden",
        title: "You may not open nginx through the API server",
        original: "services \"nginx:80\" is forbidden",
        words: &["nginx speaks http on this port, not https", &words, "--resource-name=nginx:80"],
        looks: SLOWLY,
    };
    told.check(cluster, &serving).await;
    serving.until_stderr("nginx speaks http, not https").await;
}

async fn a_right_is_missing(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.bind(&user, "view").await;
    let serving = Plugin::new(cluster, &user.kubeconfig(namespace.name())).args(["app:http"]).serve().await;
    let role = format!(
        "kubectl -n {} create role svcproxy-app --verb=get,create,update,patch,delete \
         --resource=services/proxy --resource-name=app:http",
        namespace.name()
    );
    let binding = format!("create rolebinding svcproxy-app --role=svcproxy-app --user={}", user.name());
    let told = Told {
        status: 403,
        word: "forbidden",
        title: "You may not open app through the API server",
        original: "services \"app:http\" is forbidden",
        words: &[&role, &binding, &format!("nd bind it to {}", user.name())],
        looks: SLOWLY,
    };
    told.check(cluster, &serving).await;

    // What it says is what it takes.
    let kubectl = cluster.programs().path("kubectl").unwrap();
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let said = http::get(&serving.site_url()).await.text();
    for command in said.lines().filter_map(|line| line.split_once("  kubectl ").map(|(_, arguments)| arguments)) {
        let mut run = tokio::process::Command::new(&kubectl);
        run.arg("--kubeconfig").arg(&kubeconfig).args(command.split(' '));
        let output = run.output().await.unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    eventually("the right to be known", async || {
        (http::get(&serving.site_url()).await.status.as_u16() == 200).then_some(())
    })
    .await;
}

async fn only_port_forward_would_do(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let user = cluster.user();
    namespace.grant(&user, proxy_right("app:http", &["get"])).await;
    let serving = Plugin::new(cluster, &user.kubeconfig(namespace.name())).args(["app:http"]).serve().await;
    let refused = http::get(&format!("{}a%2Fb", serving.site_url())).await;
    let seen = (refused.status.as_u16(), refused.header("svcproxy-error"));
    assert_eq!(seen, (501, "only-by-port-forward"), "{}", refused.text());
    for words in ["The service proxy would change this request.", "a path with %2F", "--resource=pods/portforward"] {
        assert!(refused.text().contains(words), "no {words:?} in {}", refused.text());
    }
    let url = format!("{}a%2Fb", serving.site_url());
    own_pages::look_at(cluster, &url, "The service proxy would change this request").await;
    let arrived = backend.requests();
    assert!(arrived.iter().all(|request| request["target"] == "/favicon.ico"), "{arrived:?}");
}

/// The token of a ServiceAccount ends with the account.
async fn the_credentials_are_withdrawn(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    namespace.create(json!({"kind": "ServiceAccount", "metadata": {"name": "robot"}})).await;
    let path = format!("{}/robot", namespace.path("ServiceAccount"));
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let answer = cluster.api().create(&format!("{path}/token"), &request).await;
    namespace
        .create(json!({
            "kind": "RoleBinding", "metadata": {"name": "robot"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": namespace.name()}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        }))
        .await;
    let token = format!("--token={}", answer["status"]["token"].as_str().unwrap());
    let kubeconfig = cluster.user().kubeconfig(namespace.name());
    let serving = Plugin::new(cluster, &kubeconfig).args(["app", &token]).serve().await;
    assert_eq!(http::get(&serving.site_url()).await.status.as_u16(), 200);
    cluster.api().delete(&path).await;
    eventually("the API server to forget the token", async || {
        (http::get(&serving.site_url()).await.status.as_u16() == 401).then_some(())
    })
    .await;
    let told = Told {
        status: 401,
        word: "unauthorized",
        title: "The API server no longer accepts your credentials",
        original: "Unauthorized",
        words: &["context test, https://10.77.0.1:6443", "auth whoami"],
        looks: SLOWLY,
    };
    told.check(cluster, &serving).await;
    assert!(!serving.stderr().contains(&token[8..]), "a token is printed");
}

async fn the_api_server_is_gone(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let proxy = ConnectProxy::start(Cluster::authority_of_url().parse().unwrap()).await;
    let url = proxy.url();
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let serving = Plugin::new(cluster, &kubeconfig).env("HTTPS_PROXY", &url).args(["app"]).serve().await;
    assert_eq!(http::get(&serving.site_url()).await.status.as_u16(), 200);
    drop(proxy);
    eventually("its connections to end", async || {
        (http::get(&serving.site_url()).await.status.as_u16() == 502).then_some(())
    })
    .await;
    let told = Told {
        status: 502,
        word: "api-server-unreachable",
        title: "No connection to the API server",
        original: &url,
        words: &["context test, https://10.77.0.1:6443", "version"],
        looks: SOON,
    };
    told.check(cluster, &serving).await;
}
