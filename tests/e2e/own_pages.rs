//! The pages that the program shows itself, in a real browser: they change when what they tell of does, and at no other time;
//! they can be read in any window, light and dark, by keyboard and without a script.
//!
//! A picture of every page, light and dark, in three widths, is left in a folder below `target` to be looked at.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::browser::Browser;
use crate::harness::{plugin, serve};
use support::cluster::{Cluster, Namespace, Pod, backend_in};
use support::{Backend, Canned, Serving};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![
        nothing_changes_while_nothing_has_changed,
        without_a_script_it_is_loaded_again,
        below_the_proxy_path,
        a_command_is_copied,
        the_start_page_is_kept_up,
        a_refusal_in_any_window,
        a_tab_of_another_run_goes_on,
        a_tab_without_the_token_goes_on,
        what_was_sent_is_not_sent_again,
    ]
}

/// Looks at a page with this heading in windows of all sizes, light and dark.
pub(crate) async fn look_at(cluster: &Cluster, url: &str, title: &str) {
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(url).await.unwrap();
    browser.until_text("h1", title).await.unwrap();
    look(&browser, title).await;
    browser.close().await;
}

async fn look(browser: &Browser, title: &str) {
    assert_eq!(browser.run(STRUCTURE, &[]).await, Ok(json!([])), "{title}");
    for width in [375, 768, 1280] {
        browser.resize(width, 900).await.unwrap();
        let fits = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
        assert_eq!(browser.run(fits, &[]).await, Ok(json!(true)), "{title} is wider than {width} pixels");
        for scheme in ["light", "dark"] {
            browser.prefer_colours(scheme).await.unwrap();
            let faint = browser.run(FAINT_TEXT, &[]).await;
            assert_eq!(faint, Ok(json!([])), "{title}, {scheme}: contrast below 4.5");
            browser.screenshot(&picture_file(title, &format!("{width}-{scheme}"))).await.unwrap();
        }
    }
}

fn picture_file(title: &str, what: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-pages");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{}-{what}.png", title.replace([' ', '/'], "-")))
}

/// What is wrong with a page for those who do not see it or have no mouse.
const STRUCTURE: &str = "
    const wrong = [];
    const expect = (is, what) => is || wrong.push(what);
    const count = selector => document.querySelectorAll(selector).length;
    expect(document.documentElement.lang === 'en', 'lang');
    expect(document.title === document.querySelector('h1').textContent, 'title');
    expect(count('h1') === 1 && count('main h1') === 1, 'one heading');
    expect(count('body > header') === 1 && count('body > main') === 1, 'landmarks');
    expect(count('header svg[role=img][aria-label]') === 1, 'a mark with words');
    expect(document.querySelector('link[rel=icon]').href.startsWith('data:image/svg+xml,'), 'an icon of our own');
    document.querySelectorAll('details').forEach(details => { details.open = true; });
    for (const element of document.querySelectorAll('a, button, summary')) {
        element.focus({focusVisible: true});
        const style = getComputedStyle(element);
        const name = element.textContent.trim();
        expect(document.activeElement === element && name, `${name} cannot be reached`);
        expect(style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, `${name} shows no focus`);
        element.blur();
    }
    document.querySelectorAll('details').forEach(details => { details.open = false; });
    return wrong";

/// Every text whose contrast with what is behind it is too small (WCAG 2.2, success criterion 1.4.3), also in what is folded.
const FAINT_TEXT: &str = "
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    const linear = part => (part /= 255) <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
    const luminance = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
    const ground = element => {
        for (; element; element = element.parentElement) {
            const [r, g, b, alpha = 1] = numbers(getComputedStyle(element).backgroundColor);
            if (alpha === 1) return [r, g, b];
        }
    };
    const folded = [...document.querySelectorAll('details:not([open])')];
    folded.forEach(details => { details.open = true; });
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const [faint, seen] = [[], []];
    while (texts.nextNode()) {
        const [text, element] = [texts.currentNode.data.trim(), texts.currentNode.parentElement];
        if (!text || element.tagName === 'SCRIPT') continue;
        const [ink, behind] = [numbers(getComputedStyle(element).color), ground(element)].map(luminance);
        const ratio = (Math.max(ink, behind) + .05) / (Math.min(ink, behind) + .05);
        seen.push(text);
        if (!(ratio >= 4.5)) faint.push(`${text}: ${ratio}`);
    }
    folded.forEach(details => { details.open = false; });
    return seen.length > 3 ? faint : ['too little text was seen'];";

