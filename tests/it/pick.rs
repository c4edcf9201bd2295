//! The picker in a real pseudo-terminal: what a person types and sees.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{InTerminal, Plugin, web};
use support::fake::faults::Fault;
use support::fake::users::Rule;
use support::fake::{ADMIN_TOKEN, FakeApiServer};
use support::http;
use support::terminal::{Size, Terminal, USUAL, is_drawn};

const DOWN: &str = "\x1b[B";
const UP: &str = "\x1b[A";
const ENTER: &str = "\r";
const TAB: &str = "\t";
const ESCAPE: &str = "\x1b";
const CTRL_C: &str = "\x03";

/// Three Services, as a small cluster has them; `default/web` works.
async fn small(fake: &FakeApiServer) -> support::Backend {
    fake.service("monitoring", "grafana", json!([{"name": "service", "port": 80}]));
    fake.service("kube-system", "kube-dns", json!([{"name": "dns", "port": 53, "protocol": "UDP"}]));
    web(fake).await
}

/// As many Services as a large cluster has, in 50 namespaces.
fn many(fake: &FakeApiServer, count: usize) {
    let service = |number: usize| {
        json!({
            "kind": "Service",
            "metadata": {"namespace": format!("team-{:02}", number % 50), "name": format!("api-{number:05}")},
            "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": [{"name": "grpc", "port": 9000}]},
        })
    };
    fake.put_all((0..count).map(service));
}

fn picker(fake: &FakeApiServer) -> InTerminal {
    Plugin::new(fake).in_terminal(USUAL)
}

/// The lines of the rows, without the two lines above them and the last one.
fn rows(terminal: &Terminal) -> Vec<String> {
    rows_of(&terminal.text())
}

fn rows_of(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let rows = lines.get(3..lines.len() - 1).unwrap_or_default().iter();
    rows.filter(|line| !line.is_empty()).map(|line| (*line).to_owned()).collect()
}

fn ready_lines(terminal: &Terminal) -> Vec<Value> {
    let text = terminal.text().replace('\n', "");
    serde_json::Deserializer::from_str(&text[text.find('{').unwrap_or(text.len())..])
        .into_iter()
        .map_while(Result::ok)
        .collect()
}

#[tokio::test]
async fn three_letters_and_enter_serve_the_app() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    let text = terminal.until_text("1/1").await;
    assert!(text.starts_with("context "), "{text}");
    assert!(text.contains("all namespaces") && text.contains(&fake.url()), "{text}");
    terminal.press("web");
    terminal.until("one row", |text| text.contains("1/3")).await;
    assert_eq!(rows(&terminal).len(), 1);
    terminal.press(ENTER);
    terminal.until_text("\"proxyUrl\"").await;
    let ready = ready_lines(&terminal).remove(0);
    let url = ready["proxyUrl"].as_str().unwrap();
    assert_eq!(http::get(url).await.json()["target"], "/");
    terminal.press(CTRL_C);
    assert_eq!(terminal.end().await, 0);
    assert!(terminal.is_given_back());
}

#[tokio::test]
async fn a_whole_screen() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    let shown = rows(&terminal);
    // The likely web UI first, what cannot be opened last.
    let starts = ["> default/web ", "  monitoring/grafana ", "  kube-system/kube-dns "];
    assert_eq!(shown.len(), starts.len(), "{shown:#?}");
    for (row, start) in shown.iter().zip(starts) {
        assert!(row.starts_with(start), "{shown:#?}");
    }
    assert!(shown[0].contains("http:80") && shown[0].contains("ClusterIP") && shown[0].contains("1/1"), "{shown:#?}");
    assert!(shown[2].ends_with("no TCP port"), "{shown:#?}");
    let last = terminal.lines().pop().unwrap();
    assert!(last.starts_with("Enter open") && last.ends_with("1 cannot be opened"), "{last}");
}

#[tokio::test]
async fn rows_are_there_before_the_list_is() {
    let fake = FakeApiServer::start().await;
    many(&fake, 600);
    fake.fault("/services", 1, Fault::Hold(80_000));
    let mut terminal = Plugin::new(&fake).args(["--disable-compression"]).in_terminal(USUAL);
    let are_there = |text: &str| text.contains("team-00/api-00000") && text.contains(" loading");
    terminal.until("the first rows", are_there).await;
    terminal.press("team-10/api-00260 ");
    terminal.until("what matches so far", |text| text.contains("1/") && text.contains("team-10/api-00260")).await;
    terminal.press(ESCAPE);
    assert_eq!(terminal.end().await, 130);
}

