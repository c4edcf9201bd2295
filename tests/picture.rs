//! `cargo build && cargo run --example picture > .github/picker.svg` draws the picture in the README: the picker as it is,
//! in a real pseudo-terminal, on the fake API server. With `-- serving` it draws what is said while Services are served:
//! `.github/serving.svg`.
#![allow(clippy::unwrap_used, reason = "there is nobody to tell but the developer")]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::fake::{ADMIN_TOKEN, FakeApiServer};
use support::terminal::{Size, Terminal};

const SIZE: Size = (16, 92);
const SERVING_SIZE: Size = (8, 100);
/// The colour of the URLs to open.
const CYAN: vt100::Color = vt100::Color::Idx(6);
/// Width and height of a character, and the room around all of them, in pixels.
const CELL: (u32, u32) = (9, 20);
const MARGIN: u32 = 14;
/// What the picture names instead of the fake API server.
const SERVER: &str = "https://cluster.example:6443";

#[tokio::main]
async fn main() {
    let fake = FakeApiServer::start().await;
    furnish(&fake);
    let home = tempfile::tempdir().unwrap();
    if std::env::args().nth(1).as_deref() == Some("serving") {
        return serving(&fake, home.path()).await;
    }
    let mut terminal = Terminal::start(&program(&fake, home.path()), SIZE);
    terminal.until("all rows and endpoints", |text| text.contains("3/3") && !text.contains("loading")).await;
    terminal.press("\x1b[B\t\x1b[Bmon");
    terminal.until("what is typed", |text| text.contains("> mon") && text.contains("marked")).await;
    println!("{}", terminal.look(|screen| svg(screen, SIZE)).replace(&fake.url(), SERVER));
}

/// What stands on the terminal while two Services are served.
async fn serving(fake: &FakeApiServer, home: &std::path::Path) {
    let mut command = program(fake, home);
    command.args(["grafana.monitoring", "prometheus.monitoring", "--no-browser"]);
    let mut terminal = Terminal::start(&command, SERVING_SIZE);
    terminal.until("endpoints", |text| text.contains("grafana 3/3 · prometheus 2/2")).await;
    println!("{}", terminal.look(|screen| svg(screen, SERVING_SIZE)).replace(&fake.url(), SERVER));
}

fn program(fake: &FakeApiServer, home: &std::path::Path) -> Command {
    let authority = STANDARD.encode(fake.authority().pem());
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: staging\n\
         clusters:\n- name: c\n  cluster:\n    server: {}\n    certificate-authority-data: {authority}\n\
         contexts:\n- name: staging\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  user: {{token: {ADMIN_TOKEN}}}\n",
        fake.url()
    );
    let file = home.join("config");
    std::fs::write(&file, config).unwrap();
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("kubectl-svcproxy");
    let mut command = Command::new(program);
    command.env("KUBECONFIG", file).env("HOME", home).env("COLORTERM", "").current_dir(home);
    command
}

fn furnish(fake: &FakeApiServer) {
    let services: [(&str, &str, u16, Value); 12] = [
        ("monitoring", "grafana", 3, json!([{"name": "service", "port": 80}])),
        (
            "monitoring",
            "prometheus",
            2,
            json!([{"name": "http-web", "port": 9090}, {"name": "reloader", "port": 8080}]),
        ),
        ("monitoring", "alertmanager", 1, json!([{"name": "http-web", "port": 9093}])),
        ("monitoring", "kube-state-metrics", 0, json!([{"name": "http", "port": 8080}])),
        ("argocd", "argocd-server", 1, json!([{"name": "http", "port": 80}, {"name": "https", "port": 443}])),
        ("argocd", "argocd-redis", 1, json!([{"name": "tcp-redis", "port": 6379}])),
        ("shop", "frontend", 3, json!([{"name": "http", "port": 8080}])),
        ("shop", "payments", 2, json!([{"name": "http", "port": 8080}])),
        ("shop", "cart", 2, json!([{"name": "grpc", "port": 7070}])),
        ("kube-system", "kube-dns", 2, json!([{"name": "dns", "port": 53, "protocol": "UDP"}])),
        ("kubernetes-dashboard", "kubernetes-dashboard", 1, json!([{"port": 443}])),
        ("jupyter", "hub", 1, json!([{"name": "http", "port": 8081}])),
    ];
    for (namespace, name, pods, ports) in services {
        fake.service(namespace, name, ports);
        for number in 0..pods {
            let ip = IpAddr::V4(Ipv4Addr::new(10, 1, 0, u8::try_from(number).unwrap() + 1));
            fake.put(json!({
                "kind": "Pod",
                "metadata": {"namespace": namespace, "name": format!("{name}-{number}"), "labels": {"app": name}},
                "spec": {"containers": [{"name": "app"}]},
                "status": {"phase": "Running", "podIP": ip, "ready": true},
            }));
        }
    }
}

