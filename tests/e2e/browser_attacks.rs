//! What pages of other origins try in a real browser, on a Service that is open (T1 to T3 and T24 of the attack suite in
//! `tests/it`): all of it is refused, and the app hears of nothing. And the way in with `--require-token`.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{Plugin, serve};
use support::cluster::{Cluster, backend_in};
use support::{Backend, Canned, Serving, eventually, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        t1_a_name_that_turns_to_this_machine,
        t2_t3_t24_pages_of_other_origins,
        t2_forms_that_leave_the_page,
        the_apps_own_page_may_do_all_that,
        a_token_is_exchanged_and_leaves_the_address_bar,
        t2_an_address_to_which_browsers_say_nothing,
        t2_a_page_that_opened_the_site_has_no_hold_on_it,
        t2_pages_that_are_fetched_ahead,
        t4_a_link_with_somebody_elses_intent,
        t12_a_service_worker_at_a_shared_origin,
    ]
}

/// Ways to reach another origin from within a page: what it is called, and the body of a function with the URL as its
/// argument, which ends once the browser has its answer.
const ATTACKS: [(&str, &str); 14] = [
    ("fetch", "return (await fetch(arguments[0], {mode: 'no-cors', credentials: 'include'})).type"),
    ("post", "return (await fetch(arguments[0], {mode: 'no-cors', method: 'POST', body: 'x=1'})).type"),
    ("cors", "return await (await fetch(arguments[0], {credentials: 'include'})).text()"),
    ("preflight", "return await (await fetch(arguments[0], {method: 'DELETE', headers: {'x-mine': '1'}})).text()"),
    ("beacon", "return navigator.sendBeacon(arguments[0], 'x=1')"),
    ("image", "return await loaded('img', {src: arguments[0]})"),
    ("script", "return await loaded('script', {src: arguments[0]})"),
    ("style", "return await loaded('link', {rel: 'stylesheet', href: arguments[0]})"),
    ("frame", "return await loaded('iframe', {src: arguments[0]})"),
    ("object", "return await loaded('object', {data: arguments[0]})"),
    ("embed", "return await loaded('embed', {src: arguments[0]})"),
    ("framed-form", "return await submitted(arguments[0])"),
    ("events", "return await first(new EventSource(arguments[0]), 'open', 'message', 'error')"),
    (
        "socket",
        "const socket = new WebSocket(arguments[0].replace('http', 'ws'));
         const outcome = await first(socket, 'open', 'error');
         socket.close();
         return outcome",
    ),
];

/// What the attacks are written with.
const TOOLS: &str = "
    const first = (source, ...names) => new Promise(done => names.forEach(name =>
        source.addEventListener(name, () => done(name))));
    const loaded = (tag, properties) => {
        const element = Object.assign(document.createElement(tag), properties);
        const outcome = first(element, 'load', 'error');
        document.body.append(element);
        return outcome;
    };
    const submitted = url => {
        const frame = Object.assign(document.createElement('iframe'), {name: 'target-' + Math.random()});
        const form = Object.assign(document.createElement('form'), {action: url, method: 'POST', target: frame.name});
        document.body.append(frame, form);
        const outcome = first(frame, 'load', 'error');
        form.submit();
        return outcome;
    };
";

/// An app that is open, somebody else's pages, and a browser that sees both.
struct Stage {
    app: Backend,
    serving: Serving,
    evil: Backend,
    browser: Browser,
}

impl Stage {
    async fn new(cluster: &'static Cluster) -> Self {
        let namespace = cluster.namespace().await;
        let app = backend_in(cluster, &namespace).await;
        app.answer("/", page("The app"));
        let serving = serve(cluster, &namespace, &["app", "--log-requests"]).await;
        let evil = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
        evil.answer("/", page("Cats"));
        // The attacker's name server may say what it likes.
        let names = "--host-resolver-rules=MAP rebound.example 127.0.0.1";
        let browser = Browser::start_with(&cluster.scratch(), &[names]).await;
        Self { app, serving, evil, browser }
    }

    /// Pages of somebody else: of another site, of a name below the app's own (which browsers call the same site), of
    /// this machine's address.
    fn evil_pages(&self) -> [String; 3] {
        let site = self.serving.site_url();
        let host = site.trim_start_matches("http://").split(':').next().expect("a split has a first part").to_owned();
        let port = self.evil.address().port();
        ["evil.localhost", &format!("x.{host}"), "127.0.0.1"].map(|host| format!("http://{host}:{port}/"))
    }

    /// Runs an attack on `url` in the page that is open; what the page learns of it.
    async fn attack(&self, body: &str, url: &str) -> Value {
        let seen = self.browser.run(&format!("{TOOLS} {body}"), &[url]).await;
        seen.unwrap_or_else(|error| json!(error))
    }

