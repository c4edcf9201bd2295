//! The list of hostile requests (T1 to T24, `tests/support/attack_list.rs`), played in every origin mode, by both transports,
//! over HTTP/1.1 and HTTP/2, and against `kubectl proxy`. What came of it is a table in `docs/security.md`, which this test holds
//! (`SVCPROXY_RECORD=1` writes it). Let through is what an app or the API server shows, whatever the status.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use ::http::{Method, Request, Version};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::harness::{Plugin, kubectl_proxy};
use crate::local_https::trusting_home;
use support::attack_list::{Attack, AttackStage, Harm, SaidBy, attacks};
use support::cluster::{Cluster, Namespace, backend_in};
use support::{Backend, Canned, Serving, TlsClient, http};

pub(crate) fn tests() -> Vec<crate::Test> {
    crate::tests![nothing_is_let_through, what_is_let_through_is_seen]
}

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md");
const HEAD: &str = "\
# Attacks

Hostile requests, played on a real API server by `tests/run e2e attack_suite`: against `kubectl svcproxy` in each of `--origin site`,
`localhost` and `path`, by `--via service-proxy` and `port-forward`, over HTTP/1.1 and HTTP/2 where a client can say them there,
and once each against `kubectl proxy`. Let through means that the app, another Service's app or another path of the API server was
reached by what must not reach it (of T5: by whatever spells a way out, even where it leads nowhere), or that the harm which the
threat names was done, as they themselves show it. Numbers are requests that were sent.

| threat | in the list | `kubectl svcproxy` refused | let through | `kubectl proxy` refused | let through |
| --- | --- | --- | --- | --- | --- |
";
const FOOT: &str = "
T22 are T1 to T4 by port-forward. No request tells T13 (somebody else listens on the port), T16 (an answer that unpacks without
end), T19 (what a browser is opened with) and T23 (a gateway that chooses by `Host`): each has tests of its number in `tests/it` or
`src`. What pages try in a browser is in `tests/e2e/browser_attacks.rs`.
";

/// What each number of a threat is about.
const THREATS: [(u8, &str); 24] = [
    (1, "a name that is made to lead here (DNS rebinding)"),
    (2, "requests of other pages"),
    (3, "WebSockets of other pages"),
    (4, "other programs, without the token that is asked for"),
    (5, "ways out of the Service's path"),
    (6, "two requests in one, upgrades that are none"),
    (7, "redirects that lead away by what is cut off"),
    (8, "an identity of the page's choice"),
    (9, "forged traces in audit logs"),
    (10, "cookies for other Services, a second session"),
    (11, "the session told to the app"),
    (12, "service workers and names of other clusters"),
    (13, "somebody else at the port"),
    (14, "tunnels that were not agreed to"),
    (15, "requests done twice"),
    (16, "answers that unpack without end"),
    (17, "words that a terminal obeys"),
    (18, "secrets in the log"),
    (19, "what a browser is opened with"),
    (20, "other paths of the API server"),
    (21, "a 401 of the app's own"),
    (22, "T1 to T4 by port-forward"),
    (23, "gateways that choose by `Host`"),
    (24, "frames of other pages"),
];

/// How the app is opened.
#[derive(Debug, Clone, Copy)]
struct Setting {
    origin: &'static str,
    via: &'static str,
    is_http2: bool,
}

fn settings() -> impl Iterator<Item = Setting> {
    let origins = ["site", "localhost", "path"].into_iter();
    let both = move |via: &'static str| {
        origins.clone().flat_map(move |origin| [false, true].map(|is_http2| Setting { origin, via, is_http2 }))
    };
    ["service-proxy", "port-forward"].into_iter().flat_map(both)
}

/// What was played, and what of it was let through.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    played: usize,
    let_through: usize,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.played += other.played;
        self.let_through += other.let_through;
    }
}

impl Count {
    fn cells(self) -> String {
        if self.played == 0 {
            "| |".to_owned()
        } else {
            format!("{} | {} |", self.played - self.let_through, self.let_through)
        }
    }
}