/// What the classes of [`looks`] look like, on dark and on light as the reader has it: ground, text, dim, matches, URLs.
const DARK: [&str; 5] = ["#1d2027", "#d7dae0", "#8b93a1", "#d68ae6", "#5ad1e6"];
const LIGHT: [&str; 5] = ["#f6f7f9", "#1f2328", "#59636e", "#8a2aa5", "#0b6478"];

fn colours([ground, text, dim, matches, urls]: [&str; 5]) -> String {
    format!(
        ".ground,.i{{fill:{ground}}}text,.bar{{fill:{text}}}.d{{fill:{dim}}}.m{{fill:{matches}}}.c{{fill:{urls}}}text.i{{fill:{ground}}}"
    )
}

/// The screen as SVG: a rectangle behind what is shown inversely, a text for each run of cells that look alike.
fn svg(screen: &vt100::Screen, size: Size) -> String {
    let (rows, columns) = (u32::from(size.0), u32::from(size.1));
    let (width, height) = (columns * CELL.0 + 2 * MARGIN, rows * CELL.1 + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"kubectl svcproxy in a terminal\">\n\
         <style>text{{font:15px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}}\
         .b{{font-weight:700}}.u{{text-decoration:underline}}{}@media(prefers-color-scheme:light){{{}}}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" class=\"ground\"/>\n",
        colours(DARK),
        colours(LIGHT),
    );
    for row in 0..size.0 {
        for (column, text, class, inverse) in runs(screen, row, size.1) {
            draw(&mut svg, row, column, &text, &class, inverse);
        }
    }
    svg + "</svg>"
}

fn draw(svg: &mut String, row: u16, column: u16, text: &str, class: &str, inverse: bool) {
    let (x, y) = (MARGIN + u32::from(column) * CELL.0, MARGIN + u32::from(row) * CELL.1);
    let width = u32::try_from(text.chars().count()).unwrap() * CELL.0;
    if inverse {
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" class=\"bar\"/>", CELL.1);
    }
    if text.trim().is_empty() {
        return;
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\" class=\"{class}\">{text}</text>",
        y + CELL.1 - 5
    );
}

/// Column, text, looks, and whether it is inverse, of each run of cells in a row that look alike.
fn runs(screen: &vt100::Screen, row: u16, columns: u16) -> Vec<(u16, String, String, bool)> {
    let mut runs: Vec<(u16, String, String, bool)> = Vec::new();
    for column in 0..columns {
        let cell = screen.cell(row, column).unwrap();
        let text = if cell.contents().is_empty() { " " } else { cell.contents() };
        let looks = looks(cell);
        match runs.last_mut() {
            Some((_, run, known, inverse)) if *known == looks && *inverse == cell.inverse() => run.push_str(text),
            _ => runs.push((column, text.to_owned(), looks, cell.inverse())),
        }
    }
    runs
}

fn looks(cell: &vt100::Cell) -> String {
    let marks = [
        (cell.bold(), "b"),
        (cell.dim() && !cell.inverse(), "d"),
        (cell.fgcolor() == CYAN, "c"),
        (cell.fgcolor() != vt100::Color::Default && cell.fgcolor() != CYAN, "m"),
        (cell.underline(), "u"),
        (cell.inverse(), "i"),
    ];
    marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, class)| class).collect::<Vec<_>>().join(" ")
}
