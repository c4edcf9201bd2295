//! `cargo build && cargo run --example page_pictures` draws the pictures of the program's own pages in `.github`: the pages as they
//! are, light and dark, in a real browser, on the fake API server.
#![allow(clippy::unwrap_used, reason = "there is nobody to tell but the developer")]

#[path = "e2e/browser.rs"]
#[allow(dead_code, reason = "the tests ask more of it")]
mod browser;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::fake::users::Rule;
use support::fake::{ADMIN_TOKEN, FakeApiServer};
use support::{Running, Serving};
use tempfile::TempDir;
use tokio::process::Command;

use browser::Browser;

/// Width of a picture in pixels; its height is the page's.
const WIDTH: u32 = 720;
/// What the pictures name instead of the fake API server, and of the port that the kernel gave.
const SERVER: &str = "https://cluster.example:6443";
const PORT: &str = ":8001";
/// The token of a user with narrow rights, and the user's name.
const NARROW: (&str, &str) = ("narrow-token", "ann");

#[tokio::main]
async fn main() {
    let fake = FakeApiServer::start().await;
    furnish(&fake);
    let home = tempfile::tempdir().unwrap();
    let studio = Studio { browser: Browser::start_with(home.path(), &["--hide-scrollbars"]).await, fake };

    let several =
        studio.serve(ADMIN_TOKEN, &["monitoring/grafana", "monitoring/prometheus:http-web", "shop/payments"], 3).await;
    let start = several.serving.proxy_url().split("/api/").next().unwrap().to_owned() + "/";
    studio.draw("start", &start, ".live", "no ready endpoint", &several).await;
    let payments = several.serving.ready_target(2)["siteUrl"].as_str().unwrap().to_owned();
    studio.draw("not-ready", &payments, "h1", "payments-0 is not ready", &several).await;
    let grafana = several.serving.site_url();
    let port = format!("--port={}", port_of(&grafana).trim_start_matches(':'));
    several.serving.stop().await;

    let one = studio.serve(ADMIN_TOKEN, &["shop/payments", &port], 1).await;
    studio.draw("closed-site", &grafana, "h1", "grafana in monitoring is not open here", &one).await;
    one.serving.stop().await;
    let guarded = studio.serve(ADMIN_TOKEN, &["shop/payments", "--require-token"], 1).await;
    studio.draw("token", &guarded.serving.site_url(), "h1", "This needs the token", &guarded).await;
    let narrow = studio.serve(NARROW.0, &["monitoring/grafana", "--via=service-proxy"], 1).await;
    studio.draw("forbidden", &narrow.serving.site_url(), "h1", "You may not open grafana", &narrow).await;
    studio.browser.close().await;
}

/// The browser, and the stand-in for a cluster.
struct Studio {
    browser: Browser,
    fake: FakeApiServer,
}

/// The program, and the folder with its kubeconfig.
struct Stage {
    serving: Serving,
    _home: TempDir,
}

impl Studio {
    async fn serve(&self, token: &str, arguments: &[&str], count: usize) -> Stage {
        let home = tempfile::tempdir().unwrap();
        let authority = STANDARD.encode(self.fake.authority().pem());
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: staging\n\
             clusters:\n- name: c\n  cluster:\n    server: {}\n    certificate-authority-data: {authority}\n\
             contexts:\n- name: staging\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  user: {{token: {token}}}\n",
            self.fake.url()
        );
        let file = home.path().join("config");
        std::fs::write(&file, config).unwrap();
        let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("kubectl-svcproxy");
        let mut command = Command::new(program);
        let has_port = arguments.iter().any(|argument| argument.starts_with("--port"));
        command.args(["--no-browser", "--output=json"]).args((!has_port).then_some("--port=0")).args(arguments);
        command.env("KUBECONFIG", file).env("HOME", home.path()).current_dir(home.path());
        Stage { serving: Running::spawn(command).ready(count).await, _home: home }
    }

    /// Draws the page at `url` once `text` is in an element that matches `selector`.
    async fn draw(&self, name: &str, url: &str, selector: &str, text: &str, stage: &Stage) {
        let browser = &self.browser;
        browser.resize(WIDTH, 600).await.unwrap();
        browser.open(url).await.unwrap();
        browser.until_text(selector, text).await.unwrap();
        let port = port_of(&stage.serving.proxy_url());
        let height = browser.run(RENAME, &[&self.fake.url(), SERVER, &port, PORT]).await.unwrap();
        browser.resize(WIDTH, height.as_str().unwrap().parse().unwrap()).await.unwrap();
        for scheme in ["light", "dark"] {
            browser.prefer_colours(scheme).await.unwrap();
            let file = format!("{}/.github/page-{name}-{scheme}.png", env!("CARGO_MANIFEST_DIR"));
            browser.screenshot(Path::new(&file)).await.unwrap();
        }
        browser.open("about:blank").await.unwrap();
        for scheme in ["light", "dark"] {
            let file = format!("{}/.github/page-{name}-{scheme}.png", env!("CARGO_MANIFEST_DIR"));
            let image = browser.run(WITH_PALETTE, &[&STANDARD.encode(std::fs::read(&file).unwrap())]).await.unwrap();
            std::fs::write(&file, STANDARD.decode(image.as_str().unwrap()).unwrap()).unwrap();
        }
    }
}

