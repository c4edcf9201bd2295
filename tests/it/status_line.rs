//! The line at the bottom of a real terminal while Services are served.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{InTerminal, Plugin, web};
use support::fake::FakeApiServer;
use support::terminal::{Size, Terminal, USUAL};
use support::{Canned, Peer, eventually, http};

const CTRL_C: &str = "\x03";
/// How a line is drawn anew.
const CLEAR: &str = "\r\x1b[2K";

fn plugin(fake: &FakeApiServer, arguments: &[&str]) -> Plugin {
    Plugin::new(fake).plain().args(["web", "--no-browser", "--port=0"]).args(arguments)
}

async fn served(fake: &FakeApiServer, arguments: &[&str], size: Size) -> (InTerminal, String) {
    let mut terminal = plugin(fake, arguments).in_terminal(size);
    terminal.until("the status line", |text| text.contains("no request · 0 B")).await;
    let url = url(&terminal);
    (terminal, url)
}

/// The computed proxy URL, over however many lines.
fn url(terminal: &Terminal) -> String {
    let text = terminal.lines().concat();
    let from = &text[text.find("http://127.0.0.1:").unwrap()..];
    from[..from.find("/proxy/").unwrap() + "/proxy/".len()].to_owned()
}

/// The last line with anything on it, and how many there are above it.
fn bottom(text: &str) -> (usize, &str) {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    (lines.len() - 1, lines.last().copied().unwrap_or_default())
}

#[tokio::test]
async fn what_is_going_on_stands_below_everything_else() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let (mut terminal, url) = served(&fake, &["--log-requests"], (24, 120)).await;
    let before = terminal.until_text("web 1/1 · no request · 0 B").await;
    let (above, line) = bottom(&before);
    assert_eq!(line, "web 1/1 · no request · 0 B");

    assert_eq!(http::get(&format!("{url}bytes/2048")).await.body.len(), 2048);
    let text = terminal.until_text("1 request · 2 KiB").await;
    assert_eq!(bottom(&text), (above + 1, "web 1/1 · 1 request · 2 KiB"));
    let logged = text.lines().nth(above).unwrap();
    assert!(logged.contains(" web GET    200     2 KiB ") && logged.ends_with("/bytes/2048"), "{text}");
    assert_eq!(text.matches("1 request").count(), 1, "{text}");

    backend.answer("/gone", Canned { status: 503, ..Canned::default() });
    assert_eq!(http::get(&format!("{url}gone")).await.status, 503);
    terminal.until_text("2 requests, 1 failed · 2 KiB").await;

    let origin = url.split("/api/").next().unwrap();
    let socket = format!("{}ws", url.replace("http://", "ws://"));
    let mut peer = Peer::open(&socket, &[("origin", origin)]).await.unwrap();
    peer.exchange(Message::binary(vec![0; 4096])).await;
    let text = terminal.until_text("3 requests, 1 failed · 10 KiB · 1 WebSocket open").await;
    assert!(text.lines().any(|line| line.contains("GET    101 WebSocket     open")), "{text}");
    peer.close().await;
    terminal.until("its end", |text| text.trim_end().ends_with("3 requests, 1 failed · 10 KiB")).await;

    terminal.press(CTRL_C);
    assert_eq!(terminal.end().await, 0);
    let text = terminal.text();
    assert!(bottom(&text).1.starts_with("3 requests, 1 failed · p50 "), "{text}");
    assert!(terminal.is_given_back());
}

#[tokio::test]
async fn a_narrow_terminal() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let (mut terminal, url) = served(&fake, &["--log-requests"], (24, 28)).await;
    http::get(&url).await;
    let text = terminal.until_text("1 request").await;
    assert!(bottom(&text).1.chars().count() < 28, "{text}");
}

#[tokio::test]
async fn it_is_drawn_a_few_times_a_second() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let (mut terminal, url) = served(&fake, &[], USUAL).await;
    let (drawn, started) = (terminal.written().matches(CLEAR).count(), Instant::now());
    for _ in 0..10 {
        join_all((0..20).map(|_| http::get(&url))).await;
    }
    terminal.until_text("200 requests").await;
    let limit = 3 + usize::try_from(started.elapsed().as_millis() / 250).unwrap();
    let drawn = terminal.written().matches(CLEAR).count() - drawn;
    assert!(drawn <= limit, "{drawn} times, {limit} would do");
}

/// The last line of the terminal is the shell's then.
#[tokio::test]
async fn a_job_in_the_background_leaves_the_prompt_alone() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let mut shell = Plugin::new(&fake).in_shell((24, 160));
    shell.press("\"$PLUGIN\" web --no-browser --port=0 --log-requests &\r");
    shell.until_text("/proxy/").await;
    let url = url(&shell);
    http::get(&url).await;
    let text = shell.until_text(" web GET ").await;
    assert!(!text.contains("1 request"), "{text}");
    shell.press("fg\r");
    shell.until("the command that came back", |text| text.matches("--log-requests").count() > 1).await;
    http::get(&url).await;
    shell.until_text("2 requests").await;
    shell.press(CTRL_C);
    // Until then what is typed is the program's.
    shell.until("its end", |text| text.trim_end().ends_with('$')).await;
    shell.press("exit\r");
    shell.end().await;
}

