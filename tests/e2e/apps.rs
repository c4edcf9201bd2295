//! Real web apps in a real browser, each behind a Service of the real API server.
//!
//! Each app is used three times in the same way: opened directly, which shows what its pages do when nothing is in between;
//! through `kubectl svcproxy NAME`, which must look the same; and at the same computed proxy URL through `kubectl proxy`, for
//! the comparison that is printed at the end. Through `kubectl svcproxy` the app's Pod is then replaced, and all must go on.

mod checks;
mod instance;
mod noting;
mod same;
mod score;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use futures_util::future::LocalBoxFuture;
use serde_json::json;

use crate::browser::{Browser, Outcome, Record};
use crate::harness::{Plugin, kubectl_proxy};
use crate::local_https::trusting_home;
use instance::Instance;
pub(crate) use instance::{install, installed};
pub(crate) use noting::Noting;
use same::Visit;
pub(crate) use score::print as print_scores;
use support::Serving;
use support::cluster::{Cluster, Namespace, Pod};

/// A web app: how it is found, and what a person does with it.
struct App {
    /// Of its folder below tests/apps and of its Service.
    name: &'static str,
    /// A path that answers with success once all of it has started; `IP` stands for its address.
    ready: &'static str,
    /// Where its pages begin; not `/` becomes an annotation of its Service.
    landing: &'static str,
    /// How many WebSockets a person's visit needs at least.
    web_sockets: usize,
    /// What a person does with it, from an opened page on, and what must be seen then.
    check: Check,
}

/// An app, opened in a browser in one of the three ways.
struct Page<'a> {
    browser: &'a Browser,
    /// The URL that stands for the app's `/`; ends in `/`.
    base: String,
    /// The address at which the app itself listens.
    ip: Ipv4Addr,
    /// The files of the app that runs.
    data: &'a Path,
    /// Where pictures of it go, with the way in the name.
    picture: PathBuf,
}

impl Page<'_> {
    /// The URL of a path of the app.
    fn at(&self, path: &str) -> String {
        format!("{}{}", self.base, path.trim_start_matches('/'))
    }
}

/// What a person does on an opened page.
type Check = for<'p> fn(&'p Page<'p>) -> LocalBoxFuture<'p, Outcome>;

impl App {
    /// One that answers at `/` once it is there, and needs no WebSocket.
    const fn new(name: &'static str, check: Check) -> Self {
        Self { name, ready: "/", landing: "/", web_sockets: 0, check }
    }
}

const NGINX: App = App::new("nginx", |page| Box::pin(checks::nginx(page)));
const HTTPBIN: App = App::new("httpbin", |page| Box::pin(checks::httpbin(page)));
const PROMETHEUS: App = App { ready: "/-/ready", ..App::new("prometheus", |page| Box::pin(checks::prometheus(page))) };
const FLOWER: App = App { ready: "/worker/worker@IP", ..App::new("flower", |page| Box::pin(checks::flower(page))) };
const JUPYTERLAB: App =
    App { ready: "/login", web_sockets: 1, ..App::new("jupyterlab", |page| Box::pin(checks::jupyterlab(page))) };
const TENSORBOARD: App = App::new("tensorboard", |page| Box::pin(checks::tensorboard(page)));
const STREAMLIT: App = App { web_sockets: 1, ..App::new("streamlit", |page| Box::pin(checks::streamlit(page))) };
const NODE_RED: App = App { web_sockets: 1, ..App::new("node-red", |page| Box::pin(checks::node_red(page))) };
const VITE: App = App { web_sockets: 1, ..App::new("vite", |page| Box::pin(checks::vite(page))) };
const FASTAPI: App =
    App { ready: "/docs", landing: "/docs", ..App::new("fastapi", |page| Box::pin(checks::fastapi(page))) };
/// It leads whoever comes by plain HTTP to https, so nothing but a front that speaks TLS, or we, can show it.
const DJANGO: App = App { ready: "/ready", ..App::new("django", |page| Box::pin(checks::django(page))) };

