//! https and HTTP/2 on the local side: the authority that vouches for this machine's names only, the one port that speaks
//! both, and the doors that HTTP/2 opens.

use std::fs;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Version};
use http_body_util::Full;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use futures_util::{SinkExt as _, StreamExt as _};

use crate::harness::{Plugin, Served, web};
use support::fake::FakeApiServer;
use support::terminal::USUAL;
use support::tls_client::whole;
use support::{Backend, Canned, TlsClient, http as client};

/// A `certutil` that writes down what it is asked for, and says that it trusts nobody yet.
const CERTUTIL: &str = r#"case $1 in
  -L) grep -q -e '-A' "$HOME/asked" 2>/dev/null; exit ;;
  -N) touch "${4#sql:}/cert9.db" ;;
esac
echo "$@" >> "$HOME/asked""#;

/// A plugin in whose home browsers have a program to be told by.
fn plugin(fake: &FakeApiServer) -> Plugin {
    let plugin = Plugin::new(fake);
    plugin.script("certutil", CERTUTIL);
    let path = format!("{}:/usr/bin:/bin", plugin.home().display());
    plugin.env("PATH", path)
}

/// A plugin that has set https up.
async fn set_up(fake: &FakeApiServer) -> Plugin {
    plugin(fake).args(["--install-ca=browsers"]).finish_and_stay().await
}

/// It serves, and who trusts its authority.
pub(crate) struct ByTls {
    pub(crate) served: Served,
    pub(crate) client: TlsClient,
    pub(crate) backend: Backend,
}

impl ByTls {
    pub(crate) async fn start(fake: &FakeApiServer, arguments: &[&str]) -> Self {
        let backend = web(fake).await;
        let plugin = set_up(fake).await;
        let pem = fs::read_to_string(plugin.home().join(".local/state/kubectl-svcproxy/local-ca.pem")).unwrap();
        let served = plugin.args(["web"]).args(arguments).serve().await;
        Self { served, client: TlsClient::trusting(&pem), backend }
    }

    pub(crate) fn site(&self) -> String {
        self.served.site_url()
    }
}

fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}

#[tokio::test]
async fn one_port_speaks_both() {
    let fake = FakeApiServer::start().await;
    let run = ByTls::start(&fake, &[]).await;
    let site = run.site();
    assert!(site.starts_with("https://web--default--"), "{site}");
    let answer = run.client.get(&format!("{site}a?b=c")).await;
    assert_eq!((answer.status, &answer.json()["target"]), (StatusCode::OK, &"/a?b=c".into()));
    let mut http2 = run.client.http2(&site).await;
    let answer = http2.send_request(get(&format!("{site}x"))).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(whole(answer).await.json()["target"], "/x");

    // curl is served in place by http, and a page asked for by http is by https.
    let plain = site.replace("https:", "http:");
    assert_eq!(client::get(&plain).await.status, StatusCode::OK);
    let navigation = Request::get("/").header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
    let answer = client::send(&format!("{plain}a?b"), navigation).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, &format!("{site}a?b")[..]));
    run.served.stop().await;
}