    /// Waits for the log's line of a refusal.
    async fn until_refused(&self, name: &str, status: u16) {
        let words = format!("/{name} ");
        eventually(&format!("{name} is refused"), async || {
            let said = self.serving.stderr();
            let line = said.lines().find(|line| line.contains(&words))?;
            assert!(line.contains(&format!("{words}{status} ")), "{line}");
            Some(())
        })
        .await;
    }

    fn untouched(&self, what: &str) {
        let requests = self.app.requests();
        assert!(requests.is_empty(), "{what} reached the app: {requests:?}");
    }
}

fn page(heading: &str) -> Canned {
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    Canned { headers, body: format!("<!DOCTYPE html><body><h1>{heading}</h1>").into_bytes(), ..Canned::default() }
}

async fn t2_t3_t24_pages_of_other_origins(cluster: &'static Cluster) {
    let stage = Stage::new(cluster).await;
    for (number, page) in stage.evil_pages().iter().enumerate() {
        stage.browser.open(page).await.unwrap();
        stage.browser.until_text("h1", "Cats").await.unwrap();
        for (at, base) in [("site", stage.serving.site_url()), ("path", stage.serving.proxy_url())] {
            for (attack, body) in ATTACKS {
                let name = format!("{attack}-{at}-{number}");
                let learnt = stage.attack(body, &format!("{base}{name}")).await;
                assert!(!learnt.to_string().contains("target") && learnt != "open", "{page} {name}: {learnt}");
                stage.until_refused(&name, 403).await;
                stage.untouched(&format!("{name} of {page}"));
            }
        }
    }
    stage.browser.close().await;
    stage.serving.stop().await;
}

/// A link may lead to the app, or logins elsewhere could not come back; a form may not.
async fn t2_forms_that_leave_the_page(cluster: &'static Cluster) {
    let stage = Stage::new(cluster).await;
    let leave =
        "const form = Object.assign(document.createElement('form'), {action: arguments[0], method: arguments[1]});
                 document.body.append(form);
                 form.submit();";
    for (number, page) in stage.evil_pages().iter().enumerate() {
        let name = format!("form-{number}");
        let url = format!("{}{name}", stage.serving.site_url());
        stage.browser.open(page).await.unwrap();
        stage.browser.run(leave, &[&url, "POST"]).await.unwrap();
        stage.browser.until_text("body", "--allow-origin").await.unwrap();
        stage.until_refused(&name, 403).await;
        stage.untouched(&format!("a form of {page}"));
    }
    for page in stage.evil_pages() {
        stage.browser.open(&page).await.unwrap();
        stage.browser.run(leave, &[&stage.serving.proxy_url(), "GET"]).await.unwrap();
        stage.browser.until_text("h1", "The app").await.unwrap();
        assert_eq!(stage.browser.url().await.unwrap(), format!("{}?", stage.serving.site_url()));
    }
    stage.browser.close().await;
    stage.serving.stop().await;
}

/// Neither when it is opened, nor when a page of that name asks.
async fn t1_a_name_that_turns_to_this_machine(cluster: &'static Cluster) {
    let stage = Stage::new(cluster).await;
    let own = url::Url::parse(&stage.serving.proxy_url()).unwrap();
    let rebound = format!("rebound.example:{}", own.port().expect("it has a port of its own"));
    for path in ["/", own.path()] {
        stage.browser.open(&format!("http://{rebound}{path}")).await.unwrap();
        stage.browser.until_text("body", &format!("--allow-host {rebound}")).await.unwrap();
        stage.untouched(path);
    }
    stage.browser.open(&format!("http://rebound.example:{}/", stage.evil.address().port())).await.unwrap();
    stage.browser.until_text("h1", "Cats").await.unwrap();
    for (attack, body) in ATTACKS {
        stage.attack(body, &format!("http://{rebound}{}{attack}", own.path())).await;
        stage.until_refused(attack, 421).await;
        stage.untouched(attack);
    }
    stage.browser.close().await;
    stage.serving.stop().await;
}

/// The other tests fail only for the right reason if all this works where it may.
async fn the_apps_own_page_may_do_all_that(cluster: &'static Cluster) {
    let stage = Stage::new(cluster).await;
    let site = stage.serving.site_url();
    stage.browser.open(&stage.serving.proxy_url()).await.unwrap();
    stage.browser.until_text("h1", "The app").await.unwrap();
    for (attack, body) in ATTACKS {
        stage.attack(body, &format!("{site}{attack}")).await;
        eventually(&format!("{attack} reaches the app"), async || {
            let target = json!(format!("/{attack}"));
            stage.app.requests().iter().any(|request| request["target"] == target).then_some(())
        })
        .await;
    }
    stage.browser.close().await;
    stage.serving.stop().await;
}