/// A test for each app.
macro_rules! each_app {
    ($($test:ident, $by_https:ident: $app:ident),* $(,)?) => {
        $(async fn $test(cluster: &'static Cluster) {
            use_in_three_ways(cluster, &$app).await;
        }

        async fn $by_https(cluster: &'static Cluster) {
            use_by_https(cluster, &$app).await;
        })*

        pub(crate) fn tests() -> Vec<crate::Test> {
            crate::tests![$($test, $by_https,)* two_jupyterlabs_at_once, django, django_by_https]
        }
    };
}

each_app! {
    nginx, nginx_by_https: NGINX,
    httpbin, httpbin_by_https: HTTPBIN,
    prometheus, prometheus_by_https: PROMETHEUS,
    flower, flower_by_https: FLOWER,
    jupyterlab, jupyterlab_by_https: JUPYTERLAB,
    tensorboard, tensorboard_by_https: TENSORBOARD,
    streamlit, streamlit_by_https: STREAMLIT,
    node_red, node_red_by_https: NODE_RED,
    vite, vite_by_https: VITE,
    fastapi, fastapi_by_https: FASTAPI,
}

/// Two of the kind that shares most when it may: cookies of the same names, the same storage keys, a service's own kernels.
async fn two_jupyterlabs_at_once(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let (one, two) = tokio::join!(
        Instance::start(cluster, &JUPYTERLAB, cluster.scratch()),
        Instance::start(cluster, &JUPYTERLAB, cluster.scratch()),
    );
    expose(cluster, &namespace, "lab-one", "/", &one).await;
    expose(cluster, &namespace, "lab-two", "/", &two).await;
    let kubeconfig = developer(cluster, &namespace).await;
    let serving = Plugin::new(cluster, &kubeconfig).args(["lab-one", "lab-two"]).serve_targets(2).await;
    let home = cluster.scratch();
    let browser = Browser::start(&home).await;
    let site = |number| serving.ready_target(number)["siteUrl"].as_str().expect("siteUrl is a text").to_owned();
    let one = page(&browser, site(0), &one, &JUPYTERLAB, "one-of-two");
    let two = page(&browser, site(1), &two, &JUPYTERLAB, "two-of-two");
    let outcome = checks::two_jupyterlabs(&one, &two).await;
    browser.close().await;
    assert_eq!(outcome, Ok(()), "stderr: {}", serving.stderr());
    serving.stop().await;
}

/// `SECURE_SSL_REDIRECT` and a login, by `kubectl svcproxy NAME` alone and by port-forward.
async fn django(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let instance = Instance::start(cluster, &DJANGO, cluster.scratch()).await;
    expose(cluster, &namespace, DJANGO.name, DJANGO.landing, &instance).await;
    let kubeconfig = developer(cluster, &namespace).await;
    for via in [&[][..], &["--via=port-forward"]] {
        let noting = Noting::new(cluster);
        let arguments = [&[DJANGO.name, "--port=0", "--output=json", noting.flag()][..], via].concat();
        let serving = Plugin::new(cluster, &kubeconfig).plain().args(arguments).serve().await;
        let opened = noting.opened().await;
        let browser = Browser::start(&cluster.scratch()).await;
        let page = page(&browser, serving.site_url(), &instance, &DJANGO, "svcproxy");
        let visit = visit(&page, &DJANGO, &opened).await;
        browser.close().await;
        assert_eq!(visit.used, Ok(()), "{via:?}: {:?}; it said: {}", visit.record, serving.stderr());
        serving.until_stderr("django insists on https: it is told from now on that the browser speaks https").await;
        serving.stop().await;
    }
}

/// The one that insists on https.
async fn django_by_https(cluster: &'static Cluster) {
    use_by_https(cluster, &DJANGO).await;
}