#[tokio::test]
async fn several_marked_rows_are_served_on_one_port() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    terminal.press(TAB);
    terminal.until_text("1 marked").await;
    terminal.press(TAB);
    let text = terminal.until_text("2 marked").await;
    assert!(text.contains(" *default/web") && text.contains(" *monitoring/grafana"), "{text}");
    terminal.press(ENTER);
    terminal.until("two ready lines", |text| text.matches("\"proxyUrl\"").count() == 2).await;
    let ready = ready_lines(&terminal);
    let port = |ready: &Value| ready["proxyUrl"].as_str().unwrap().split('/').nth(2).unwrap().to_owned();
    assert_eq!(port(&ready[0]), port(&ready[1]));
    assert_eq!((&ready[0]["service"], &ready[1]["service"]), (&json!("web"), &json!("grafana")));
}

#[tokio::test]
async fn arrows_move_and_what_cannot_be_opened_says_why() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    terminal.press(&DOWN.repeat(5));
    terminal.until_text("> kube-system/kube-dns").await;
    terminal.press(ENTER);
    terminal.until_text("cannot be opened: no TCP port").await;
    terminal.press(UP);
    terminal.until_text("> monitoring/grafana").await;
    terminal.press("\x1b[H");
    terminal.until_text("> default/web").await;
    terminal.press("zzz");
    terminal.until_text("0/3").await;
    terminal.press(ENTER);
    terminal.until_text("nothing matches").await;
    terminal.press("\x15");
    terminal.until_text("3/3").await;
}

#[tokio::test]
async fn whatever_cannot_be_opened_is_last_dimmed_and_counted() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    fake.put(json!({
        "kind": "Service", "metadata": {"namespace": "a", "name": "elsewhere"},
        "spec": {"type": "ExternalName", "externalName": "db.example"},
    }));
    fake.service("a", "portless", json!([]));
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    let shown = rows(&terminal);
    let expect = [
        ("a/elsewhere", "only a name for db.example"),
        ("a/portless", "no ports"),
        ("kube-system/kube-dns", "no TCP port"),
    ];
    for (row, (name, reason)) in shown[2..].iter().zip(expect) {
        assert!(row.trim().starts_with(name) && row.ends_with(reason), "{shown:#?}");
    }
    assert_eq!(shown.len(), 5);
    assert!(terminal.lines().pop().unwrap().ends_with("3 cannot be opened"));
    // Dimmed, not coloured: that can be read on white and on black.
    let (open, refused) = terminal.look(|screen| {
        let is_dim = |row| screen.cell(row, 2).unwrap().dim();
        (is_dim(4), is_dim(5))
    });
    assert_eq!((open, refused), (false, true));
    terminal.press("db.example");
    terminal.until_text("1/5").await;
    terminal.press(TAB);
    terminal.until_text("cannot be opened: only a name for db.example").await;
}

#[tokio::test]
async fn every_way_out_gives_the_terminal_back() {
    for keys in [CTRL_C, ESCAPE, "\x04", "\x07"] {
        let fake = FakeApiServer::start().await;
        let _backend = small(&fake).await;
        let mut terminal = picker(&fake);
        terminal.until_text("1/1").await;
        assert!(!terminal.is_given_back());
        terminal.press(keys);
        assert_eq!(terminal.end().await, 130, "{keys:?}");
        assert!(terminal.is_given_back(), "{keys:?}");
        assert_eq!(terminal.text().trim(), "", "{keys:?}");
    }
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let fake = FakeApiServer::start().await;
        let _backend = small(&fake).await;
        let mut terminal = picker(&fake);
        terminal.until_text("1/1").await;
        terminal.signal(signal);
        assert_eq!(terminal.end().await, 130, "{signal:?}");
        assert!(terminal.is_given_back(), "{signal:?}");
    }
}

#[tokio::test]
async fn another_size_is_drawn_at_once() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    terminal.resize((8, 30));
    terminal
        .until("the last line", |text| text.lines().nth(7).is_some_and(|line| line.starts_with("Enter open")))
        .await;
    let shown = rows(&terminal);
    assert_eq!(shown[0], "> default/web       http:80", "{shown:#?}");
    assert_eq!(shown[1], "  …itoring/grafana  service:80", "{shown:#?}");
    terminal.resize((30, 120));
    terminal
        .until("the last line", |text| text.lines().nth(29).is_some_and(|line| line.starts_with("Enter open")))
        .await;
    assert!(rows(&terminal)[0].contains("ClusterIP"));
}

/// What one chooses by goes first: the prompt, then the row under the cursor, then everything else.
#[tokio::test]
async fn a_tiny_terminal_shows_prompt_and_rows_before_headings() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    let sizes: [(Size, &[&str]); 6] = [
        ((2, 12), &[">        3/3", "> …fault/web"]),
        ((3, 12), &[">        3/3", "> …fault/web", "  …g/grafana"]),
        (
            (4, 26),
            &[">                      3/3", "> default/web", "  monitoring/grafana", "Enter open  Tab mark seve…"],
        ),
        ((1, 12), &[">        3/3"]),
        ((5, 12), &["context test", ">        3/3", "> …fault/web", "  …g/grafana", "Enter open …"]),
        ((2, 3), &[">", "> …"]),
    ];
    for (size, expect) in sizes {
        terminal.resize(size);
        terminal.until(&format!("{size:?}: {expect:?}"), |text| text.lines().eq(expect.iter().copied())).await;
    }
    terminal.resize(USUAL);
    terminal.until("everything again", |text| rows_of(text).len() == 3 && text.starts_with("context test")).await;
}