#[tokio::test]
async fn an_app_sees_one_scheme_and_host_everywhere() {
    let fake = FakeApiServer::start().await;
    let run = ByTls::start(&fake, &[]).await;
    let site = run.site();
    let host = site.trim_start_matches("https://").trim_end_matches('/');
    let mut http2 = run.client.http2(&site).await;
    let post = Request::post(format!("{site}form")).header("origin", format!("https://{host}")).body(Full::default());
    assert_eq!(http2.send_request(post.unwrap()).await.unwrap().status(), StatusCode::OK);
    // What it says of them in its answer would be mapped back.
    let seen = run.backend.requests().remove(0);
    let lines = seen["headers"].as_array().unwrap();
    let field = |name: &str| {
        let line = lines.iter().find(|line| line[0].as_str().unwrap().eq_ignore_ascii_case(name));
        line.map_or("", |line| line[1].as_str().unwrap()).to_owned()
    };
    assert_eq!(field("host"), host);
    assert_eq!((field("origin"), field("x-forwarded-proto")), (format!("http://{host}"), "http".to_owned()));

    // Its own URLs are the browser's, HSTS would outlive the run, and a cookie stays as it is.
    let json = format!("{{\"api\":\"http://{host}/v1\",\"live\":\"ws://{host}/live\"}}");
    let headers = [
        ("content-type", "application/json"),
        ("strict-transport-security", "max-age=31536000"),
        ("set-cookie", "__Host-a=b; Path=/; Secure"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    run.backend.answer("/urls", Canned { body: json.into(), headers, ..Canned::default() });
    let answer = whole(http2.send_request(get(&format!("{site}urls"))).await.unwrap()).await;
    assert_eq!(answer.text(), format!("{{\"api\":\"https://{host}/v1\",\"live\":\"wss://{host}/live\"}}"));
    assert_eq!(
        (answer.header("strict-transport-security"), answer.header("set-cookie")),
        ("", "__Host-a=b; Path=/; Secure")
    );
}

#[tokio::test]
async fn a_web_socket_over_http2() {
    let fake = FakeApiServer::start().await;
    let run = ByTls::start(&fake, &[]).await;
    let site = run.site();
    let mut http2 = run.client.http2(&site).await;
    let origin = site.trim_end_matches('/').to_owned();
    let handshake = |origin: &str| {
        let request = Request::builder().method(Method::CONNECT).uri(format!("{site}ws")).version(Version::HTTP_2);
        let mut request = request.header("origin", origin).header("sec-websocket-version", "13");
        request.extensions_mut().unwrap().insert(Protocol::from_static("websocket"));
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let mut answer = http2.send_request(handshake(&origin)).await.unwrap();
    assert_eq!((answer.status(), answer.headers().get("sec-websocket-accept")), (StatusCode::OK, None));
    let stream = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    let mut peer = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    for size in [1, 70_000] {
        peer.send(Message::binary(vec![7; size])).await.unwrap();
        assert_eq!(peer.next().await.unwrap().unwrap().into_data().len(), size);
    }
    let refused = http2.send_request(handshake("https://evil.example")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}

/// What an HTTP/2 client can say that an HTTP/1.1 client cannot.
#[tokio::test]
async fn the_larger_door() {
    let fake = FakeApiServer::start().await;
    let run = ByTls::start(&fake, &[]).await;
    let site = run.site();
    let mut http2 = run.client.http2(&site).await;
    let seen = run.backend.requests().len();
    let port = site.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
    let refused = [
        ("another authority", get(&format!("https://evil.example:{port}/")), 421),
        ("a user in it", get(&site.replace("https://", "https://me@")), 421),
        ("two hosts", Request::get(&site).header("host", "evil.example").body(Full::default()).unwrap(), 400),
        ("a tunnel", Request::connect("evil.example:443").body(Full::default()).unwrap(), 501),
        ("a path with dots", get(&format!("{site}a/..%2f..%2fb")), 400),
        (
            "another page",
            Request::post(&site).header("origin", "https://evil.example").body(Full::default()).unwrap(),
            403,
        ),
        (
            "its http page",
            Request::post(&site)
                .header("origin", site.trim_end_matches('/').replace("https", "http"))
                .body(Full::default())
                .unwrap(),
            403,
        ),
    ];
    for (what, request, status) in refused {
        let answer = http2.send_request(request).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{what}");
    }
    assert_eq!(run.backend.requests().len(), seen, "no app has heard of it");
    assert_eq!(http2.send_request(get(&site)).await.unwrap().status(), 200, "and the connection goes on");
}

#[tokio::test]
async fn many_streams_and_a_request_beside_them() {
    let fake = FakeApiServer::start().await;
    let run = ByTls::start(&fake, &[]).await;
    let site = run.site();
    let mut http2 = run.client.http2(&site).await;
    let mut open = Vec::new();
    for _ in 0..30 {
        open.push(http2.send_request(get(&format!("{site}events/5"))).await.unwrap());
    }
    let answer = http2.send_request(get(&format!("{site}beside"))).await.unwrap();
    assert_eq!(whole(answer).await.json()["target"], "/beside");
    assert!(open.iter().all(|answer| answer.status() == 200));
}

#[tokio::test]
async fn nothing_is_done_without_a_yes() {
    let fake = FakeApiServer::start().await;
    let run = plugin(&fake).plain().args(["--install-ca"]).finish().await;
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert!(run.stderr.contains("there is no terminal to ask on whether browsers may trust it"), "{}", run.stderr);
    assert!(run.stderr.contains("--install-ca=browsers agrees to it"), "{}", run.stderr);
    let mut terminal = plugin(&fake).plain().args(["--install-ca"]).in_terminal(USUAL);
    let text = terminal.until_text("Go on? [y/N]").await;
    assert!(text.contains("for nothing else") && text.contains("certutil -A"), "{text}");
    terminal.press("\r");
    assert_eq!(terminal.end().await, 130);
    let mut terminal = terminal.again(&["--remove-ca"], USUAL);
    assert_eq!(terminal.end().await, 0);
    assert!(terminal.text().contains("There is no certificate authority"), "{}", terminal.text());
    let mut terminal = terminal.again(&["--install-ca"], USUAL);
    terminal.until_text("Go on? [y/N]").await;
    terminal.press("y\r");
    assert_eq!(terminal.end().await, 0);
    let mut terminal = terminal.again(&["--remove-ca"], USUAL);
    assert_eq!(terminal.end().await, 0);
    let text = terminal.text();
    assert!(text.contains("certutil -D") && text.contains("its key is gone"), "{text}");
    // Nothing was asked of the cluster; this is.
    let run = Plugin::new(&fake).plain().args(["--list", "-A"]).finish().await;
    assert_eq!(run.code(), 0, "{}", run.stderr);
}

#[tokio::test]
async fn who_has_not_set_it_up_is_told_how() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    Plugin::new(&fake)
        .plain()
        .args(["web", "--tls"])
        .ends(
            1,
            "",
            "error: --tls needs a certificate authority that your browsers trust\n\
             hint: kubectl svcproxy --install-ca makes one, for names of this machine alone\n",
        )
        .await;
    let served = Plugin::new(&fake).args(["web"]).serve().await;
    for _ in 0..2 {
        let refused = TlsClient::trusting(&fake.authority().pem()).connect(&served.site_url(), "h2").await;
        assert!(refused.is_err());
    }
    served.until_stderr("set https up with kubectl svcproxy --install-ca").await;
    assert_eq!(served.stderr().matches("--install-ca").count(), 1, "once");

    let off = set_up(&fake).await.args(["web", "--tls=false"]).serve().await;
    assert!(off.site_url().starts_with("http://"), "{}", off.site_url());
}

/// curl, Node and Python find whom to trust, besides those that they trust anyway.
#[tokio::test]
async fn a_command_trusts_it_too() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let command = "curl -q --silent --output /dev/null --write-out '%{http_code} %{http_version}' \
                   --resolve '*:443:127.0.0.1' \"$SVCPROXY_SITE_URL/\"; grep -c BEGIN \"$SSL_CERT_FILE\"; test -s \"$NODE_EXTRA_CA_CERTS\"";
    let run = set_up(&fake).await.args(["web", "--", "sh", "-c", command]).finish().await;
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let (answer, count) = run.stdout.trim_end().split_at("200 2".len());
    assert_eq!(answer, "200 2", "{}", run.stdout);
    assert!(count.trim().parse::<usize>().unwrap() > 1, "the system's are there as well: {}", run.stdout);
}
