//! The main job: a Service is found, its computed proxy URL is served and printed, and the app behind it answers.

use http::{Method, Request, StatusCode};
use serde_json::json;

use crate::harness::{Plugin, web};
use support::fake::FakeApiServer;
use support::fake::users::Rule;
use support::{Backend, http as client};

/// SERVICE as typed, and the ID in the computed proxy URL.
const SPELLINGS: [(&str, &str); 21] = [
    ("web", "web:http"),
    ("we", "web:http"),
    ("eb", "web:http"),
    ("svc/web", "web:http"),
    ("service/web", "web:http"),
    ("web:http", "web:http"),
    ("web:80", "web:80"),
    ("http:web:http", "http:web:http"),
    ("web.default", "web:http"),
    ("web.default:80", "web:80"),
    ("web.default.svc", "web:http"),
    ("web.default.svc.cluster.local:80", "web:80"),
    ("http://web.default.svc/", "web:http"),
    ("http://web.default.svc:80/a?b=c", "web:80"),
    ("/api/v1/namespaces/default/services/web:http/proxy/", "web:http"),
    ("SERVER/api/v1/namespaces/default/services/web:80/proxy/", "web:80"),
    ("http://localhost:8001/api/v1/proxy/namespaces/default/services/web:80/", "web:80"),
    ("web/", "web:http"),
    ("web.default:80/path?x=1", "web:80"),
    ("default/web:80", "web:80"),
    ("http://web--default--abc234.localhost:8001/ui", "web:http"),
];

#[tokio::test]
async fn every_spelling_leads_to_the_app() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    for (spelling, id) in SPELLINGS {
        let spelled = spelling.replace("SERVER", &fake.url());
        let served = Plugin::new(&fake).args([spelled]).serve().await;
        let url = served.proxy_url();
        assert!(url.ends_with(&format!("/api/v1/namespaces/default/services/{id}/proxy/")), "{spelling}: {url}");
        let answer = client::get(&format!("{url}hello?x=1")).await;
        assert_eq!(answer.json()["target"], "/hello?x=1", "{spelling}");
        served.stop().await;
    }
}

#[tokio::test]
async fn every_spelling_of_the_url_leads_to_the_app() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let url = served.proxy_url();
    for id in ["web", "web:80", "web:http", "http:web:http", "http:web:80", "http:web:"] {
        let answer = client::get(&url.replace("/web:http/", &format!("/{id}/"))).await;
        assert_eq!(answer.json()["target"], "/", "{id}");
    }
    // With one Service open everything else is a path of its own.
    for other in ["api", "https:web:http", "web:81"] {
        let answer = client::get(&url.replace("/web:http/", &format!("/{other}/"))).await;
        assert_eq!(answer.json()["target"], format!("/api/v1/namespaces/default/services/{other}/proxy/"));
    }
    let answer = client::get(&url.replace("/web:http/", "/web:http/../api/")).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    served.stop().await;
}

#[tokio::test]
async fn the_ready_line_in_each_format() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let path = "/api/v1/namespaces/default/services/web:http/proxy/";

    let json = Plugin::new(&fake).args(["web"]).serve().await;
    let mut ready = json.ready();
    let port =
        ready["proxyUrl"].as_str().unwrap().trim_start_matches("http://127.0.0.1:").trim_end_matches(path).to_owned();
    let label = ready["siteUrl"]
        .as_str()
        .unwrap()
        .trim_start_matches("http://")
        .trim_end_matches(&format!(".localhost:{port}/"))
        .to_owned();
    assert!(label.starts_with("web--default--") && label.len() == "web--default--".len() + 13, "{label}");
    ready.as_object_mut().unwrap().retain(|name, _| !name.ends_with("Url"));
    let expected = json!({
        "context": "test", "server": fake.url(), "namespace": "default", "service": "web", "port": "http",
        "scheme": "http", "via": "auto",
    });
    assert_eq!(ready, expected);
    json.stop().await;

    let url = Plugin::new(&fake).args(["web", "-o", "url"]).serve().await;
    let line = url.ready_lines()[0].clone();
    assert!(line.starts_with("http://127.0.0.1:") && line.ends_with(path), "{line}");
    assert_eq!(client::get(&line).await.status, StatusCode::OK);
    url.stop().await;

    let text = Plugin::new(&fake).args(["web", "-o", "text"]).serve().await;
    let line = text.ready_lines()[0].clone();
    assert!(line.starts_with("default/web:http is at http://127.0.0.1:") && line.ends_with(path), "{line}");
    text.until_stderr("  in a browser: http://web--default--").await;
}