/// The same visit where https and HTTP/2 are set up.
async fn use_by_https(cluster: &'static Cluster, app: &App) {
    let namespace = cluster.namespace().await;
    let instance = Instance::start(cluster, app, cluster.scratch()).await;
    expose(cluster, &namespace, app.name, app.landing, &instance).await;
    let kubeconfig = developer(cluster, &namespace).await;
    let home = trusting_home(cluster, &kubeconfig).await;
    let noting = Noting::new(cluster);
    let plugin = Plugin::new(cluster, &kubeconfig).plain().env("HOME", &home);
    let serving = plugin.args([app.name, "--port=0", "--output=json", noting.flag()]).serve().await;
    let opened = noting.opened().await;
    let browser = Browser::start(&home).await;
    let page = page(&browser, serving.site_url(), &instance, app, "by-https");
    let visit = visit(&page, app, &opened).await;
    let protocol = browser.run("return location.protocol", &[]).await;
    browser.close().await;
    assert_eq!(
        (visit.used, protocol),
        (Ok(()), Ok(json!("https:"))),
        "{:?}; it said: {}",
        visit.record,
        serving.stderr()
    );
    serving.stop().await;
}

async fn use_in_three_ways(cluster: &'static Cluster, app: &App) {
    let namespace = cluster.namespace().await;
    let instance = Instance::start(cluster, app, cluster.scratch()).await;
    expose(cluster, &namespace, app.name, app.landing, &instance).await;
    let kubeconfig = developer(cluster, &namespace).await;

    let expected = directly(cluster, app, &instance).await.unwrap_or_else(|error| panic!("opened directly: {error}"));
    let (serving, opened) = svcproxy(cluster, &kubeconfig, app).await;
    let theirs = through_kubectl_proxy(cluster, app, &instance, &kubeconfig, &serving, &expected).await;
    let ours = through_svcproxy(cluster, app, instance, &namespace, &serving, &opened, &expected).await;
    let said = serving.stderr();
    score::note(app.name, ours.clone(), theirs);
    assert_eq!(ours, Ok(()), "through kubectl svcproxy {}; it said: {said}", app.name);
    serving.stop().await;
}

/// What the app's pages do when nothing is in between.
async fn directly(cluster: &Cluster, app: &App, instance: &Instance) -> Outcome<same::Expected> {
    let base = instance.url();
    let browser = Browser::start(&cluster.scratch()).await;
    let page = page(&browser, base.clone(), instance, app, "directly");
    let visit = visit(&page, app, &page.at(app.landing)).await;
    browser.close().await;
    visit.used.map(|()| same::Expected::of(&visit.record, &base))
}

/// As [`directly`], and then once more after the Pod was replaced.
async fn through_svcproxy(
    cluster: &'static Cluster,
    app: &App,
    instance: Instance,
    namespace: &Namespace,
    serving: &Serving,
    opened: &str,
    expected: &same::Expected,
) -> Outcome {
    let browser = Browser::start(&cluster.scratch()).await;
    let base = serving.site_url();
    let at_first = page(&browser, base.clone(), &instance, app, "svcproxy");
    let first = expected.judge(&visit(&at_first, app, opened).await, &base, opened);
    if first.is_err() {
        browser.close().await;
        return first;
    }
    let instance = replace_pod(cluster, namespace, app, instance).await;
    let later = page(&browser, base.clone(), &instance, app, "svcproxy-replaced");
    let second = expected.judge(&visit_again(&later, app, opened).await, &base, opened);
    browser.close().await;
    second.map_err(|error| format!("after its Pod was replaced: {error}"))
}

