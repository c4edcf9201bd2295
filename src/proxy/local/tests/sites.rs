//! Where Services are found, and what those are told who may not.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::proxy::local::guard::token::TokenAsked;
use crate::proxy::local::guard::token::tests::required;

const OTHER_LABEL: &str = "redis--default--abc124";
const OTHER_PATH: &str = "/api/v1/namespaces/default/services/https:redis:/proxy/";
const NAVIGATION: &str =
    "Sec-Fetch-Mode: navigate\nSec-Fetch-Site: none\nSec-Fetch-Dest: document\nAccept: text/html,*/*";

fn two() -> LocalProxy {
    let named = |name: &'static str| {
        Answering(move |request: Request<Body>| async move {
            Response::new(Body::full(format!("{name} {}", request.uri())))
        })
    };
    local(vec![site(LABEL, PROXY_PATH, named("nginx")), site(OTHER_LABEL, OTHER_PATH, named("redis"))])
}

/// One site that keeps count of what reaches it.
fn watched(change: impl FnOnce(&mut LocalProxy)) -> (LocalProxy, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let recording = move |request: Request<Body>| {
        sender.send(description(&request)).unwrap();
        async { Response::new(Body::full("the Service")) }
    };
    let mut local = answering(recording);
    change(&mut local);
    (local, receiver)
}