/// Label of the site, and the computed proxy URL's path, of what a dry run would open.
async fn site_and_path(fake: &FakeApiServer, spelling: &str) -> (String, String) {
    let told = Plugin::new(fake).args([spelling, "--dry-run"]).finish().await;
    assert_eq!(told.code(), 0, "{spelling}: {}", told.stderr);
    let ready: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let part = |name: &str, at: &str| {
        let url = ready[name].as_str().unwrap();
        url.trim_start_matches("http://").split_once(at).map(|(before, after)| (before.to_owned(), after.to_owned()))
    };
    (part("siteUrl", ".localhost:").unwrap().0, part("proxyUrl", "/api/").unwrap().1)
}

#[tokio::test]
async fn every_spelling_of_one_port_leads_to_one_site() {
    let fake = FakeApiServer::start().await;
    fake.service("default", "two", json!([{"name": "http", "port": 80}, {"name": "metrics", "port": 9090}]));
    let (site, path) = site_and_path(&fake, "two:http").await;
    assert_eq!(path, "v1/namespaces/default/services/two:http/proxy/");
    for spelling in ["two", "two:80", "http:two:http", "default/two:http", "http://two.default.svc:80/"] {
        assert_eq!(site_and_path(&fake, spelling).await.0, site, "{spelling}");
    }
    for other in ["two:metrics", "https:two:80"] {
        let (other_site, other_path) = site_and_path(&fake, other).await;
        assert_ne!(other_site, site, "{other}");
        let again = site_and_path(&fake, &format!("http://{other_site}.localhost:8001/ui")).await;
        assert_eq!(again.0, other_site, "{other}: {other_path}");
    }
}

#[tokio::test]
async fn a_proxy_url_of_another_api_server_names_its_context() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::new(&fake);
    let mut kubeconfig = std::fs::read_to_string(plugin.home().join("config")).unwrap();
    kubeconfig = kubeconfig
        .replace("contexts:\n", "contexts:\n- name: far\n  context:\n    cluster: far\n")
        .replace("clusters:\n", "clusters:\n- name: far\n  cluster:\n    server: https://far.example:6443\n");
    plugin.write("config", &kubeconfig);
    let url = "https://far.example:6443/api/v1/namespaces/default/services/web:http/proxy/";
    let expect =
        "error: that URL is of the API server https://far.example:6443, not of {SERVER}\nhint: --context far\n";
    plugin.args([url]).ends(2, "", expect).await;
    let unknown = "https://gone.example/api/v1/namespaces/default/services/web:http/proxy/";
    let told = Plugin::new(&fake).args([unknown, "--dry-run"]).finish().await;
    assert_eq!(told.code(), 0);
    assert!(told.stderr.contains("that URL is of the API server https://gone.example"), "{}", told.stderr);
}

/// Editors on another machine than the browser pass requests on as `localhost`, and say where they came from.
#[tokio::test]
async fn the_url_that_an_editor_forwards_is_printed_and_allowed() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let codespace = Plugin::new(&fake)
        .args(["web", "-o", "text"])
        .env("CODESPACE_NAME", "octo-cat")
        .env("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "app.example.dev")
        .serve()
        .await;
    codespace.until_stderr("  in a browser: https://octo-cat-").await;
    let line = codespace.ready_lines()[0].clone();
    let url = line.rsplit(' ').next().unwrap();
    let port = url.trim_start_matches("http://127.0.0.1:").split('/').next().unwrap();
    let outer = format!("octo-cat-{port}.app.example.dev");
    let through = |method: &str, host: String, origin: String| {
        let request = Request::builder().method(method).header("host", host).header("origin", origin);
        let request = request.header("x-forwarded-host", &outer).header("x-forwarded-proto", "https");
        request.header("sec-fetch-site", "same-origin").header("sec-fetch-mode", "navigate")
    };
    let root = format!("http://127.0.0.1:{port}/");
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), outer.clone()] {
        for method in ["GET", "POST"] {
            let answer = client::send(&root, through(method, host.clone(), format!("https://{outer}"))).await;
            assert_eq!(answer.status, StatusCode::OK, "{method} {host}: {}", answer.text());
        }
        let foreign = client::send(&root, through("POST", host, "https://evil-1.app.example.dev".to_owned())).await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    }
    let other_port = client::send(&root, Request::builder().header("host", "octo-cat-1.app.example.dev")).await;
    assert_eq!(other_port.status, StatusCode::MISDIRECTED_REQUEST);

    let editor = Plugin::new(&fake)
        .args(["web", "-o", "text"])
        .env("VSCODE_PROXY_URI", "https://code.example/proxy/{{port}}/")
        .serve()
        .await;
    editor.until_stderr("the editor shows this port at https://code.example/proxy/").await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let finished = Plugin::new(&fake).args(["web", "-o", "text", "--dry-run"]).finish().await;
    assert_eq!((finished.code(), &finished.stderr[..]), (0, ""));
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(
        lines[..4],
        [
            &format!("context   test · {}", fake.url())[..],
            "Service   default/web",
            "port      http (80), the only port",
            "scheme    http, by the port's name",
        ]
    );
    assert!(lines[4].starts_with("proxy URL http://127.0.0.1:"), "{}", lines[4]);
    assert!(lines[5].starts_with("site      http://web--default--"), "{}", lines[5]);
    assert_eq!(lines[7..9], ["right     yes", "endpoints 1 of 1 ready"]);
    assert!(lines[9].starts_with("listens   127.0.0.1:") && lines[9].ends_with(", which is free"), "{}", lines[9]);
    assert_eq!(
        lines[6],
        "needs     verb get (create for POST, and so on) on services/proxy, resourceNames [\"web:http\"], in namespace default"
    );
    assert!(fake.requests().iter().all(|request| !request.target.contains("/proxy")), "{:?}", fake.requests());
    let landing = Plugin::new(&fake).args(["web", "-o", "text", "--dry-run", "--path", "ui?x=1"]).finish().await;
    assert_eq!(landing.stdout.lines().nth(6), Some("page      /ui?x=1"));
}

