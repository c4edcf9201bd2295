//! The program in front of a fake API server and an app, and what both saw of each request.

use std::path::PathBuf;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::task::JoinSet;

use super::answer::Answer;
use super::app::{App, Way};
use super::ask::{Ask, Got, Places, curl};
use super::run::{ALWAYS, Before, Row, Run, Says};
use super::seen::{Seen, Sides};
use super::setting::{credential, log_in, put_objects, write_credential};
use crate::harness::{Plugin, Served};
use support::fake::faults::Fault;
use support::fake::status::Status;
use support::fake::{FakeApiServer, Options};
use support::{ConnectProxy, eventually};

/// A row as it was played: its title, and what there is to say of it, line by line.
pub(super) struct Played {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
}

/// Of the Service and of its EndpointSlices.
const WATCHES: usize = 2;

/// A row came on another connection than it asked for.
struct WrongConnection;

/// Plays all rows of `run`; anew from its start if chance gave a row another connection than it needs.
pub(super) async fn play(run: &Run) -> Vec<Played> {
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        if let Ok(played) = play_once(run).await {
            return played;
        }
    }
    panic!("{}: a row never got the connection that it needs", run.title);
}

async fn play_once(run: &Run) -> Result<Vec<Played>, WrongConnection> {
    let mut stage = Stage::start(run).await;
    let mut played = Vec::new();
    for row in &run.rows {
        let lines = stage.play(row).await?;
        played.push(Played { title: row.to_string(), lines });
    }
    Ok(played)
}

struct Stage {
    /// Requests that wait for ever, to hold connections. They end first.
    held: JoinSet<()>,
    fake: FakeApiServer,
    app: App,
    served: Served,
    /// Where the credential plugin is.
    login: PathBuf,
    token: String,
    /// What both sides saw up to the end of the last row.
    seen: Sides,
    /// How many requests got their answers.
    answered: usize,
    by_port_forward: bool,
    _gateway: Option<ConnectProxy>,
}

impl Stage {
    async fn start(run: &Run) -> Self {
        let gateway = run.gateway.map(str::to_owned);
        let options = Options { handshakes: run.handshakes, gateway, ..Options::default() };
        let fake = FakeApiServer::start_with(options).await;
        let app = App::start(run.speaks, run.pods, fake.authority()).await;
        put_objects(&fake, app.addresses(), run.route);
        let proxy = match run.gateway {
            Some(_) => Some(ConnectProxy::start(fake.address()).await),
            None => None,
        };
        let plugin = Plugin::without_kubeconfig(&fake);
        let login = plugin.home().to_owned();
        let token = log_in(&fake, &plugin, run.user);
        let mut plugin = plugin.login(&fake, &credential(&login, &token, run.user));
        if let Some(proxy) = &proxy {
            plugin = plugin.env("HTTPS_PROXY", proxy.url());
        }
        let flags = ["web", "--log-requests", "--log-format=json"].iter().chain(run.flags);
        let served = plugin.args(flags).serve().await;
        let by_port_forward = run.flags.contains(&"--via=port-forward");
        let (held, seen) = (JoinSet::new(), Sides { api_server: fake.requests(), app: Vec::new() });
        Self { held, fake, app, served, login, token, seen, answered: 0, by_port_forward, _gateway: proxy }
    }

    fn places(&self) -> Places {
        let without_slash = |url: String| url.trim_end_matches('/').to_owned();
        Places { site: without_slash(self.served.site_url()), proxy_url: without_slash(self.served.proxy_url()) }
    }

    async fn play(&mut self, row: &Row) -> Result<Vec<String>, WrongConnection> {
        let answer: fn(u16) -> Answer = match &row.answer {
            Says::One(answer) => return self.play_answer(row, &row.ask, answer).await,
            Says::Each(_) => Answer::status,
            Says::EachInHtml(_) => |code| Answer::of_kind(code, "text/html"),
        };
        let (Says::Each(codes) | Says::EachInHtml(codes)) = row.answer else { unreachable!("one answer has returned") };
        let mut played = Vec::new();
        for &code in codes {
            let lines = self.play_answer(row, &row.ask.with_code(code), &answer(code)).await?;
            played.push((code, lines));
        }
        Ok(alike(&played))
    }