const HTTP: &str = "http";

async fn service(namespace: &Namespace, name: &str) {
    namespace.service(name, json!([{"name": HTTP, "port": 80, "targetPort": 8080}])).await;
}

/// A Pod of the Service `app` that answers.
async fn answering(cluster: &Cluster, namespace: &Namespace) -> Backend {
    let backend = Backend::start(cluster.pod_address(), 8080).await;
    let labels = json!({"app": "app"});
    namespace.pod(Pod { name: "app-0", ip: backend.ip(), labels, ports: json!([]), ready: true }).await;
    backend
}

const SELECTED: &str = "return getSelection().toString() === 'The original message'
    && document.querySelector('details').open && window.sameDocument === true";

async fn nothing_changes_while_nothing_has_changed(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    service(&namespace, "app").await;
    namespace.until_endpoints("app", 0).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(&serving.site_url()).await.unwrap();
    browser.until_text("h1", "app has no Pods").await.unwrap();
    let mark = "window.sameDocument = true;
        const [fetch, looks] = [window.fetch, []];
        window.looks = looks;
        window.fetch = async (...asked) => {
            const answer = await fetch(...asked);
            looks.push(answer.status);
            return answer;
        };
        document.querySelector('details').open = true;
        getSelection().selectAllChildren(document.querySelector('summary'))";
    browser.run(mark, &[]).await.unwrap();
    browser.until("three looks", "return window.looks.length >= 3", &[]).await.unwrap();
    assert_eq!(browser.run(SELECTED, &[]).await, Ok(json!(true)), "after three looks");

    // Another state: the same page goes on with it, and what was opened stays so.
    let (labels, ports) = (json!({"app": "app"}), json!([]));
    namespace.pod(Pod { name: "app-1", ip: cluster.pod_address(), labels, ports, ready: false }).await;
    browser.until_text("h1", "app-1 is not ready").await.unwrap();
    let still = "return document.querySelector('details').open && window.sameDocument === true
        && document.title === 'app-1 is not ready' && document.querySelectorAll('button').length === 2";
    assert_eq!(browser.run(still, &[]).await, Ok(json!(true)));

    let _backend = answering(cluster, &namespace).await;
    browser.until_text("body", "\"target\":\"/\"").await.unwrap();
    browser.close().await;
}

async fn without_a_script_it_is_loaded_again(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    service(&namespace, "app").await;
    namespace.until_endpoints("app", 0).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let browser = Browser::start(&cluster.scratch()).await;
    browser.run_scripts(false).await.unwrap();
    browser.open(&serving.site_url()).await.unwrap();
    browser.until_text("h1", "app has no Pods").await.unwrap();
    let buttons = "return document.querySelectorAll('button').length";
    assert_eq!(browser.run(buttons, &[]).await, Ok(json!(0)), "buttons that do nothing");
    let _backend = answering(cluster, &namespace).await;
    browser.until_text("body", "\"target\":\"/\"").await.unwrap();
    browser.close().await;
}