/// Counts by the numbers of threats.
type Counts = BTreeMap<u8, Count>;

/// What came of playing the list in a setting.
#[derive(Debug, Default)]
struct Outcome {
    counts: Counts,
    /// What was let through.
    harmful: Vec<String>,
}

impl Outcome {
    fn note(&mut self, attack: &Attack, is_let_through: bool) {
        *self.counts.entry(attack.threat).or_default() += Count { played: 1, let_through: usize::from(is_let_through) };
        if is_let_through {
            self.harmful.push(attack.to_string());
        }
    }

    fn add(&mut self, other: Self, setting: Setting) {
        let is_by_port_forward = setting.via == "port-forward";
        for (threat, count) in other.counts {
            *self.counts.entry(threat).or_default() += count;
            if is_by_port_forward && threat <= 4 {
                *self.counts.entry(22).or_default() += count;
            }
        }
        self.harmful.extend(other.harmful.into_iter().map(|attack| format!("{setting:?} {attack}")));
    }
}

async fn nothing_is_let_through(cluster: &'static Cluster) {
    let list = attacks();
    assert!(list.len() >= 400, "{}", list.len());
    let mut ours = Outcome::default();
    for setting in settings() {
        ours.add(play_svcproxy(cluster, setting, &list).await, setting);
    }
    let theirs = play_kubectl_proxy(cluster, &list).await;
    let table = table(&list, &ours.counts, &theirs.counts);
    if std::env::var_os("SVCPROXY_RECORD").is_some() {
        fs::write(TABLE, &table).unwrap();
    }
    assert!(ours.harmful.is_empty(), "let through:\n{}\n{table}", ours.harmful.join("\n"));
    let kept = fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(table, kept, "through kubectl proxy:\n{}", theirs.harmful.join("\n"));
}

fn table(list: &[Attack], ours: &Counts, theirs: &Counts) -> String {
    let mut text = HEAD.to_owned();
    let [mut all, mut all_ours, mut all_theirs] = [Count::default(); 3];
    for (threat, about) in THREATS {
        let listed = list.iter().filter(|attack| attack.threat == threat).count();
        let counted = |counts: &Counts| counts.get(&threat).copied().unwrap_or_default();
        let (ours, theirs) = (counted(ours), counted(theirs));
        let number = if listed == 0 { String::new() } else { format!("{listed} ") };
        let _ = writeln!(text, "| T{threat} {about} | {number}| {} {}", ours.cells(), theirs.cells());
        if listed > 0 {
            all.played += listed;
            all_ours += ours;
            all_theirs += theirs;
        }
    }
    let cells = |count: Count| format!("**{}** | **{}** |", count.played - count.let_through, count.let_through);
    let _ = writeln!(text, "| **all** | **{}** | {} {}", all.played, cells(all_ours), cells(all_theirs));
    text + FOOT
}

/// An app that is open, another that is not, and what stands for them in the list.
struct Stage {
    app: Backend,
    other: Backend,
    namespace: Namespace,
}

impl Stage {
    async fn new(cluster: &'static Cluster) -> Self {
        let namespace = cluster.namespace().await;
        let app = backend_in(cluster, &namespace).await;
        let other = Backend::start(cluster.pod_address(), 8080).await;
        let ports = json!([{"name": "http", "port": 80, "targetPort": 8080}]);
        namespace.expose("other", other.ip(), ports).await;
        let secrets = format!("/api/v1/namespaces/{}/secrets", namespace.name());
        let kept = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept"}});
        cluster.api().create(&secrets, &kept).await;
        Self { app, other, namespace }
    }

