//! The line at the bottom of a real terminal while Services are served.

use std::time::Instant;

use futures_util::future::join_all;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{InTerminal, Plugin, web};
use support::fake::FakeApiServer;
use support::terminal::{Size, Terminal, USUAL};
use support::{Peer, http};

const CTRL_C: &str = "\x03";
/// How a line is drawn anew.
const CLEAR: &str = "\r\x1b[2K";

fn plugin(fake: &FakeApiServer, arguments: &[&str]) -> Plugin {
    Plugin::new(fake).plain().args(["web", "--no-browser", "--port=0"]).args(arguments)
}

async fn served(fake: &FakeApiServer, arguments: &[&str], size: Size) -> (InTerminal, String) {
    let mut terminal = plugin(fake, arguments).in_terminal(size);
    terminal.until("the status line", |text| text.contains("no request, 0 B")).await;
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
    let _backend = web(&fake).await;
    let (mut terminal, url) = served(&fake, &["--log-requests"], (24, 120)).await;
    let before = terminal.until_text("no request, 0 B, 1 endpoint ready").await;
    let (above, line) = bottom(&before);
    assert_eq!(line, "no request, 0 B, 1 endpoint ready");

    assert_eq!(http::get(&format!("{url}bytes/2048")).await.body.len(), 2048);
    let text = terminal.until_text("1 request, 2 KiB, 1 endpoint ready").await;
    assert_eq!(bottom(&text), (above + 1, "1 request, 2 KiB, 1 endpoint ready"));
    let logged = text.lines().nth(above).unwrap();
    assert!(logged.starts_with("GET /api/v1/") && logged.ends_with("service-proxy"), "{text}");
    assert_eq!(text.matches("endpoint ready").count(), 1, "{text}");

    let origin = url.split("/api/").next().unwrap();
    let socket = format!("{}ws", url.replace("http://", "ws://"));
    let mut peer = Peer::open(&socket, &[("origin", origin)]).await.unwrap();
    peer.exchange(Message::binary(vec![0; 4096])).await;
    terminal.until_text("2 requests, 10 KiB, 1 WebSocket open, 1 endpoint ready").await;
    peer.close().await;
    terminal.until("its end", |text| text.contains("2 requests, 10 KiB, 1 endpoint ready")).await;

    terminal.press(CTRL_C);
    assert_eq!(terminal.end().await, 0);
    assert!(!terminal.text().contains("endpoint ready"), "{}", terminal.text());
    assert!(terminal.is_given_back());
}

#[tokio::test]
async fn a_narrow_terminal() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let (mut terminal, url) = served(&fake, &["--log-requests"], (24, 28)).await;
    http::get(&url).await;
    let text = terminal.until_text("1 request,").await;
    assert!(bottom(&text).1.len() < 28, "{text}");
    assert!(!text.contains("endpoint ready"), "{text}");
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
    let text = shell.until_text(" service-proxy").await;
    assert!(!text.contains("1 request"), "{text}");
    shell.press("fg\r");
    shell.until("the command that came back", |text| text.matches("--log-requests").count() > 1).await;
    http::get(&url).await;
    shell.until_text("2 requests").await;
    shell.press(CTRL_C);
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