/// Puts names in the place of what is of this run only, and tells how high the page is.
const RENAME: &str = "
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        text.data = text.data.replaceAll(arguments[0], arguments[1]).replaceAll(arguments[2], arguments[3]);
    }
    for (const command of document.querySelectorAll('pre')) {
        const words = [...command.children];
        if (words.at(-2)?.textContent === '-p') words.slice(-2).forEach(word => word.remove());
    }
    return String(Math.ceil(document.querySelector('main').getBoundingClientRect().bottom - 40))";

/// The same PNG with a palette, a third of the size: a page has few colours, and those that differ least become one.
const WITH_PALETTE: &str = "
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${arguments[0]}`)).blob());
    const { width, height } = image;
    const context = new OffscreenCanvas(width, height).getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, width, height).data;
    let [palette, rows] = [];
    for (let mask = 0xff; !palette || palette.size > 256; mask = mask << 1 & 0xff) {
        [palette, rows] = [new Map(), new Uint8Array((width + 1) * height)];
        for (let at = 0; at < width * height; at += 1) {
            const colour = [0, 1, 2].map(part => pixels[4 * at + part] & mask);
            const key = colour.join();
            if (!palette.has(key)) palette.set(key, [palette.size, [0, 1, 2].map(part => pixels[4 * at + part])]);
            rows[at + 1 + Math.floor(at / width)] = palette.get(key)[0];
        }
    }
    const sum = bytes => ~bytes.reduce((sum, byte) => {
        sum ^= byte;
        for (let bit = 0; bit < 8; bit += 1) sum = sum >>> 1 ^ (sum & 1 && 0xedb88320);
        return sum;
    }, ~0);
    const number = value => [24, 16, 8, 0].map(shift => value >>> shift & 0xff);
    const chunk = (name, bytes) => {
        const named = [...name].map(letter => letter.charCodeAt(0)).concat([...bytes]);
        return [...number(bytes.length), ...named, ...number(sum(named))];
    };
    const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream('deflate'));
    const png = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a,
        ...chunk('IHDR', [...number(width), ...number(height), 8, 3, 0, 0, 0]),
        ...chunk('PLTE', [...palette.values()].flatMap(([, colour]) => colour)),
        ...chunk('IDAT', new Uint8Array(await new Response(packed).arrayBuffer())),
        ...chunk('IEND', [])];
    return btoa(png.map(byte => String.fromCharCode(byte)).join(''))";

/// The port in `url`, with its colon.
fn port_of(url: &str) -> String {
    let authority = url.split('/').nth(2).unwrap();
    authority[authority.rfind(':').unwrap()..].to_owned()
}

fn furnish(fake: &FakeApiServer) {
    for (namespace, name, ports, pods, ready) in [
        ("monitoring", "grafana", json!([{"name": "service", "port": 80}]), 3, true),
        (
            "monitoring",
            "prometheus",
            json!([{"name": "http-web", "port": 9090}, {"name": "reloader", "port": 8080}]),
            2,
            true,
        ),
        ("shop", "payments", json!([{"name": "http", "port": 8080}]), 1, false),
    ] {
        fake.service(namespace, name, ports);
        for number in 0..pods {
            let ip = IpAddr::V4(Ipv4Addr::new(10, 1, 0, number + 1));
            let conditions = json!([{"type": "Ready", "status": if ready { "True" } else { "False" }}]);
            let waiting = json!([{"name": "payments", "state": {"waiting": {
                "reason": "CrashLoopBackOff", "message": "back-off 2m40s restarting failed container",
            }}}]);
            fake.put(json!({
                "kind": "Pod",
                "metadata": {"namespace": namespace, "name": format!("{name}-{number}"), "labels": {"app": name}},
                "spec": {"containers": [{"name": name}]},
                "status": {
                    "phase": "Running", "podIP": ip, "ready": ready, "conditions": conditions,
                    "containerStatuses": if ready { json!([]) } else { waiting },
                },
            }));
        }
    }
    fake.add_token(NARROW.0, NARROW.1);
    const READ: [&str; 2] = ["services", "pods"];
    fake.grant(NARROW.1, &[Rule { verbs: &["get", "list", "watch"], resources: &READ, names: &[], namespace: None }]);
}