    async fn play_answer(&mut self, row: &Row, ask: &Ask, answer: &Answer) -> Result<Vec<String>, WrongConnection> {
        let late = Seen::since(&self.seen, &self.sides());
        for before in &row.before {
            self.happen(before, row).await;
        }
        self.app.answers(answer);
        let from = self.sides();
        let said = self.served.stderr().len();
        let got = ask.send(&self.places()).await;
        self.until_logged().await;
        self.seen = self.sides();
        let seen = Seen::since(&from, &self.seen);
        self.fake.forget_faults();
        if !row.before.iter().all(|before| seen.is_as_wanted(before)) {
            return Err(WrongConnection);
        }
        let lines_of = |seen: &Seen| seen.lines(|text| self.without_chance(text));
        let mut lines: Vec<String> =
            lines_of(&late).iter().map(|line| format!("late, of the row before: {line}")).collect();
        lines.extend(lines_of(&seen));
        lines.push(answer_line(&got));
        lines.extend(told(&self.served.stderr()[said..]).iter().map(|line| self.without_chance(line)));
        Ok(lines)
    }

    fn sides(&self) -> Sides {
        Sides { api_server: self.fake.requests(), app: self.app.heard() }
    }

    /// A finished request is logged behind all that was said about it.
    async fn until_logged(&mut self) {
        self.answered += 1;
        let count = || self.served.stderr().split_inclusive('\n').filter(|line| is_log(line)).count();
        eventually("the request's line in the log", async || (count() >= self.answered).then_some(())).await;
    }

    async fn happen(&mut self, before: &Before, row: &Row) {
        match before {
            Before::ServiceProxy(times, fault) => {
                self.fake.fault(&format!("/proxy{}", row.ask.path()), *times, fault.clone());
            }
            Before::PortForward(pod, times, fault) => self.forwarding_fails(pod, *times, fault),
            Before::ConnectionIsKept => self.keep_connections().await,
            Before::NoConnectionIsKept => self.hold_all_connections().await,
            Before::CredentialsExpire => self.expire(true),
            Before::CredentialsExpireForGood => self.expire(false),
            Before::AppStops => self.app.stop().await,
            Before::NothingIsReady => self.nothing_is_ready().await,
            Before::PodIsReplaced => {
                self.nothing_is_ready().await;
                self.fake.change("pods", "default", "web-1", |pod| pod["status"]["ready"] = true.into());
                self.served.until_stderr("a ready endpoint again").await;
            }
            Before::RightsAreUnknown => {
                let broken = Fault::Answer(Status::unknown("the authorizer is gone"));
                self.fake.fault("/selfsubjectaccessreviews", ALWAYS, broken);
            }
            Before::ServiceIsDeleted => {
                self.fake.delete("services", "default", "web");
                self.served.until_stderr("has been deleted").await;
            }
        }
    }

    fn forwarding_fails(&self, pod: &str, times: usize, fault: &Fault) {
        let target = if pod.is_empty() { "/portforward".to_owned() } else { format!("/pods/{pod}/portforward") };
        self.fake.fault(&target, times, fault.clone());
    }

    async fn nothing_is_ready(&self) {
        let names = (0..self.app.addresses().len()).map(|number| format!("web-{number}"));
        for name in names {
            self.fake.change("pods", "default", &name, |pod| pod["status"]["ready"] = false.into());
        }
        self.served.until_stderr("has no ready endpoint").await;
    }

    fn expire(&mut self, has_newer: bool) {
        self.fake.revoke_token(&self.token);
        self.token.push_str("-newer");
        if has_newer {
            self.fake.add_token(&self.token, "admin");
        }
        write_credential(&self.login, &self.token);
    }

