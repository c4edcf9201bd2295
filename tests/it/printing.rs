//! Whatever a terminal, a pipe or a home folder does, requests are answered, and the end comes soon.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Plugin, web};
use support::fake::FakeApiServer;
use support::http;
use support::terminal::USUAL;

/// Ctrl-C ends the program within this time, whatever is not printed or not written yet.
const SOON: Duration = Duration::from_secs(3);
/// The same from the start on, on a slow machine.
const START_AND_END: Duration = Duration::from_secs(20);
const CTRL_S: &str = "\x13";
const CTRL_Q: &str = "\x11";
/// Of a path: 1,500 lines with it are more than pipes, terminals and the program keep.
const LONG: usize = 400;

/// Sends 1,500 requests to `url`, each of which must be answered.
async fn ask_1500_times(url: &str) {
    let path = "a".repeat(LONG);
    for round in 0..30 {
        let urls: Vec<String> = (0..50).map(|number| format!("{url}{path}/{round}/{number}")).collect();
        let answers = join_all(urls.iter().map(|url| http::get(url))).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "round {round}");
    }
}

/// Under Ctrl-S nothing is printed. What was too much meanwhile is counted, and the line at the bottom is there again.
#[tokio::test]
async fn a_terminal_under_ctrl_s_holds_up_nobody() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let line = ["web", "--no-browser", "--port=0", "--log-requests"];
    let mut terminal = Plugin::new(&fake).plain().args(line).in_terminal((24, 160));
    let text = terminal.until_text("web 1/1 · no request · 0 B").await;
    let from = &text[text.find("http://127.0.0.1:").unwrap()..];
    let url = from[..from.find("/proxy/").unwrap() + "/proxy/".len()].to_owned();
    terminal.press(CTRL_S);
    ask_1500_times(&url).await;
    let logged = terminal.written().matches(" GET ").count();
    assert!(logged < 1500, "the terminal was not stopped: {logged} lines");
    terminal.press(CTRL_Q);
    terminal.until_text("not printed: the terminal did not take them").await;
    terminal.until("the status line", |text| text.trim_end().contains("\nweb 1/1 · 1500 requests")).await;
    let written = terminal.written();
    let count = written.split(" lines were not printed").next().unwrap().rsplit(' ').next().unwrap();
    let logged = written.matches(" GET ").count();
    assert_eq!(logged + count.parse::<usize>().unwrap(), 1500, "what is not printed is counted");

    terminal.press(CTRL_S);
    ask_1500_times(&url).await;
    let started = Instant::now();
    terminal.signal(Signal::INT);
    assert_eq!(terminal.end().await, 0);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert!(terminal.is_given_back());
}

/// Not even the first lines are printed.
#[tokio::test]
async fn a_terminal_that_is_stopped_from_the_start_does_not_hold_the_end() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let line = ["web", "--no-browser", "--port=0", "--idle-timeout=1ms"];
    let mut terminal = Plugin::new(&fake).plain().args(line).in_terminal(USUAL);
    let started = Instant::now();
    terminal.press(CTRL_S);
    // It serves, is asked for nothing, and ends.
    assert_eq!(terminal.end().await, 0);
    assert!(started.elapsed() < START_AND_END, "{:?}", started.elapsed());
    assert!(terminal.is_given_back());
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_up_nobody() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web", "--log-requests", "-v=3"]).serve_unread().await;
    ask_1500_times(&served.proxy_url()).await;
    let started = Instant::now();
    served.signal(Signal::INT);
    assert_eq!(served.end().await.code(), 0);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}

/// As a home folder whose server is gone.
#[tokio::test]
async fn a_history_that_hangs_holds_up_nobody() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("kubectl-svcproxy/history.json");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    let plugin = || Plugin::new(&fake).env("XDG_STATE_HOME", state.path());
    let served = plugin().args(["web"]).serve().await;
    ask_1500_times(&served.proxy_url()).await;
    let started = Instant::now();
    served.signal(Signal::INT);
    let finished = served.end().await;
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let warning =
        format!("warning: the history, {}, does not answer within 1 s: this run does without it\n", file.display());
    assert_eq!((finished.code(), finished.stderr.matches(&warning).count()), (0, 1), "{}", finished.stderr);
    // Nor those who press Tab, or list.
    plugin().plain().args(["__complete", "w"]).finish().await;
    plugin().plain().args(["--list", "-o", "name"]).ends(0, "service/web\n", &warning).await;
}

/// What was waited for at the end of a run is all there.
#[tokio::test]
async fn nothing_is_lost_where_somebody_reads() {
    let fake = FakeApiServer::start().await;
    let _backend = web(&fake).await;
    let served = Plugin::new(&fake).args(["web", "--log-requests", "--log-format=json"]).serve().await;
    let url = served.proxy_url();
    join_all((0..200).map(|_| http::get(&url))).await;
    http::get(&format!("{url}%7F%C2%9B")).await;
    served.signal(Signal::INT);
    let finished = served.end().await;
    let lines: Vec<Value> = finished.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(lines.iter().filter(|line| line["method"] == "GET").count(), 201, "{}", finished.stderr);
}