async fn a_token_is_exchanged_and_leaves_the_address_bar(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let app = backend_in(cluster, &namespace).await;
    app.answer("/start", page("The app"));
    let kubeconfig = cluster.admin().kubeconfig(namespace.name());
    let noting = crate::apps::Noting::new(cluster);
    let flags = ["app", "--path=/start?x=1", "--require-token", "--port=0", "--output=json", noting.flag()];
    let serving = Plugin::new(cluster, &kubeconfig).plain().args(flags).serve().await;
    let opened = noting.opened().await;
    let token = opened.split("svcproxy-token=").nth(1).expect("the URL that is opened carries a token").to_owned();
    let site = serving.site_url();

    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(&site).await.unwrap();
    browser.until_text("body", "--require-token").await.unwrap();
    assert_eq!(app.requests().len(), 0, "without the token nothing gets in");

    browser.open(&opened).await.unwrap();
    browser.until_text("h1", "The app").await.unwrap();
    assert_eq!(browser.url().await.unwrap(), format!("{site}start?x=1"));
    browser.reload().await.unwrap();
    browser.until_text("h1", "The app").await.unwrap();
    assert_eq!(browser.run("return document.cookie", &[]).await.unwrap(), "", "no script reads the cookie");
    let socket = "const socket = new WebSocket(arguments[0].replace('http', 'ws') + 'socket');
                  return await new Promise(done => {
                      socket.onopen = () => socket.send('hello');
                      socket.onmessage = message => done(message.data);
                      socket.onerror = () => done('error');
                  })";
    assert_eq!(browser.run(socket, &[&site]).await.unwrap(), "hello");
    browser.close().await;

    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let url = opened.replacen("127.0.0.1", name, 1);
        let code = http::curl(["--output", "/dev/null", "--write-out", "%{http_code}", &url]).await.stdout;
        assert_eq!(String::from_utf8_lossy(&code), "401", "used up for {name} as well");
    }
    let another = Browser::start(&cluster.scratch()).await;
    another.open(&opened).await.unwrap();
    another.until_text("body", "--require-token").await.unwrap();
    another.close().await;
    let seen = Value::from(app.requests()).to_string();
    assert!(seen.contains("/start?x=1") && seen.contains("/socket"), "{seen}");
    assert!(!seen.contains(&token) && !seen.contains("svcproxy-"), "the app is told nothing of it: {seen}");
    serving.stop().await;
}