    fn names(&self, scheme: &str, host: &str, base: &str, cookie: &str) -> Vec<(&'static str, String)> {
        let (name, port) = host.rsplit_once(':').unwrap();
        let cookie_name = format!("svcproxy-session-{port}");
        vec![
            ("{BASE}", base.to_owned()),
            ("{PROXY}", self.namespace.proxy_path("app:http")),
            ("{OTHER}", self.namespace.proxy_path("other:http")),
            ("{NAMESPACE}", self.namespace.name().to_owned()),
            ("{HOST}", host.to_owned()),
            ("{ORIGIN}", format!("{scheme}://{host}")),
            ("{NAME}", name.to_owned()),
            ("{PORT}", port.to_owned()),
            ("{API}", Cluster::url()),
            ("{COOKIE}", format!("{cookie_name}={cookie}")),
            ("{COOKIE_NAME}", cookie_name),
        ]
    }

    /// Plays `list` at `door`; what is let through by the log is for later.
    async fn play(&self, door: &mut Door, list: &[&Attack], outcome: &mut Outcome) {
        door.is_open_to_its_own(self).await;
        for attack in list {
            let Some(evidence) = self.evidence(door, attack).await else { continue };
            if !matches!(attack.harm, Harm::Logged(_)) {
                outcome.note(attack, evidence.shows(attack.harm));
            }
        }
        door.is_open_to_its_own(self).await;
    }

    /// What `attack` does; nothing where it cannot be said.
    async fn evidence(&self, door: &mut Door, attack: &Attack) -> Option<Evidence> {
        let attack = door.filled(attack);
        if let Some(says) = &attack.app_says {
            let path = attack.target.trim_start_matches(&door.base);
            let headers = says.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            self.app.answer(path, Canned { status: says.status, headers, body: Vec::new() });
        }
        let before = [self.app.requests().len(), self.other.requests().len()];
        let answer = door.say(&attack).await?;
        let since = |backend: &Backend, before: usize| backend.requests().split_off(before);
        let (app, other) = (since(&self.app, before[0]), since(&self.other, before[1]));
        Some(Evidence { app, other, answer })
    }
}