#[tokio::test]
async fn ctrl_z_stops_it_and_fg_goes_on() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = Plugin::new(&fake).in_shell(USUAL);
    terminal.until("the shell", |text| text.trim_end() == "$").await;
    terminal.press("\"$PLUGIN\"\r");
    terminal.until_text("1/1").await;
    terminal.press("gra");
    terminal.until_text("1/3").await;
    for _ in 0..2 {
        terminal.press("\x1a");
        let text = terminal.until_text("Stopped").await;
        assert!(!text.contains("SERVICE"), "{text}");
        assert!(!terminal.look(vt100::Screen::alternate_screen));
        terminal.press("fg\r");
        let text = terminal.until_text("1/3").await;
        assert!(text.contains("> gra"), "{text}");
        terminal.press("\x0c");
    }
    terminal.press(ESCAPE);
    terminal.until("the shell", |text| text.trim_end().ends_with('$')).await;
    terminal.press("echo \"code=$?\"\r");
    terminal.until_text("code=130").await;
}

#[tokio::test]
async fn a_panic_gives_the_terminal_back_first() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "pick::panics_on_the_screen", "--ignored", "--nocapture"]);
    let mut terminal = Terminal::start(&command, USUAL);
    assert_ne!(terminal.end().await, 0);
    assert!(terminal.is_given_back());
    let text = terminal.text();
    assert!(text.contains("this panic is on purpose"), "{text}");
    let written = terminal.written();
    let (left, message) = (written.find("\x1b[?1049l").unwrap(), written.find("this panic is on purpose").unwrap());
    assert!(written.contains("\x1b[?1049h") && left < message, "{written:?}");
}

#[test]
#[ignore = "run in a terminal by the test above"]
fn panics_on_the_screen() {
    let screen = svcproxy::find::picker::screen::PickerScreen::take(true).unwrap();
    std::thread::spawn(|| panic!("this panic is on purpose")).join().unwrap_err();
    drop(screen);
    panic!("the other one was");
}

#[tokio::test]
async fn no_color_leaves_attributes_only() {
    for no_color in [true, false] {
        let fake = FakeApiServer::start().await;
        let _backend = small(&fake).await;
        let plugin = Plugin::new(&fake);
        let plugin = if no_color { plugin.env("NO_COLOR", "1") } else { plugin };
        let mut terminal = plugin.in_terminal(USUAL);
        terminal.until_text("1/1").await;
        terminal.press("n");
        terminal.until("matches below the cursor", |text| rows_of(text).len() > 1).await;
        let is_coloured = terminal.look(|screen| {
            let (rows, columns) = screen.size();
            let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
            cells
                .filter_map(|(row, column)| screen.cell(row, column))
                .any(|cell| cell.fgcolor() != vt100::Color::Default)
        });
        assert_eq!(is_coloured, !no_color);
        terminal.press("\x15gra");
        terminal.until("what is typed", |text| text.contains("> gra") && text.contains("> monitoring/grafana")).await;
        let underlined = terminal.look(|screen| screen.cell(3, 13).unwrap().underline());
        assert!(underlined, "{}", terminal.text());
    }
}

#[tokio::test]
async fn wide_characters_keep_their_columns() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    terminal.press("世界");
    terminal.until_text("> 世界").await;
    let (row, column) = terminal.look(vt100::Screen::cursor_position);
    assert_eq!((row, column), (1, 6));
    terminal.press("\x7f\x7fweb");
    terminal.until_text("1/3").await;
}

#[tokio::test]
async fn a_namespace_and_a_first_text() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = Plugin::new(&fake).args(["--pick", "graf", "-n", "monitoring"]).in_terminal(USUAL);
    let text = terminal.until_text("1/1").await;
    assert!(text.contains("namespace monitoring") && text.contains("> graf"), "{text}");
}

#[tokio::test]
async fn a_name_that_several_services_have_in_part() {
    let fake = FakeApiServer::start().await;
    for name in ["grafana", "graphite", "redis"] {
        fake.service("default", name, json!([{"name": "http", "port": 80}]));
    }
    let mut terminal = Plugin::new(&fake).args(["gra"]).in_terminal(USUAL);
    let text = terminal.until_text("2/3").await;
    assert!(text.contains("> gra") && text.contains("namespace default"), "{text}");
}