#[tokio::test]
async fn curl_gets_the_app() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let page = client::curl([&served.proxy_url()]).await;
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains(r#""target":"/""#), "{page}");
    let site = client::curl(["--resolve", &resolved(&served.site_url()), &served.site_url()]).await;
    let site = String::from_utf8_lossy(&site.stdout).into_owned();
    assert!(site.contains(r#""target":"/""#), "{site}");
    served.stop().await;
}

/// For curls that do not resolve `*.localhost` themselves.
fn resolved(url: &str) -> String {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    format!("{authority}:127.0.0.1")
}

#[tokio::test]
async fn a_browser_is_led_to_the_site() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    let navigation = || {
        let request = Request::builder().method(Method::GET).header("User-Agent", "Mozilla/5.0 (X11) Chrome/150");
        request
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "document")
            .header("Sec-Fetch-Site", "none")
    };
    let answer = client::send(&format!("{}a?b=c", served.proxy_url()), navigation()).await;
    assert_eq!(answer.status, StatusCode::TEMPORARY_REDIRECT);
    let location = answer.header("location");
    assert_eq!(location, format!("{}a?b=c", served.site_url()));
    assert!(backend.requests().is_empty());
    assert_eq!(client::send(location, navigation()).await.json()["target"], "/a?b=c");
    served.stop().await;
}

#[tokio::test]
async fn several_services_share_a_port() {
    let fake = FakeApiServer::start().await;
    let _web = web(&fake).await;
    let api = Backend::start(std::net::Ipv4Addr::LOCALHOST, 0).await;
    fake.expose("other", "api", json!({"port": 8080}), api.address());
    let served = Plugin::new(&fake).args(["web", "api.other"]).serve_targets(2).await;
    let urls = [0, 1].map(|number| served.ready_target(number)["proxyUrl"].as_str().unwrap().to_owned());
    assert!(urls[1].ends_with("/api/v1/namespaces/other/services/api/proxy/"), "{}", urls[1]);
    for url in &urls {
        assert_eq!(client::get(url).await.json()["target"], "/");
    }
    assert_eq!(api.requests().len(), 1);
    served.stop().await;
}

#[tokio::test]
async fn an_exact_name_needs_no_other_right() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let rule =
        Rule { verbs: &["get"], resources: &["services/proxy"], names: &["web:http"], namespace: Some("default") };
    fake.grant("narrow", &[rule]);
    fake.add_token("narrow-token", "narrow");
    let served = Plugin::new(&fake).login(&fake, "token: narrow-token").args(["web:http"]).serve().await;
    assert_eq!(client::get(&served.proxy_url()).await.json()["target"], "/");
    served.until_stderr("you may not read Service web in default: port and scheme are as typed").await;
}

#[tokio::test]
async fn flags_and_annotations_choose() {
    let fake = FakeApiServer::start().await;
    let backend = Backend::start(std::net::Ipv4Addr::LOCALHOST, 0).await;
    let target = backend.address().port();
    let ports = json!([{"name": "metrics", "port": 9090, "targetPort": target}, {"name": "ui", "port": 8080, "targetPort": target}]);
    fake.service("default", "app", ports);
    fake.pod("default", "app", backend.address().ip(), true);
    fake.change("services", "default", "app", |service| {
        service["metadata"]["annotations"] = json!({"svcproxy.dev/port": "ui", "svcproxy.dev/path": "/start?x=1"});
    });
    for (arguments, id) in [
        (&["app"][..], "app:ui"),
        (&["app", "--svc-port=metrics"], "app:metrics"),
        (&["app", "--svc-port=9090"], "app:9090"),
        (&["app:9090", "--path=/x"], "app:9090"),
        (&["app", "--scheme=https"], "https:app:ui"),
    ] {
        let finished = Plugin::new(&fake).args(arguments).args(["-o", "url", "--dry-run"]).finish().await;
        let path = format!("/api/v1/namespaces/default/services/{id}/proxy/");
        assert!(finished.stdout.trim_end().ends_with(&path), "{arguments:?}: {}{}", finished.stdout, finished.stderr);
    }
}