/// With `--origin path`, where every link and every look has that path in front.
async fn below_the_proxy_path(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    service(&namespace, "app").await;
    namespace.until_endpoints("app", 0).await;
    let serving = serve(cluster, &namespace, &["app", "--origin=path"]).await;
    let browser = Browser::start(&cluster.scratch()).await;
    let url = serving.proxy_url() + "ui/?x=1";
    browser.open(&url).await.unwrap();
    browser.until_text("h1", "app has no Pods").await.unwrap();
    browser.run("window.sameDocument = true", &[]).await.unwrap();
    assert_eq!(browser.run(STRUCTURE, &[]).await, Ok(json!([])));
    assert_eq!(browser.run("return location.href", &[]).await, Ok(json!(url)));
    let (labels, ports) = (json!({"app": "app"}), json!([]));
    namespace.pod(Pod { name: "app-1", ip: cluster.pod_address(), labels, ports, ready: false }).await;
    browser.until_text("h1", "app-1 is not ready").await.unwrap();
    assert_eq!(browser.run("return window.sameDocument", &[]).await, Ok(json!(true)), "it looks by itself");
    let _backend = answering(cluster, &namespace).await;
    browser.until_text("body", "\"target\":\"/ui/?x=1\"").await.unwrap();
    browser.close().await;
}

async fn a_command_is_copied(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    service(&namespace, "app").await;
    namespace.until_endpoints("app", 0).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    let browser = Browser::start(&cluster.scratch()).await;
    browser.allow_reading_the_clipboard().await.unwrap();
    browser.open(&serving.site_url()).await.unwrap();
    browser.click_text("button", "Copy").await.unwrap();
    browser.until_text("button", "Copied").await.unwrap();
    let copied = browser.run("return await navigator.clipboard.readText()", &[]).await;
    let command = format!("kubectl --context test -n {} get pods -l app=app", namespace.name());
    assert_eq!(copied, Ok(json!(command)));
    browser.close().await;
}

async fn the_start_page_is_kept_up(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    service(&namespace, "idle").await;
    let serving = plugin(cluster, &namespace, &["app", "idle"]).serve_targets(2).await;
    let start = serving.proxy_url().split("/api/").next().unwrap().to_owned() + "/";
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(&start).await.unwrap();
    browser.until_text(".live", "1 ready endpoint").await.unwrap();
    browser.until_text(".live", "no ready endpoint").await.unwrap();
    let rows =
        browser.run("return [...document.querySelectorAll('.row a')].map(link => link.href)", &[]).await.unwrap();
    let sites = [0, 1].map(|number| serving.ready_target(number)["siteUrl"].clone());
    assert_eq!(rows, json!(sites));
    browser.until_text("main > p", "Context test, server https://10.77.0.1:6443").await.unwrap();
    browser.until_text("pre", "kubectl svcproxy --context test -A --list").await.unwrap();
    look(&browser, "Open Services").await;

    browser.run("document.querySelector('details').open = true", &[]).await.unwrap();
    browser.run("document.querySelectorAll('.row a')[1].focus()", &[]).await.unwrap();
    namespace.set_ready("app-0", false).await;
    let both = "return [...document.querySelectorAll('.live')].every(row => row.textContent === 'no ready endpoint')
        && document.querySelector('header svg').getAttribute('aria-label') === 'waiting'";
    browser.until("both without endpoints", both, &[]).await.unwrap();
    let kept = "return document.querySelector('details').open && document.activeElement.textContent === 'idle'";
    assert_eq!(browser.run(kept, &[]).await, Ok(json!(true)));
    namespace.set_ready("app-0", true).await;
    browser.until_text(".live", "1 ready endpoint").await.unwrap();
    assert!(backend.requests().is_empty(), "no app hears of its start page: {:?}", backend.requests());
    browser.click(".row a").await.unwrap();
    browser.until_text("body", "\"target\":\"/\"").await.unwrap();
    browser.close().await;
}

async fn a_refusal_in_any_window(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app"]).await;
    look_at(
        cluster,
        &format!("{}a%zz", serving.site_url()),
        "The path has a % without two hexadecimal digits after it",
    )
    .await;
    assert!(backend.requests().iter().all(|request| request["target"] != "/a%zz"), "{:?}", backend.requests());
}