async fn through_kubectl_proxy(
    cluster: &Cluster,
    app: &App,
    instance: &Instance,
    kubeconfig: &Path,
    serving: &Serving,
    expected: &same::Expected,
) -> Outcome {
    let (_proxy, port) = kubectl_proxy(cluster, kubeconfig, &[], Stdio::null()).await;
    let url = url::Url::parse(&serving.proxy_url()).expect("the computed proxy URL is a URL");
    let base = format!("http://127.0.0.1:{port}{}", url.path());
    let browser = Browser::start(&cluster.scratch()).await;
    let page = page(&browser, base.clone(), instance, app, "kubectl-proxy");
    let opened = page.at(app.landing);
    let outcome = expected.judge(&visit(&page, app, &opened).await, &base, &opened);
    browser.close().await;
    outcome
}

/// Opens the app and uses it.
async fn visit(page: &Page<'_>, app: &App, opened: &str) -> Visit {
    let used = use_app(page, app, opened).await;
    let pictured = page.browser.screenshot(&page.picture).await;
    match page.browser.record().await {
        Ok(record) if record.open_web_sockets() < app.web_sockets && used.is_ok() => {
            Visit { used: Err("no WebSocket was opened".to_owned()), record }
        }
        Ok(record) => Visit { used: used.and(pictured), record },
        Err(error) => Visit { used: used.and(Err(error)), record: Record::default() },
    }
}

async fn use_app(page: &Page<'_>, app: &App, opened: &str) -> Outcome {
    page.browser.open(opened).await?;
    (app.check)(page).await
}

/// As [`visit`], with the cookies and the storage of the first time, and without what the page said while its Pod was gone.
async fn visit_again(page: &Page<'_>, app: &App, opened: &str) -> Visit {
    let left = async || {
        page.browser.open("about:blank").await?;
        page.browser.record().await
    };
    match left().await {
        Ok(_) => visit(page, app, opened).await,
        Err(error) => Visit { used: Err(error), record: Record::default() },
    }
}

fn page<'a>(browser: &'a Browser, base: String, instance: &'a Instance, app: &App, way: &str) -> Page<'a> {
    Page { browser, base, ip: instance.ip(), data: instance.data(), picture: picture(&format!("{}-{way}", app.name)) }
}

/// Where a picture of this name goes: a folder below `target`, which is left there to be looked at.
fn picture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apps");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.png"))
}

/// A kubeconfig of somebody with the usual rights of a developer, in this namespace only.
async fn developer(cluster: &Cluster, namespace: &Namespace) -> PathBuf {
    let user = cluster.user();
    namespace.bind(&user, "edit").await;
    user.kubeconfig(namespace.name())
}

async fn expose(cluster: &Cluster, namespace: &Namespace, name: &str, landing: &str, instance: &Instance) {
    let ports = json!([{"name": "http", "port": 80, "targetPort": Instance::PORT}]);
    namespace.expose(name, instance.ip(), ports).await;
    if landing != "/" {
        let service = format!("{}/{name}", namespace.path("Service"));
        let annotations = json!({"svcproxy.dev/path": landing});
        cluster.api().patch(&service, &json!({"metadata": {"annotations": annotations}})).await;
    }
}

/// Ends the only Pod and starts another at another address, with the same volume.
async fn replace_pod(cluster: &'static Cluster, namespace: &Namespace, app: &App, instance: Instance) -> Instance {
    namespace.delete_pod(&format!("{}-0", app.name)).await;
    namespace.until_endpoints(app.name, 0).await;
    let volume = instance.end();
    let instance = Instance::start(cluster, app, volume).await;
    let name = format!("{}-1", app.name);
    let labels = json!({"app": app.name});
    namespace.pod(Pod { name: &name, ip: instance.ip(), labels, ports: json!([]), ready: true }).await;
    namespace.until_endpoints(app.name, 1).await;
    instance
}

/// `kubectl svcproxy NAME` with a browser that only notes what it is given.
async fn svcproxy(cluster: &Cluster, kubeconfig: &Path, app: &App) -> (Serving, String) {
    let noting = Noting::new(cluster);
    let arguments = [app.name, "--port=0", "--output=json", noting.flag()];
    let serving = Plugin::new(cluster, kubeconfig).plain().args(arguments).serve().await;
    (serving, noting.opened().await)
}