#[tokio::test]
async fn several_likely_ports_are_a_short_question() {
    let fake = FakeApiServer::start().await;
    fake.service("default", "odd", json!([{"name": "one", "port": 1111}, {"name": "two", "port": 2222}]));
    let mut terminal = Plugin::new(&fake).args(["odd"]).in_terminal(USUAL);
    terminal.until_text("Which port of default/odd?").await;
    terminal.press(DOWN);
    terminal.press(ENTER);
    terminal.until_text("\"proxyUrl\"").await;
    assert_eq!(ready_lines(&terminal)[0]["port"], "two");
    drop(terminal);

    for keys in [CTRL_C, ESCAPE] {
        let mut terminal = Plugin::new(&fake).args(["odd"]).in_terminal(USUAL);
        terminal.until_text("two:2222").await;
        terminal.press(keys);
        assert_eq!(terminal.end().await, 130, "{keys:?}");
        assert!(terminal.is_given_back(), "{keys:?}");
    }
}

#[tokio::test]
async fn without_the_right_to_list_everything() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    fake.add_token("narrow-token", "narrow");
    let rule =
        Rule { verbs: &["list"], resources: &["services", "endpointslices"], names: &[], namespace: Some("default") };
    fake.grant("narrow", &[rule]);
    let mut terminal = Plugin::new(&fake).login(&fake, "token: narrow-token").in_terminal(USUAL);
    let text = terminal.until_text("1/1").await;
    assert!(text.contains("namespace default"), "{text}");
    assert!(text.contains("you may not list Services in all namespaces"), "{text}");
    drop(terminal);

    fake.add_token("nobody-token", "nobody");
    let mut terminal = Plugin::new(&fake).login(&fake, "token: nobody-token").in_terminal(USUAL);
    assert_eq!(terminal.end().await, 1);
    assert!(terminal.is_given_back());
    assert!(terminal.text().contains("you may not list services in all namespaces"), "{}", terminal.text());
}

#[tokio::test]
async fn what_was_opened_last_is_first_and_a_dash_opens_it() {
    let fake = FakeApiServer::start().await;
    let _backend = small(&fake).await;
    let mut terminal = picker(&fake);
    terminal.until_text("1/1").await;
    terminal.press("grafana\r");
    terminal.until_text("\"proxyUrl\"").await;
    terminal.press(CTRL_C);
    assert_eq!(terminal.end().await, 0);

    let mut again = terminal.again(&[], USUAL);
    again.until_text("3/3").await;
    assert!(rows(&again)[0].starts_with(">·monitoring/grafana"), "{}", again.text());
    again.press(ESCAPE);
    assert_eq!(again.end().await, 130);

    let mut last = again.again(&["-"], USUAL);
    last.until_text("\"proxyUrl\"").await;
    assert_eq!(ready_lines(&last)[0]["service"], "grafana");
}

#[tokio::test]
async fn nothing_to_choose_from() {
    let fake = FakeApiServer::start().await;
    let mut terminal = Plugin::new(&fake).args(["-n", "default"]).in_terminal(USUAL);
    assert_eq!(terminal.end().await, 1);
    assert!(terminal.is_given_back());
    assert!(terminal.text().contains("there are no Services in namespace default"), "{}", terminal.text());
}

#[tokio::test]
async fn no_terminal_no_prompt() {
    let fake = FakeApiServer::start().await;
    let run = Plugin::new(&fake).args(["--pick"]).login(&fake, &format!("token: {ADMIN_TOKEN}")).finish().await;
    assert_eq!(run.code(), 2, "{}", run.stderr);
    assert!(run.stderr.contains("--pick needs a terminal"), "{}", run.stderr);
    // Nothing was asked of the cluster; this is.
    let run = Plugin::new(&fake).plain().args(["--list", "-A"]).finish().await;
    assert_eq!(run.code(), 0, "{}", run.stderr);
}

#[tokio::test]
async fn a_keystroke_among_5000_services_is_not_felt() {
    let fake = FakeApiServer::start().await;
    many(&fake, 5_000);
    let mut terminal = picker(&fake);
    terminal.until("the whole list", |text| text.contains("5000/5000") && !text.contains("loading")).await;
    let mut times = Vec::new();
    for _ in 0..3 {
        for typed in ["a", "ap", "api", "api4", "api49"] {
            times.push(terminal.time_to(&typed[typed.len() - 1..], |screen| is_drawn(screen, typed)));
        }
        for typed in ["api4", "api", "ap", "a", ""] {
            times.push(terminal.time_to("\x7f", |screen| is_drawn(screen, typed)));
        }
    }
    times.sort();
    let median = times[times.len() / 2];
    println!("a keystroke among 5000 rows: median {median:?}, worst {:?}; 30 ms are allowed", times.last().unwrap());
}