/// The tab of a Service that is not open here says so, and goes on once it is.
async fn a_tab_of_another_run_goes_on(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    service(&namespace, "other").await;
    let run = |port: u16, services: &[&str]| {
        let port = format!("--port={port}");
        plugin(cluster, &namespace, &[&["--no-browser", "--output=json", &port], services].concat()).plain()
    };
    let serving = run(0, &["app", "other"]).serve_targets(2).await;
    let url = serving.site_url();
    let port = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    serving.stop().await;

    let serving = run(port, &["other"]).serve().await;
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(&format!("{url}a?b=c")).await.unwrap();
    let title = format!("Service app in {} is not open here", namespace.name());
    browser.until_text("h1", &title).await.unwrap();
    browser.until_text("pre", &format!("kubectl svcproxy --context test {url} -p {port}")).await.unwrap();
    look(&browser, &title).await;
    serving.stop().await;
    browser.until_text(".look", "kubectl svcproxy does not run any more").await.unwrap();

    // The command that the page says, as a person runs it.
    let serving = run(port, &["--context", "test", &url]).serve().await;
    assert_eq!(serving.site_url(), url);
    browser.until_text("body", "\"target\":\"/a?b=c\"").await.unwrap();
    browser.close().await;
    serving.stop().await;

    let flag = format!("--allow-host={}", url.trim_start_matches("http://").trim_end_matches('/'));
    let refused = plugin(cluster, &namespace, &["other", &flag]).finish().await;
    assert!(refused.code() == 2 && refused.stderr.contains("is the site of one Service"), "{}", refused.stderr);
}

async fn a_tab_without_the_token_goes_on(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let _backend = backend_in(cluster, &namespace).await;
    let serving = serve(cluster, &namespace, &["app", "--require-token"]).await;
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(&serving.site_url()).await.unwrap();
    let title = "This needs the token from the URL that was printed";
    browser.until_text("h1", title).await.unwrap();
    let tells = "return document.querySelector('header').textContent !== 'kubectl svcproxy401'";
    assert_eq!(browser.run(tells, &[]).await, Ok(json!(false)), "a Service or a context");
    look(&browser, title).await;
    let tab = browser.new_tab().await.unwrap();
    browser.open(&opened_once(&serving).await).await.unwrap();
    browser.until_text("body", "\"target\":\"/\"").await.unwrap();
    browser.switch_to(&tab).await.unwrap();
    browser.until_text("body", "\"target\":\"/\"").await.unwrap();
    browser.close().await;
}

async fn opened_once(serving: &Serving) -> String {
    serving.until_stderr("open once: ").await;
    let said = serving.stderr();
    let url = said.split_once("open once: ").and_then(|(_, rest)| rest.split_whitespace().next());
    url.unwrap_or_else(|| panic!("no URL with a token in {said}")).to_owned()
}

/// The answer to a form does not look again: that would send the form once more.
async fn what_was_sent_is_not_sent_again(cluster: &'static Cluster) {
    let namespace = cluster.namespace().await;
    let backend = backend_in(cluster, &namespace).await;
    let form = b"<form method=post action=/send><button>Send</button></form>".to_vec();
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    backend.answer("/form", Canned { headers, body: form, ..Canned::default() });
    let serving = serve(cluster, &namespace, &["app"]).await;
    let browser = Browser::start(&cluster.scratch()).await;
    browser.open(&format!("{}form", serving.site_url())).await.unwrap();
    namespace.set_ready("app-0", false).await;
    serving.until_stderr("has no ready endpoint").await;
    browser.click("button").await.unwrap();
    browser.until_text("h1", "app-0 is not ready").await.unwrap();
    assert_eq!(browser.run("return document.documentElement.dataset.look", &[]).await, Ok(json!(null)));
    assert_eq!(browser.run("return document.querySelector('meta[http-equiv]')", &[]).await, Ok(json!(null)));
    browser.close().await;
}