    /// More connections than a row loses, and until a request was sent on one that had brought an answer before.
    async fn keep_connections(&mut self) {
        const MANY: usize = 6;
        self.app.answers(&Answer::together(MANY));
        let places = self.places();
        join_all((0..MANY).map(async |_| curl("GET /kept").send(&places).await)).await;
        self.answered += MANY - 1;
        self.until_logged().await;
        self.app.answers(&Answer::status(200));
        loop {
            let from = self.sides();
            curl("GET /kept").send(&self.places()).await;
            self.until_logged().await;
            if Seen::since(&from, &self.sides()).is_on_kept_connection() {
                return;
            }
        }
    }

    /// Until two of the requests that get no answer came on new connections, one after the other: the first may have taken the
    /// spare one though others wait. What the program asks by itself would give one back: it watches before.
    async fn hold_all_connections(&mut self) {
        let watches = || self.fake.requests().iter().filter(|request| request.target.contains("watch=1")).count();
        eventually("the watches", async || (watches() >= WATCHES).then_some(())).await;
        self.app.answers(&Answer::waits());
        let mut new = 0;
        while new < 2 {
            let (from, places) = (self.sides(), self.places());
            self.held.spawn(async move { drop(curl("GET /held").send(&places).await) });
            let way = if self.by_port_forward { Way::PortForward } else { Way::ServiceProxy };
            let held = || self.app.heard()[from.app.len()..].iter().any(|heard| heard.way == way);
            eventually("the held request at the app", async || held().then_some(())).await;
            let is_kept = Seen::since(&from, &self.sides()).is_on_kept_connection();
            new = if is_kept { 0 } else { new + 1 };
        }
    }

    /// `line` with names for what is another in each run.
    fn without_chance(&self, line: &str) -> String {
        let Places { site, .. } = self.places();
        let authority = site.trim_start_matches("http://");
        let site_port = authority.rsplit(':').next().unwrap_or_default();
        let is_named = !authority.starts_with("localhost");
        let line = if is_named { line.replace(authority, "SITE") } else { line.to_owned() };
        let pod = self.app.addresses()[0].port();
        line.replace(&format!(":{site_port}"), ":PORT")
            .replace(&self.fake.address().to_string(), "API-SERVER")
            .replace(&format!(":{pod}"), ":POD-PORT")
    }
}

/// What was played for each status: once, where only the status differs, else once for those that are alike.
fn alike(played: &[(u16, Vec<String>)]) -> Vec<String> {
    let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for (code, lines) in played {
        let code = code.to_string();
        let lines: Vec<String> = lines.iter().map(|line| line.replace(&code, "CODE")).collect();
        match groups.iter_mut().find(|(_, others)| *others == lines) {
            Some((codes, _)) => codes.push(code),
            None => groups.push((vec![code], lines)),
        }
    }
    match &groups[..] {
        [(_, lines)] => lines.clone(),
        _ => groups
            .into_iter()
            .flat_map(|(codes, lines)| [vec![format!("{}:", codes.join(", "))], lines].concat())
            .collect(),
    }
}

fn answer_line(got: &Got) -> String {
    let explained = if got.explained.is_empty() { String::new() } else { format!(", {}", got.explained) };
    let broken = if got.is_whole { "" } else { ", broken off" };
    format!("client gets {}{explained}{broken}", got.status)
}

fn is_log(line: &str) -> bool {
    line.starts_with(LOG_LINE) && !line.contains("\"open\":true") && line.ends_with('\n')
}

/// How a line of the log begins.
const LOG_LINE: &str = "{\"time\"";

/// What the user was told about the request, without the lines of the log and of the watch for endpoints.
fn told(said: &str) -> Vec<String> {
    let messages = said.lines().filter(|line| !line.starts_with(LOG_LINE)).map(message);
    let is_watch = |line: &str| line.contains(" in default has ");
    let lines = messages.filter(|line| !line.starts_with("context ") && !is_watch(line));
    lines.map(|line| format!("told: {line}")).collect()
}

/// What a line of JSON says, as people read it.
fn message(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("a line that is no JSON: {line}"));
    let mark = if line["level"] == "WARN" { "warning: " } else { "" };
    format!("{mark}{}", line["fields"]["message"].as_str().unwrap_or_default())
}