#[tokio::test]
async fn none_where_it_cannot_be_drawn() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let mut terminal = plugin(&fake, &["--log-requests", "--log-format=json"]).in_terminal((24, 200));
    terminal.until_text("/proxy/").await;
    http::get(&url(&terminal)).await;
    terminal.until_text("\"method\":\"GET\"").await;
    assert!(!terminal.written().contains(CLEAR), "{}", terminal.written());
}

/// What is typed means something, is not echoed, and leaves the terminal as it was.
#[tokio::test]
async fn single_keys() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let plugin = Plugin::new(&fake).plain().args(["web", "--port=0"]);
    let browser = plugin.script("browser", "echo \"$1\" >> \"$(dirname \"$0\")/opened\"");
    let opened = plugin.home().join("opened");
    let mut terminal = plugin.args([&format!("--browser={}", browser.display())]).in_terminal((24, 120));
    let text = terminal.until_text("no request · 0 B").await;
    assert!(text.contains("opening in the browser · o open · r requests · q quit"), "{text}");
    let url = url(&terminal);
    let count = async || std::fs::read_to_string(&opened).unwrap_or_default().lines().count();
    eventually("the browser was started", async || (count().await == 1).then_some(())).await;
    terminal.press("o");
    eventually("and again", async || (count().await == 2).then_some(())).await;

    http::get(&url).await;
    terminal.until_text("1 request").await;
    terminal.press("r");
    terminal.until_text("request log on").await;
    http::get(&format!("{url}a?token=hunter2&x=1")).await;
    terminal.until_text("/a?token=…&x=1").await;
    terminal.press("r");
    terminal.until_text("request log off").await;
    terminal.press("?");
    terminal.until_text("c clear · q quit").await;
    terminal.press("c");
    let text = terminal.until("an empty screen", |text| !text.contains("request log")).await;
    assert!(text.starts_with("context test · https://"), "{text}");
    terminal.press("zzzq");
    assert_eq!(terminal.end().await, 0);
    assert!(!terminal.text().contains("zzz"), "{}", terminal.text());
    assert!(terminal.is_given_back());
}

/// The shell has its usual modes while the job is stopped, and the line is there again after `fg`.
#[tokio::test]
async fn ctrl_z_and_fg() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let mut shell = Plugin::new(&fake).in_shell((24, 160));
    shell.press("\"$PLUGIN\" web --no-browser --port=0\r");
    shell.until_text("no request · 0 B").await;
    shell.press("\x1a");
    shell.until_text("Stopped").await;
    shell.press("stty -a | tr ' ' '\\n' | grep -xE -e '-?(echo|icanon)' | xargs\r");
    shell.until_text("\nicanon echo").await;
    shell.press("fg\r");
    shell.until("the line again", |text| text.trim_end().ends_with("web 1/1 · no request · 0 B")).await;
    shell.press("q");
    shell.until("its end", |text| text.trim_end().ends_with('$')).await;
    shell.press("exit\r");
    shell.end().await;
}

#[tokio::test]
async fn an_api_server_that_is_gone_is_told_once() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let (mut terminal, _) = served(&fake, &[], (24, 120)).await;
    drop(fake);
    terminal.until_text("API server unreachable for ").await;
    let text = terminal.until_text("the API server cannot be reached: ").await;
    let told = text.lines().filter(|line| line.contains("the API server cannot be reached: ")).count();
    assert_eq!(told, 1, "{text}");
    assert!(!bottom(&text).1.contains("1/1"), "{text}");
}

/// Nothing that is said first wraps, and the URL to open is the only thing that stands out.
#[tokio::test]
async fn six_services_in_eighty_columns() {
    let fake = FakeApiServer::start().await;
    let backend = web(&fake).await;
    let names = ["grafana", "prometheus", "alertmanager", "checkout", "elasticsearch"];
    for name in names {
        fake.expose("default", name, json!({"name": "http", "port": 80}), backend.address());
    }
    let mut terminal = plugin(&fake, &names).in_terminal(USUAL);
    let text = terminal.until_text("6 of 6 Services ready").await;
    let lines: Vec<&str> = text.trim_end().lines().collect();
    assert!(lines.len() <= 6 + 5, "{text}");
    assert!(lines.iter().all(|line| line.chars().count() < 80), "{text}");
    for name in names {
        assert!(text.contains(&format!("http://{name}--default--")), "{text}");
    }
}