#[tokio::test]
async fn each_service_has_a_site_of_its_own() {
    let serving = Serving::start(two()).await;
    let port = serving.port();
    for (label, name, path) in [(LABEL, "nginx", PROXY_PATH), (OTHER_LABEL, "redis", OTHER_PATH)] {
        let at_site = serving.ask_at(&format!("{label}.localhost:{port}"), "GET /a?b").await;
        assert_eq!(body_of(&at_site), format!("{name} /a?b"));
        let in_place = serving.ask_at(&format!("127.0.0.1:{port}"), &format!("GET {path}a?b")).await;
        assert_eq!(body_of(&in_place), format!("{name} /a?b"));
        let page = serving.ask_at(&format!("127.0.0.1:{port}"), &format!("GET {path}a?b\n{NAVIGATION}")).await;
        let expect = format!("http://{label}.localhost:{port}/a?b");
        assert_eq!((status_of(&page), field(&page, "location")), (307, Some(expect.as_str())));
        assert_eq!(field(&page, "cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn the_start_page_shows_what_is_open() {
    let serving = Serving::start(two()).await;
    let host = format!("127.0.0.1:{}", serving.port());
    let text = serving.ask_at(&host, "GET /").await;
    assert_eq!(status_of(&text), 200);
    assert!(body_of(&text).contains(&format!("http://{host}{OTHER_PATH}  redis in default\n")), "{text}");
    let page = serving.ask_at(&host, &format!("GET /\n{NAVIGATION}")).await;
    assert_eq!(field(&page, "content-type"), Some("text/html; charset=utf-8"));
    let site = format!("http://{LABEL}.localhost:{}/", serving.port());
    let row =
        format!("<a href=\"{site}\">nginx</a><span>in default</span><span class=\"live\">2 ready endpoints</span>");
    for part in
        [&*row, "aria-label=\"ready\"", "Context dev, server https://cluster.example", "kubectl svcproxy --list"]
    {
        let shown = page.replace("<span>svcproxy</span>", "svcproxy").replace("<span>--list</span>", "--list");
        assert!(shown.replace("<span>kubectl</span>", "kubectl").contains(part), "{part} in {page}");
    }
    let nothing = serving.ask_at(&host, "GET /api/v1/namespaces/default/secrets").await;
    assert_eq!(status_of(&nothing), 404);
    assert!(body_of(&nothing).contains(PROXY_PATH), "{nothing}");
}

#[tokio::test]
async fn below_the_path_links_lead_below_the_path() {
    let page = |request: Request<Body>| async move {
        assert_eq!(request.headers()["accept-encoding"], "gzip");
        let response = Response::builder().header("content-type", "text/html");
        let response = response.header("set-cookie", "a=1; Path=/").header("set-cookie", "b=2; Path=/ui; Secure");
        response.body(Body::full("<a href=\"/x\">x</a><img src=\"y\">")).unwrap()
    };
    let serving = Serving::start(answering(page)).await;
    let host = format!("127.0.0.1:{}", serving.port());
    let answer = serving.ask_at(&host, &format!("GET {PROXY_PATH}\nAccept-Encoding: br, gzip")).await;
    assert!(answer.contains(&format!("<a href=\"{PROXY_PATH}x\">x</a><img src=\"y\">")), "{answer}");
    assert!(answer.contains(&format!("set-cookie: a=1; Path={PROXY_PATH}\r\n")), "{answer}");
    assert!(answer.contains(&format!("set-cookie: b=2; Path={PROXY_PATH}ui; Secure\r\n")), "{answer}");
}

#[tokio::test]
async fn urls_as_they_are_printed() {
    let listener = LocalListener::bind(&anywhere(), &[]).await.unwrap();
    let port = listener.port().unwrap();
    let mut local = two();
    local.sites[0].landing = "/ui/?a=b#c".to_owned();
    let (first, second) = (&local.sites[0], &local.sites[1]);
    assert_eq!(local.proxy_url(first, &listener), format!("http://127.0.0.1:{port}{PROXY_PATH}"));
    assert_eq!(local.site_url(second, &listener), format!("http://{OTHER_LABEL}.localhost:{port}/"));
    assert_eq!(local.open_url(first, &listener), format!("http://127.0.0.1:{port}{PROXY_PATH}ui/?a=b#c"));
    local.token = Some(required(TokenAsked::Always));
    let [one, other] = [LABEL, OTHER_LABEL].map(|label| required(TokenAsked::Always).of_site(label));
    assert_ne!(one, other);
    let (first, second) = (&local.sites[0], &local.sites[1]);
    let at = format!("http://127.0.0.1:{port}");
    assert_eq!(local.open_url(first, &listener), format!("{at}{PROXY_PATH}ui/?a=b&svcproxy-token={one}#c"));
    assert_eq!(local.open_url(second, &listener), format!("{at}{OTHER_PATH}?svcproxy-token={other}"));
    let named = local.named_url(second, "dev.example");
    assert_eq!(named, Some(format!("http://dev.example{OTHER_PATH}?svcproxy-token={other}")));
}

#[tokio::test]
async fn urls_where_localhost_does_not_lead() {
    let listen = ListenOn::Tcp { addresses: vec!["127.0.0.3".parse().unwrap()], port: Some(0) };
    let listener = LocalListener::bind(&listen, &[]).await.unwrap();
    let port = listener.port().unwrap();
    let (one, several) = (echoing(), two());
    assert_eq!(one.site_url(&one.sites[0], &listener), format!("http://127.0.0.3:{port}/"));
    assert_eq!(several.site_url(&several.sites[0], &listener), format!("http://127.0.0.3:{port}{PROXY_PATH}"));
    let address = listener.local_addrs()[0];
    let serving = tokio::spawn(serve(listener, one, std::future::pending(), TEST_TIMEOUT));
    let mut wire = Wire::connect(address).await;
    wire.send(&request_text(&format!("127.0.0.3:{port}"), "GET /a", "")).await;
    assert_eq!(body_of(&wire.rest().await), "GET /a");
    serving.abort();
}

#[tokio::test]
async fn a_refusal_is_a_page_for_browsers_and_text_for_others() {
    let (local, mut seen) = watched(|_| {});
    let serving = Serving::start(local).await;
    let text = serving.ask_at("evil.example:8001", "GET /").await;
    assert_eq!((status_of(&text), field(&text, "svcproxy-error")), (421, Some("host")));
    assert!(body_of(&text).contains("--allow-host evil.example:8001"), "{text}");
    assert_eq!(field(&text, "content-type"), Some("text/plain; charset=utf-8"));
    let page = serving.ask_at("evil\"<script>.example", &format!("GET /\n{NAVIGATION}")).await;
    assert_eq!(field(&page, "content-type"), Some("text/html; charset=utf-8"));
    assert!(page.contains("evil&quot;&lt;script&gt;.example") && !page.contains("\"<script>"), "{page}");
    assert!(page.contains("prefers-color-scheme: dark") && field(&page, "content-security-policy").is_some());
    serving.stop().await;
    assert_eq!(seen.recv().await, None);
}

/// Nobody but the page itself may read its state, and a look is answered like the page.
#[tokio::test]
async fn a_page_looks_whether_it_still_holds() {
    let count = Arc::new(AtomicUsize::new(1));
    let counted = count.clone();
    let mut local = two();
    local.sites[1].shown.ready = ReadyCount::new(move || Some(counted.load(Ordering::SeqCst)));
    let serving = Serving::start(local).await;
    let host = format!("127.0.0.1:{}", serving.port());
    let page = serving.ask_at(&host, &format!("GET /\n{NAVIGATION}")).await;
    let look = format!("GET /\nSec-Fetch-Mode: cors\nSec-Fetch-Site: same-origin\nsvcproxy-look: {}", "0".repeat(16));
    let state = field(&page, "svcproxy-state").unwrap();
    assert!(page.contains(&format!("data-state=\"{state}\" data-look=\"1\"")), "{page}");
    assert_eq!(field(&serving.ask_at(&host, &look).await, "svcproxy-state"), Some(state));
    count.store(0, Ordering::SeqCst);
    let changed = serving.ask_at(&host, &look).await;
    assert_ne!(field(&changed, "svcproxy-state"), Some(state));
    assert!(changed.contains("no ready endpoint"), "{changed}");
    let elsewhere = serving.ask_at(&host, &look.replace("same-origin", "cross-site")).await;
    assert_eq!(status_of(&elsewhere), 403);
    serving.stop().await;
}

#[tokio::test]
async fn the_site_of_a_service_that_is_not_open() {
    let serving = Serving::start(echoing()).await;
    let host = format!("Redis--Shop--abc124.localhost:{}", serving.port());
    let text = serving.ask_at(&host, "GET /").await;
    assert_eq!((status_of(&text), field(&text, "svcproxy-error")), (421, Some("host")));
    assert!(body_of(&text).starts_with("kubectl svcproxy: Service redis in shop--abc124 is not open here."), "{text}");
    assert!(body_of(&text).ends_with("\n  kubectl svcproxy redis\n") && !text.contains("--allow-host"), "{text}");
    let page = serving.ask_at(&host, &format!("GET /\n{NAVIGATION}")).await;
    for part in [" data-look=\"2\"", "<span class=\"about\">dev</span><span class=\"about\">shop--abc124/redis</span>"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    serving.stop().await;
}

#[tokio::test]
async fn the_service_is_named_to_whom_it_serves_and_never_to_strangers() {
    let serving = Serving::start(echoing()).await;
    let head = "<span class=\"about\">dev</span><span class=\"about\">default/nginx</span>";
    let refused = serving.ask(&format!("GET /%zz\n{NAVIGATION}")).await;
    assert!(refused.contains(head), "{refused}");
    let stranger = serving.ask_at("evil.example:8001", &format!("GET /\n{NAVIGATION}")).await;
    assert!(!stranger.contains("class=\"about\"") && !stranger.contains("nginx"), "{stranger}");
    serving.stop().await;

    let serving = Serving::start(LocalProxy { token: Some(required(TokenAsked::Always)), ..echoing() }).await;
    let page = serving.ask(&format!("GET /\n{NAVIGATION}")).await;
    assert!(page.contains(" data-look=\"2\"") && !page.contains("class=\"about\""), "{page}");
    serving.stop().await;
}

/// The app is asked as if the page had never looked.
#[tokio::test]
async fn no_app_sees_that_a_page_looks() {
    let (local, mut seen) = watched(|_| {});
    let serving = Serving::start(local).await;
    assert_eq!(status_of(&serving.ask("GET /\nsvcproxy-look: 0123").await), 200);
    assert_eq!(seen.recv().await.as_deref(), Some("GET /"));
    serving.stop().await;
}

#[tokio::test]
async fn a_refused_request_never_reaches_the_service() {
    let logged = LoggedRequests::default();
    let (local, mut seen) = watched(|local| {
        local.policy.read_only = true;
        local.log = logged.log();
    });
    let serving = Serving::start(local).await;
    for (head, status) in [
        ("GET /\nSec-Fetch-Site: cross-site", 403),
        ("GET /\nOrigin: http://evil.example", 403),
        ("GET /\nSec-Fetch-Dest: iframe\nSec-Fetch-Site: same-site\nSec-Fetch-Mode: navigate", 403),
        ("POST /", 405),
        ("GET /a/%2e%2e/b", 400),
        ("GET /%zz", 400),
        ("GET http://evil.example/", 400),
        ("OPTIONS *", 400),
        ("CONNECT evil.example:443", 405),
    ] {
        let answer = serving.ask(head).await;
        assert_eq!(status_of(&answer), status, "{head} {answer}");
    }
    assert_eq!(serving.stop().await, 0);
    assert_eq!(logged.counts(), RequestCounts { requests: 9, refused: 9, tunnels: 0 });
    assert_eq!(seen.recv().await, None);
}

#[tokio::test]
async fn t4_the_token_opens_a_site_once_and_becomes_a_cookie() {
    let (local, mut seen) = watched(|local| local.token = Some(required(TokenAsked::Always)));
    let token = required(TokenAsked::Always).of_site(LABEL);
    let serving = Serving::start(local).await;
    assert_eq!(status_of(&serving.ask("GET /").await), 401);
    assert_eq!(status_of(&serving.ask("GET /?svcproxy-token=guess").await), 401);

    let loopback = format!("127.0.0.1:{}", serving.port());
    let opened =
        serving.ask_at(&loopback, &format!("GET {PROXY_PATH}a?svcproxy-token={token}&b=c\n{NAVIGATION}")).await;
    let at_site = format!("http://{}/a?svcproxy-token={token}&b=c", serving.host());
    assert_eq!((status_of(&opened), field(&opened, "location")), (307, Some(at_site.as_str())));

    let exchanged = serving.ask(&format!("GET /a?svcproxy-token={token}&b=c\n{NAVIGATION}")).await;
    assert_eq!((status_of(&exchanged), field(&exchanged, "location")), (303, Some("/a?b=c")));
    let cookie = field(&exchanged, "set-cookie").unwrap();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !cookie.contains(&token), "{cookie}");
    for name in [&serving.host(), &loopback, &format!("localhost:{}", serving.port())] {
        let again = serving.ask_at(name, &format!("GET {PROXY_PATH}?svcproxy-token={token}")).await;
        assert_eq!(status_of(&again), 401, "{name}: {again}");
    }

    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(status_of(&serving.ask(&format!("GET /?b\nCookie: x=1; {cookie}")).await), 200);
    assert_eq!(status_of(&serving.ask(&format!("GET /\nCookie: {cookie}; {cookie}")).await), 400);
    let back = "Sec-Fetch-Mode: navigate\nSec-Fetch-Site: cross-site\nSec-Fetch-Dest: document";
    let asked = serving.ask(&format!("GET /delete?all='1&b\n{back}")).await;
    assert_eq!(status_of(&asked), 403);
    let link = "<a href=\"/delete?all=&#39;1&amp;b\">";
    assert!(asked.contains(link) && !asked.contains("http-equiv=\"refresh\""), "{asked}");
    serving.stop().await;
    assert_eq!(seen.recv().await.as_deref(), Some("GET /?b\ncookie: x=1"));
    assert_eq!(seen.recv().await, None);
}

const POST_BACK: &str =
    "POST /acs\nSec-Fetch-Site: cross-site\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document\nContent-Length: 0";

/// Asks for a page that leads to the login, as a navigation begun by `fetch_site`, with more header lines.
async fn go_to_login(serving: &Serving, host: &str, fetch_site: &str, lines: &str) {
    let head =
        format!("GET /login\nSec-Fetch-Site: {fetch_site}\nSec-Fetch-Mode: navigate\nSec-Fetch-Dest: document{lines}");
    assert_eq!(status_of(&serving.ask_at(host, &head).await), 302);
}

fn leading_to_login(label: &str, path: &str) -> Site {
    let answer = |request: Request<Body>| async move {
        let is_login = request.uri().path() == "/login";
        let status = if is_login { 302 } else { 200 };
        let location = "https://idp.example/saml?request=1";
        Response::builder().status(status).header("location", location).body(Body::Empty).unwrap()
    };
    site(label, path, Answering(answer))
}

#[tokio::test]
async fn a_login_comes_back_by_post_only_where_the_site_sent_the_browser_to_it() {
    const OTHER: &str = "other--default--abc124";
    let other = leading_to_login(OTHER, "/api/v1/namespaces/default/services/other/proxy/");
    let serving = Serving::start(local(vec![leading_to_login(LABEL, PROXY_PATH), other])).await;
    let (host, other) = (serving.host(), format!("{OTHER}.localhost:{}", serving.port()));
    let back = async |origin: &str| status_of(&serving.ask(&format!("{POST_BACK}\nOrigin: {origin}")).await);
    assert_eq!(back("https://idp.example").await, 403, "nobody was sent there");
    go_to_login(&serving, &other, "none", "").await;
    assert_eq!(back("https://idp.example").await, 403, "another site's redirect counts for that site");
    go_to_login(&serving, &host, "cross-site", "").await;
    go_to_login(&serving, &host, "cross-site", "\nReferer: https://evil.example/").await;
    assert_eq!(back("https://idp.example").await, 403, "a page elsewhere began it");
    go_to_login(&serving, &host, "none", "").await;
    assert_eq!(back("https://idp.example").await, 200);
    assert_eq!(back("https://evil.example").await, 403);
    let framed = format!("{POST_BACK}\nOrigin: https://idp.example").replace("document", "iframe");
    assert_eq!(status_of(&serving.ask(&framed).await), 403);
    let fetched = format!("{POST_BACK}\nOrigin: https://idp.example").replace("navigate", "cors");
    assert_eq!(status_of(&serving.ask(&fetched).await), 403);
    let from_other_site = serving.ask(&format!("{POST_BACK}\nOrigin: http://{other}")).await;
    assert_eq!(status_of(&from_other_site), 200, "a login in another Service of this run");
    let other_port = serving.ask(&format!("{POST_BACK}\nOrigin: http://{OTHER}.localhost:1")).await;
    assert_eq!(status_of(&other_port), 403);
    serving.stop().await;
}

#[tokio::test]
async fn the_start_page_is_no_page_elsewhere() {
    let serving = Serving::start(local(vec![leading_to_login(LABEL, PROXY_PATH)])).await;
    let referrer = format!("\nReferer: http://127.0.0.1:{}/", serving.port());
    go_to_login(&serving, &serving.host(), "cross-site", &referrer).await;
    let answer = serving.ask(&format!("{POST_BACK}\nOrigin: https://idp.example")).await;
    assert_eq!(status_of(&answer), 200);
    serving.stop().await;
}

/// The session goes along by itself only on the way back from a login to which the site has sent the browser.
#[tokio::test]
async fn t4_a_login_comes_back_with_the_session() {
    let site = leading_to_login(LABEL, PROXY_PATH);
    let serving = Serving::start(LocalProxy { token: Some(required(TokenAsked::Always)), ..local(vec![site]) }).await;
    let token = required(TokenAsked::Always).of_site(LABEL);
    let exchanged = serving.ask(&format!("GET /?svcproxy-token={token}\n{NAVIGATION}")).await;
    let cookie = field(&exchanged, "set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let host = serving.host();
    go_to_login(&serving, &host, "none", &format!("\nCookie: {cookie}")).await;
    let back = "Sec-Fetch-Mode: navigate\nSec-Fetch-Site: cross-site\nSec-Fetch-Dest: document";
    let bounced = serving.ask(&format!("GET /callback?code='1&b\n{back}")).await;
    assert!(bounced.contains("content=\"0; url=/callback?code=&#39;1&amp;b\""), "{bounced}");
    assert!(!bounced.contains("cross-origin-opener-policy"), "a login in a window of its own: {bounced}");
    serving.stop().await;
}

#[tokio::test]
async fn t2_answers_where_browsers_do_not_say_whose_page_asks() {
    let mut local = echoing();
    local.policy.allow_hosts.push("dev.example".to_owned());
    let serving = Serving::start(LocalProxy { token: Some(required(TokenAsked::WithoutFetchMetadata)), ..local }).await;
    let token = required(TokenAsked::WithoutFetchMetadata).of_site(LABEL);
    assert_eq!(status_of(&serving.ask("GET /").await), 200, "this machine's own names need none");
    assert_eq!(status_of(&serving.ask_at("dev.example", "GET /\nSec-Fetch-Site: same-origin").await), 200);
    assert_eq!(status_of(&serving.ask_at("dev.example", "GET /").await), 401);
    let exchanged = serving.ask_at("dev.example", &format!("GET /?svcproxy-token={token}")).await;
    let cookie = field(&exchanged, "set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let page = serving.ask_at("dev.example", &format!("GET /\nCookie: {cookie}")).await;
    assert_eq!(status_of(&page), 200);
    assert_eq!(field(&page, "cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(field(&page, "content-security-policy"), Some("frame-ancestors 'self'"));
    let foreign =
        serving.ask_at("dev.example", &format!("GET /\nCookie: {cookie}\nReferer: http://evil.example/")).await;
    assert_eq!(status_of(&foreign), 403);
    let led = format!("GET /a?b\nCookie: {cookie}\nReferer: http://evil.example/\nUpgrade-Insecure-Requests: 1");
    let led = serving.ask_at("dev.example", &led).await;
    assert!(status_of(&led) == 403 && led.contains("<a href=\"/a?b\">"), "in a frame, perhaps: {led}");
    let own = serving.ask(&format!("GET /\n{NAVIGATION}")).await;
    assert!(!own.contains("cross-origin-") && !own.contains("frame-ancestors"), "{own}");
    serving.stop().await;
}