/// Where requests are said.
struct Door {
    /// A URL of the listener.
    url: String,
    /// As in [`Stage::names`].
    names: Vec<(&'static str, String)>,
    base: String,
    /// A line that lets a request in.
    session: Option<String>,
    http2: Option<(TlsClient, Option<SendRequest<Full<Bytes>>>)>,
}

impl Door {
    fn fill(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// `attack` with everything that this setting gives, and all lines of its head.
    fn filled(&self, attack: &Attack) -> Attack {
        let mut filled = attack.clone();
        filled.target = self.fill(&attack.target);
        filled.body = self.fill(&attack.body);
        filled.lines = attack.head_lines().iter().map(|line| self.fill(line)).collect();
        for (_, value) in filled.app_says.iter_mut().flat_map(|says| &mut says.headers) {
            *value = self.fill(value);
        }
        filled
    }

    /// What comes back, as text; nothing where `attack` cannot be said.
    async fn say(&mut self, attack: &Attack) -> Option<String> {
        let said = async {
            match &mut self.http2 {
                None => Some(say_http1(&self.url, attack).await),
                Some((client, connection)) => say_http2(&self.url, client, connection, attack).await,
            }
        };
        timeout(ANSWERED, said).await.unwrap_or_else(|_| panic!("no answer to {attack}"))
    }

    /// The app is reached by what may reach it, so that it is the guard that keeps others out.
    async fn is_open_to_its_own(&mut self, stage: &Stage) {
        let mut usual = attacks().remove(0);
        (usual.method, usual.target, usual.lines) = ("GET", "{BASE}/usual".to_owned(), Vec::new());
        usual.lines.extend(self.session.clone());
        let evidence = stage.evidence(self, &usual).await.expect("it can be said");
        assert!(evidence.shows(Harm::AppHears("\"/usual\"")), "{}", evidence.answer);
    }
}

/// How long an answer is waited for.
const ANSWERED: Duration = Duration::from_secs(60);

/// Everything up to the end of the connection, or to a tunnel.
async fn say_http1(url: &str, attack: &Attack) -> String {
    let head = format!("{} {} HTTP/1.1\r\n{}\r\n\r\n", attack.method, attack.target, attack.lines.join("\r\n"));
    let mut stream = http::tcp(&url.parse().unwrap()).await;
    let _ = stream.write_all(format!("{head}{}", attack.body).as_bytes()).await; // it may be closed before the end
    let mut answer = Vec::new();
    while !answer.starts_with(b"HTTP/1.1 101 ") && stream.read_buf(&mut answer).await.is_ok_and(|count| count > 0) {}
    String::from_utf8_lossy(&answer).into_owned()
}

async fn say_http2(
    url: &str,
    client: &TlsClient,
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    attack: &Attack,
) -> Option<String> {
    let request = http2_request(attack)?;
    let is_usable = match connection.as_mut() {
        Some(connection) => connection.ready().await.is_ok(),
        None => false,
    };
    if !is_usable {
        *connection = Some(client.http2(url).await);
    }
    let Ok(answer) = connection.as_mut()?.send_request(request).await else { return Some(String::new()) };
    let (head, mut body) = answer.into_parts();
    let mut text = format!("{}\r\n", head.status);
    for (name, value) in &head.headers {
        let _ = write!(text, "{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    let is_tunnel = attack.said == SaidBy::Handshake && head.status.is_success();
    let mut octets = Vec::new();
    while !is_tunnel && let Some(Ok(frame)) = body.frame().await {
        octets.extend(frame.data_ref().into_iter().flatten());
    }
    Some(format!("{text}\r\n{}", String::from_utf8_lossy(&octets)))
}

fn http2_request(attack: &Attack) -> Option<Request<Full<Bytes>>> {
    if matches!(attack.said, SaidBy::Http1 | SaidBy::Http1WithoutHost) {
        return None;
    }
    let is_handshake = attack.said == SaidBy::Handshake;
    let lines: Vec<_> = attack.lines.iter().filter_map(|line| line.split_once(": ")).collect();
    let host = lines.iter().find(|(name, _)| *name == "Host")?.1;
    let method = if is_handshake { Method::CONNECT } else { attack.method.parse().ok()? };
    let mut request = Request::builder().method(method).uri(format!("https://{host}{}", attack.target));
    let of_http1 = ["Host", "Connection", "Upgrade", "Sec-WebSocket-Key"];
    for (name, value) in lines.into_iter().filter(|(name, _)| !of_http1.contains(name)) {
        request = request.header(name, value);
    }
    if is_handshake {
        request = request.version(Version::HTTP_2);
        request.extensions_mut()?.insert(Protocol::from_static("websocket"));
    }
    request.body(Full::from(attack.body.clone())).ok()
}

/// What became of a request.
struct Evidence {
    /// What the app heard.
    app: Vec<Value>,
    /// What the Service that is not open heard.
    other: Vec<Value>,
    /// Everything that came back.
    answer: String,
}

impl Evidence {
    fn shows(&self, harm: Harm) -> bool {
        let heard = |text: &str| self.app.iter().any(|request| request.to_string().contains(text));
        let answer = self.answer.to_ascii_lowercase();
        match harm {
            Harm::Reached => !self.app.is_empty() || self.is_beyond(),
            Harm::Beyond => self.is_beyond(),
            Harm::Smuggled => heard("smuggled") || self.is_beyond(),
            Harm::Twice => self.app.len() > 1,
            Harm::AppHears(text) => heard(text),
            Harm::Identity => {
                self.is_answered_by_api_server() && (says(&answer, "\"code\":401") || says(&answer, "forged"))
            }
            Harm::Claim => heard("forged") || self.is_answered_by_api_server() && says(&answer, "forged"),
            Harm::AnswerSays(text) => says(&answer, text),
            Harm::LedAway => answer.lines().filter_map(|line| line.split_once(": ")).any(leads_away),
            Harm::Obeyed => self.answer.contains(is_obeyed),
            Harm::Logged(_) => false,
        }
    }

    fn is_beyond(&self) -> bool {
        !self.other.is_empty() || self.is_answered_by_api_server() && !says(&self.answer, "\"status\":\"Failure\"")
    }

    /// Whether the API server says something of its own.
    fn is_answered_by_api_server(&self) -> bool {
        const WORDS: [&str; 5] =
            ["\"apiVersion\":", "\"gitVersion\":", "\"kind\":\"APIVersions\"", "\"paths\":", "apiserver_"];
        WORDS.iter().any(|word| says(&self.answer, word))
    }
}

/// Each harm is noticed where it is done, and only there.
async fn what_is_let_through_is_seen(_: &'static Cluster) {
    let heard =
        |targets: &[&str]| targets.iter().map(|target| json!({"target": target, "x-remote-user": "forged"})).collect();
    let secrets = "HTTP/1.1 200 OK\r\n\r\n{\n  \"kind\": \"SecretList\",\n  \"apiVersion\": \"v1\"}";
    let refused =
        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"User \"forged\" cannot","code":403}"#;
    let cases: [(Harm, &[&str], &[&str], &str); 12] = [
        (Harm::Reached, &["/"], &[], ""),
        (Harm::Reached, &[], &[], secrets),
        (Harm::Beyond, &[], &["/stolen"], ""),
        (Harm::Smuggled, &["/first", "/smuggled"], &[], ""),
        (Harm::Twice, &["/again", "/again"], &[], ""),
        (Harm::AppHears("/a"), &["/a"], &[], ""),
        (Harm::Identity, &[], &[], refused),
        (Harm::Claim, &["/"], &[], ""),
        (Harm::AnswerSays("domain="), &[], &[], "Set-Cookie: a=b; Domain=localhost"),
        (Harm::LedAway, &[], &[], "HTTP/1.1 302 Found\r\nLocation: //evil.example/\r\n"),
        (Harm::LedAway, &[], &[], "refresh: 0; url=/\\evil.example/"),
        (Harm::Obeyed, &[], &[], "e\u{9b}2Jvil"),
    ];
    for (harm, app, other, answer) in cases {
        let done = Evidence { app: heard(app), other: heard(other), answer: answer.to_owned() };
        assert!(done.shows(harm), "{harm:?}");
        let answer = "HTTP/1.1 403 Forbidden\r\nLocation: /a/\r\nSet-Cookie: a=b\r\n\r\nno".to_owned();
        let not_done = Evidence { app: Vec::new(), other: Vec::new(), answer };
        assert!(!not_done.shows(harm), "{harm:?}");
    }
}

/// Whether `answer` says `text`, however its JSON is spaced.
fn says(answer: &str, text: &str) -> bool {
    answer.replace("\": ", "\":").contains(text)
}

/// Whether a field, in small letters, is a path that a browser takes for another host.
fn leads_away((name, value): (&str, &str)) -> bool {
    let place = value.trim_start_matches("0; url=");
    ["location", "content-location", "refresh"].contains(&name)
        && (place.starts_with("//") || place.starts_with("/\\") || place.contains("://evil."))
}

fn is_obeyed(character: char) -> bool {
    character.is_control() && !matches!(character, '\r' | '\n' | '\t') || "\u{202e}\u{61c}".contains(character)
}

async fn play_svcproxy(cluster: &'static Cluster, setting: Setting, list: &[Attack]) -> Outcome {
    let stage = Stage::new(cluster).await;
    let kubeconfig = cluster.admin().kubeconfig(stage.namespace.name());
    let home = if setting.is_http2 { Some(trusting_home(cluster, &kubeconfig).await) } else { None };
    let (is_shared, mut outcome) = (setting.origin != "site", Outcome::default());
    for asks_for_token in [false, true] {
        let played: Vec<_> = list
            .iter()
            .filter(|attack| match attack.stage {
                AttackStage::Open => !asks_for_token,
                AttackStage::SharedOrigin => !asks_for_token && is_shared,
                AttackStage::Token | AttackStage::Session => asks_for_token,
            })
            .collect();
        let serving = serve(cluster, &kubeconfig, home.as_deref(), setting, asks_for_token).await;
        let mut door = svcproxy_door(&stage, &serving, home.as_deref(), asks_for_token).await;
        stage.play(&mut door, &played, &mut outcome).await;
        let log = serving.stop().await.stderr;
        note_logged(&played, &log, &mut outcome);
    }
    outcome
}

fn note_logged(played: &[&Attack], log: &str, outcome: &mut Outcome) {
    for attack in played {
        if let Harm::Logged(secret) = attack.harm {
            outcome.note(attack, log.contains(secret));
        }
    }
}

async fn serve(
    cluster: &Cluster,
    kubeconfig: &Path,
    home: Option<&Path>,
    setting: Setting,
    asks_for_token: bool,
) -> Serving {
    let flags = [format!("--origin={}", setting.origin), format!("--via={}", setting.via)];
    let mut plugin = Plugin::new(cluster, kubeconfig).args(["app", "--v=9", "--log-requests"]).args(flags);
    if asks_for_token {
        plugin = plugin.args(["--require-token"]);
    }
    if let Some(home) = home {
        plugin = plugin.env("HOME", home);
    }
    plugin.serve().await
}

async fn svcproxy_door(stage: &Stage, serving: &Serving, home: Option<&Path>, asks_for_token: bool) -> Door {
    // A certificate is for names, and the computed proxy URL has an address.
    let site = match home {
        Some(_) => serving.site_url().replace("http://127.0.0.1", "https://localhost"),
        None => serving.site_url(),
    };
    let (scheme, rest) = site.split_once("://").unwrap();
    assert_eq!(scheme == "https", home.is_some(), "{site}");
    let (host, path) = rest.split_once('/').unwrap();
    let base = format!("/{path}").trim_end_matches('/').to_owned();
    let client = home.map(|home| {
        let pem = fs::read_to_string(home.join(".local/state/kubectl-svcproxy/local-ca.pem")).unwrap();
        (TlsClient::trusting(&pem), None)
    });
    let names = stage.names(scheme, host, &base, "none");
    let mut door = Door { url: site.clone(), names, base: base.clone(), session: None, http2: client };
    if asks_for_token {
        let session = session(&mut door, serving).await;
        let cookie = session.split_once('=').unwrap().1;
        door.names = stage.names(scheme, host, &base, cookie);
        door.session = Some(format!("Cookie: {session}"));
    }
    door
}

/// Exchanges the token; the session's cookie.
async fn session(door: &mut Door, serving: &Serving) -> String {
    serving.until_stderr("svcproxy-token=").await;
    let said = serving.stderr();
    let token = said.split("svcproxy-token=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let mut exchange = attacks().remove(0);
    (exchange.target, exchange.lines) = (format!("{{BASE}}/?svcproxy-token={token}"), Vec::new());
    let exchange = door.filled(&exchange);
    let answer = door.say(&exchange).await.expect("it can be said");
    let set = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie: svcproxy-session"));
    let set = set.unwrap_or_else(|| panic!("no session: {answer}"));
    set["set-cookie: ".len()..].split(';').next().unwrap().to_owned()
}

async fn play_kubectl_proxy(cluster: &'static Cluster, list: &[Attack]) -> Outcome {
    let stage = Stage::new(cluster).await;
    let kubeconfig = cluster.admin().kubeconfig(stage.namespace.name());
    let log = cluster.scratch().join("log");
    let (mut proxy, port) = kubectl_proxy(cluster, &kubeconfig, &["--v=9"], File::create(&log).unwrap().into()).await;
    let host = format!("127.0.0.1:{port}");
    let base = stage.namespace.proxy_path("app:http");
    let names = stage.names("http", &host, &base, "none");
    let mut door = Door { url: format!("http://{host}/"), names, base, session: None, http2: None };
    let played: Vec<_> = list.iter().filter(|attack| attack.stage != AttackStage::Session).collect();
    let mut outcome = Outcome::default();
    stage.play(&mut door, &played, &mut outcome).await;
    proxy.kill().await.unwrap();
    note_logged(&played, &String::from_utf8_lossy(&fs::read(log).unwrap()), &mut outcome);
    outcome
}