/// What a page of another origin tries at `http://10.…`, where browsers send no Fetch Metadata.
async fn t2_an_address_to_which_browsers_say_nothing(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let app = backend_in(cluster, &namespace).await;
    app.answer("/", page("The app"));
    let here = cluster.pod_address();
    let address = format!("--address={here}");
    let serving = serve(cluster, &namespace, &["app", "--log-requests", &address]).await;
    serving.until_stderr("open once: ").await;
    let said = serving.stderr();
    let opened = said.split("open once: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!(opened.starts_with(&format!("http://{here}:")) && said.contains("--require-token=false"), "{said}");
    let script = Canned {
        headers: vec![("content-type".to_owned(), "text/javascript".to_owned())],
        body: b"window.stolen = 'a secret'".to_vec(),
        ..Canned::default()
    };
    app.answer("/config.js", script);

    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(opened).await.unwrap();
    browser.until_text("h1", "The app").await.unwrap();
    let site = browser.url().await.unwrap();
    let before = app.requests().len();
    // Another host, and another port of the same one, which is the same site to cookies.
    for (number, host) in [Ipv4Addr::LOCALHOST, here].into_iter().enumerate() {
        let evil = Backend::start(host, 0).await;
        evil.answer("/", page("Cats"));
        browser.open(&format!("http://{}/", evil.address())).await.unwrap();
        browser.until_text("h1", "Cats").await.unwrap();
        for (attack, body) in ATTACKS {
            let url = format!("{site}{attack}-{number}");
            let learnt = browser.run(&format!("{TOOLS} {body}"), &[&url]).await.unwrap_or_else(|error| json!(error));
            assert!(!learnt.to_string().contains("target") && learnt != "open", "{attack}: {learnt}");
            eventually(&format!("{attack} is refused"), async || {
                let said = serving.stderr();
                let line = said.lines().find(|line| line.contains(&format!("/{attack}-{number} ")))?;
                assert!(line.contains(" 403 ") || line.contains(" 401 "), "{line}");
                Some(())
            })
            .await;
        }
        assert_eq!(app.requests().len(), before, "nothing reached the app: {:?}", app.requests());
        // A page that hides where it is may ask, and is not let see.
        let hidden = "const script = Object.assign(document.createElement('script'), {src: arguments[0], referrerPolicy: 'no-referrer'});
                      const outcome = first(script, 'load', 'error');
                      document.body.append(script);
                      return [await outcome, window.stolen ?? 'nothing']";
        let learnt = browser.run(&format!("{TOOLS} {hidden}"), &[&format!("{site}config.js")]).await.unwrap();
        assert_eq!(learnt, json!(["error", "nothing"]), "{host}");
    }
    browser.open(&site).await.unwrap();
    browser.until_text("h1", "The app").await.unwrap();
    browser.close().await;
    serving.stop().await;
}

async fn t2_a_page_that_opened_the_site_has_no_hold_on_it(cluster: &'static Cluster) {
    let stage = Stage::new(cluster).await;
    let site = stage.serving.site_url();
    stage.browser.open(&stage.evil_pages()[0]).await.unwrap();
    stage.browser.until_text("h1", "Cats").await.unwrap();
    stage.browser.run("window.held = window.open(arguments[0])", &[&site]).await.unwrap();
    eventually("the app is opened", async || (!stage.app.requests().is_empty()).then_some(())).await;
    let is_let_go = "return window.held.closed";
    stage.browser.until("it has no hold any more", is_let_go, &[]).await.unwrap();
    stage.browser.close().await;
    stage.serving.stop().await;
}

async fn t2_pages_that_are_fetched_ahead(cluster: &'static Cluster) {
    let stage = Stage::new(cluster).await;
    let site = stage.serving.site_url();
    let ahead = "const rules = document.createElement('script');
                 rules.type = 'speculationrules';
                 rules.textContent = JSON.stringify({
                     prefetch: [{source: 'list', urls: [arguments[0]], eagerness: 'immediate'}]
                 });
                 document.head.append(rules)";
    stage.browser.open(&stage.evil_pages()[0]).await.unwrap();
    stage.browser.until_text("h1", "Cats").await.unwrap();
    stage.browser.run(ahead, &[&format!("{site}ahead")]).await.unwrap();
    stage.until_refused("ahead", 403).await;
    stage.untouched("what was fetched ahead");
    stage.browser.close().await;
    stage.serving.stop().await;
}

/// With a token a link elsewhere does nothing in the user's name until the user says so.
async fn t4_a_link_with_somebody_elses_intent(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let app = backend_in(cluster, &namespace).await;
    app.answer("/", page("The app"));
    app.answer("/delete", page("All gone"));
    let serving = serve(cluster, &namespace, &["app", "--require-token"]).await;
    serving.until_stderr("open once: ").await;
    let said = serving.stderr();
    let opened = said.split("open once: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(opened).await.unwrap();
    browser.until_text("h1", "The app").await.unwrap();
    let evil = Backend::start(Ipv4Addr::LOCALHOST, 0).await;
    evil.answer("/", page("Cats"));
    browser.open(&format!("http://127.0.0.1:{}/", evil.address().port())).await.unwrap();
    browser.until_text("h1", "Cats").await.unwrap();
    let url = format!("{}delete?all=1", serving.site_url());
    browser.run("location.href = arguments[0]", &[&url]).await.unwrap();
    browser.until_text("h1", "A page elsewhere led here").await.unwrap();
    let deleted = || app.requests().iter().any(|request| request["target"] == "/delete?all=1");
    assert!(!deleted(), "{:?}", app.requests());
    browser.click("main a").await.unwrap();
    eventually("the user has gone on", async || deleted().then_some(())).await;
    browser.close().await;
    serving.stop().await;
}

/// It would stay there for whatever is served under `localhost` tomorrow.
async fn t12_a_service_worker_at_a_shared_origin(cluster: &'static Cluster) {
    let register =
        "return await navigator.serviceWorker.register('/worker.js').then(() => 'registered', error => error.name)";
    for (flag, is_its_own) in [("--origin=localhost", false), ("--origin=site", true)] {
        let namespace = cluster.namespace().await;
        let app = backend_in(cluster, &namespace).await;
        app.answer("/", page("The app"));
        let headers = [("content-type", "text/javascript"), ("service-worker-allowed", "/")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        app.answer("/worker.js", Canned { headers, body: b"// nothing".to_vec(), ..Canned::default() });
        let serving = serve(cluster, &namespace, &["app", flag]).await;
        let browser = Browser::start(&cluster.scratch()).await;
        browser.open(&serving.site_url()).await.unwrap();
        browser.until_text("h1", "The app").await.unwrap();
        let outcome = browser.run(register, &[]).await.unwrap();
        assert_eq!(outcome == "registered", is_its_own, "{flag}: {outcome}");
        browser.close().await;
        serving.stop().await;
    }
}
